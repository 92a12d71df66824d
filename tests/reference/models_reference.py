#!/usr/bin/env python3
"""What PyTorch's ResNets and Inceptions make of one photograph-like picture with weights from a formula.

  models_reference.py FILE    writes FILE (tests/data/models.safetensors)

Weights are made from their names as tests/models/formula.hpp makes them, so that only results are stored:
"jpeg" a file's bytes, "input.CROP" what torchvision's preprocessing makes of it (u8, before normalisation), "logits.NAME",
for some models "stage.NAME.I" (means of stage I's channels), "aux.NAME.HEAD", and "parameters.NAME" (their number).
v1.5 and Inceptions are torchvision's own; v2 is written here. Needs torchvision (Debian: python3-torchvision).
"""
import io
import json
import struct
import sys

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms import functional as F

CLASSES = 100
DEPTHS = {18: ([2, 2, 2, 2], 0), 34: ([3, 4, 6, 3], 0), 50: ([3, 4, 6, 3], 1), 101: ([3, 4, 23, 3], 1), 152: ([3, 8, 36, 3], 1)}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def uniform(name, size, low, high):
    """benchmarks/common.hpp's numbers, from a hash of the name."""
    seed = 2166136261
    for c in name.encode():
        seed = ((seed ^ c) * 16777619) & 0xFFFFFFFF
    n = int(np.prod(size))
    h = np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32((seed * 0x85EBCA6B + 1) & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    x = low + (high - low) * ((h >> np.uint32(8)).astype(np.float64) / 16777216.0)
    return torch.from_numpy(x.astype(np.float32).reshape(size))


def value(name, size):
    if name.endswith(".bn.running_var"):  # Inceptions: without shortcuts, signals would fade
        return uniform(name, size, 0.2, 0.6)
    if name.endswith("running_var") or (name.endswith("weight") and len(size) == 1):
        return uniform(name, size, 0.5, 1.5)
    if len(size) < 2:
        return uniform(name, size, -0.1, 0.1)
    a = np.sqrt(3.0 * size[0] / np.prod(size))
    return uniform(name, size, -a, a)


def fill(net):
    net.load_state_dict({k: v if k.endswith("num_batches_tracked") else value(k, tuple(v.shape))
                         for k, v in net.state_dict().items()})
    return net.eval()


class BlockV2(nn.Module):
    def __init__(self, a, middle, b, stride, bottleneck):
        super().__init__()
        shapes = [(a, middle, 1, 1), (middle, middle, 3, stride), (middle, b, 1, 1)] if bottleneck else \
                 [(a, middle, 3, stride), (middle, b, 3, 1)]
        self.n = len(shapes)
        for i, (x, y, k, s) in enumerate(shapes, 1):
            setattr(self, f"bn{i}", nn.BatchNorm2d(x))
            setattr(self, f"conv{i}", nn.Conv2d(x, y, k, s, k // 2, bias=False))
        self.downsample = nn.Conv2d(a, b, 1, stride, bias=False) if a != b else None

    def forward(self, x):
        h = first = torch.relu(self.bn1(x))
        for i in range(1, self.n + 1):
            h = getattr(self, f"conv{i}")(h if i == 1 else torch.relu(getattr(self, f"bn{i}")(h)))
        return h + (self.downsample(first) if self.downsample else x)


class ResNetV2(nn.Module):
    def __init__(self, blocks, bottleneck):
        super().__init__()
        self.bn0, self.bn1 = nn.BatchNorm2d(3), nn.BatchNorm2d(64)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        a, middle = 64, 64
        for s, n in enumerate(blocks, 1):
            b = middle * 4 if bottleneck else middle
            stage = [BlockV2(a if i == 0 else b, middle, b, 2 if s > 1 and i == 0 else 1, bottleneck) for i in range(n)]
            setattr(self, f"layer{s}", nn.Sequential(*stage))
            a, middle = b, middle * 2
        self.bn2, self.fc = nn.BatchNorm2d(a), nn.Linear(a, CLASSES)

    def forward(self, x):
        h = torch.max_pool2d(torch.relu(self.bn1(self.conv1(self.bn0(x)))), 3, 2, 1)
        for s in range(1, 5):
            h = getattr(self, f"layer{s}")(h)
        return self.fc(torch.relu(self.bn2(h)).mean((2, 3)))


def picture(w, h):
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([127 + 120 * np.sin(x / 13.0 + y / 17.0), x * 255 / w, 255.0 * ((x + 2 * y) % 37 < 18)], -1)
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def write(path, tensors):
    """safetensors, without the package (Debian does not have it)."""
    kinds = {np.dtype("float32"): "F32", np.dtype("uint8"): "U8", np.dtype("int64"): "I64"}
    header, body = {}, b""
    for name in sorted(tensors, key=lambda k: (-tensors[k].dtype.itemsize, k)):
        t = np.ascontiguousarray(tensors[name])
        header[name] = {"dtype": kinds[t.dtype], "shape": list(t.shape), "data_offsets": [len(body), len(body) + t.nbytes]}
        body += t.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def main():
    out = {}
    f = io.BytesIO()
    picture(150, 110).save(f, "JPEG", quality=85)
    out["jpeg"] = np.frombuffer(f.getvalue(), np.uint8)
    inputs = {}
    for resize, crop in [(73, 64), (110, 96)]:
        im = F.center_crop(F.resize(Image.open(io.BytesIO(f.getvalue())), resize), crop)
        out[f"input.{crop}"] = np.asarray(im).transpose(2, 0, 1)
        inputs[crop] = F.normalize(F.to_tensor(im), MEAN, STD)[None]

    def record(name, net, crop=64, stages=(), full=None):
        y = net(inputs[crop]).detach().numpy()[0]
        out[f"logits.{name}"] = y
        out[f"parameters.{name}"] = np.array(full or sum(p.numel() for p in net.parameters()), np.int64)
        h = inputs[crop]
        for i, m in enumerate(stages):
            h = m(h)
            if i >= len(stages) - 4:
                out[f"stage.{name}.{i - len(stages) + 5}"] = h.mean((0, 2, 3)).detach().numpy()
        print(name, np.abs(y).mean())

    with torch.no_grad():
        for depth, (blocks, bottleneck) in DEPTHS.items():
            net = fill(getattr(torchvision.models, f"resnet{depth}")(num_classes=CLASSES))
            record(f"resnet{depth}", net, stages=(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2,
                                                  net.layer3, net.layer4) if depth == 18 else ())
            record(f"resnet{depth}_v2", fill(ResNetV2(blocks, bottleneck)))
        for transform in [False, True]:
            tag = ".transform" if transform else ""
            net = fill(torchvision.models.googlenet(num_classes=CLASSES, aux_logits=True, transform_input=transform,
                                                    init_weights=False))
            record("googlenet" + tag, net)
            if not transform:
                out["aux.googlenet.1"] = net.aux1(uniform("aux1", (1, 512, 14, 14), -1, 1)).numpy()
                out["aux.googlenet.2"] = net.aux2(uniform("aux2", (1, 528, 7, 9), -1, 1)).numpy()
            net = fill(torchvision.models.inception_v3(num_classes=CLASSES, aux_logits=True, transform_input=transform,
                                                       init_weights=False))
            record("inception_v3" + tag, net, 96)
            if not transform:
                out["aux.inception_v3.1"] = net.AuxLogits(uniform("aux", (1, 768, 17, 17), -1, 1)).numpy()
    write(sys.argv[1], out)


if __name__ == "__main__":
    main()
