#include "knet/ops/linalg.hpp"

#include <cmath>
#include <vector>

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

void check_square(const char* who, const Tensor& a) {
  check_defined(who, a);
  if (a.dtype() != f32 && a.dtype() != f64) fail<DTypeError>(who, ": expects f32 or f64, not ", a.dtype());
  if (a.ndim() != 2 || a.size(0) != a.size(1))
    fail<ShapeError>(who, ": ", a.shape(), " is not a square matrix");
}

struct Factors {
  Tensor lu;
  std::vector<std::int64_t> pivots;
  bool singular;
};
Factors factor(const Tensor& a) {
  Factors f{raw::copy(a, a.dtype()), std::vector<std::int64_t>(static_cast<std::size_t>(a.size(0))), false};
  if (a.numel() > 0) f.singular = kernels(a.device()).lu(array(f.lu), f.pivots.data()) != 0;
  return f;
}
Tensor solved(const char* who, const Tensor& a, const Tensor& b) {
  const Factors f = factor(a);
  if (f.singular) fail<ValueError>(who, ": the matrix ", a.shape(), " is singular");
  Tensor x = raw::copy(b, b.dtype());
  if (x.numel() > 0) kernels(a.device()).lu_solve(array(f.lu), f.pivots.data(), array(x));
  return x;
}

}  // namespace

Tensor inverse(const Tensor& a) {
  check_square("inverse", a);
  Tensor y = solved("inverse", a, eye(a.size(0), a.size(0), a.dtype()));
  if (Node* n = track(y, "inverse", {&a})) {
    n->backward([y](const Tensor& dy, Gradients& g) { g.add(0, -matmul(matmul(y.T(), dy), y.T())); });
  }
  return y;
}

Tensor solve(const Tensor& a, const Tensor& b) {
  check_square("solve", a);
  check_same("solve", a, b);
  if (b.ndim() == 1) return solve(a, b.reshape({-1, 1})).squeeze(1);
  if (b.ndim() != 2 || b.size(0) != a.size(0)) fail<ShapeError>("solve: ", a.shape(), " with ", b.shape());
  Tensor y = solved("solve", a, b);
  if (Node* n = track(y, "solve", {&a, &b})) {
    n->backward([a, y](const Tensor& dy, Gradients& g) {
      const Tensor db = solve(a.T(), dy);
      if (g.wants(0)) g.add(0, -matmul(db, y.T()));
      if (g.wants(1)) g.add(1, db);
    });
  }
  return y;
}

Tensor cholesky(const Tensor& a) {
  check_square("cholesky", a);
  Tensor y = raw::copy(a, a.dtype());
  if (a.numel() > 0) {
    if (const int i = kernels(a.device()).cholesky(array(y)); i != 0)
      fail<ValueError>("cholesky: the matrix ", a.shape(), " is not positive definite (row ", i - 1, ")");
  }
  if (Node* n = track(y, "cholesky", {&a})) {
    // Murray 2016, arXiv:1602.07527: dA = L^-T P L^-1 with P = lower half of L^T dL, its diagonal halved.
    // Only A's lower half was read, so the upper half's share is added to it.
    n->backward([y](const Tensor& dy, Gradients& g) {
      const Tensor p = tril(matmul(y.T(), tril(dy)));
      const Tensor middle = p - diag(diag(p)) * 0.5;
      const Tensor s = solve(y.T(), solve(y.T(), middle.T()).T());
      const Tensor both = s + s.T();
      g.add(0, tril(both) - diag(diag(s)));
    });
  }
  return y;
}

namespace {
// log |det| and the sign, from the factors.
double log_abs_det(const Factors& f, double& sign) {
  const auto d = f.lu.to_vector<double>();
  const std::size_t n = f.pivots.size();
  double r = 0;
  sign = 1;
  for (std::size_t i = 0; i < n; ++i) {
    const double v = d[i * n + i];
    if (f.pivots[i] != static_cast<std::int64_t>(i)) sign = -sign;
    if (v < 0) sign = -sign;
    r += std::log(std::abs(v));
  }
  return r;
}
}  // namespace
Tensor det(const Tensor& a) {
  check_square("det", a);
  const Factors f = factor(a);
  double sign = 1, log_value = f.singular ? -INFINITY : log_abs_det(f, sign);
  Tensor y = scalar(sign * std::exp(log_value), a.dtype());
  if (Node* n = track(y, "det", {&a})) {
    n->backward([a, y](const Tensor& dy, Gradients& g) { g.add(0, dy * y * inverse(a).T()); });
  }
  return y;
}
Tensor logdet(const Tensor& a) {
  check_square("logdet", a);
  const Factors f = factor(a);
  double sign = 1;
  Tensor y = scalar(f.singular ? -INFINITY : log_abs_det(f, sign), a.dtype());
  if (Node* n = track(y, "logdet", {&a})) {
    n->backward([a](const Tensor& dy, Gradients& g) { g.add(0, dy * inverse(a).T()); });
  }
  return y;
}

namespace {
Tensor spread(const Tensor& d);
Tensor diagonal(const Tensor& a) {
  const std::int64_t n = std::min(a.size(0), a.size(1));
  const Tensor view =
      TensorAccess::view(a, {n}, Strides{{a.strides()[0] + a.strides()[1]}}, TensorAccess::offset(a));
  Tensor y = raw::copy(view, a.dtype());
  if (Node* node = track(y, "diag", {&a})) {
    node->backward([](const Tensor& dy, Gradients& g) { g.add(0, spread(dy)); });
  }
  return y;
}
Tensor spread(const Tensor& d) {
  const std::int64_t n = d.size(0);
  Tensor y = zeros({n, n}, d.dtype());
  const Tensor at = TensorAccess::view(y, {n}, Strides{{n + 1}}, 0);
  if (n > 0) kernels(y.device()).copy(array(d), array(at));
  if (Node* node = track(y, "diag", {&d})) {
    node->backward([](const Tensor& dy, Gradients& g) { g.add(0, diagonal(dy)); });
  }
  return y;
}
}  // namespace
Tensor diag(const Tensor& a) {
  check_defined("diag", a);
  if (a.ndim() == 1) return spread(a);
  if (a.ndim() != 2 || a.size(0) != a.size(1))
    fail<ShapeError>("diag: ", a.shape(), " is neither a vector nor a square matrix");
  return diagonal(a);
}
Tensor trace(const Tensor& a) {
  check_square("trace", a);
  return diag(a).sum();
}

}  // namespace knet
