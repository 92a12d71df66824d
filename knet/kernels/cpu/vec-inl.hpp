// A vector of numbers as kernels/functors.hpp wants it: operators, comparisons that give masks, selection;
// and loads and stores of the few elements at the end of a line. Included once per instruction set.
#if defined(KNET_VEC_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef KNET_VEC_INL_HPP
#undef KNET_VEC_INL_HPP
#else
#define KNET_VEC_INL_HPP
#endif

#include <cmath>
#include <cstdint>
#include <limits>

#include "hwy/highway.h"
#include "knet/kernels/functors_scalar.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Int = std::int64_t;

// Masked loads and stores that do not touch what is masked out.
constexpr bool has_masked_memory = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3;

template <class T>
struct Vec {
  using D = hn::ScalableTag<T>;
  using Raw = hn::Vec<D>;
  using Mask = hn::Mask<D>;
  using Element = T;
  static constexpr Int lanes = static_cast<Int>(HWY_LANES(T));

  Raw v;
  Vec() = default;
  HWY_INLINE Vec(Raw r) : v(r) {}
  static HWY_INLINE Vec set(double c) { return hn::Set(D(), static_cast<T>(c)); }
  static HWY_INLINE Vec zero() { return hn::Zero(D()); }
  static HWY_INLINE Vec load(const T* p) { return hn::LoadU(D(), p); }
  HWY_INLINE void store(T* p) const { hn::StoreU(v, D(), p); }

  /// The first n < lanes elements at p, the other lanes 0; reads nothing else.
  static HWY_INLINE Vec load_some(const T* p, Int n) {
    if constexpr (has_masked_memory) {
      return hn::MaskedLoad(hn::FirstN(D(), static_cast<std::size_t>(n)), D(), p);
    } else {
      HWY_ALIGN T t[lanes] = {};
      for (Int i = 0; i < n; ++i) t[i] = p[i];
      return hn::Load(D(), t);
    }
  }
  /// The same with `fill` in the other lanes.
  static HWY_INLINE Vec load_some_or(const T* p, Int n, double fill) {
    return hn::IfThenElse(hn::FirstN(D(), static_cast<std::size_t>(n)), load_some(p, n).v, set(fill).v);
  }
  HWY_INLINE void store_some(T* p, Int n) const {
    if constexpr (has_masked_memory) {
      hn::BlendedStore(v, hn::FirstN(D(), static_cast<std::size_t>(n)), D(), p);
    } else {
      HWY_ALIGN T t[lanes];
      hn::Store(v, D(), t);
      for (Int i = 0; i < n; ++i) p[i] = t[i];
    }
  }

  friend HWY_INLINE Vec operator-(Vec a) { return hn::Neg(a.v); }
  friend HWY_INLINE Vec operator+(Vec a, Vec b) { return hn::Add(a.v, b.v); }
  friend HWY_INLINE Vec operator-(Vec a, Vec b) { return hn::Sub(a.v, b.v); }
  friend HWY_INLINE Vec operator*(Vec a, Vec b) { return hn::Mul(a.v, b.v); }
  friend HWY_INLINE Vec operator/(Vec a, Vec b) { return hn::Div(a.v, b.v); }
  friend HWY_INLINE Vec operator+(Vec a, double b) { return a + set(b); }
  friend HWY_INLINE Vec operator-(Vec a, double b) { return a - set(b); }
  friend HWY_INLINE Vec operator*(Vec a, double b) { return a * set(b); }
  friend HWY_INLINE Vec operator/(Vec a, double b) { return a / set(b); }
  friend HWY_INLINE Vec operator+(double a, Vec b) { return set(a) + b; }
  friend HWY_INLINE Vec operator-(double a, Vec b) { return set(a) - b; }
  friend HWY_INLINE Vec operator*(double a, Vec b) { return set(a) * b; }
  friend HWY_INLINE Vec operator/(double a, Vec b) { return set(a) / b; }
  friend HWY_INLINE Mask operator<(Vec a, Vec b) { return hn::Lt(a.v, b.v); }
  friend HWY_INLINE Mask operator>(Vec a, Vec b) { return hn::Gt(a.v, b.v); }
  friend HWY_INLINE Mask operator<=(Vec a, Vec b) { return hn::Le(a.v, b.v); }
  friend HWY_INLINE Mask operator>=(Vec a, Vec b) { return hn::Ge(a.v, b.v); }
  friend HWY_INLINE Mask operator==(Vec a, Vec b) { return hn::Eq(a.v, b.v); }
  friend HWY_INLINE Mask operator<(Vec a, double b) { return a < set(b); }
  friend HWY_INLINE Mask operator>(Vec a, double b) { return a > set(b); }
  friend HWY_INLINE Mask operator<=(Vec a, double b) { return a <= set(b); }
  friend HWY_INLINE Mask operator>=(Vec a, double b) { return a >= set(b); }
  friend HWY_INLINE Mask operator==(Vec a, double b) { return a == set(b); }
  friend HWY_INLINE Vec like(Vec, double c) { return set(c); }
  friend HWY_INLINE Vec select(Mask m, Vec a, Vec b) { return hn::IfThenElse(m, a.v, b.v); }

  friend HWY_INLINE Mask is_nan(Vec x) { return hn::IsNaN(x.v); }
  friend HWY_INLINE Vec abs(Vec x) { return hn::Abs(x.v); }
  friend HWY_INLINE Vec sign(Vec x) { return select(x > 0.0, set(1), select(x < 0.0, set(-1), x)); }
  friend HWY_INLINE Vec max(Vec a, Vec b) { return select(hn::Or(a > b, is_nan(a)), a, b); }
  friend HWY_INLINE Vec min(Vec a, Vec b) { return select(hn::Or(a < b, is_nan(a)), a, b); }
  friend HWY_INLINE Vec floor(Vec x) { return hn::Floor(x.v); }
  friend HWY_INLINE Vec ceil(Vec x) { return hn::Ceil(x.v); }
  friend HWY_INLINE Vec round(Vec x) { return hn::Round(x.v); }
  friend HWY_INLINE Vec trunc(Vec x) { return hn::Trunc(x.v); }
  friend HWY_INLINE Vec sqrt(Vec x) { return hn::Sqrt(x.v); }
  /// a * b + c
  friend HWY_INLINE Vec fma(Vec a, Vec b, Vec c) { return hn::MulAdd(a.v, b.v, c.v); }
  /// c - a * b
  friend HWY_INLINE Vec fnma(Vec a, Vec b, Vec c) { return hn::NegMulAdd(a.v, b.v, c.v); }
  friend HWY_INLINE T sum_lanes(Vec x) { return hn::GetLane(hn::SumOfLanes(D(), x.v)); }
  friend HWY_INLINE T max_lanes(Vec x) { return hn::GetLane(hn::MaxOfLanes(D(), x.v)); }
};

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
