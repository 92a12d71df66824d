#include "knet/layers/init.hpp"

#include <cmath>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/linalg.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {
namespace {
std::pair<double, double> fans(const Shape& s) {
  check_sizes("init", s);
  if (s.ndim() == 0) return {1, 1};
  if (s.ndim() == 1) return {static_cast<double>(s[0]), 1};
  double volume = 1;
  for (int i = 2; i < s.ndim(); ++i) volume *= static_cast<double>(s[i]);
  return {volume * static_cast<double>(s[1]), volume * static_cast<double>(s[0])};
}
}  // namespace

Tensor Init::operator()(Shape s, DType t) const {
  check_sizes("layer", s);
  Tensor r = f_ ? f_(s, t, a_, b_) : plain_ ? plain_(s, t) : Tensor();
  if (r && r.shape() != s) fail<ShapeError>("init: gave ", r.shape(), " for a parameter of ", s);
  return r ? r.to(t).detach() : r;
}

Tensor xavier_uniform(Shape s, DType t) {
  const auto [in, out] = fans(s);
  const double a = std::sqrt(6 / std::max(in + out, 1.0));
  return uniform(s, -a, a, t);
}
Tensor xavier_normal(Shape s, DType t) {
  const auto [in, out] = fans(s);
  return normal(s, 0, std::sqrt(2 / std::max(in + out, 1.0)), t);
}
Tensor kaiming_uniform(Shape s, DType t) {
  const double a = std::sqrt(6 / std::max(fans(s).first, 1.0));
  return uniform(s, -a, a, t);
}
Tensor kaiming_normal(Shape s, DType t) {
  return normal(s, 0, std::sqrt(2 / std::max(fans(s).first, 1.0)), t);
}
Tensor kaiming_normal_out(Shape s, DType t) {
  return normal(s, 0, std::sqrt(2 / std::max(fans(s).second, 1.0)), t);
}

Tensor orthogonal(Shape s, DType t) {
  if (s.ndim() < 2) fail<ShapeError>("orthogonal: ", s, " is not a matrix");
  check_sizes("orthogonal", s);
  const std::int64_t rows = s[0], cols = s.numel() / std::max<std::int64_t>(rows, 1);
  const bool wide = rows < cols;
  const std::int64_t n = wide ? cols : rows, m = wide ? rows : cols;
  // Q of the QR factors of a normal matrix [n, m]: q = a L^-T with a^T a = L L^T, twice, since once loses
  // digits.
  Tensor q = randn({n, m}, f64);
  for (int i = 0; i < 2 && m > 0; ++i) q = solve(cholesky(matmul(q.T(), q)), q.T()).T();
  return (wide ? q.T() : q).contiguous().reshape(s).to(t);
}

Tensor bilinear(Shape s, DType t) {
  if (s.ndim() != 4 || s[0] != s[1] || s[2] != s[3])
    fail<ShapeError>("bilinear: ", s, ", expected [n, n, f, f]");
  const std::int64_t f = s[2];
  const double factor = std::floor((static_cast<double>(f) + 1) / 2),
               center = f % 2 == 1 ? factor - 1 : factor - 0.5;
  Tensor line = zeros({f}, t);
  for (std::int64_t i = 0; i < f; ++i) line.ref(i) = 1 - std::abs(static_cast<double>(i) - center) / factor;
  Tensor w = zeros(s, t);
  const Tensor kernel = outer(line, line);
  for (std::int64_t c = 0; c < s[0]; ++c) w.ref(c, c) = kernel;
  return w;
}

Init gaussian(double mean, double std) {
  return {[](Shape s, DType t, double m, double d) { return normal(s, m, d, t); }, mean, std};
}
Init truncated_normal(double mean, double std) {
  // By the inverse of the distribution, so that no number is drawn twice.
  return {[](Shape s, DType t, double m, double d) {
            const double edge = std::erf(2 / std::sqrt(2.0));
            return erfinv(uniform(s, -edge, edge, f64)).to(t) * (std::sqrt(2.0) * d) + m;
          },
          mean, std};
}
Init constant(double value) {
  return {[](Shape s, DType t, double v, double) { return full(s, v, t); }, value, 0};
}

}  // namespace knet
