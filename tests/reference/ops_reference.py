"""Values and gradients of every operator, computed by PyTorch in float64, for tests/ops.

usage: python3 tests/reference/ops_reference.py      (needs torch and safetensors; writes tests/data/ops.safetensors)

For each case: NAME.x0, NAME.x1, ... the inputs, NAME.y the result, NAME.w random weights, NAME.g0, ... the gradient
of sum(y * w), or none of w and g where there is no gradient.
"""
import pathlib

import torch
from safetensors.torch import save_file

torch.manual_seed(1)
F = torch.nn.functional
out = {}


def case(name, f, *inputs, grad=True):
    xs = [x.clone().requires_grad_(grad and x.is_floating_point()) for x in inputs]
    y = f(*xs)
    for i, x in enumerate(inputs):
        out[f"{name}.x{i}"] = x.detach().clone().contiguous()
    out[f"{name}.y"] = y.detach().clone().contiguous()
    if grad:
        w = torch.randn(y.shape, dtype=torch.float64)
        (y * w).sum().backward()
        out[f"{name}.w"] = w
        for i, x in enumerate(xs):
            if x.requires_grad:
                out[f"{name}.g{i}"] = x.grad if x.grad is not None else torch.zeros_like(x)


def r(*shape, low=-2.0, high=2.0):
    return torch.rand(*shape, dtype=torch.float64) * (high - low) + low


def away(*shape):  # away from 0, where some functions have a corner
    return r(*shape, low=0.2, high=2) * torch.where(torch.rand(*shape) < 0.5, -1.0, 1.0).double()


# ---- one argument ----
for name in "neg exp exp2 expm1 sin cos atan sinh cosh tanh asinh erf erfc square".split():
    case(name, getattr(torch, name), r(3, 4))
for name in "sqrt rsqrt reciprocal log log2 log10 lgamma digamma".split():
    case(name, getattr(torch, name), r(3, 4, low=0.3, high=3))
for name in "asin acos atanh erfinv".split():
    case(name, getattr(torch, name), r(3, 4, low=-0.9, high=0.9))
case("cbrt", lambda x: x.abs() ** (1 / 3) * x.sign(), away(3, 4))
case("tan", torch.tan, r(3, 4, low=-1.2, high=1.2))
case("acosh", torch.acosh, r(3, 4, low=1.2, high=4))
case("log1p", torch.log1p, r(3, 4, low=-0.8))
case("sinc", torch.sinc, r(3, 4))
for name in "abs sign floor ceil round trunc".split():
    case(name, getattr(torch, name), away(3, 4))
case("relu", torch.relu, away(3, 4))
case("sigm", torch.sigmoid, r(3, 4, low=-6, high=6))
case("elu", F.elu, away(3, 4))
case("elu_alpha", lambda x: F.elu(x, 0.3), away(3, 4))
case("selu", F.selu, away(3, 4))
case("leaky_relu", lambda x: F.leaky_relu(x, 0.2), away(3, 4))
case("gelu", lambda x: F.gelu(x, approximate="tanh"), r(3, 4, low=-5, high=5))
case("gelu_exact", F.gelu, r(3, 4, low=-5, high=5))
case("silu", F.silu, r(3, 4))
case("softplus", F.softplus, r(3, 4, low=-5, high=5))
# (F.hardsigmoid rounds 1 / 6 to float)
case("hard_sigmoid", lambda x: (x / 6 + 0.5).clamp(0, 1), torch.cat([r(3, 4), away(3, 1) + 5], 1))
case("log_sigm", F.logsigmoid, r(3, 4, low=-5, high=5))
case("pow_scalar", lambda x: x ** 2.5, r(3, 4, low=0.3, high=3))
case("pow_two", lambda x: x ** 2, r(3, 4))
case("pow_three", lambda x: x ** 3, r(3, 4))
case("scalar_pow", lambda x: 1.7 ** x, r(3, 4))
case("clamp", lambda x: x.clamp(-0.5, 1.1), r(4, 5))

