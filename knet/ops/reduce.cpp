#include "knet/ops/reduce.hpp"

#include <cmath>

#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/math.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

// What a reduction leaves: the shape with ones, the shape the caller gets, and how many elements went into
// one.
struct Plan {
  Shape kept, result;
  std::int64_t count = 1;
};
Plan plan(const char* who, const Tensor& x, const Dims& d, bool keep) {
  check_defined(who, x);
  unsigned reduced = d.all ? ~0u : 0u;
  for (int i = 0; i < d.n; ++i) {
    const int k = check_dim(who, d.d[i], x.ndim());
    if (reduced & (1u << k)) fail<ShapeError>(who, ": dimension ", k, " is named twice");
    reduced |= 1u << k;
  }
  Plan p;
  for (int i = 0; i < x.ndim(); ++i) {
    const bool r = reduced & (1u << i);
    const std::int64_t n = x.shape()[i];
    if (r) p.count *= n;
    p.kept.push(r ? 1 : n);
    if (!r || keep) p.result.push(r ? 1 : n);
  }
  return p;
}
Tensor run(Reduce op, const Tensor& x, const Plan& p, DType t) {
  Tensor y = Tensor::make(p.kept, t, x.device());
  if (y.numel() > 0) kernels(x.device()).reduce(op, array(x), array(y));
  return raw::reshape("reduce", y, p.result);
}
void check_number(const char* who, const Tensor& x) {
  if (x.dtype() == boolean || x.dtype() == f16 || x.dtype() == bf16)
    fail<DTypeError>(who, ": does not take ", x.dtype(), " ", x.shape(), "; convert with .to(f32) first");
}
void check_float(const char* who, const Tensor& x) {
  check_defined(who, x);
  if (x.dtype() != f32 && x.dtype() != f64)
    fail<DTypeError>(who, ": expects f32 or f64, not ", x.dtype(), " ", x.shape());
}

Tensor extreme(const char* who, bool largest, const Tensor& x, Dims d, bool keep) {
  const Plan p = plan(who, x, d, keep);
  check_number(who, x);
  if (p.count == 0) fail<ShapeError>(who, ": nothing to choose from in ", x.shape());
  Tensor y = run(largest ? Reduce::max : Reduce::min, x, p, x.dtype());
  if (Node* n = track(y, who, {&x})) {
    n->backward([x, y, d, kept = p.kept](const Tensor& dy, Gradients& g) {
      const Tensor mask = (x.detach() == y.detach().reshape(kept).expand(x.shape())).to(x.dtype());
      g.add(0, (dy.reshape(kept) / mask.sum(d, true)) * mask);
    });
  }
  return y;
}
Tensor position(const char* who, bool largest, const Tensor& x, int dim, bool keep) {
  check_defined(who, x);
  check_number(who, x);
  dim = check_dim(who, dim, x.ndim());
  if (x.size(dim) == 0) fail<ShapeError>(who, ": dimension ", dim, " of ", x.shape(), " is empty");
  Shape s = x.shape();
  s[dim] = 1;
  Tensor y = Tensor::make(s, i64, x.device());
  if (y.numel() > 0) kernels(x.device()).arg_reduce(largest, array(x), dim, array(y));
  return keep ? y : raw::squeeze(y, dim);
}

}  // namespace

Tensor Tensor::sum(Dims d, bool keep) const {
  const Plan p = plan("sum", *this, d, keep);
  if (dtype_ == boolean) return to(i64).sum(d, keep);
  check_number("sum", *this);
  Tensor y = run(Reduce::sum, *this, p, dtype_);
  if (Node* n = track(y, "sum", {this})) {
    n->backward([s = shape_, kept = p.kept](const Tensor& dy, Gradients& g) {
      g.add(0, dy.reshape(kept).expand(s));
    });
  }
  return y;
}
Tensor Tensor::mean(Dims d, bool keep) const {
  check_float("mean", *this);
  const Plan p = plan("mean", *this, d, keep);
  return sum(d, keep) * (1.0 / static_cast<double>(p.count));
}
Tensor Tensor::max(Dims d, bool keep) const { return extreme("max", true, *this, d, keep); }
Tensor Tensor::min(Dims d, bool keep) const { return extreme("min", false, *this, d, keep); }
Tensor Tensor::argmax(int dim, bool keep) const { return position("argmax", true, *this, dim, keep); }
Tensor Tensor::argmin(int dim, bool keep) const { return position("argmin", false, *this, dim, keep); }

