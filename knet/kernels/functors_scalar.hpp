// One number as the functors want it: Scalar<float>, Scalar<double>, and the integers. Not installed.
#pragma once
#include <cmath>
#include <type_traits>

#include "knet/kernels/kernels.hpp"

namespace knet::fn {

/// The comparisons and logical functions of Binary; the others are functors.
template <class T>
bool compared(Binary op, T a, T b) {
  switch (op) {
    case Binary::lt: return a < b;
    case Binary::gt: return a > b;
    case Binary::le: return a <= b;
    case Binary::ge: return a >= b;
    case Binary::eq: return a == b;
    case Binary::ne: return a != b;
    case Binary::logical_and: return a != T(0) && b != T(0);
    case Binary::logical_or: return a != T(0) || b != T(0);
    default: return (a != T(0)) != (b != T(0));
  }
}

template <class T>
struct Scalar {
  T v;
  constexpr Scalar(T x) : v(x) {}

  friend Scalar operator-(Scalar a) { return static_cast<T>(-a.v); }
  friend Scalar operator+(Scalar a, Scalar b) { return static_cast<T>(a.v + b.v); }
  friend Scalar operator-(Scalar a, Scalar b) { return static_cast<T>(a.v - b.v); }
  friend Scalar operator*(Scalar a, Scalar b) { return static_cast<T>(a.v * b.v); }
  friend Scalar operator/(Scalar a, Scalar b) { return static_cast<T>(a.v / b.v); }
  friend Scalar operator+(Scalar a, double b) { return a + like(a, b); }
  friend Scalar operator-(Scalar a, double b) { return a - like(a, b); }
  friend Scalar operator*(Scalar a, double b) { return a * like(a, b); }
  friend Scalar operator/(Scalar a, double b) { return a / like(a, b); }
  friend Scalar operator+(double a, Scalar b) { return like(b, a) + b; }
  friend Scalar operator-(double a, Scalar b) { return like(b, a) - b; }
  friend Scalar operator*(double a, Scalar b) { return like(b, a) * b; }
  friend Scalar operator/(double a, Scalar b) { return like(b, a) / b; }
  friend bool operator<(Scalar a, Scalar b) { return a.v < b.v; }
  friend bool operator>(Scalar a, Scalar b) { return a.v > b.v; }
  friend bool operator<=(Scalar a, Scalar b) { return a.v <= b.v; }
  friend bool operator>=(Scalar a, Scalar b) { return a.v >= b.v; }
  friend bool operator==(Scalar a, Scalar b) { return a.v == b.v; }
  friend bool operator<(Scalar a, double b) { return a.v < static_cast<T>(b); }
  friend bool operator>(Scalar a, double b) { return a.v > static_cast<T>(b); }
  friend bool operator<=(Scalar a, double b) { return a.v <= static_cast<T>(b); }
  friend bool operator>=(Scalar a, double b) { return a.v >= static_cast<T>(b); }
  friend bool operator==(Scalar a, double b) { return a.v == static_cast<T>(b); }
  friend Scalar like(Scalar, double c) { return static_cast<T>(c); }
  friend Scalar select(bool m, Scalar a, Scalar b) { return m ? a : b; }

