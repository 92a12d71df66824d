"""Outputs and gradients of torch.nn's layers in float64 for tests/layers.

usage: python3 tests/reference/layers_reference.py   (needs torch and safetensors; writes tests/data/layers.safetensors)

CASE.x the input, CASE.p.NAME the parameters, CASE.y the output, CASE.w weights of the loss sum(y * w), CASE.gx and
CASE.g.NAME its gradients, CASE.s.NAME state afterwards.
"""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
nn = torch.nn
out = {}


def case(name, layer, x, act=lambda y: y):
    out[f"{name}.x"] = x.detach().clone()
    for k, p in layer.named_parameters():
        with torch.no_grad():
            p.copy_(torch.randn_like(p) * 0.7)
        out[f"{name}.p.{k}"] = p.detach().clone()
    if x.is_floating_point():
        x = x.clone().requires_grad_()
    y = act(layer(x))
    w = torch.randn_like(y)
    (y * w).sum().backward()
    out[f"{name}.y"], out[f"{name}.w"] = y.detach().clone(), w
    if x.is_floating_point():
        out[f"{name}.gx"] = x.grad
    for k, p in layer.named_parameters():
        out[f"{name}.g.{k}"] = p.grad
    for k, b in layer.named_buffers():
        if b.is_floating_point():
            out[f"{name}.s.{k}"] = b.clone()


F = nn.functional
case("linear", nn.Linear(4, 3), torch.randn(5, 4))
case("linear_3d", nn.Linear(4, 3), torch.randn(2, 5, 4))
case("multiply", nn.Linear(4, 3, bias=False), torch.randn(5, 4))
case("embed", nn.Embedding(7, 3), torch.tensor([[1, 6, 1], [0, 2, 6]]))
acts = {"relu": torch.relu, "sigm": torch.sigmoid, "tanh": torch.tanh, "elu": F.elu, "selu": F.selu,
        "leaky_relu": lambda y: F.leaky_relu(y, 0.2), "gelu": lambda y: F.gelu(y, approximate="tanh"),
        "gelu_exact": F.gelu, "silu": F.silu, "identity": lambda y: y, "log_sigm": F.logsigmoid}
for k, f in acts.items():
    case(f"dense_{k}", nn.Linear(4, 3), torch.randn(5, 4), f)
case("layer_norm", nn.LayerNorm(6), torch.randn(2, 3, 6))
case("batch_norm_2d", nn.BatchNorm1d(3), torch.randn(8, 3) * 2 + 1)
case("batch_norm_4d", nn.BatchNorm2d(3), torch.randn(4, 3, 2, 5) * 2 + 1)
frozen = nn.BatchNorm1d(3)
frozen(torch.randn(16, 3) + 1)
frozen.eval()
case("batch_norm_eval", frozen, torch.randn(5, 3))
case("mlp", nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), torch.randn(7, 6))

path = pathlib.Path(__file__).parents[1] / "data" / "layers.safetensors"
save_file({k: v.contiguous() for k, v in out.items()}, path)
print(f"{sum(k.endswith('.y') for k in out)} cases, {path.stat().st_size} bytes")
