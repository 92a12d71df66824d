// Tensors as the functors want them, for derivatives that are differentiated again. A type of its own,
// because some functions are called differently outside (relu is an object there). Not installed.
#pragma once
#include "knet/kernels/functors.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/elementwise.hpp"
#include "knet/ops/math.hpp"
#include "knet/tensor/factories.hpp"

namespace knet::fn {

struct Value {
  Tensor t;
};
struct Mask {
  Tensor t;
};

inline Value operator-(const Value& a) { return {-a.t}; }
inline Value operator+(const Value& a, const Value& b) { return {a.t + b.t}; }
inline Value operator-(const Value& a, const Value& b) { return {a.t - b.t}; }
inline Value operator*(const Value& a, const Value& b) { return {a.t * b.t}; }
inline Value operator/(const Value& a, const Value& b) { return {a.t / b.t}; }
inline Value operator+(const Value& a, double b) { return {a.t + b}; }
inline Value operator-(const Value& a, double b) { return {a.t - b}; }
inline Value operator*(const Value& a, double b) { return {a.t * b}; }
inline Value operator/(const Value& a, double b) { return {a.t / b}; }
inline Value operator+(double a, const Value& b) { return {a + b.t}; }
inline Value operator-(double a, const Value& b) { return {a - b.t}; }
inline Value operator*(double a, const Value& b) { return {a * b.t}; }
inline Value operator/(double a, const Value& b) { return {a / b.t}; }
inline Mask operator<(const Value& a, const Value& b) { return {a.t < b.t}; }
inline Mask operator>(const Value& a, const Value& b) { return {a.t > b.t}; }
inline Mask operator==(const Value& a, const Value& b) { return {a.t == b.t}; }
inline Mask operator<(const Value& a, double b) { return {a.t < b}; }
inline Mask operator>(const Value& a, double b) { return {a.t > b}; }
inline Mask operator<=(const Value& a, double b) { return {a.t <= b}; }
inline Mask operator>=(const Value& a, double b) { return {a.t >= b}; }
inline Mask operator==(const Value& a, double b) { return {a.t == b}; }
inline Value like(const Value& x, double c) { return {full_like(x.t, c)}; }
inline Value select(const Mask& m, const Value& a, const Value& b) { return {where(m.t, a.t, b.t)}; }

inline Value abs(const Value& x) { return {knet::abs(x.t)}; }
inline Value sign(const Value& x) { return {knet::sign(x.t)}; }
inline Value max(const Value& a, const Value& b) { return {knet::maximum(a.t, b.t)}; }
inline Value min(const Value& a, const Value& b) { return {knet::minimum(a.t, b.t)}; }
inline Value floor(const Value& x) { return {knet::floor(x.t)}; }
inline Value ceil(const Value& x) { return {knet::ceil(x.t)}; }
inline Value round(const Value& x) { return {knet::round(x.t)}; }
inline Value trunc(const Value& x) { return {knet::trunc(x.t)}; }
inline Value sqrt(const Value& x) { return {knet::sqrt(x.t)}; }
inline Value cbrt(const Value& x) { return {knet::cbrt(x.t)}; }
inline Value exp(const Value& x) { return {knet::exp(x.t)}; }
inline Value exp2(const Value& x) { return {knet::exp2(x.t)}; }
inline Value expm1(const Value& x) { return {knet::expm1(x.t)}; }
inline Value log(const Value& x) { return {knet::log(x.t)}; }
inline Value log2(const Value& x) { return {knet::log2(x.t)}; }
inline Value log10(const Value& x) { return {knet::log10(x.t)}; }
inline Value log1p(const Value& x) { return {knet::log1p(x.t)}; }
inline Value sin(const Value& x) { return {knet::sin(x.t)}; }
inline Value cos(const Value& x) { return {knet::cos(x.t)}; }
inline Value tan(const Value& x) { return {knet::tan(x.t)}; }
inline Value asin(const Value& x) { return {knet::asin(x.t)}; }
inline Value acos(const Value& x) { return {knet::acos(x.t)}; }
inline Value atan(const Value& x) { return {knet::atan(x.t)}; }
inline Value sinh(const Value& x) { return {knet::sinh(x.t)}; }
inline Value cosh(const Value& x) { return {knet::cosh(x.t)}; }
inline Value tanh(const Value& x) { return {knet::tanh(x.t)}; }
inline Value asinh(const Value& x) { return {knet::asinh(x.t)}; }
inline Value acosh(const Value& x) { return {knet::acosh(x.t)}; }
inline Value atanh(const Value& x) { return {knet::atanh(x.t)}; }
inline Value erf(const Value& x) { return {knet::erf(x.t)}; }
inline Value erfc(const Value& x) { return {knet::erfc(x.t)}; }
inline Value erfinv(const Value& x) { return {knet::erfinv(x.t)}; }
inline Value lgamma(const Value& x) { return {knet::lgamma(x.t)}; }
inline Value digamma(const Value& x) { return {knet::digamma(x.t)}; }
/// The kernel table ends at digamma's derivative; its own derivative is refused by name.
inline Value trigamma(const Value& x) {
  return {detail::unary_grad(Unary::digamma, {}, x.t.detach(), {}, ones_like(x.t))};
}
inline Value sigmoid(const Value& x) { return {sigm(x.t)}; }
inline Value pow(const Value& x, const Value& e) { return {knet::pow(x.t, e.t)}; }
inline Value atan2(const Value& y, const Value& x) { return {knet::atan2(y.t, x.t)}; }
inline Value hypot(const Value& a, const Value& b) { return {knet::hypot(a.t, b.t)}; }

}  // namespace knet::fn
