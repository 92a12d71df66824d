#!/usr/bin/env python3
"""Outputs of small GPTs, sequence to sequence models and DCGANs, computed by PyTorch from weights that both sides make
by formula (numbers() of language_reference.py).

    python3 tests/reference/programs_reference.py    (torch and numpy; writes tests/data/programs.safetensors)
"""
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

from language_reference import here, ids, numbers, save


def p(name, *size):
    return torch.from_numpy(numbers(name, size).copy())


def gpt(x, vocabulary, positions, size, layers, heads):
    """Radford et al. 2018: normalised behind each part, no normalisation at the end."""
    t = x.shape[1]
    wte = p("wte.weight", vocabulary, size)
    h = F.embedding(x, wte) + p("wpe.weight", positions, size)[:t]

    def norm(v, name):
        return F.layer_norm(v, (size,), p(name + ".weight", size), p(name + ".bias", size), 1e-5)

    def matrix(v, name, i, o):
        return torch.matmul(v, p(name + ".weight", i, o)) + p(name + ".bias", o)

    hide = torch.triu(torch.full((t, t), float("-inf")), 1)
    for l in range(layers):
        n = "h.%d." % l
        q, k, v = (y.view(*x.shape, heads, size // heads).transpose(1, 2)
                   for y in matrix(h, n + "attn.c_attn", size, 3 * size).split(size, 2))
        a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(size // heads) + hide, -1) @ v
        h = norm(h + matrix(a.transpose(1, 2).reshape(h.shape), n + "attn.c_proj", size, size), n + "ln_1")
        m = matrix(h, n + "mlp.c_fc", size, 4 * size)
        m = 0.5 * m * (1 + torch.tanh(math.sqrt(2 / math.pi) * (m + 0.044715 * m ** 3)))
        h = norm(h + matrix(m, n + "mlp.c_proj", 4 * size, size), n + "ln_2")
    return h @ wte.t()


def seq2seq(x, before, lengths, tokens, hidden, embed, attention):
    def lstm(which):
        layer = torch.nn.LSTM(embed, hidden, batch_first=True)
        for name, w in layer.named_parameters():
            w.data = p(which + "." + name, *w.shape)
        return layer, p(which + ".embedding.weight", tokens, embed)

    layer, table = lstm("encoder")
    packed = torch.nn.utils.rnn.pack_padded_sequence(F.embedding(x, table), lengths, batch_first=True,
                                                     enforce_sorted=False)
    y, state = layer(packed)
    memory, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    layer, table = lstm("decoder")
    h, _ = layer(F.embedding(before, table), state)
    probabilities = None
    if attention:
        scores = h @ (memory @ p("look.key.weight", hidden, hidden).t()).transpose(1, 2)
        unread = torch.arange(x.shape[1])[None, :] >= lengths[:, None]
        probabilities = torch.softmax(scores.masked_fill(unread[:, None, :], float("-inf")), -1)
        h = torch.tanh(torch.cat([probabilities @ memory, h], -1) @ p("look.combine.weight", hidden, 2 * hidden).t())
    return h @ p("output.weight", tokens, hidden).t() + p("output.bias", tokens), probabilities


def norm(x, name, training):
    c = x.shape[1]
    return F.batch_norm(x, torch.zeros(c), torch.ones(c), p(name + ".weight", c), p(name + ".bias", c), training)


def generator(z, training):
    """28 x 28, noise of 10, width 4: 8 channels of 7 x 7, 4 of 14 x 14, 1 of 28 x 28."""
    x = F.relu(norm(F.conv_transpose2d(z[:, :, None, None], p("stages.0.weight", 10, 8, 7, 7)), "norms.0", training))
    x = F.conv_transpose2d(x, p("stages.1.weight", 8, 4, 4, 4), stride=2, padding=1)
    x = F.relu(norm(x, "norms.1", training))
    x = F.conv_transpose2d(x, p("stages.2.weight", 4, 1, 4, 4), p("stages.2.bias", 1), stride=2, padding=1)
    return torch.tanh(x)


def discriminator(x, training):
    h = F.leaky_relu(F.conv2d(x, p("stages.0.weight", 4, 1, 4, 4), p("stages.0.bias", 4), stride=2, padding=1), 0.2)
    h = norm(F.conv2d(h, p("stages.1.weight", 8, 4, 4, 4), stride=2, padding=1), "norms.0", training)
    return F.conv2d(F.leaky_relu(h, 0.2), p("stages.2.weight", 1, 8, 7, 7), p("stages.2.bias", 1)).flatten()


out = {}
with torch.no_grad():
    out["gpt.ids"] = ids(7, (2, 11), 61)
    out["gpt.logits"] = gpt(torch.from_numpy(out["gpt.ids"]), 61, 24, 128, 2, 2).numpy()

    x, before, lengths = ids(13, (3, 6), 11), ids(15, (3, 4), 11), np.array([6, 2, 4])
    out.update({"s2s.x": x, "s2s.before": before, "s2s.lengths": lengths})
    for name, attention in (("s2s.plain", False), ("s2s.attention", True)):
        scores, probabilities = seq2seq(*map(torch.from_numpy, (x, before, lengths)), 11, 12, 5, attention)
        out[name] = scores.numpy()
    out["s2s.probabilities"] = probabilities.numpy()

    z = torch.from_numpy(numbers("z", (6, 10)) * 3)
    out["dcgan.z"] = z.numpy()
    for name, training in (("train", True), ("test", False)):
        images = generator(z, training)
        out["dcgan.images." + name] = images.numpy()
        out["dcgan.scores." + name] = discriminator(images, training).numpy()
save(os.path.join(here, "..", "data", "programs.safetensors"), out)