# ---- two arguments, with broadcasting ----
pairs = {"same": ((3, 4), (3, 4)), "row": ((3, 4), (4,)), "column": ((3, 4), (3, 1)), "cube": ((2, 1, 4), (3, 1))}
for form, (s, t) in pairs.items():
    case(f"add_{form}", torch.add, r(*s), r(*t))
    case(f"sub_{form}", torch.sub, r(*s), r(*t))
    case(f"mul_{form}", torch.mul, r(*s), r(*t))
    case(f"div_{form}", torch.div, r(*s), away(*t))
    case(f"pow_{form}", torch.pow, r(*s, low=0.3), r(*t))
    case(f"atan2_{form}", torch.atan2, away(*s), away(*t))
    case(f"hypot_{form}", torch.hypot, away(*s), away(*t))
    case(f"maximum_{form}", torch.maximum, r(*s), r(*t))
    case(f"minimum_{form}", torch.minimum, r(*s), r(*t))
    case(f"remainder_{form}", torch.remainder, away(*s), r(*t, low=0.7))
for name in "lt gt le ge eq ne".split():
    case(name, getattr(torch, name), torch.randint(0, 3, (4, 5)), torch.randint(0, 3, (5,)), grad=False)
case("where", lambda a, b: torch.where(a > b, a, b * 2), r(3, 4), r(4))
case("rsub_scalar", lambda x: 1.5 - x, r(3, 4))
case("rdiv_scalar", lambda x: 1.5 / x, away(3, 4))
case("floor_divide", torch.floor_divide, away(3, 4), away(4), grad=False)

# ---- reductions ----
dims = {"all": None, "0": 0, "1": 1, "last": -1, "02": (0, 2)}
for form, d in dims.items():
    x = r(3, 4, 5)
    case(f"sum_{form}", lambda x: x.sum() if d is None else x.sum(d), x)
    case(f"mean_{form}", lambda x: x.mean() if d is None else x.mean(d), x)
    case(f"var_{form}", lambda x: x.var() if d is None else x.var(d), x)
    case(f"std_{form}", lambda x: x.std() if d is None else x.std(d), x)
    case(f"logsumexp_{form}", lambda x: torch.logsumexp(x, tuple(range(3)) if d is None else d), x)
    case(f"norm_{form}", lambda x: torch.linalg.vector_norm(x, 2, None if d is None else d), x)
    case(f"norm1_{form}", lambda x: torch.linalg.vector_norm(x, 1, None if d is None else d), x)
    case(f"norm3_{form}", lambda x: torch.linalg.vector_norm(x, 3, None if d is None else d), x)
    case(f"max_{form}", lambda x: x.max() if d is None else x.amax(d), x)
    case(f"min_{form}", lambda x: x.min() if d is None else x.amin(d), x)
case("var_biased", lambda x: x.var(1, correction=0), r(3, 4))
case("sum_keep", lambda x: x.sum(1, keepdim=True), r(3, 4))
case("prod_all", torch.prod, r(3, 4))
case("prod_1", lambda x: x.prod(1), r(3, 4))
case("prod_zero", lambda x: x.prod(1), torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0], [2.0, 3.0, 4.0]]).double())
case("cumsum_0", lambda x: x.cumsum(0), r(3, 4))
case("cumsum_1", lambda x: x.cumsum(-1), r(3, 4))
case("argmax", lambda x: x.argmax(1), r(5, 6), grad=False)
case("argmin", lambda x: x.argmin(0), r(5, 6), grad=False)
case("any", lambda x: (x > 1.5).any(1), r(5, 6), grad=False)
case("all", lambda x: (x > -1.5).all(0), r(5, 6), grad=False)

# ---- products ----
case("matmul_mm", torch.matmul, r(3, 4), r(4, 5))
case("matmul_vm", torch.matmul, r(4), r(4, 5))
case("matmul_mv", torch.matmul, r(3, 4), r(4))
case("matmul_vv", torch.matmul, r(4), r(4))
case("matmul_batch", torch.matmul, r(2, 3, 4), r(2, 4, 5))
case("matmul_broadcast", torch.matmul, r(2, 1, 3, 4), r(3, 4, 5))
case("matmul_batch_matrix", torch.matmul, r(2, 3, 4), r(4, 5))
case("matmul_tn", lambda a, b: a.T @ b, r(4, 3), r(4, 5))
case("matmul_nt", lambda a, b: a @ b.T, r(3, 4), r(5, 4))
case("bmm", torch.bmm, r(2, 3, 4), r(2, 4, 5))
case("bmm_tn", lambda a, b: a.mT @ b, r(2, 4, 3), r(2, 4, 5))
case("bmm_nt", lambda a, b: a @ b.mT, r(2, 3, 4), r(2, 5, 4))
case("bmm_tt", lambda a, b: a.mT @ b.mT, r(2, 4, 3), r(2, 5, 4))
case("dot", torch.dot, r(6), r(6))
case("outer", torch.outer, r(3), r(4))

