#!/usr/bin/env python3
"""Logits of small GPT-2s and BERTs, computed by PyTorch's own operators from weights that both sides make by formula.

    python3 tests/reference/language_reference.py                  (torch and numpy: Debian's python3-torch)
    python3 tests/reference/language_reference.py --minilm FOLDER  (all-MiniLM-L6-v2, with the pip package tokenizers)

The architectures are written out here from their papers; no weight is stored, only logits and inputs. With a folder
of the published all-MiniLM-L6-v2 it makes the vectors of some sentences instead (plain numpy, from those weights).
"""
import json
import math
import os
import struct
import sys

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def numbers(name, size):
    """benchmarks/common.hpp: parameter()."""
    n = int(np.prod(size))
    seed = 2166136261
    for c in name.encode():
        seed = ((seed ^ c) * 16777619) & 0xFFFFFFFF
    if len(size) < 2 and name.endswith("weight"):
        return np.ones(size, np.float32)
    low = 0.1 if len(size) < 2 else math.sqrt(3.0 * size[0] / n)
    h = (np.arange(n, dtype=np.uint64) * 0x9E3779B9 + seed * 0x85EBCA6B + 1) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    h = (h * 0x7FEB352D) & 0xFFFFFFFF
    h ^= h >> np.uint64(15)
    h = (h * 0x846CA68B) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    u = (h >> np.uint64(8)).astype(np.float64) / 16777216.0
    return (-low + 2 * low * u).astype(np.float32).reshape(size)


def ids(seed, shape, below):
    n = int(np.prod(shape))
    h = (np.arange(n, dtype=np.uint64) * 0x9E3779B9 + seed * 0x85EBCA6B + 1) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    h = (h * 0x7FEB352D) & 0xFFFFFFFF
    h ^= h >> np.uint64(15)
    h = (h * 0x846CA68B) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    return ((h >> np.uint64(8)).astype(np.float64) / 16777216.0 * below).astype(np.int64).reshape(shape)


