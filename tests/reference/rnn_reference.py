"""Outputs, final states and gradients of torch.nn's recurrent layers in float64 for tests/layers/rnn_test.cpp.

usage: python3 tests/reference/rnn_reference.py      (needs torch and safetensors; writes tests/data/rnn.safetensors
and tests/data/pytorch_model.safetensors)

CASE.x [3, 5, 4] and CASE.h0 (CASE.c0) the inputs, CASE.p.NAME the parameters, CASE.y, CASE.h (CASE.c) the results,
CASE.wy, CASE.wh (CASE.wc) weights of the loss, CASE.gx, CASE.gh (CASE.gc) and CASE.g.NAME its gradients. Cases with
"_unequal" read 3, 5 and 2 steps of the three sequences.
"""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
out = {}
kinds = {"lstm": lambda **k: torch.nn.LSTM(4, 3, **k), "gru": lambda **k: torch.nn.GRU(4, 3, **k),
         "tanh": lambda **k: torch.nn.RNN(4, 3, **k), "relu": lambda **k: torch.nn.RNN(4, 3, nonlinearity="relu", **k)}
lengths = torch.tensor([3, 5, 2])


def case(name, layer, unequal):
    dirs = 2 if layer.bidirectional else 1
    leaves = {"x": torch.randn(3, 5, 4), "h0": torch.randn(layer.num_layers * dirs, 3, 3)}
    if isinstance(layer, torch.nn.LSTM):
        leaves["c0"] = torch.randn(layer.num_layers * dirs, 3, 3)
    for k, p in layer.named_parameters():
        with torch.no_grad():
            p.copy_(torch.randn_like(p) * 0.6)
        out[f"{name}.p.{k}"] = p.detach().clone()
    for k, v in leaves.items():
        out[f"{name}.{k}"] = v.clone()
        v.requires_grad_()
    x = leaves["x"]
    if unequal:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, last = layer(x, (leaves["h0"], leaves["c0"]) if "c0" in leaves else leaves["h0"])
    if unequal:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    results = {"y": y} | dict(zip("hc", last if isinstance(last, tuple) else (last,)))
    loss = 0
    for k, v in results.items():
        w = torch.randn_like(v)
        out[f"{name}.{k}"], out[f"{name}.w{k}"] = v.detach().clone(), w
        loss = loss + (v * w).sum()
    loss.backward()
    for k, v in leaves.items():
        out[f"{name}.g{k[0]}"] = v.grad
    for k, p in layer.named_parameters():
        out[f"{name}.g.{k}"] = p.grad


for kind, make in kinds.items():
    for dirs in (1, 2):
        for unequal in (False, True):
            case(f"{kind}{dirs}" + ("_unequal" if unequal else ""),
                 make(num_layers=2, bidirectional=dirs == 2, batch_first=True), unequal)
case("lstm_plain", torch.nn.LSTM(4, 3, bias=False, batch_first=True), False)
case("gru_plain", torch.nn.GRU(4, 3, bias=False, batch_first=True), False)



# A whole model in float32, saved as PyTorch saves it, under its own names.
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(7, 4)
        self.lstm = torch.nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = torch.nn.GRU(6, 3, batch_first=True)
        self.rnn = torch.nn.RNN(3, 3, nonlinearity="relu", batch_first=True)
        self.out = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.rnn(self.gru(self.lstm(self.words(x))[0])[0])[0])


model, ids = Model().float(), torch.tensor([[1, 6, 0, 2], [5, 5, 3, 4]])
out["model.x"], out["model.y"] = ids, model(ids).detach()
save_file(model.state_dict(), pathlib.Path(__file__).parents[1] / "data" / "pytorch_model.safetensors")

path = pathlib.Path(__file__).parents[1] / "data" / "rnn.safetensors"
save_file({k: v.contiguous() for k, v in out.items()}, path)
print(f"{sum(k.endswith('.y') for k in out)} cases, {path.stat().st_size} bytes")
