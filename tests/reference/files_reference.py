#!/usr/bin/env python3
"""Files of weights and sound made by Python for knet's tests, and Python's check of the files knet makes.

  files_reference.py arrays FOLDER   npy, npz, safetensors and WAV files (numpy 2.4, safetensors 0.8, ml_dtypes)
  files_reference.py torch FOLDER    PyTorch's files (Debian's python3-torch 1.13)
  files_reference.py gguf FOLDER     a GGUF file and what the package dequantises it to (gguf 0.19)
  files_reference.py check FOLDER    fails unless FOLDER holds what tests/io/files_python_test.cpp puts into it;
                                     the test runs it where python3 has numpy and safetensors

FOLDER is tests/data/files; in parentheses is what its files were made with.
"""
import json
import os
import struct
import sys
import wave
import zipfile

import numpy as np


def npy_files(folder):
    p = lambda name: os.path.join(folder, name)
    a = np.arange(6, dtype=np.float32).reshape(2, 3) * 0.5 - 1
    np.save(p("c.npy"), a)
    np.save(p("fortran.npy"), np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)))
    np.save(p("big.npy"), np.array([1, -2, 300000], dtype=">i4"))
    for version in ((2, 0), (3, 0)):
        with open(p("version%d.npy" % version[0]), "wb") as f:
            np.lib.format.write_array(f, np.array([1.5, -0.25], dtype=np.float16), version)
    np.save(p("complex.npy"), np.array([1j]))
    every = {
        "f2": np.array([1.5, -0.25], np.float16), "f4": a, "f8": np.array([1e300, -2.5]),
        "i1": np.array([-128, 127], np.int8), "i2": np.array([-32768, 32767], np.int16),
        "i4": np.array([-(2**31), 2**31 - 1], np.int32), "i8": np.array([-(2**63), 2**63 - 1], np.int64),
        "u1": np.array([0, 255], np.uint8), "u2": np.array([0, 65535], np.uint16),
        "u4": np.array([0, 2**32 - 1], np.uint32), "u8": np.array([0, 2**63 - 1], np.uint64),
        "b1": np.array([True, False]), "scalar": np.float32(7), "none": np.zeros((0, 3), np.float32),
        "text": np.array(["a", "bc"]), "too_large": np.array([2**63], np.uint64),
    }
    np.savez(p("every.npz"), **every)
    np.savez_compressed(p("deflated.npz"), f4=a, zeros=np.zeros((50, 20)), i8=every["i8"])


