#!/usr/bin/env python3
"""Does TensorBoard read our event files? Needs PyPI's tensorboard, numpy and pillow.

usage: tensorboard_check.py build/release/tests/train_test

Runs the test that writes every kind of summary, reads the file with TensorBoard's EventAccumulator, then starts a
TensorBoard on loopback and asks it for scalars, histograms, images, text and the graph.
"""
import base64
import glob
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import graph_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

program = os.path.abspath(sys.argv[1])
folder = tempfile.mkdtemp()
run = os.path.join(folder, "first")
subprocess.run([program, "--gtest_filter=*EveryKindForTensorBoard"], check=True, stdout=subprocess.DEVNULL,
               env={**os.environ, "KNET_TENSORBOARD_DIR": run})


def check_accumulator(where):
    a = EventAccumulator(where, size_guidance={"scalars": 0, "histograms": 0, "images": 0, "tensors": 0})
    a.Reload()
    tags = a.Tags()
    scalars = a.Scalars("train/loss")
    assert [s.step for s in scalars] == list(range(10)), scalars
    assert all(abs(s.value - 1 / (s.step + 1)) < 1e-6 for s in scalars)
    h = a.Histograms("weights")[4].histogram_value
    assert h.num == 1001 and h.min == 0 and abs(h.max - 5) < 1e-5 and abs(h.sum - 2502.5) < 1e-2, h
    assert sum(h.bucket) == 1001 and len(h.bucket_limit) == len(h.bucket) == 64
    assert a.Histograms("constant")[0].histogram_value.num == 7
    odd = a.Histograms("odd")[0].histogram_value
    assert odd.num == 2 and odd.sum == 4, odd
    grey, colours = a.Images("grey")[0], a.Images("colours")[0]
    picture = Image.open(io.BytesIO(grey.encoded_image_string))
    assert (picture.size, picture.mode) == ((4, 3), "L") and picture.getpixel((3, 2)) == 255
    assert (grey.width, grey.height, grey.step) == (4, 3, 3)
    assert Image.open(io.BytesIO(colours.encoded_image_string)).mode == "RGB"
    text = a.Tensors("note")[0].tensor_proto.string_val[0].decode()
    assert text == "**bold** \u00e9", text
    session = plugin_data_pb2.HParamsPluginData.FromString(
        a.SummaryMetadata("_hparams_/session_start_info").plugin_data.content).session_start_info
    assert session.hparams["lr"].number_value == 0.5 and session.hparams["hidden"].number_value == 100
    assert session.hparams["name"].string_value == "first" and session.hparams["dropout"].bool_value
    graph = graph_pb2.GraphDef.FromString(a.Graph().SerializeToString())
    nodes = {n.name: n for n in graph.node}
    assert all(i in nodes for n in graph.node for i in n.input), "an input without a node"
    dense = nodes["3/Dense"]
    assert dense.attr["flops"].i == 2 * 2 * 36 * 8, dense
    assert [d.size for d in dense.attr["_output_shapes"].list.shape[0].dim] == [2, 8]
    assert nodes["0/weight"].op == "Parameter" and nodes["input"].op == "Placeholder"
    print("EventAccumulator:", {k: v for k, v in tags.items() if v}, len(nodes), "nodes")


def check_cuts():
    """A file cut anywhere opens, with what was whole in it."""
    whole = open(glob.glob(run + "/events*")[0], "rb").read()
    cut = os.path.join(folder, "cut")
    counts = []
    for n in range(0, len(whole), 97):
        shutil.rmtree(cut, ignore_errors=True)
        os.mkdir(cut)
        with open(cut + "/events.out.tfevents.1.x", "wb") as f:
            f.write(whole[:n])
        a = EventAccumulator(cut)
        a.Reload()
        counts.append(len(a.Scalars("train/loss")) if "train/loss" in a.Tags()["scalars"] else 0)
    shutil.rmtree(cut)
    assert counts == sorted(counts) and counts[-1] == 10, counts
    print(len(counts), "cuts read")


def check_server():
    port = 16006
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--host", "127.0.0.1",
                               "--port", str(port), "--load_fast", "false"], stderr=subprocess.DEVNULL)
    try:
        def get(path, **query):
            url = f"http://127.0.0.1:{port}/data/{path}?" + urllib.parse.urlencode(query)
            return urllib.request.urlopen(url, timeout=20).read()

        for _ in range(120):
            try:
                if json.loads(get("plugin/scalars/tags")).get("first"):
                    break
            except OSError:
                pass
            time.sleep(0.5)
        scalars = json.loads(get("plugin/scalars/scalars", run="first", tag="train/loss"))
        assert len(scalars) == 10 and scalars[9][1] == 9, scalars
        histograms = json.loads(get("plugin/histograms/histograms", run="first", tag="weights"))
        assert len(histograms) == 10 and abs(sum(b[2] for b in histograms[0][2]) - 1001) < 1, histograms[0]
        images = json.loads(get("plugin/images/images", run="first", tag="grey", sample=0))
        assert images[0]["step"] == 3, images
        png = urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/images/individualImage?" + images[0]["query"]).read()
        assert Image.open(io.BytesIO(png)).size == (4, 3)
        text = json.loads(get("plugin/text/text", run="first", tag="note"))
        assert "<strong>bold</strong>" in text[0]["text"], text
        graph = get("plugin/graphs/graph", run="first").decode()
        assert 'name: "3/Dense"' in graph, graph[:300]
        print("server: scalars, histograms, images, text, graph")
    finally:
        server.terminate()
        server.wait()


check_accumulator(run)
check_cuts()
check_server()
shutil.rmtree(folder)
