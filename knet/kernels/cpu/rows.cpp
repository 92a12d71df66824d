#include "knet/kernels/cpu/rows.hpp"

#include <cmath>

#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/rows.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

template <class T>
HWY_INLINE T largest(Int n, const T* x) {
  using V = Vec<T>;
  const auto none = -static_cast<double>(infinity<T>);
  V m = V::set(none);
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) m = hn::Max(m.v, V::load(x + i).v);
  if (i < n) m = hn::Max(m.v, V::load_some_or(x + i, n - i, none).v);
  return max_lanes(m);
}
/// y = exp(x - shift); returns the sum. NaN in x makes it NaN.
template <class T>
HWY_INLINE T exponentials(Int n, const T* x, T shift, T* y) {
  using V = Vec<T>;
  const V s = V::set(static_cast<double>(shift));
  V sum = V::zero();
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V e = exp(V::load(x + i) - s);
    if (y) e.store(y + i);
    sum = sum + e;
  }
  if (i < n) {
    const V e = exp(V::load_some_or(x + i, n - i, -static_cast<double>(infinity<T>)) - s);
    if (y) e.store_some(y + i, n - i);
    // -inf less an infinite shift is not 0.
    sum = sum + hn::IfThenElseZero(hn::FirstN(typename V::D(), static_cast<std::size_t>(n - i)), e.v);
  }
  return sum_lanes(sum);
}
template <class T>
HWY_INLINE void shift_scale(Int n, const T* x, double shift, double scale, T* y) {
  using V = Vec<T>;
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) ((V::load(x + i) - shift) * scale).store(y + i);
  if (i < n) ((V::load_some(x + i, n - i) - shift) * scale).store_some(y + i, n - i);
}

template <class T>
void softmax(bool logarithm, Int n, const T* x, T* y) {
  const T m = largest(n, x);
  if (logarithm) {
    const T sum = exponentials<T>(n, x, m, nullptr);
    // Both subtracted in turn: their sum would lose what is small beside a large maximum.
    shift_scale(n, x, static_cast<double>(m), 1.0, y);
    shift_scale(n, y, std::log(static_cast<double>(sum)), 1.0, y);
  } else {
    const T sum = exponentials(n, x, m, y);
    shift_scale(n, y, 0.0, 1.0 / static_cast<double>(sum), y);
  }
}

template <class T>
void softmax_grad(bool logarithm, Int n, const T* y, const T* dy, T* dx) {
  using V = Vec<T>;
  V sum = V::zero();
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V d = V::load(dy + i);
    sum = logarithm ? sum + d : fma(V::load(y + i), d, sum);
  }
  if (i < n) {
    const V d = V::load_some(dy + i, n - i);
    sum = logarithm ? sum + d : fma(V::load_some(y + i, n - i), d, sum);
  }
  const V s = V::set(static_cast<double>(sum_lanes(sum)));
  for (i = 0; i + V::lanes <= n; i += V::lanes) {
    const V d = V::load(dy + i), v = V::load(y + i);
    (logarithm ? fnma(exp(v), s, d) : v * (d - s)).store(dx + i);
  }
  if (i < n) {
    const V d = V::load_some(dy + i, n - i), v = V::load_some(y + i, n - i);
    (logarithm ? fnma(exp(v), s, d) : v * (d - s)).store_some(dx + i, n - i);
  }
}

template <class T>
double nll(Int n, const T* x, Int label, double scale, T* d) {
  const T m = largest(n, x);
  const double sum = static_cast<double>(exponentials(n, x, m, d));
  if (d) {
    shift_scale(n, d, 0.0, scale / sum, d);
    d[label] -= static_cast<T>(scale);
  }
  return static_cast<double>(m - x[label]) + std::log(sum);
}

