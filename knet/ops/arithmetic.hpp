// Arithmetic, comparisons and choices, element by element. Shapes broadcast as in NumPy: sizes are aligned at
// the end and must be equal or 1. Both tensors have one dtype (DTypeError); a double takes the tensor's
// dtype.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

Tensor operator+(const Tensor&, const Tensor&);
Tensor operator+(const Tensor&, double);
Tensor operator+(double, const Tensor&);
Tensor operator-(const Tensor&, const Tensor&);
Tensor operator-(const Tensor&, double);
Tensor operator-(double, const Tensor&);
Tensor operator*(const Tensor&, const Tensor&);
Tensor operator*(const Tensor&, double);
Tensor operator*(double, const Tensor&);
Tensor operator/(const Tensor&, const Tensor&);
Tensor operator/(const Tensor&, double);
Tensor operator/(double, const Tensor&);
Tensor operator-(const Tensor&);
inline Tensor operator+(const Tensor& x) { return x; }
// Of a value that nobody keeps, as in x * 2 + 1: the result takes over its memory.
Tensor operator+(Tensor&&, double);
Tensor operator+(double, Tensor&&);
Tensor operator-(Tensor&&, double);
Tensor operator-(double, Tensor&&);
Tensor operator*(Tensor&&, double);
Tensor operator*(double, Tensor&&);
Tensor operator/(Tensor&&, double);
Tensor operator/(double, Tensor&&);
Tensor operator-(Tensor&&);

// Comparisons give boolean tensors; nothing flows back through them.
Tensor operator<(const Tensor&, const Tensor&);
Tensor operator<(const Tensor&, double);
Tensor operator<(double, const Tensor&);
Tensor operator>(const Tensor&, const Tensor&);
Tensor operator>(const Tensor&, double);
Tensor operator>(double, const Tensor&);
Tensor operator<=(const Tensor&, const Tensor&);
Tensor operator<=(const Tensor&, double);
Tensor operator<=(double, const Tensor&);
Tensor operator>=(const Tensor&, const Tensor&);
Tensor operator>=(const Tensor&, double);
Tensor operator>=(double, const Tensor&);
Tensor operator==(const Tensor&, const Tensor&);
Tensor operator==(const Tensor&, double);
Tensor operator!=(const Tensor&, const Tensor&);
Tensor operator!=(const Tensor&, double);
Tensor logical_and(const Tensor&, const Tensor&);
Tensor logical_or(const Tensor&, const Tensor&);
Tensor logical_xor(const Tensor&, const Tensor&);
Tensor logical_not(const Tensor&);

Tensor pow(const Tensor& x, double exponent);
Tensor pow(const Tensor& x, const Tensor& exponent);
Tensor pow(double base, const Tensor& exponent);
/// The angle of (x, y) in (-pi, pi].
Tensor atan2(const Tensor& y, const Tensor& x);
/// sqrt(a a + b b) without overflow.
Tensor hypot(const Tensor& a, const Tensor& b);
/// Ties share the gradient half and half.
Tensor maximum(const Tensor&, const Tensor&);
Tensor maximum(const Tensor&, double);
Tensor minimum(const Tensor&, const Tensor&);
Tensor minimum(const Tensor&, double);
/// Remainder with the divisor's sign, as Python's %.
Tensor remainder(const Tensor&, const Tensor&);
Tensor remainder(const Tensor&, double);
/// floor(a / b)
Tensor floor_divide(const Tensor&, const Tensor&);
Tensor floor_divide(const Tensor&, double);
/// x limited to [low, high]; low > high is a ValueError.
Tensor clamp(const Tensor& x, double low, double high);
/// mask ? a : b; mask is boolean, all three broadcast.
Tensor where(const Tensor& mask, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& mask, const Tensor& a, double b);
Tensor where(const Tensor& mask, double a, const Tensor& b);

}  // namespace knet