# ---- linear algebra ----
well = torch.eye(4, dtype=torch.float64) * 3 + r(4, 4, low=-0.7, high=0.7)
batch = torch.eye(3, dtype=torch.float64) * 3 + r(2, 3, 3, low=-0.7, high=0.7)
case("inverse", torch.linalg.inv, well)
case("inverse_batch", torch.linalg.inv, batch)
case("solve", torch.linalg.solve, well, r(4, 3))
case("det", torch.linalg.det, well)
case("logdet", torch.logdet, well)
case("trace", torch.trace, r(4, 4))
case("diag", torch.diag, r(4, 4))
case("cholesky", lambda a: torch.linalg.cholesky(a @ a.T + torch.eye(4, dtype=torch.float64)), r(4, 4))
case("triu", lambda x: x.triu(1), r(4, 5))
case("tril", lambda x: x.tril(-1), r(4, 5))

# ---- shapes ----
case("reshape", lambda x: x.reshape(6, 4), r(2, 3, 4))
case("permute", lambda x: x.permute(2, 0, 1), r(2, 3, 4))
case("transpose", lambda x: x.transpose(0, 2), r(2, 3, 4))
case("expand", lambda x: x.expand(5, 3, 4), r(3, 1))
case("narrow", lambda x: x.narrow(1, 1, 2), r(2, 4, 3))
case("select", lambda x: x.select(1, 2), r(2, 4, 3))
case("squeeze", lambda x: x.squeeze(1), r(2, 1, 3))
case("unsqueeze", lambda x: x.unsqueeze(1), r(2, 3))
case("slice_step", lambda x: x[1:5:2, :3], r(6, 4))
case("cat_0", lambda a, b: torch.cat([a, b], 0), r(2, 3), r(4, 3))
case("cat_1", lambda a, b: torch.cat([a, b, a], 1), r(2, 3), r(2, 1))
case("stack", lambda a, b: torch.stack([a, b], 1), r(2, 3), r(2, 3))
case("split", lambda x: x.split(2, 1)[1] * 2 + x.split(2, 1)[0], r(3, 4))
case("pad", lambda x: F.pad(x, (1, 2), value=0.5), r(3, 4))
case("flip", lambda x: x.flip(1), r(3, 4))

# ---- indexing ----
ids = torch.tensor([2, 0, 2, 1])
case("index_select", lambda x, i: x.index_select(1, i), r(2, 3, 2), ids)
case("gather", lambda x, i: x.gather(1, i), r(3, 4), torch.randint(0, 4, (3, 6)))
case("scatter_add", lambda x, i, s: x.scatter_add(1, i, s), r(3, 4), torch.randint(0, 4, (3, 6)), r(3, 6))
case("lookup", lambda x, i: F.embedding(i, x), r(5, 3), torch.tensor([[1, 4, 1], [0, 0, 3]]))
case("one_hot", lambda i: F.one_hot(i, 4).double(), ids, grad=False)
case("sort", lambda x: x.sort(1)[0], r(3, 5))
case("sort_descending", lambda x: x.sort(0, descending=True)[0], r(5, 3))
case("argsort", lambda x: x.argsort(1), r(3, 5), grad=False)
case("topk", lambda x: x.topk(2, 1)[0], r(3, 5))
case("topk_smallest", lambda x: x.topk(2, 1, largest=False)[0], r(3, 5))
case("topk_indices", lambda x: x.topk(2, 1)[1], r(3, 5), grad=False)

# ---- softmax, normalisation, losses ----
case("softmax", lambda x: x.softmax(-1), r(3, 5))
case("softmax_0", lambda x: x.softmax(0), r(3, 5))
case("logp", lambda x: x.log_softmax(-1), r(3, 5))
case("logp_1", lambda x: x.log_softmax(1), r(2, 5, 3))
case("layer_norm", lambda x, g, b: F.layer_norm(x, (5,), g, b, 1e-5), r(4, 5), r(5), r(5))
labels = torch.tensor([1, 4, 0, 2])
case("cross_entropy", F.cross_entropy, r(4, 5), labels)
case("cross_entropy_sum", lambda s, c: F.cross_entropy(s, c, reduction="sum"), r(4, 5), labels)
case("cross_entropy_ignore", lambda s, c: F.cross_entropy(s, c, ignore_index=-1), r(4, 5), torch.tensor([1, -1, 0, -1]))
case("cross_entropy_smooth", lambda s, c: F.cross_entropy(s, c, label_smoothing=0.1), r(4, 5), labels)
case("cross_entropy_weight", lambda s, c, w: F.cross_entropy(s, c, weight=w.detach()), r(4, 5), labels,
     r(5, low=0.3, high=2).requires_grad_(False))