Tensor sum(const Tensor& x, Dims d, bool keep) { return x.sum(d, keep); }
Tensor mean(const Tensor& x, Dims d, bool keep) { return x.mean(d, keep); }
Tensor max(const Tensor& x, Dims d, bool keep) { return x.max(d, keep); }
Tensor min(const Tensor& x, Dims d, bool keep) { return x.min(d, keep); }
Tensor argmax(const Tensor& x, int dim, bool keep) { return x.argmax(dim, keep); }
Tensor argmin(const Tensor& x, int dim, bool keep) { return x.argmin(dim, keep); }

Tensor prod(const Tensor& x, Dims d, bool keep) {
  const Plan p = plan("prod", x, d, keep);
  check_number("prod", x);
  Tensor y = run(Reduce::prod, x, p, x.dtype());
  if (Node* n = track(y, "prod", {&x})) {
    n->backward([x, d, kept = p.kept](const Tensor& dy, Gradients& g) {
      // The product of the others: y / x, but where one element is 0 it gets the product of the rest, and
      // where two are 0 nothing flows.
      const Tensor zero = x.detach() == 0, safe = where(zero, 1.0, x);
      const Tensor rest = prod(safe, d, true), zeros = zero.to(x.dtype()).sum(d, true);
      const Tensor others = where(zero, where(zeros == 1, rest, 0.0), where(zeros == 0, rest / safe, 0.0));
      g.add(0, dy.reshape(kept) * others);
    });
  }
  return y;
}

Tensor var(const Tensor& x, Dims d, bool keep, bool unbiased) {
  check_float("var", x);
  const Plan p = plan("var", x, d, keep);
  const Tensor c = x - x.mean(d, true);
  return square(c).sum(d, keep) * (1.0 / static_cast<double>(p.count - (unbiased ? 1 : 0)));
}
Tensor std_dev(const Tensor& x, Dims d, bool keep, bool unbiased) { return sqrt(var(x, d, keep, unbiased)); }

Tensor norm(const Tensor& x, double p, Dims d, bool keep) {
  check_float("norm", x);
  if (!(p > 0)) fail<ValueError>("norm: p = ", p, " is not positive");
  if (std::isinf(p)) return abs(x).max(d, keep);
  if (p == 1) return abs(x).sum(d, keep);
  if (p != 2) return pow(pow(abs(x), p).sum(d, keep), 1 / p);
  const Plan plan_ = plan("norm", x, d, keep);
  Tensor y = run(Reduce::sum_squares, x, plan_, x.dtype());
  kernels(y.device()).unary(Unary::sqrt, 0, 0, array(y), array(y));
  if (Node* n = track(y, "norm", {&x})) {
    n->backward([x, y, kept = plan_.kept](const Tensor& dy, Gradients& g) {
      const Tensor r = y.reshape(kept), zero = r.detach() == 0;
      g.add(0, x * (dy.reshape(kept) * where(zero, 0.0, 1.0 / where(zero, 1.0, r))));
    });
  }
  return y;
}

Tensor logsumexp(const Tensor& x, Dims d, bool keep) {
  check_float("logsumexp", x);
  const Plan p = plan("logsumexp", x, d, keep);
  if (p.count == 0) return full(p.result, -INFINITY, x.dtype());
  // A row whose largest element is infinite is that element already.
  Tensor m = x.detach().max(d, true);
  m = where(isfinite(m), m, 0.0);
  const Tensor y = log(exp(x - m).sum(d, true)) + m;
  return y.reshape(p.result);
}

Tensor any(const Tensor& x, Dims d, bool keep) {
  return run(Reduce::any, x, plan("any", x, d, keep), boolean);
}
Tensor all(const Tensor& x, Dims d, bool keep) {
  return run(Reduce::all, x, plan("all", x, d, keep), boolean);
}

namespace {
Tensor running_sum(const Tensor& x, int dim, bool reverse) {
  Tensor y = raw::empty_like(x, x.dtype());
  if (y.numel() > 0) kernels(x.device()).cumsum(array(x), dim, reverse, array(y));
  if (Node* n = track(y, "cumsum", {&x})) {
    n->backward([dim, reverse](const Tensor& dy, Gradients& g) { g.add(0, running_sum(dy, dim, !reverse)); });
  }
  return y;
}
}  // namespace
Tensor cumsum(const Tensor& x, int dim) {
  check_defined("cumsum", x);
  check_number("cumsum", x);
  return running_sum(x, check_dim("cumsum", dim, x.ndim()), false);
}

Tensor sum_to(const Tensor& x, const Shape& s) {
  if (x.shape() == s) return x;
  Dims d;
  d.all = false;
  const int lead = x.ndim() - s.ndim();
  for (int i = 0; i < x.ndim() && d.n < max_dims; ++i) {
    if (i < lead || (s[i - lead] == 1 && x.shape()[i] != 1)) d.d[d.n++] = static_cast<std::int8_t>(i);
  }
  return x.sum(d, true).reshape(s);
}

}  // namespace knet