def save(path, tensors):
    header, data = {}, b""
    names = {"float32": "F32", "int64": "I64"}
    for name, t in tensors.items():
        raw = np.ascontiguousarray(t).tobytes()
        header[name] = {"dtype": names[str(t.dtype)], "shape": list(t.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def torch_logits():
    import torch
    import torch.nn.functional as F

    def p(name, *size):
        return torch.from_numpy(numbers(name, size).copy())

    def heads_of(x, n):
        b, t, e = x.shape
        return x.view(b, t, n, e // n).transpose(1, 2)

    def gelu_tanh(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))

    def gpt2(x, vocabulary, positions, size, layers, heads, inner):
        t = x.shape[1]
        wte = p("wte.weight", vocabulary, size)
        h = F.embedding(x, wte) + p("wpe.weight", positions, size)[:t]

        def norm(v, name):
            return F.layer_norm(v, (size,), p(name + ".weight", size), p(name + ".bias", size), 1e-5)

        def conv1d(v, name, i, o):
            return torch.matmul(v, p(name + ".weight", i, o)) + p(name + ".bias", o)

        hide = torch.triu(torch.full((t, t), float("-inf")), 1)
        for l in range(layers):
            n = "h.%d." % l
            q, k, v = conv1d(norm(h, n + "ln_1"), n + "attn.c_attn", size, 3 * size).split(size, 2)
            q, k, v = heads_of(q, heads), heads_of(k, heads), heads_of(v, heads)
            a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(size // heads) + hide, -1) @ v
            h = h + conv1d(a.transpose(1, 2).reshape(h.shape), n + "attn.c_proj", size, size)
            m = gelu_tanh(conv1d(norm(h, n + "ln_2"), n + "mlp.c_fc", size, inner))
            h = h + conv1d(m, n + "mlp.c_proj", inner, size)
        return norm(h, "ln_f") @ wte.t()

    def bert(x, mask, types, vocabulary, positions, size, layers, heads, inner):
        b, t = x.shape

        def norm(v, name):
            return F.layer_norm(v, (size,), p(name + ".weight", size), p(name + ".bias", size), 1e-12)

        def linear(v, name, i, o):
            return F.linear(v, p(name + ".weight", o, i), p(name + ".bias", o))

        e = "embeddings."
        h = (F.embedding(x, p(e + "word_embeddings.weight", vocabulary, size))
             + p(e + "position_embeddings.weight", positions, size)[:t]
             + F.embedding(types, p(e + "token_type_embeddings.weight", 2, size)))
        h = norm(h, e + "LayerNorm")
        hide = torch.zeros(b, 1, 1, t).masked_fill(~mask.bool().view(b, 1, 1, t), float("-inf"))
        for l in range(layers):
            n = "encoder.layer.%d." % l
            q, k, v = (heads_of(linear(h, n + "attention.self." + w, size, size), heads)
                       for w in ("query", "key", "value"))
            a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(size // heads) + hide, -1) @ v
            a = linear(a.transpose(1, 2).reshape(h.shape), n + "attention.output.dense", size, size)
            h = norm(h + a, n + "attention.output.LayerNorm")
            m = F.gelu(linear(h, n + "intermediate.dense", size, inner))
            h = norm(h + linear(m, n + "output.dense", inner, size), n + "output.LayerNorm")
        return h, torch.tanh(linear(h[:, 0], "pooler.dense", size, size))

    out = {}
    with torch.no_grad():
        for name, (v, n, e, l, h, i) in {"gpt2.a": (61, 24, 32, 3, 4, 128), "gpt2.b": (29, 16, 24, 2, 3, 40)}.items():
            x = ids(7, (2, 11), v)
            out[name + ".ids"] = x
            out[name + ".logits"] = gpt2(torch.from_numpy(x), v, n, e, l, h, i).numpy()
        for name, (v, n, e, l, h, i) in {"bert.a": (53, 20, 32, 3, 4, 128), "bert.b": (31, 16, 24, 2, 2, 36)}.items():
            x, types = ids(9, (3, 10), v), ids(11, (3, 10), 2)
            mask = (np.arange(10)[None, :] < np.array([10, 6, 1])[:, None]).astype(np.int64)
            states, pooled = bert(*map(torch.from_numpy, (x, mask, types)), v, n, e, l, h, i)
            # What stands at padding is nobody's business.
            out.update({name + ".ids": x, name + ".types": types, name + ".mask": mask,
                        name + ".states": states.numpy() * mask[:, :, None].astype(np.float32),
                        name + ".pooled": pooled.numpy()})
    save(os.path.join(here, "..", "data", "language.safetensors"), out)


def minilm(folder):
    from tokenizers import Tokenizer

    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(size)), f.read()
    w = {k: np.frombuffer(data[slice(*v["data_offsets"])], np.float32).reshape(v["shape"]).astype(np.float64)
         for k, v in header.items() if k != "__metadata__" and v["dtype"] == "F32"}
    erf = np.vectorize(math.erf)
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[name + ".weight"] + w[name + ".bias"]

    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def encode(text):
        x = tokenizer.encode(text).ids
        e = "embeddings."
        h = norm(w[e + "word_embeddings.weight"][x] + w[e + "position_embeddings.weight"][:len(x)]
                 + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        for l in range(6):
            n = "encoder.layer.%d." % l
            q, k, v = (linear(h, n + "attention.self." + p).reshape(len(x), 12, 32).transpose(1, 0, 2)
                       for p in ("query", "key", "value"))
            s = q @ k.transpose(0, 2, 1) / math.sqrt(32)
            s = np.exp(s - s.max(-1, keepdims=True))
            a = (s / s.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(x), 384)
            h = norm(h + linear(a, n + "attention.output.dense"), n + "attention.output.LayerNorm")
            m = linear(h, n + "intermediate.dense")
            m = 0.5 * m * (1 + erf(m / math.sqrt(2)))
            h = norm(h + linear(m, n + "output.dense"), n + "output.LayerNorm")
        y = h.mean(0)
        return y / np.linalg.norm(y)

    sentences = ["A man is eating food.", "Someone is having a meal.", "The cat sits outside, watching the birds!",
                 "Çocuklar parkta oynuyor.", "naïve café 北京 \U0001f600 ﬁn", "",
                 "The quick brown fox jumps over the lazy dog. " * 40]
    with open(os.path.join(here, "..", "data", "minilm.json"), "w", encoding="utf-8") as f:
        json.dump({"sentences": sentences, "vectors": [[round(float(v), 7) for v in encode(s)] for s in sentences]}, f)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--minilm":
        minilm(sys.argv[2])
    else:
        torch_logits()