case("cross_entropy_dim", F.cross_entropy, r(2, 5, 3), torch.tensor([[1, 4, 0], [2, 2, 3]]))
truth = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]).double()
case("binary_cross_entropy", lambda s: F.binary_cross_entropy_with_logits(s, truth), r(5, low=-4, high=4))
case("logistic_loss", lambda s: F.soft_margin_loss(s, truth * 2 - 1), r(5, low=-4, high=4))
case("mse_loss", F.mse_loss, r(3, 4), r(3, 4))
case("l1_loss", F.l1_loss, r(3, 4), r(3, 4))
case("huber_loss", lambda a, b: F.huber_loss(a, b, delta=0.7), r(3, 4), r(3, 4))
case("kl_div", lambda q, p: F.kl_div(q.log_softmax(1), p.softmax(1), reduction="sum"), r(3, 4), r(3, 4))

# ---- images ----
case("conv1d", lambda x, w: F.conv1d(x, w, stride=2, padding=1), r(2, 3, 7), r(4, 3, 3))
case("conv2d", F.conv2d, r(2, 3, 5, 6), r(4, 3, 3, 2))
case("conv2d_options", lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 2), dilation=(1, 2)), r(2, 3, 6, 5), r(4, 3, 3, 2))
case("conv2d_groups", lambda x, w: F.conv2d(x, w, padding=1, groups=2), r(2, 4, 4, 5), r(6, 2, 3, 3))
case("conv2d_depthwise", lambda x, w: F.conv2d(x, w, padding=1, stride=2, groups=5), r(2, 5, 4, 5), r(5, 1, 3, 3))
case("conv2d_pointwise", F.conv2d, r(2, 3, 4, 4), r(5, 3, 1, 1))
case("conv2d_same", lambda x, w: F.conv2d(x, w, padding="same"), r(1, 2, 5, 4), r(3, 2, 4, 3))
case("conv2d_sides", lambda x, w: F.conv2d(F.pad(x, (2, 0, 0, 1)), w), r(1, 2, 4, 4), r(3, 2, 3, 3))
case("conv2d_sparse", lambda x, w: F.conv2d(x, w, stride=3, padding=1), r(1, 2, 7, 8), r(3, 2, 2, 2))
case("conv2d_mode", lambda x, w: 2 * F.conv2d(x, w.flip(2, 3), padding=1), r(1, 2, 4, 5), r(3, 2, 3, 2))
case("conv3d", lambda x, w: F.conv3d(x, w, stride=(1, 2, 1), padding=(0, 1, 1)), r(1, 2, 4, 4, 3), r(3, 2, 2, 3, 2))
case("deconv1d", lambda x, w: F.conv_transpose1d(x, w, stride=3, padding=1, output_padding=2), r(2, 3, 4), r(3, 2, 4))
case("deconv2d", F.conv_transpose2d, r(2, 3, 4, 3), r(3, 2, 3, 2))
case("deconv2d_options", lambda x, w: F.conv_transpose2d(x, w, stride=(2, 3), padding=(1, 0), output_padding=(1, 2), dilation=(2, 1)), r(1, 3, 4, 3), r(3, 2, 3, 3))
case("deconv2d_groups", lambda x, w: F.conv_transpose2d(x, w, stride=2, groups=2), r(1, 4, 3, 3), r(4, 3, 2, 2))
case("deconv3d", lambda x, w: F.conv_transpose3d(x, w, stride=2, padding=1), r(1, 2, 2, 3, 2), r(2, 3, 3, 3, 2))
case("max_pool1d", lambda x: F.max_pool1d(x, 3, 2, 1), r(2, 3, 8))
case("max_pool2d", lambda x: F.max_pool2d(x, 2), r(2, 3, 5, 6))
case("max_pool2d_options", lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1)), r(2, 3, 5, 6))
case("max_pool3d", lambda x: F.max_pool3d(x, 2, 1), r(1, 2, 3, 4, 3))
case("avg_pool2d", lambda x: F.avg_pool2d(x, 3, 2, 1), r(2, 3, 5, 6))
case("avg_pool2d_inside", lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), r(2, 3, 5, 6))
case("avg_pool3d", lambda x: F.avg_pool3d(x, 2), r(1, 2, 4, 4, 3))
case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), r(2, 3, 5, 7))
case("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, 3), r(2, 3, 5, 7))
case("unpool2d", lambda x: F.interpolate(x, scale_factor=2), r(2, 3, 3, 2))
case("unpool2d_overlap", lambda x: F.conv_transpose2d(x, torch.ones(3, 1, 3, 3).double(), stride=2, groups=3), r(2, 3, 3, 2))

# ---- normalisation ----
def batch(x, w, b, **k):
    return F.batch_norm(x, None, None, w, b, training=True, eps=1e-3, **k)


def moments(*shape):
    return r(*shape).requires_grad_(False), r(*shape, low=0.3, high=2).requires_grad_(False)


case("batch_norm_2d", batch, r(6, 3), r(3), r(3))
case("batch_norm_4d", batch, r(2, 3, 2, 3), r(3), r(3))
case("batch_norm_5d", batch, r(2, 2, 2, 3, 2), r(2), r(2))
case("batch_norm_plain", lambda x: F.batch_norm(x, None, None, training=True, eps=1e-3), r(2, 3, 4))
case("batch_norm_relu", lambda x, w, b: torch.relu(batch(x, w, b)), r(2, 3, 2, 3), r(3), r(3))
mean, var = moments(3)
case("batch_norm_given", lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, eps=1e-3), r(2, 3, 2, 2), r(3), r(3), mean, var)
case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b, 1e-3), r(2, 4, 3, 2), r(4), r(4))
case("instance_norm", lambda x: F.instance_norm(x, eps=1e-3), r(2, 3, 2, 3))
case("rms_norm", lambda x, w: F.rms_norm(x, (5,), w, 1e-3), r(3, 5), r(5))