/// Sum of f(i-th vector) with 0 where there is no element.
template <class T>
HWY_INLINE T sum_of(Int n, const T* x) {
  using V = Vec<T>;
  V a = V::zero(), b = a, c = a, e = a;
  Int i = 0;
  for (; i + 4 * V::lanes <= n; i += 4 * V::lanes) {
    a = a + V::load(x + i), b = b + V::load(x + i + V::lanes);
    c = c + V::load(x + i + 2 * V::lanes), e = e + V::load(x + i + 3 * V::lanes);
  }
  for (; i + V::lanes <= n; i += V::lanes) a = a + V::load(x + i);
  if (i < n) a = a + V::load_some(x + i, n - i);
  return sum_lanes((a + b) + (c + e));
}
template <class T>
HWY_INLINE T squares_around(Int n, const T* x, T mean) {
  using V = Vec<T>;
  const V m = V::set(static_cast<double>(mean));
  V a = V::zero(), b = a;
  Int i = 0;
  for (; i + 2 * V::lanes <= n; i += 2 * V::lanes) {
    const V u = V::load(x + i) - m, v = V::load(x + i + V::lanes) - m;
    a = fma(u, u, a), b = fma(v, v, b);
  }
  for (; i < n; i += V::lanes) {
    const V u =
        (n - i >= V::lanes ? V::load(x + i) : V::load_some_or(x + i, n - i, static_cast<double>(mean))) - m;
    a = fma(u, u, a);
  }
  return sum_lanes(a + b);
}

template <class T>
void layer_norm(Int n, const T* x, const T* gamma, const T* beta, double eps, T* y, T* mean, T* rstd) {
  using V = Vec<T>;
  const T m = sum_of(n, x) / static_cast<T>(n);
  const T r = static_cast<T>(
      1 / std::sqrt(static_cast<double>(squares_around(n, x, m)) / static_cast<double>(n) + eps));
  *mean = m;
  *rstd = r;
  const V mv = V::set(static_cast<double>(m)), rv = V::set(static_cast<double>(r));
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    V v = (V::load(x + i) - mv) * rv;
    if (gamma) v = v * V::load(gamma + i);
    if (beta) v = v + V::load(beta + i);
    v.store(y + i);
  }
  if (const Int k = n - i; k > 0) {
    V v = (V::load_some(x + i, k) - mv) * rv;
    if (gamma) v = v * V::load_some(gamma + i, k);
    if (beta) v = v + V::load_some(beta + i, k);
    v.store_some(y + i, k);
  }
}

template <class T>
void layer_norm_grad(Int n, const T* x, const T* gamma, T mean, T rstd, const T* dy, T* dx, T* dgamma,
                     T* dbeta) {
  using V = Vec<T>;
  const V m = V::set(static_cast<double>(mean)), r = V::set(static_cast<double>(rstd));
  V sum = V::zero(), dot = sum;
  for (Int i = 0; i < n; i += V::lanes) {
    const Int k = n - i;
    const bool all = k >= V::lanes;
    const auto load = [&](const T* p) HWY_ATTR { return all ? V::load(p + i) : V::load_some(p + i, k); };
    const V d = load(dy), hat = (load(x) - m) * r, g = gamma ? d * load(gamma) : d;
    sum = sum + g;  // beyond the end d is 0
    dot = fma(g, hat, dot);
    if (dgamma) {
      const V t = fma(d, hat, load(dgamma));
      all ? t.store(dgamma + i) : t.store_some(dgamma + i, k);
    }
    if (dbeta) {
      const V t = d + load(dbeta);
      all ? t.store(dbeta + i) : t.store_some(dbeta + i, k);
    }
  }
  const V a = V::set(static_cast<double>(sum_lanes(sum)) / static_cast<double>(n)),
          b = V::set(static_cast<double>(sum_lanes(dot)) / static_cast<double>(n));
  for (Int i = 0; i < n; i += V::lanes) {
    const Int k = n - i;
    const bool all = k >= V::lanes;
    const auto load = [&](const T* p) HWY_ATTR { return all ? V::load(p + i) : V::load_some(p + i, k); };
    const V d = load(dy), hat = (load(x) - m) * r, g = gamma ? d * load(gamma) : d;
    const V t = r * fnma(hat, b, g - a);
    all ? t.store(dx + i) : t.store_some(dx + i, k);
  }
}

template <class T>
RowKernels<T> table() {
  return {softmax<T>, softmax_grad<T>, nll<T>, layer_norm<T>, layer_norm_grad<T>};
}
RowKernels<float> table_f32() { return table<float>(); }
RowKernels<double> table_f64() { return table<double>(); }

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(table_f32);
auto best_table_f32() { return HWY_DYNAMIC_DISPATCH(table_f32); }
HWY_EXPORT(table_f64);
auto best_table_f64() { return HWY_DYNAMIC_DISPATCH(table_f64); }
}  // namespace simd

template <>
const RowKernels<float>& row_kernels() {
  static const RowKernels<float> t = simd::best_table_f32()();
  return t;
}
template <>
const RowKernels<double>& row_kernels() {
  static const RowKernels<double> t = simd::best_table_f64()();
  return t;
}

}  // namespace knet::cpu_impl
#endif
