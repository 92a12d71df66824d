"""Outputs and gradients of torch.nn's attention and transformer layers in float64 for tests/layers/attention_test.cpp.

usage: python3 tests/reference/attention_reference.py  (needs torch and safetensors; writes tests/data/attention.safetensors)

CASE.x [2, 4, 6] and CASE.m [2, 5, 6] the inputs (CASE.padding of what is attended to), CASE.p.NAME the parameters under
our names, CASE.y the output, CASE.w weights of the loss sum(y w), CASE.gx, CASE.gm and CASE.g.NAME its gradients.
"""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(4)
torch.set_default_dtype(torch.float64)
nn = torch.nn
out = {}


def attention_names(prefix, ours):
    parts = {}
    for kind in ("weight", "bias"):
        for i, p in enumerate(("query", "key", "value")):
            parts[f"{ours}{p}.{kind}"] = (f"{prefix}in_proj_{kind}", i)
        parts[f"{ours}output.{kind}"] = (f"{prefix}out_proj.{kind}", None)
    return parts


def plain_names(pairs):
    return {f"{ours}.{k}": (f"{theirs}.{k}", None) for ours, theirs in pairs for k in ("weight", "bias")}


def case(name, layer, run, names, padded=False):
    x, m = torch.randn(2, 4, 6), torch.randn(2, 5, 6)
    padding = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]]).bool() if padded else None
    for p in layer.parameters():
        with torch.no_grad():
            p.copy_(torch.randn_like(p) * 0.5)
    out[f"{name}.x"], out[f"{name}.m"] = x.clone(), m.clone()
    if padded:
        out[f"{name}.padding"] = padding
    x.requires_grad_(), m.requires_grad_()
    y = run(layer, x, m, padding)
    w = torch.randn_like(y)
    (y * w).sum().backward()
    out[f"{name}.y"], out[f"{name}.w"], out[f"{name}.gx"] = y.detach(), w, x.grad
    if m.grad is not None:
        out[f"{name}.gm"] = m.grad
    theirs = dict(layer.named_parameters())
    for ours, (key, part) in names.items():
        for kind, v in (("p", theirs[key].detach()), ("g", theirs[key].grad)):
            out[f"{name}.{kind}.{ours}"] = (v.chunk(3)[part] if part is not None else v).clone()


mha = lambda: nn.MultiheadAttention(6, 2, batch_first=True)
inverse = lambda p: None if p is None else ~p
cross = lambda l, x, m, p: l(x, m, m, key_padding_mask=inverse(p), need_weights=False)[0]
case("cross", mha(), cross, attention_names("", ""))
case("padded", mha(), cross, attention_names("", ""), True)
causal = torch.ones(4, 4).tril().logical_not()
case("causal", mha(), lambda l, x, m, p: l(x, x, x, attn_mask=causal, need_weights=False)[0], attention_names("", ""))

block = attention_names("self_attn.", "attention.") | plain_names(
    [("norm1", "norm1"), ("norm2", "norm2"), ("feedforward.layers.0", "linear1"), ("feedforward.layers.1", "linear2")])
for first in (False, True):
    case("pre" if first else "post", nn.TransformerEncoderLayer(6, 2, 8, 0, batch_first=True, norm_first=first),
         lambda l, x, m, p: l(x, src_mask=causal), block)
decoder = attention_names("self_attn.", "attention.") | attention_names("multihead_attn.", "cross.") | plain_names(
    [("norm1", "norm1"), ("norm2", "norm2"), ("norm3", "norm3"), ("feedforward.layers.0", "linear1"),
     ("feedforward.layers.1", "linear2")])
for first in (False, True):
    case("decoder_pre" if first else "decoder_post",
         nn.TransformerDecoderLayer(6, 2, 8, 0, batch_first=True, norm_first=first),
         lambda l, x, m, p: l(x, m, tgt_mask=causal, memory_key_padding_mask=inverse(p)), decoder, True)

path = pathlib.Path(__file__).parents[1] / "data" / "attention.safetensors"
save_file({k: v.contiguous() for k, v in out.items()}, path)
print(f"{sum(k.endswith('.y') for k in out)} cases, {path.stat().st_size} bytes")