def safetensors_files(folder):
    """All types of the format, by hand, as numpy lacks half of them."""
    parts = [("F64", [2], np.array([1.5, -2.0]).tobytes()), ("I64", [1], struct.pack("<q", -5)),
             ("U64", [2], struct.pack("<QQ", 7, 2**63 - 1)), ("U64_large", [1], struct.pack("<Q", 2**64 - 1)),
             ("C64", [1], struct.pack("<ff", 1, 2)), ("F32", [1], struct.pack("<f", 0.5)),
             ("I32", [1], struct.pack("<i", -7)), ("U32", [2], struct.pack("<II", 0, 2**32 - 1)),
             ("F16", [1], np.float16(1.5).tobytes()), ("BF16", [1], b"\x80\x3f"),
             ("I16", [2], struct.pack("<hh", -32768, 32767)), ("U16", [1], struct.pack("<H", 65535)),
             ("I8", [2], struct.pack("<bb", -128, 127)), ("U8", [1], b"\xff"), ("BOOL", [2], b"\x01\x00"),
             ("F8_E4M3", [256], bytes(range(256))), ("F8_E5M2", [256], bytes(range(256))),
             ("F8_E8M0", [4], bytes([0, 127, 254, 255])), ("F4", [4], b"\x12\x34")]
    header, at = {}, 0
    for name, shape, data in parts:
        header[name] = {"dtype": name.split("_large")[0], "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "types.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(d for _, _, d in parts))

    import ml_dtypes
    for name, t in (("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2)):
        np.save(os.path.join(folder, name + ".npy"), np.arange(256, dtype=np.uint8).view(t).astype(np.float32))

    from safetensors.numpy import save_file
    os.makedirs(os.path.join(folder, "sharded"), exist_ok=True)
    shards = {"model-00001-of-00002.safetensors": {"a": np.array([1, 2], np.float32)},
              "model-00002-of-00002.safetensors": {"b.weight": np.array([[3.0]]), "c": np.array([4], np.int64)}}
    for name, tensors in shards.items():
        save_file(tensors, os.path.join(folder, "sharded", name), {"format": "pt"})
    index = {"metadata": {"total_size": 24}, "weight_map": {k: n for n, t in shards.items() for k in t}}
    with open(os.path.join(folder, "sharded", "model.safetensors.index.json"), "w") as f:
        json.dump(index, f, indent=2)


class Custom:
    pass


def torch_files(folder):
    import collections

    import torch
    p = lambda name: os.path.join(folder, name)
    w = torch.arange(6, dtype=torch.float32).reshape(2, 3) * 0.5 - 1
    base = torch.arange(10, dtype=torch.int64)
    state = collections.OrderedDict(
        [("fc.weight", w), ("fc.bias", torch.nn.Parameter(torch.tensor([1.5, -2.0]))),
         ("transposed", w.t()), ("half", torch.tensor([1.5, -0.25], dtype=torch.float16)),
         ("brain", torch.tensor([1.0, -2.0], dtype=torch.bfloat16)), ("double", torch.tensor([1e300], dtype=torch.float64)),
         ("slice", base[2:8:2]), ("all", base), ("expanded", torch.tensor([3.0]).expand(2, 4)),
         ("i8", torch.tensor([-128, 127], dtype=torch.int8)), ("i16", torch.tensor([-32768], dtype=torch.int16)),
         ("i32", torch.tensor([-7], dtype=torch.int32)), ("u8", torch.tensor([255], dtype=torch.uint8)),
         ("mask", torch.tensor([True, False])), ("scalar", torch.tensor(7.0)), ("none", torch.zeros(0, 3)),
         ("complex", torch.tensor([1j]))])
    torch.save(state, p("state.pt"))
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    with torch.no_grad():
        for i, t in enumerate(model.state_dict().values()):
            if t.is_floating_point():
                t.copy_(torch.arange(t.numel(), dtype=torch.float32).reshape(t.shape) / 8 + i)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.25,
                "name": "run", "args": Custom()}, p("checkpoint.pt"))
    torch.save([torch.tensor([1, 2]), {"x": torch.tensor([3.0])}], p("list.pt"))
    torch.save(torch.tensor([5.0]), p("tensor.pt"))
    torch.save(Custom(), p("class.pt"))
    torch.save(state, p("legacy.pt"), _use_new_zipfile_serialization=False)
    half = torch.nn.Linear(3, 2)
    half.weight.data.copy_(w)
    half.bias.data.copy_(torch.tensor([0.5, 0.25]))
    torch.save(half.half().state_dict(), p("linear_half.pt"))


