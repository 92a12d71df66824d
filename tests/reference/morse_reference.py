#!/usr/bin/env python3
"""Morse's scores, losses, gradients and outputs, computed by PyTorch word by word and step by step.

    python3 tests/reference/morse_reference.py      writes tests/data/morse.safetensors (Debian's python3-torch)

Weights come from their names, as tests/models/language.hpp makes them, times 3 (but the output's bias). The words are stored as ids:
"characters.S.I" of word I of sentence S, "candidate.S.I.K" (letters, then tags), "known.S.I" and "composite.S.I".
For every model TYPE: "TYPE.scores" and "TYPE.labels" (step after step, the longest output first), "TYPE.loss",
"TYPE.grad.PARAMETER", and what is predicted: "TYPE.output.S.I" (the symbols; then 2, the end, if it came before the
limit), of a classifier its class, of disambiguators the number of the candidate.
"""
import os

import numpy as np
import torch
import torch.nn.functional as F

from language_reference import here, numbers, save

UNKNOWN, END, START, SPECIALS = 0, 2, 3, 4
CHARACTERS, LETTERS, TAGS, COMPOSITES = 9, 5, 6, 4
FIRST_TAG = SPECIALS + LETTERS
SYMBOLS = FIRST_TAG + TAGS
H, CONTEXT, A, B = 6, 5, 3, 4  # states, the context's states, embeddings
PREVIOUS, LIMIT = 2, 7
T = FIRST_TAG
# Characters, candidates (the first is right when known), known, composite.
SENTENCES = [
    [([5], [[4, T + 1]], True, 4),
     ([6, 7, 8, 0], [[6, 5, T, T + 2], [6, T + 5]], True, 5)],
    [([4, 5, 6], [[5, 5, 7, T + 3, T + 1, T]], True, 5),
     ([12], [], False, 0),
     ([8, 8], [[T + 4], [8, T + 4], [7, T + 2, T]], True, 0),
     ([9, 10, 11, 12, 4], [[8, 7, 6, 5, T + 5, 0], [8, T + 5]], True, 7),
     ([7, 4], [[4, 4]], False, 0)],
    [([10, 10, 4], [[7]], True, 6)],
]


def parameters(kind):
    p = {}

    def add(name, *size):
        p[name] = torch.from_numpy(3 * numbers(name, size)).requires_grad_()

    def lstm(name, inputs, hidden, directions=("",)):
        for d in directions:
            add(f"{name}.weight_ih_l0{d}", 4 * hidden, inputs)
            add(f"{name}.weight_hh_l0{d}", 4 * hidden, hidden)
            add(f"{name}.bias_ih_l0{d}", 4 * hidden)
            add(f"{name}.bias_hh_l0{d}", 4 * hidden)

    add("character_embed.weight", SPECIALS + CHARACTERS, A)
    lstm("character_lstm", A, H)
    if kind != "S2S":
        lstm("context_lstm", H, CONTEXT, ("", "_reverse"))
        add("context_output.weight", H, 2 * CONTEXT)
        add("context_output.bias", H)
    if kind != "Classifier":
        add("symbol_embed.weight", SYMBOLS, B)
        if kind in ("MorseModel", "MorseDis"):
            lstm("tag_lstm", B, H)
        lstm("decoder1", B, H)
        lstm("decoder2", H, H)
        add("output.weight", SYMBOLS, H)
        add("output.bias", SYMBOLS)
    else:
        add("output.weight", SPECIALS + COMPOSITES, 2 * H)
        add("output.bias", SPECIALS + COMPOSITES)
    with torch.no_grad():  # outputs that end
        p["output.bias"][START] -= 9
        p["output.bias"][END] += 1.5
    return p


def step(p, name, x, h, c, d=""):
    g = (F.linear(x, p[f"{name}.weight_ih_l0{d}"], p[f"{name}.bias_ih_l0{d}"])
         + F.linear(h, p[f"{name}.weight_hh_l0{d}"], p[f"{name}.bias_hh_l0{d}"]))
    i, f, n, o = g.chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
    return torch.sigmoid(o) * torch.tanh(c), c


def read(p, name, table, ids):
    h = c = torch.zeros(H)
    for i in ids:
        h, c = step(p, name, p[table][i], h, c)
    return h, c


def encode(p, sentence):
    words = [read(p, "character_lstm", "character_embed.weight", w[0]) for w in sentence]
    if "context_output.weight" not in p:
        return words, [torch.zeros(H)] * len(words)
    sides = {}
    for d, order in (("", range(len(words))), ("_reverse", reversed(range(len(words))))):
        h = c = torch.zeros(CONTEXT)
        for i in order:
            h, c = step(p, "context_lstm", words[i][0], h, c, d)
            sides[i, d] = h
    x = [torch.relu(F.linear(torch.cat([sides[i, ""], sides[i, "_reverse"]]), p["context_output.weight"],
                             p["context_output.bias"])) for i in range(len(words))]
    return words, x


