#!/usr/bin/env python3
"""Values of scikit-learn and sacreBLEU for tests/train/metrics_test.cpp, with the data they are of.

  metrics_reference.py FOLDER   writes FOLDER/metrics.safetensors

Needs numpy, safetensors, scikit-learn and sacrebleu.
"""
import os
import sys

import numpy as np
from sacrebleu.metrics import BLEU
from safetensors.numpy import save_file
from sklearn import metrics as sk

r = np.random.default_rng(7)
out = {}


def put(name, value, dtype=np.float64):
    out[name] = np.asarray(value, dtype=dtype)


# Seven classes in unequal shares; class 5 is never a label, class 6 neither label nor prediction.
y = r.choice(5, size=300, p=[0.5, 0.2, 0.15, 0.1, 0.05])
scores = r.normal(size=(300, 7))
scores[np.arange(300), y] += 1.2
scores[:, 6] = -9
p = scores.argmax(1)
masked = y.copy()
masked[::6] = -1
put("scores", scores)
put("labels", masked, np.int64)
keep = masked >= 0
yk, pk, sk_scores = y[keep], p[keep], scores[keep]
put("confusion", sk.confusion_matrix(yk, pk, labels=range(7)), np.int64)
put("accuracy", sk.accuracy_score(yk, pk))
put("top3", sk.top_k_accuracy_score(yk, sk_scores, k=3, labels=range(7)))
put("top5", sk.top_k_accuracy_score(yk, sk_scores, k=5, labels=range(7)))
for name, f in ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score):
    for average in "micro", "macro", "weighted":
        put(f"{name}_{average}", f(yk, pk, average=average, zero_division=0))
    put(f"{name}_per_class", f(yk, pk, average=None, labels=range(7), zero_division=0))
probabilities = np.exp(sk_scores) / np.exp(sk_scores).sum(1, keepdims=True)
put("perplexity", np.exp(sk.log_loss(yk, probabilities, labels=range(7))))

a, b = r.normal(size=(40, 3)), r.normal(size=(40, 3))
put("predictions", a)
put("targets", b)
put("mse", sk.mean_squared_error(a.ravel(), b.ravel()))
put("rmse", sk.root_mean_squared_error(a.ravel(), b.ravel()))
put("mae", sk.mean_absolute_error(a.ravel(), b.ravel()))

z = r.integers(0, 2, 200)
s = np.round(r.normal(size=200) + z, 1)  # with ties
put("auc_labels", z, np.int64)
put("auc_scores", s)
put("roc_auc", sk.roc_auc_score(z, s))


def texts(rows):
    return [" ".join(str(t) for t in row) for row in rows]


def padded(rows, width):
    return np.array([list(row) + [-1] * (width - len(row)) for row in rows])


def change(row, share):
    """A sentence like this one: tokens changed, dropped and doubled."""
    result = []
    for t in row:
        u = r.random()
        result += [int(r.integers(0, 30))] if u < share else [] if u < 1.3 * share else [t, t] if u < 1.5 * share else [t]
    return result


def bleu(name, sentences, references):
    """references: one list of sentences per reference."""
    width = max(len(row) for rows in [sentences, *references] for row in rows)
    put(f"{name}_sentences", padded(sentences, width), np.int64)
    put(f"{name}_references", np.stack([padded(rows, width) for rows in references]), np.int64)
    score = BLEU(tokenize="none").corpus_score(texts(sentences), [texts(rows) for rows in references])
    put(name, score.score)


truth = [list(map(int, r.integers(0, 30, r.integers(1, 20)))) for _ in range(30)]
bleu("bleu_near", [change(t, 0.1) for t in truth], [truth])
bleu("bleu_far", [change(t, 0.6) for t in truth], [truth])
bleu("bleu_short", [change(t, 0.1)[: max(1, len(t) // 2)] for t in truth], [truth])
bleu("bleu_two", [change(t, 0.3) for t in truth], [truth, [change(t, 0.2) for t in truth]])
bleu("bleu_smoothed", [[1, 2, 9, 4, 5, 8]], [[[1, 2, 3, 4, 5, 6]]])
bleu("bleu_too_short", [[1, 2, 3]], [[[1, 2, 3]]])
bleu("bleu_nothing", [[1, 2, 3, 4]], [[[5, 6, 7, 8]]])
bleu("bleu_same", [[1, 2, 3, 4]], [[[1, 2, 3, 4]]])

save_file(out, os.path.join(sys.argv[1], "metrics.safetensors"))
