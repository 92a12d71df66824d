#include "knet/ops/math.hpp"

#include <utility>

#include "knet/ops/elementwise.hpp"

namespace knet {
using detail::unary;

Tensor abs(const Tensor& x) { return unary(Unary::abs, x); }
Tensor sign(const Tensor& x) { return unary(Unary::sign, x); }
Tensor square(const Tensor& x) { return unary(Unary::square, x); }
Tensor sqrt(const Tensor& x) { return unary(Unary::sqrt, x); }
Tensor rsqrt(const Tensor& x) { return unary(Unary::rsqrt, x); }
Tensor cbrt(const Tensor& x) { return unary(Unary::cbrt, x); }
Tensor reciprocal(const Tensor& x) { return unary(Unary::reciprocal, x); }
Tensor exp(const Tensor& x) { return unary(Unary::exp, x); }
Tensor exp2(const Tensor& x) { return unary(Unary::exp2, x); }
Tensor expm1(const Tensor& x) { return unary(Unary::expm1, x); }
Tensor log(const Tensor& x) { return unary(Unary::log, x); }
Tensor log2(const Tensor& x) { return unary(Unary::log2, x); }
Tensor log10(const Tensor& x) { return unary(Unary::log10, x); }
Tensor log1p(const Tensor& x) { return unary(Unary::log1p, x); }
Tensor sin(const Tensor& x) { return unary(Unary::sin, x); }
Tensor cos(const Tensor& x) { return unary(Unary::cos, x); }
Tensor tan(const Tensor& x) { return unary(Unary::tan, x); }
Tensor asin(const Tensor& x) { return unary(Unary::asin, x); }
Tensor acos(const Tensor& x) { return unary(Unary::acos, x); }
Tensor atan(const Tensor& x) { return unary(Unary::atan, x); }
Tensor sinh(const Tensor& x) { return unary(Unary::sinh, x); }
Tensor cosh(const Tensor& x) { return unary(Unary::cosh, x); }
Tensor tanh(const Tensor& x) { return unary(Unary::tanh, x); }
Tensor asinh(const Tensor& x) { return unary(Unary::asinh, x); }
Tensor acosh(const Tensor& x) { return unary(Unary::acosh, x); }
Tensor atanh(const Tensor& x) { return unary(Unary::atanh, x); }
Tensor erf(const Tensor& x) { return unary(Unary::erf, x); }
Tensor erfc(const Tensor& x) { return unary(Unary::erfc, x); }
Tensor erfinv(const Tensor& x) { return unary(Unary::erfinv, x); }
Tensor lgamma(const Tensor& x) { return unary(Unary::lgamma, x); }
Tensor digamma(const Tensor& x) { return unary(Unary::digamma, x); }
Tensor sinc(const Tensor& x) { return unary(Unary::sinc, x); }
Tensor floor(const Tensor& x) { return unary(Unary::floor, x); }
Tensor ceil(const Tensor& x) { return unary(Unary::ceil, x); }
Tensor round(const Tensor& x) { return unary(Unary::round, x); }
Tensor trunc(const Tensor& x) { return unary(Unary::trunc, x); }
Tensor isnan(const Tensor& x) { return unary(Unary::is_nan, x); }
Tensor isinf(const Tensor& x) { return unary(Unary::is_inf, x); }
Tensor isfinite(const Tensor& x) { return unary(Unary::is_finite, x); }

Tensor exp(Tensor&& x) { return unary(Unary::exp, std::move(x)); }
Tensor tanh(Tensor&& x) { return unary(Unary::tanh, std::move(x)); }

}  // namespace knet