def wav_files(folder):
    v = np.array([[0, 0.5, -1, 0.25, -0.125], [1, -0.5, 0.0625, 0, 0.75]])
    for bits in (8, 16, 24, 32):
        with wave.open(os.path.join(folder, "pcm%d.wav" % bits), "wb") as f:
            f.setnchannels(2), f.setsampwidth(bits // 8), f.setframerate(16000)
            out = b""
            for s in v.T.reshape(-1):
                i = int(np.clip(round(s * 2 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
                out += struct.pack("B", i + 128) if bits == 8 else (i & 0xffffffff).to_bytes(4, "little")[:bits // 8]
            f.writeframes(out)
    guid = bytes([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71])
    for name, kind, bits, data in (("float32", 3, 32, v.T.astype("<f4")), ("float64", 3, 64, v.T.astype("<f8"))):
        data = data.tobytes()
        for extensible in (False, True):
            fmt = struct.pack("<HHIIHH", 0xfffe if extensible else kind, 2, 44100, 44100 * bits // 4, bits // 4, bits)
            if extensible:
                fmt += struct.pack("<HHIH", 22, bits, 3, kind) + guid
            body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
            body += b"LIST" + struct.pack("<I", 3) + b"abc\0"  # an odd chunk with its padding
            body += b"data" + struct.pack("<I", len(data)) + data
            with open(os.path.join(folder, name + ("_ext" if extensible else "") + ".wav"), "wb") as f:
                f.write(b"RIFF" + struct.pack("<I", len(body)) + body)


def gguf_files(folder):
    import gguf
    from gguf import GGMLQuantizationType as T
    w = gguf.GGUFWriter(os.path.join(folder, "all.gguf"), "llama")
    w.add_uint32("test.u32", 4000000000), w.add_int8("test.i8", -5), w.add_float32("test.f32", 0.5)
    w.add_bool("test.yes", True), w.add_string("test.text", "günaydın"), w.add_float64("test.f64", 1e300)
    w.add_array("test.ints", [1, -2, 3]), w.add_array("test.reals", [0.5, -1.5]), w.add_array("test.words", ["a", "bc"])
    rng = np.random.default_rng(1)
    expected = {}
    plain = np.arange(6, dtype=np.float32).reshape(2, 3) * 0.5 - 1
    w.add_tensor("f32", plain), w.add_tensor("f16", plain.astype(np.float16)), w.add_tensor("f64", plain.astype(np.float64))
    w.add_tensor("i8", np.array([-128, 127], np.int8)), w.add_tensor("i16", np.array([-32768], np.int16))
    w.add_tensor("i32", np.array([-7], np.int32)), w.add_tensor("i64", np.array([-(2**63)], np.int64))
    w.add_tensor("bf16", np.array([[0x80, 0x3f, 0x00, 0xc0]], np.uint8), raw_dtype=T.BF16)
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ2_XXS"):
        t = getattr(T, name)
        block, size = gguf.GGML_QUANT_SIZES[t]
        raw = rng.integers(0, 256, (2, 256 // block * size), dtype=np.uint8)
        blocks = raw.reshape(-1, size)
        # Random bits everywhere; only the half precision scales must be ordinary numbers.
        where = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2),
                 "Q6_K": (208,)}.get(name, (0,))
        for k in where:
            scale = rng.uniform(-2, 2, len(blocks)).astype(np.float16).view(np.uint8).reshape(-1, 2)
            blocks[:, k:k + 2] = scale
        w.add_tensor(name, raw, raw_dtype=t)
        if name != "IQ2_XXS":
            expected[name] = gguf.dequantize(raw, t).astype(np.float32).reshape(2, 256)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    np.savez_compressed(os.path.join(folder, "gguf_expected.npz"), **expected)


def check(folder):
    from safetensors import safe_open
    from safetensors.numpy import load_file
    p = lambda name: os.path.join(folder, name)
    a = np.arange(6, dtype=np.float32).reshape(2, 3) * 0.5 - 1
    want = {"f4": a, "t": a.T, "f2": a.astype(np.float16), "f8": a.astype(np.float64), "i4": np.array([-1, 2], np.int32),
            "i8": np.array([-1, 2**40]), "u1": np.array([0, 255], np.uint8), "b1": np.array([True, False]),
            "scalar": np.float32(7), "none": np.zeros((0, 4), np.float32)}

    def same(name, got, w):
        w = np.asarray(w)
        assert got.dtype == w.dtype and got.shape == w.shape and np.array_equal(got, w), (name, got, w)

    for name, w in want.items():
        same(name, np.load(p(name + ".npy")), w)
    for archive in ("stored.npz", "deflated.npz"):
        assert zipfile.ZipFile(p(archive)).testzip() is None
        with np.load(p(archive)) as z:
            assert set(z.files) == set(want), z.files
            for name, w in want.items():
                same(name, z[name], w)
    with open(p("model.safetensors.index.json")) as f:
        index = json.load(f)
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 1 and index["metadata"]["note"] == "x", index
    seen = {}
    for f in files:
        with safe_open(p(f), framework="np") as s:
            for k in s.keys():
                assert index["weight_map"][k] == f
        seen.update(load_file(p(f)))
    assert set(seen) == set(want) == set(index["weight_map"])
    for name, w in want.items():
        same(name, seen[name], w)
    assert index["metadata"]["total_size"] == sum(np.asarray(w).nbytes for w in want.values())
    v = np.array([[0, 0.5, -1], [1, -0.5, 0.25]])
    for bits in (8, 16, 24, 32):
        with wave.open(p("pcm%d.wav" % bits)) as f:
            assert (f.getnchannels(), f.getsampwidth(), f.getframerate(), f.getnframes()) == (2, bits // 8, 8000, 3)
            raw = f.readframes(3)
        n = bits // 8
        got = [int.from_bytes(raw[i:i + n], "little", signed=bits > 8) for i in range(0, len(raw), n)]
        top = 2 ** (bits - 1)
        exp = [min(int(s * top), top - 1) + (128 if bits == 8 else 0) for s in v.T.reshape(-1)]
        assert got == exp, (bits, got, exp)


COMMANDS = {"arrays": (npy_files, safetensors_files, wav_files), "torch": (torch_files,), "gguf": (gguf_files,),
            "check": (check,)}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    for make in COMMANDS[sys.argv[1]]:
        make(sys.argv[2])
