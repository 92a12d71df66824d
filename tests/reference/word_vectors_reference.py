#!/usr/bin/env python3
"""A small fastText model and the vectors that fastText itself makes of words (pip install fasttext-wheel numpy).

    python3 tests/reference/word_vectors_reference.py
"""
import json
import os
import tempfile
import fasttext

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "text")
with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as f:
    f.write("the cat sat on the mat and the dog saw the cat\nçocuk küçük ağaç gördü ve güldü\n" * 20)
m = fasttext.train_unsupervised(f.name, dim=5, bucket=40, minn=2, maxn=4, minCount=1, epoch=3, thread=1, lr=0.1)
os.unlink(f.name)
m.save_model(os.path.join(here, "fasttext.bin"))
words = m.get_words()
asked = words + ["catlike", "ağaçlar", "dogs", "İ", "x"]
with open(os.path.join(here, "fasttext.json"), "w", encoding="utf-8") as f:
    json.dump({"words": words, "vectors": {w: [float(x) for x in m.get_word_vector(w)] for w in asked}}, f)
