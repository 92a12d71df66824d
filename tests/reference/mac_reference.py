#!/usr/bin/env python3
"""What MAC networks give, computed by PyTorch from weights that both sides make by formula.

    python3 tests/reference/mac_reference.py      (torch and numpy: Debian's python3-torch)

The network is written out here from the paper (arXiv:1803.03067) and from the formulas in knet/models/mac.hpp, question
by question and without anything fused. Into tests/data/mac.safetensors go, for each configuration (1: plain, 2: with
self-attention and gate) and each control (current, previous): logits, loss, the attention over words and over cells, the
logits after every step, and the norm of every parameter's gradient in the order of their names.
"""
import json
import os
import struct

import numpy as np
import torch
from torch.nn import functional as F

from language_reference import numbers

here = os.path.dirname(os.path.abspath(__file__))
WORDS, ANSWERS, CHANNELS, SIZE, STEPS, EMBEDDING = 7, 5, 6, 8, 3, 4
QUESTIONS, IMAGE_OF, LABELS = [[1, 5, 2, 6], [3, 0], [4, 4, 1]], [0, 1, 0], [2, 0, 4]


def shapes(config):
    d = SIZE
    s = {"stem.1.weight": (d, CHANNELS, 3, 3), "stem.1.bias": (d,), "stem.3.weight": (d, d, 3, 3), "stem.3.bias": (d,),
         "embed.weight": (WORDS, EMBEDDING), "first_control": (d,), "first_memory": (d,), "control_score.weight": (1, d),
         "read_score.weight": (1, d), "interaction.weight": (d, d)}
    for end in ("", "_reverse"):
        s |= {f"lstm.weight_ih_l0{end}": (4 * d, EMBEDDING), f"lstm.weight_hh_l0{end}": (4 * d, d),
              f"lstm.bias_ih_l0{end}": (4 * d,), f"lstm.bias_hh_l0{end}": (4 * d,)}
    linear = {"words": (d, 2 * d), "queries": (STEPS * d, 2 * d), "keys": (d, d), "keys2": (d, d), "control": (d, 2 * d),
              "memory": (d, d), "write": (d, 2 * d), "question": (d, 2 * d), "answer": (d, 2 * d), "output": (ANSWERS, d)}
    if config == 2:
        linear |= {"history": (d, d), "gate": (1, d)}
        s |= {"history_score.weight": (1, d), "history_memory.weight": (d, d)}
    for name, shape in linear.items():
        s |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return s


class Mac:
    def __init__(self, config, current):
        self.config, self.current = config, current
        self.p = {k: torch.tensor(numbers(k, v).astype(np.float64), requires_grad=True) for k, v in shapes(config).items()}
        self.lstm = torch.nn.LSTM(EMBEDDING, SIZE, bidirectional=True).double()
        for name, value in list(self.lstm.named_parameters()):
            value.data = self.p["lstm." + name].data
            self.p["lstm." + name] = value

    def linear(self, name, x):
        return F.linear(x, self.p[name + ".weight"], self.p.get(name + ".bias"))

    def answer_to(self, image, question):
        """Of one image [C, H, W] and one question: logits after every step, maps over words and over cells."""
        p = self.p
        x = image.unsqueeze(0)
        for i in ("1", "3"):
            x = F.elu(F.conv2d(x, p[f"stem.{i}.weight"], p[f"stem.{i}.bias"], padding=1))
        cells = x[0].flatten(1).T                       # [cells, d]
        k1 = self.linear("keys", cells)
        k2 = self.linear("keys2", k1)
        y, (h, _) = self.lstm(p["embed.weight"][question].unsqueeze(1))
        q = torch.cat([h[0, 0], h[1, 0]])
        cw = self.linear("words", y[:, 0])
        c, m = p["first_control"], p["first_memory"]
        controls, memories, logits, word_maps, cell_maps = [c], [m], [], [], []
        for i in range(STEPS):
            q_i = self.linear("queries", q)[i * SIZE:(i + 1) * SIZE]
            u = self.linear("control", torch.cat([c, q_i]))
            a = torch.softmax(self.linear("control_score", u * cw)[:, 0], 0)
            new = (a.unsqueeze(1) * cw).sum(0)
            now = new if self.current else c
            met = F.elu(self.linear("interaction", self.linear("memory", m) * k1) + k2)
            b = torch.softmax(self.linear("read_score", F.elu(now * met))[:, 0], 0)
            r = (b.unsqueeze(1) * k1).sum(0)
            next_m = self.linear("write", torch.cat([r, m]))
            if self.config == 2:
                s = torch.stack([self.linear("history_score", self.linear("history", now) * old)[0] for old in controls])
                s = torch.softmax(s, 0)
                past = sum(s[j] * memories[j] for j in range(len(memories)))
                next_m = next_m + self.linear("history_memory", past)
                g = torch.sigmoid(self.linear("gate", now))
                next_m = g * m + (1 - g) * next_m
            c, m = new, next_m
            controls.append(c), memories.append(m), word_maps.append(a), cell_maps.append(b)
            hidden = F.elu(self.linear("answer", torch.cat([F.elu(self.linear("question", q)), m])))
            logits.append(self.linear("output", hidden))
        return torch.stack(logits), torch.stack(word_maps), torch.stack(cell_maps)


def write(path, tensors):
    header, data = {}, b""
    for name, t in tensors.items():
        t = np.asarray(t, order="C")
        header[name] = {"dtype": "F64", "shape": list(t.shape), "data_offsets": [len(data), len(data) + t.nbytes]}
        data += t.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    images = torch.tensor(numbers("images", (2, CHANNELS, 4, 3)).astype(np.float64))
    longest = max(map(len, QUESTIONS))
    out = {"images": images.numpy()}
    for config in (1, 2):
        for current in (True, False):
            mac = Mac(config, current)
            logits, words, cells = [], [], []
            for question, image in zip(QUESTIONS, IMAGE_OF):
                step_logits, a, b = mac.answer_to(images[image], torch.tensor(question))
                logits.append(step_logits), words.append(F.pad(a, (0, longest - len(question)))), cells.append(b)
            logits = torch.stack(logits)
            loss = F.cross_entropy(logits[:, -1], torch.tensor(LABELS))
            loss.backward()
            name = f"{config}.{'current' if current else 'previous'}"
            for key, t in {"logits": logits[:, -1], "steps": logits, "loss": loss, "words": torch.stack(words),
                           "cells": torch.stack(cells).reshape(len(QUESTIONS), STEPS, 4, 3),
                           "gradients": torch.stack([mac.p[k].grad.norm() for k in sorted(mac.p)])}.items():
                out[f"{name}.{key}"] = t.detach().numpy()
    write(os.path.join(here, "../data/mac.safetensors"), out)


if __name__ == "__main__":
    main()