def start(p, word, x, history):
    h, c = word
    if "tag_lstm.weight_ih_l0" in p:
        g, d = read(p, "tag_lstm", "symbol_embed.weight", [t for tags in history[-PREVIOUS:] for t in tags])
        h, c = h + g, c + d
    return x, torch.zeros(H), h, c


def write_step(p, symbol, s):
    h1, c1, h2, c2 = s
    h1, c1 = step(p, "decoder1", p["symbol_embed.weight"][symbol], h1, c1)
    h2, c2 = step(p, "decoder2", h1, h2, c2)
    return F.linear(h2, p["output.weight"], p["output.bias"]), (h1, c1, h2, c2)


def forced(p, s, symbols):
    rows = []
    for before in [START] + symbols:
        scores, s = write_step(p, before, s)
        rows.append(scores)
    return rows, symbols + [END]


def tags_of(symbols):
    return [s for s in symbols if s >= FIRST_TAG]


def scores_of(p, kind):
    """Of the known words, in the batch's order: word after word, the longest sentence first."""
    if kind == "Classifier":
        rows, labels = {}, {}
    else:
        outputs = {}
    order = sorted(range(len(SENTENCES)), key=lambda s: -len(SENTENCES[s]))
    for s, sentence in enumerate(SENTENCES):
        words, x = encode(p, sentence)
        history = []
        for i, (_, candidates, known, composite) in enumerate(sentence):
            if kind == "Classifier":
                rows[s, i] = F.linear(torch.cat([x[i], words[i][0]]), p["output.weight"], p["output.bias"])
                labels[s, i] = composite if known else -1
            elif known:
                outputs[s, i] = forced(p, start(p, words[i], x[i], history), candidates[0])
                if tags_of(candidates[0]):
                    history.append(tags_of(candidates[0]))
    places = [(s, i) for i in range(max(map(len, SENTENCES))) for s in order if i < len(SENTENCES[s])]
    if kind == "Classifier":
        return torch.stack([rows[k] for k in places]), torch.tensor([labels[k] for k in places])
    known = sorted([k for k in places if k in outputs], key=lambda k: -len(outputs[k][1]))
    steps = [(k, t) for t in range(len(outputs[known[0]][1])) for k in known if t < len(outputs[k][1])]
    return (torch.stack([outputs[k][0][t] for k, t in steps]), torch.tensor([outputs[k][1][t] for k, t in steps]))


def predictions(p, kind):
    for s, sentence in enumerate(SENTENCES):
        words, x = encode(p, sentence)
        history = []
        for i, (_, candidates, _, _) in enumerate(sentence):
            if kind == "Classifier":
                yield s, i, [int(F.linear(torch.cat([x[i], words[i][0]]), p["output.weight"], p["output.bias"]).argmax())]
                continue
            state = start(p, words[i], x[i], history)
            if kind.endswith("Dis"):
                costs = []
                for symbols in candidates:
                    rows, labels = forced(p, state, symbols)
                    costs.append(float(F.cross_entropy(torch.stack(rows), torch.tensor(labels), reduction="sum")))
                best = int(np.argmin(costs)) if costs else -1
                written, result = candidates[best] if costs else [], [best]
            else:
                written, symbol, result = [], START, None
                while True:
                    scores, state = write_step(p, symbol, state)
                    symbol = int(scores.argmax())
                    if symbol == END or len(written) == LIMIT:
                        break
                    written.append(symbol)
                result = written + ([END] if symbol == END else [])
            if tags_of(written):
                history.append(tags_of(written))
            yield s, i, result


def main():
    out = {}
    for s, sentence in enumerate(SENTENCES):
        for i, (characters, candidates, known, composite) in enumerate(sentence):
            out[f"characters.{s}.{i}"] = np.array(characters)
            for k, c in enumerate(candidates):
                out[f"candidate.{s}.{i}.{k}"] = np.array(c)
            out[f"known.{s}.{i}"] = np.array([int(known)])
            out[f"composite.{s}.{i}"] = np.array([composite])
    for kind in ("MorseModel", "S2SContext", "S2S", "Classifier", "MorseDis", "S2SContextDis"):
        p = parameters(kind)
        scores, labels = scores_of(p, kind)
        loss = F.cross_entropy(scores, labels, ignore_index=-1)
        loss.backward()
        out[f"{kind}.scores"] = scores.detach().numpy()
        out[f"{kind}.labels"] = labels.numpy()
        out[f"{kind}.loss"] = np.array([float(loss.detach())], np.float32)
        for name, t in p.items():
            out[f"{kind}.grad.{name}"] = t.grad.numpy()
        for s, i, result in predictions(p, kind):
            out[f"{kind}.output.{s}.{i}"] = np.array(result, np.int64)
    save(os.path.join(here, "..", "data", "morse.safetensors"), out)


if __name__ == "__main__":
    main()