# ---- attention ----
sdpa = F.scaled_dot_product_attention
case("attention", sdpa, r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 3))
case("attention_causal", lambda q, k, v: sdpa(q, k, v, is_causal=True), r(1, 2, 4, 3), r(1, 2, 4, 3), r(1, 2, 4, 3))
seen = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 0]]).bool()
case("attention_mask", lambda q, k, v, m: sdpa(q, k, v, attn_mask=m), r(2, 1, 3, 2), r(2, 1, 4, 2), r(2, 1, 4, 2), seen)
case("attention_added", lambda q, k, v, m: sdpa(q, k, v, attn_mask=m, scale=0.3), r(2, 2, 3, 2), r(2, 2, 4, 2), r(2, 2, 4, 2), r(2, 1, 3, 4))


def turned(x, interleaved):
    n = x.shape[-1] // 2
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :n], x[..., n:])
    angle = (torch.arange(x.shape[-2]).double()[:, None] + 3) * 100.0 ** (-torch.arange(n).double() / n)
    z = torch.complex(a, b) * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(z).flatten(-2) if interleaved else torch.cat([z.real, z.imag], -1)


case("rotary", lambda x: turned(x, False), r(2, 5, 6))
case("rotary_interleaved", lambda x: turned(x, True), r(2, 5, 6))

# ---- more combinations of options ----
case("conv1d_options", lambda x, w: F.conv1d(x, w, stride=2, padding=3, dilation=2, groups=2), r(2, 4, 9), r(6, 2, 3))
case("conv3d_options", lambda x, w: F.conv3d(x, w, stride=(2, 1, 2), padding=(1, 0, 1), dilation=(1, 2, 1), groups=2),
     r(1, 4, 4, 5, 4), r(2, 2, 2, 2, 3))
case("conv3d_depthwise", lambda x, w: F.conv3d(x, w, padding=1, groups=3), r(1, 3, 3, 3, 4), r(6, 1, 3, 3, 3))
case("conv2d_bias", lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), r(2, 3, 5, 5), r(4, 3, 3, 3), r(4))
case("deconv1d_options", lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1, dilation=2, groups=2),
     r(2, 4, 4), r(4, 3, 3))
case("deconv2d_depthwise", lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=3), r(2, 3, 3, 4), r(3, 1, 3, 3))
case("deconv2d_mode", lambda x, w: 2 * F.conv_transpose2d(x, w.flip(2, 3), stride=2, padding=1), r(1, 2, 3, 4), r(2, 3, 3, 2))
case("deconv3d_options", lambda x, w: F.conv_transpose3d(x, w, stride=(2, 1, 2), padding=(1, 0, 0), output_padding=(1, 0, 1), dilation=(1, 2, 1), groups=2),
     r(1, 4, 2, 3, 2), r(4, 1, 2, 2, 3))
