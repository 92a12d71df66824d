#include "knet/ops/softmax.hpp"

#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/device/random.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

int check(const char* who, const Tensor& x, int dim) {
  check_defined(who, x);
  if (x.dtype() != f32 && x.dtype() != f64)
    fail<DTypeError>(who, ": expects f32 or f64, not ", x.dtype(), " ", x.shape());
  dim = check_dim(who, dim, x.ndim());
  if (x.size(dim) == 0) fail<ShapeError>(who, ": dimension ", dim, " of ", x.shape(), " is empty");
  return dim;
}
Tensor fused_grad(SoftmaxKind kind, const Tensor& y, const Tensor& dy, int dim) {
  Tensor dx = raw::empty_like(y, y.dtype());
  if (dx.numel() > 0) kernels(y.device()).softmax_grad(kind, array(y), array(dy), dim, array(dx));
  return dx;
}

}  // namespace

Tensor softmax(const Tensor& x, int dim) {
  dim = check("softmax", x, dim);
  Tensor y = raw::empty_like(x, x.dtype());
  if (y.numel() > 0) kernels(x.device()).softmax(SoftmaxKind::softmax, array(x), dim, array(y));
  if (Node* n = track(y, "softmax", {&x})) {
    n->backward([y, dim](const Tensor& dy, Gradients& g) {
      g.add(0, tape::state.on ? y * (dy - (y * dy).sum(dim, true))
                              : fused_grad(SoftmaxKind::softmax, y, dy, dim));
    });
  }
  return y;
}

Tensor logp(const Tensor& x, int dim) {
  dim = check("logp", x, dim);
  Tensor y = raw::empty_like(x, x.dtype());
  if (y.numel() > 0) kernels(x.device()).softmax(SoftmaxKind::log_softmax, array(x), dim, array(y));
  if (Node* n = track(y, "logp", {&x})) {
    n->backward([y, dim](const Tensor& dy, Gradients& g) {
      g.add(0, tape::state.on ? dy - exp(y) * dy.sum(dim, true)
                              : fused_grad(SoftmaxKind::log_softmax, y, dy, dim));
    });
  }
  return y;
}

namespace {
// The same key makes the same zeros, so that the gradient is the same function of dy.
Tensor dropped(const Tensor& x, double p, RandomKey key) {
  Tensor y = raw::empty_like(x, x.dtype());
  if (y.numel() > 0) kernels(x.device()).dropout(key, p, array(x), array(y));
  if (Node* n = track(y, "dropout", {&x}))
    n->backward([p, key](const Tensor& dy, Gradients& g) { g.add(0, dropped(dy, p, key)); });
  return y;
}
}  // namespace

Tensor logp(const Tensor& x, Dims dims) {
  if (!dims.all && dims.n == 1) return logp(x, int{dims.d[0]});
  return x - logsumexp(x, dims, true);
}
Tensor softmax(const Tensor& x, Dims dims) {
  if (!dims.all && dims.n == 1) return softmax(x, int{dims.d[0]});
  return exp(logp(x, dims));
}

namespace {
bool drops(const Tensor& x, double p) {
  check_defined("dropout", x);
  if (!(p >= 0 && p <= 1)) fail<ValueError>("dropout: p = ", p, " is outside [0, 1]");
  if (!training() || p == 0) return false;
  if (x.dtype() != f32 && x.dtype() != f64) fail<DTypeError>("dropout: expects f32 or f64, not ", x.dtype());
  return true;
}
}  // namespace
Tensor dropout(const Tensor& x, double p) {
  if (!drops(x, p)) return x;
  return p == 1 ? zeros_like(x) : dropped(x, p, next_random_key());
}
Tensor dropout(const Tensor& x, double p, Generator& g) {
  if (!drops(x, p)) return x;
  return p == 1 ? zeros_like(x) : dropped(x, p, g.next());
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check("layer_norm", x, -1);
  const std::int64_t d = x.size(-1);
  for (const Tensor* t : {&weight, &bias}) {
    if (!*t) continue;
    check_same("layer_norm", x, *t);
    if (t->shape() != Shape{d})
      fail<ShapeError>("layer_norm: weight or bias is ", t->shape(), ", expected [", d, "]");
  }
  if (!(eps >= 0)) fail<ValueError>("layer_norm: eps = ", eps, " is negative");
  if (tape::state.on && tape::state.depth > 1) {
    // May be differentiated twice: plain operators.
    const Tensor c = x - x.mean(-1, true);
    Tensor y = c * rsqrt(square(c).mean(-1, true) + eps);
    if (weight) y = y * weight;
    return bias ? y + bias : y;
  }
  const Tensor rows = raw::reshape("layer_norm", raw::contiguous(x), {-1, d});
  const Tensor w = weight ? raw::contiguous(weight) : Tensor(), b = bias ? raw::contiguous(bias) : Tensor();
  const std::int64_t n = rows.size(0);
  Tensor mean = Tensor::make({n}, x.dtype(), x.device()), rstd = Tensor::make({n}, x.dtype(), x.device()),
         out = Tensor::make({n, d}, x.dtype(), x.device());
  const auto pointer = [](const Tensor& t) -> void* { return t ? TensorAccess::data(t) : nullptr; };
  if (n > 0)
    kernels(x.device())
        .layer_norm(array(rows), pointer(w), pointer(b), eps, array(out), pointer(mean), pointer(rstd));
  Tensor y = raw::reshape("layer_norm", out, x.shape());
  if (Node* node = track(y, "layer_norm", {&x, &weight, &bias})) {
    node->backward([rows, w, mean, rstd, pointer, s = x.shape(), has_bias = static_cast<bool>(bias)](
                       const Tensor& dy, Gradients& g) {
      const Tensor d2 = raw::reshape("layer_norm", raw::contiguous(dy), rows.shape());
      Tensor dx = Tensor::make(rows.shape(), rows.dtype(), rows.device());
      const Shape last{rows.size(1)};
      Tensor dw = w ? Tensor::make(last, rows.dtype(), rows.device()) : Tensor(),
             db = has_bias ? Tensor::make(last, rows.dtype(), rows.device()) : Tensor();
      if (rows.size(0) > 0) {
        kernels(rows.device())
            .layer_norm_grad(array(rows), pointer(w), pointer(mean), pointer(rstd), array(d2), array(dx),
                             pointer(dw), pointer(db));
      } else {
        if (dw) dw *= 0.0;
        if (db) db *= 0.0;
      }
      g.add(0, raw::reshape("layer_norm", dx, s));
      if (dw) g.add(1, std::move(dw));
      if (db) g.add(2, std::move(db));
    });
  }
  return y;
}

}  // namespace knet
