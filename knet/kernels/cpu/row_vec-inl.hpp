// Vectors for kernels that work on rows: partial loads, folding into double, exp and log. Included once per
// instruction set.
#if defined(KNET_ROW_VEC_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef KNET_ROW_VEC_INL_HPP
#undef KNET_ROW_VEC_INL_HPP
#else
#define KNET_ROW_VEC_INL_HPP
#endif

#include <cstdint>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::rows::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Int = std::int64_t;

template <class T>
using Tag = hn::ScalableTag<T>;
template <class T>
using Vec = hn::Vec<Tag<T>>;

template <class T>
constexpr Int lanes() {
  return static_cast<Int>(HWY_LANES(T));
}

// Masked loads and stores that do not touch what is masked out.
constexpr bool native_mask = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3;

// Elements summed in the type itself before the sum goes to double: few enough for an error of a few ulps.
constexpr Int sum_chunk = 1024;

/// The first n < lanes elements at p, the other lanes 0. Reads nothing else.
template <class T>
HWY_INLINE Vec<T> load_some(const T* HWY_RESTRICT p, Int n) {
  const Tag<T> d;
  if constexpr (native_mask) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(n)), d, p);
  } else {
    HWY_ALIGN T t[lanes<T>()] = {};
    for (Int i = 0; i < n; ++i) t[i] = p[i];
    return hn::Load(d, t);
  }
}
template <class T>
HWY_INLINE void store_some(Vec<T> v, T* HWY_RESTRICT p, Int n) {
  const Tag<T> d;
  if constexpr (native_mask) {
    hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(n)), d, p);
  } else {
    HWY_ALIGN T t[lanes<T>()];
    hn::Store(v, d, t);
    for (Int i = 0; i < n; ++i) p[i] = t[i];
  }
}
/// load_some with -infinity in the other lanes.
template <class T>
HWY_INLINE Vec<T> load_some_or_lowest(const T* HWY_RESTRICT p, Int n) {
  const Tag<T> d;
  return hn::IfThenElse(hn::FirstN(d, static_cast<std::size_t>(n)), load_some(p, n),
                        hn::Set(d, -std::numeric_limits<T>::infinity()));
}

template <class T>
HWY_INLINE T sum_lanes(Vec<T> v) {
  return hn::GetLane(hn::SumOfLanes(Tag<T>(), v));
}
template <class T>
HWY_INLINE T max_lanes(Vec<T> v) {
  return hn::GetLane(hn::MaxOfLanes(Tag<T>(), v));
}

/// acc[0 .. lanes) += v, in double.
HWY_INLINE void add_wide(Vec<float> v, double* HWY_RESTRICT acc) {
#if HWY_TARGET == HWY_SCALAR
  *acc += static_cast<double>(hn::GetLane(v));
#else
  const Tag<double> dd;
  const hn::Rebind<float, Tag<double>> half;
  constexpr Int n = lanes<double>();
  hn::StoreU(hn::Add(hn::LoadU(dd, acc), hn::PromoteTo(dd, hn::LowerHalf(half, v))), dd, acc);
  hn::StoreU(hn::Add(hn::LoadU(dd, acc + n), hn::PromoteTo(dd, hn::UpperHalf(half, v))), dd, acc + n);
#endif
}
HWY_INLINE void add_wide(Vec<double> v, double* HWY_RESTRICT acc) {
  const Tag<double> dd;
  hn::StoreU(hn::Add(hn::LoadU(dd, acc), v), dd, acc);
}

/// exp for arguments up to 88, to about one ulp; 0 where the result would be denormal; NaN stays.
HWY_INLINE Vec<float> exp_of(Vec<float> x) {
  const Tag<float> d;
  const hn::RebindToSigned<Tag<float>> di;
  const auto k = hn::NearestInt(hn::Mul(x, hn::Set(d, 1.44269504f)));
  const auto n = hn::ConvertTo(d, k);
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  auto p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, hn::Set(d, 1.0f)));
  const auto power = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(k, hn::Set(di, 127))));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.33f)), hn::Mul(p, power));
}
HWY_INLINE Vec<double> exp_of(Vec<double> x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(Tag<double>(), x));
}
/// log of positive numbers; NaN stays.
template <class T>
HWY_INLINE Vec<T> log_of(Vec<T> x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Log(Tag<T>(), x));
}

/// f(p + i) summed in double over whole vectors and a tail: `f(i)` gives the vector at i, `tail(i, n)` the
/// last n < lanes elements with 0 in the other lanes.
template <class T, class F, class G>
HWY_INLINE double wide_sum(Int n, const F& f, const G& tail) {
  const Tag<T> d;
  constexpr Int L = lanes<T>();
  double total = 0;
  Int i = 0;
  while (n - i >= L) {
    const Int end = n - i > sum_chunk ? i + sum_chunk : i + (n - i) / L * L;
    auto a = hn::Zero(d), b = a, c = a, e = a;
    for (; i + 4 * L <= end; i += 4 * L) {
      a = hn::Add(a, f(i));
      b = hn::Add(b, f(i + L));
      c = hn::Add(c, f(i + 2 * L));
      e = hn::Add(e, f(i + 3 * L));
    }
    for (; i < end; i += L) a = hn::Add(a, f(i));
    a = hn::Add(hn::Add(a, b), hn::Add(c, e));
    if (end + L > n && end < n) {
      a = hn::Add(a, tail(end, n - end));
      i = n;
    }
    total += static_cast<double>(sum_lanes<T>(a));
  }
  if (i < n) total += static_cast<double>(sum_lanes<T>(tail(i, n - i)));
  return total;
}

}  // namespace knet::cpu_impl::rows::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