case("max_pool2d_alpha", lambda x: 2 * F.max_pool2d(x, 3, 1, 1), r(1, 2, 4, 4))
case("avg_pool1d", lambda x: F.avg_pool1d(x, 3, 2, 1), r(2, 3, 8))
case("avg_pool1d_inside", lambda x: 0.5 * F.avg_pool1d(x, 3, 2, 1, count_include_pad=False), r(2, 3, 8))
case("avg_pool3d_inside", lambda x: F.avg_pool3d(x, 3, 2, 1, count_include_pad=False), r(1, 2, 4, 3, 5))
case("max_pool3d_options", lambda x: F.max_pool3d(x, (2, 3, 2), (1, 2, 2), (1, 1, 0)), r(1, 2, 3, 4, 4))
case("adaptive_avg_pool1d", lambda x: F.adaptive_avg_pool1d(x, 3), r(2, 3, 7))
case("adaptive_avg_pool3d", lambda x: F.adaptive_avg_pool3d(x, (2, 1, 3)), r(1, 2, 3, 4, 5))
case("batch_norm_no_bias", lambda x, w: F.batch_norm(x, None, None, w, None, training=True, eps=1e-3), r(4, 3, 2), r(3))
mean2, var2 = moments(3)
case("batch_norm_given_2d", lambda x, w, b, m, v: F.batch_norm(x, m.detach(), v.detach(), w, b, eps=1e-3), r(4, 3), r(3), r(3), mean2, var2)
case("batch_norm_given_relu", lambda x, w, b, m, v: torch.relu(F.batch_norm(x, m.detach(), v.detach(), w, b, eps=1e-3)),
     r(2, 3, 2, 2, 2), r(3), r(3), mean2, var2)
last = lambda x: x.to(memory_format=torch.channels_last)
case("group_norm_last", lambda x, w, b: F.group_norm(last(x), 2, w, b, 1e-3), r(2, 4, 3, 2), r(4), r(4))
case("instance_norm_last", lambda x: F.instance_norm(last(x), eps=1e-3), r(2, 3, 2, 3))
case("group_norm_plain", lambda x: F.group_norm(x, 3, eps=1e-3), r(2, 6, 4))
case("rms_norm_plain", lambda x: F.rms_norm(x, (5,), None, 1e-3), r(3, 5))
case("layer_norm_plain", lambda x: F.layer_norm(x, (5,), eps=1e-3), r(4, 5))
case("layer_norm_no_bias", lambda x, g: F.layer_norm(x, (5,), g, None, 1e-5), r(4, 5), r(5))
# (the last query sees all keys; torch's is_causal aligns the first ones)
late = torch.ones(3, 5).tril(2).bool()
case("attention_causal_late", lambda q, k, v: sdpa(q, k, v, attn_mask=late), r(1, 2, 3, 4), r(1, 2, 5, 4), r(1, 2, 5, 3))
tail = torch.tensor([1, 1, 1, 0]).bool()
case("attention_causal_mask", lambda q, k, v, m: sdpa(q, k, v, attn_mask=torch.ones(4, 4).tril().bool() & m), r(2, 1, 4, 2), r(2, 1, 4, 2), r(2, 1, 4, 2), tail)
case("softmax_12", lambda x: torch.softmax(x.flatten(1), 1).reshape(x.shape), r(2, 3, 4))
case("batch_norm_residual", lambda x, w, b, z: batch(x, w, b) + z, r(2, 3, 2, 3), r(3), r(3), r(2, 3, 2, 3))
case("batch_norm_residual_relu", lambda x, w, b, z: torch.relu(batch(x, w, b) + z), r(4, 3, 5), r(3), r(3), r(4, 3, 5))
mean3, var3 = moments(3)
case("batch_norm_given_residual_relu",
     lambda x, w, b, z, m, v: torch.relu(F.batch_norm(x, m.detach(), v.detach(), w, b, eps=1e-3) + z),
     r(2, 3, 2, 2), r(3), r(3), r(2, 3, 2, 2), mean3, var3)

path = pathlib.Path(__file__).parents[1] / "data" / "ops.safetensors"
save_file(out, path)
print(f"{sum(k.endswith('.y') for k in out)} cases, {path.stat().st_size} bytes")
