// Functions of one element. They take f32 and f64; abs, sign, square, floor, ceil, round and trunc integers
// too.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

Tensor abs(const Tensor&);
Tensor sign(const Tensor&);
Tensor square(const Tensor&);
Tensor sqrt(const Tensor&);
/// 1 / sqrt(x)
Tensor rsqrt(const Tensor&);
Tensor cbrt(const Tensor&);
Tensor reciprocal(const Tensor&);
/// 1 / x by its name in Knet.
inline Tensor invx(const Tensor& x) { return reciprocal(x); }
Tensor exp(const Tensor&);
Tensor exp2(const Tensor&);
/// exp(x) - 1, exact near 0
Tensor expm1(const Tensor&);
Tensor log(const Tensor&);
Tensor log2(const Tensor&);
Tensor log10(const Tensor&);
/// log(1 + x), exact near 0
Tensor log1p(const Tensor&);
Tensor sin(const Tensor&);
Tensor cos(const Tensor&);
Tensor tan(const Tensor&);
Tensor asin(const Tensor&);
Tensor acos(const Tensor&);
Tensor atan(const Tensor&);
Tensor sinh(const Tensor&);
Tensor cosh(const Tensor&);
/// A function and not an object as relu is, so that it overloads the C library's.
Tensor tanh(const Tensor&);
Tensor asinh(const Tensor&);
Tensor acosh(const Tensor&);
Tensor atanh(const Tensor&);
Tensor erf(const Tensor&);
/// 1 - erf(x), exact for large x
Tensor erfc(const Tensor&);
/// The inverse of erf, on (-1, 1).
Tensor erfinv(const Tensor&);
/// log |Gamma(x)|
Tensor lgamma(const Tensor&);
/// The derivative of lgamma; differentiable once.
Tensor digamma(const Tensor&);
/// sin(pi x) / (pi x), 1 at 0
Tensor sinc(const Tensor&);
Tensor floor(const Tensor&);
Tensor ceil(const Tensor&);
/// To the nearest integer, halves to even.
Tensor round(const Tensor&);
Tensor trunc(const Tensor&);
/// Boolean tests of floats.
Tensor isnan(const Tensor&);
Tensor isinf(const Tensor&);
Tensor isfinite(const Tensor&);

// Of a value that nobody keeps, as in tanh(x + 1): the result takes over its memory.
Tensor exp(Tensor&&);
Tensor tanh(Tensor&&);

}  // namespace knet
