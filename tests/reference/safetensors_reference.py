#!/usr/bin/env python3
"""safetensors files made by Python for knet's tests, and Python's check of the files knet makes.

  safetensors_reference.py write FOLDER   writes FOLDER/python.safetensors and FOLDER/empty.safetensors
  safetensors_reference.py check FILE     fails unless FILE holds what tests/io/safetensors_test.cpp puts into it

Needs numpy and safetensors, to write also torch, as numpy has no bfloat16.
"""
import os
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

TENSORS = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3) * 0.5 - 1,
    "layer.bias": np.array([1.25, -2.5, 1e300]),
    "ids": np.array([[-1], [2147483647]], dtype=np.int32),
    "long": np.array([-(2**63), 2**63 - 1], dtype=np.int64),
    "bytes": np.array([0, 127, 255], dtype=np.uint8),
    "mask": np.array([True, False, True]),
    "half": np.array([1.5, -0.25], dtype=np.float16),
    "scalar": np.array(7.0, dtype=np.float32),
    "nothing": np.zeros((0, 4), dtype=np.float32),
}
METADATA = {"format": "np", "note": "günaydın"}


def write(folder):
    import torch
    from safetensors.torch import save_file

    tensors = {k: torch.from_numpy(v) for k, v in TENSORS.items()}
    tensors["brain"] = torch.tensor([1.0, -2.0, 0.5], dtype=torch.bfloat16)
    save_file(tensors, os.path.join(folder, "python.safetensors"), METADATA)
    save_file({}, os.path.join(folder, "empty.safetensors"))


def check(path):
    with safe_open(path, framework="np") as f:
        assert f.metadata() == METADATA, f.metadata()
        assert set(f.keys()) == set(TENSORS), list(f.keys())
    for name, got in load_file(path).items():
        want = TENSORS[name]
        assert got.dtype == want.dtype and got.shape == want.shape and np.array_equal(got, want), (name, got, want)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    {"write": write, "check": check}[sys.argv[1]](sys.argv[2])