  friend Scalar abs(Scalar x) {
    return x.v < 0                       ? static_cast<T>(-x.v)
           : std::is_floating_point_v<T> ? static_cast<T>(std::fabs(x.v))
                                         : x.v;
  }
  friend Scalar sign(Scalar x) { return x.v > 0 ? T(1) : x.v < 0 ? static_cast<T>(-1) : x.v; }
  friend Scalar max(Scalar a, Scalar b) { return a.v > b.v || a.v != a.v ? a : b; }
  friend Scalar min(Scalar a, Scalar b) { return a.v < b.v || a.v != a.v ? a : b; }
  friend Scalar floor(Scalar x) { return static_cast<T>(std::floor(x.v)); }
  friend Scalar ceil(Scalar x) { return static_cast<T>(std::ceil(x.v)); }
  friend Scalar round(Scalar x) { return static_cast<T>(std::nearbyint(x.v)); }
  friend Scalar trunc(Scalar x) { return static_cast<T>(std::trunc(x.v)); }
  friend Scalar sqrt(Scalar x) { return static_cast<T>(std::sqrt(x.v)); }
  friend Scalar cbrt(Scalar x) { return static_cast<T>(std::cbrt(x.v)); }
  friend Scalar exp(Scalar x) { return static_cast<T>(std::exp(x.v)); }
  friend Scalar exp2(Scalar x) { return static_cast<T>(std::exp2(x.v)); }
  friend Scalar expm1(Scalar x) { return static_cast<T>(std::expm1(x.v)); }
  friend Scalar log(Scalar x) { return static_cast<T>(std::log(x.v)); }
  friend Scalar log2(Scalar x) { return static_cast<T>(std::log2(x.v)); }
  friend Scalar log10(Scalar x) { return static_cast<T>(std::log10(x.v)); }
  friend Scalar log1p(Scalar x) { return static_cast<T>(std::log1p(x.v)); }
  friend Scalar sin(Scalar x) { return static_cast<T>(std::sin(x.v)); }
  friend Scalar cos(Scalar x) { return static_cast<T>(std::cos(x.v)); }
  friend Scalar tan(Scalar x) { return static_cast<T>(std::tan(x.v)); }
  friend Scalar asin(Scalar x) { return static_cast<T>(std::asin(x.v)); }
  friend Scalar acos(Scalar x) { return static_cast<T>(std::acos(x.v)); }
  friend Scalar atan(Scalar x) { return static_cast<T>(std::atan(x.v)); }
  friend Scalar sinh(Scalar x) { return static_cast<T>(std::sinh(x.v)); }
  friend Scalar cosh(Scalar x) { return static_cast<T>(std::cosh(x.v)); }
  friend Scalar tanh(Scalar x) { return static_cast<T>(std::tanh(x.v)); }
  friend Scalar asinh(Scalar x) { return static_cast<T>(std::asinh(x.v)); }
  friend Scalar acosh(Scalar x) { return static_cast<T>(std::acosh(x.v)); }
  friend Scalar atanh(Scalar x) { return static_cast<T>(std::atanh(x.v)); }
  friend Scalar erf(Scalar x) { return static_cast<T>(std::erf(x.v)); }
  friend Scalar erfc(Scalar x) { return static_cast<T>(std::erfc(x.v)); }
  friend Scalar pow(Scalar x, Scalar e) { return static_cast<T>(std::pow(x.v, e.v)); }
  friend Scalar atan2(Scalar y, Scalar x) { return static_cast<T>(std::atan2(y.v, x.v)); }
  friend Scalar hypot(Scalar a, Scalar b) { return static_cast<T>(std::hypot(a.v, b.v)); }
  // Of a positive argument only: neither branch overflows.
  friend Scalar sigmoid(Scalar x) {
    const double e = std::exp(-std::fabs(static_cast<double>(x.v)));
    return static_cast<T>(x.v < 0 ? e / (1 + e) : 1 / (1 + e));
  }
  friend Scalar lgamma(Scalar x) { return static_cast<T>(log_gamma(static_cast<double>(x.v))); }
  friend Scalar digamma(Scalar x) { return static_cast<T>(psi(static_cast<double>(x.v))); }
  friend Scalar trigamma(Scalar x) { return static_cast<T>(psi1(static_cast<double>(x.v))); }
  friend Scalar erfinv(Scalar x) { return static_cast<T>(erf_inverse(static_cast<double>(x.v))); }

 private:
  static double log_gamma(double x) {
    int sign = 0;
    return ::lgamma_r(x, &sign);  // std::lgamma writes a global
  }
  static double psi(double x);
  static double psi1(double x);
  static double erf_inverse(double x);
};

/// The derivative of log Gamma: reflection for negative x, recurrence up to 10, then the asymptotic series
/// (Abramowitz & Stegun 6.3.7, 6.3.5, 6.3.18).
template <class T>
double Scalar<T>::psi(double x) {
  constexpr double half_circle = 3.14159265358979323846;
  if (x <= 0) {
    if (x == std::floor(x)) return x == 0 ? -INFINITY : NAN;
    return psi(1 - x) - half_circle / std::tan(half_circle * x);
  }
  double r = 0;
  for (; x < 10; x += 1) r -= 1 / x;
  const double z = 1 / (x * x);
  return r + std::log(x) - 0.5 / x -
         z * (1.0 / 12 -
              z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760))))));
}
/// The derivative of psi (A&S 6.4.7, 6.4.6, 6.4.12).
template <class T>
double Scalar<T>::psi1(double x) {
  constexpr double half_circle = 3.14159265358979323846;
  if (x <= 0) {
    if (x == std::floor(x)) return INFINITY;
    const double s = std::sin(half_circle * x);
    return half_circle * half_circle / (s * s) - psi1(1 - x);
  }
  double r = 0;
  for (; x < 10; x += 1) r += 1 / (x * x);
  const double z = 1 / (x * x);
  return r + 1 / x + 0.5 * z +
         z / x *
             (1.0 / 6 -
              z * (1.0 / 30 - z * (1.0 / 42 - z * (1.0 / 30 - z * (5.0 / 66 - z * (691.0 / 2730))))));
}
/// A first guess (S. Winitzki's closed formula, 2008), then Halley's steps on erfc, which doubles cannot
/// improve.
template <class T>
double Scalar<T>::erf_inverse(double x) {
  if (!(std::fabs(x) < 1)) return x == 1 ? INFINITY : x == -1 ? -INFINITY : NAN;
  if (x == 0) return x;
  const double a = 0.147, l = std::log1p(-x * x), t = 2 / (3.14159265358979323846 * a) + l / 2;
  double y = std::copysign(std::sqrt(std::sqrt(t * t - l / a) - t), x);
  for (int i = 0; i < 3; ++i) {
    const double error = std::fabs(x) < 0.5 ? std::erf(y) - x
                         : x > 0            ? (1 - x) - std::erfc(y)
                                            : std::erfc(-y) - (1 + x);
    const double step = error / (1.12837916709551257390 * std::exp(-y * y));
    y -= step / (1 + y * step);
  }
  return y;
}

}  // namespace knet::fn
