// Functions of vectors: exp, log and what is made of them within two or three units in the last place; the
// rarer ones lane by lane through the C library. NaN and infinities behave as in <cmath>. Included once per
// instruction set.
#if defined(KNET_VEC_MATH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef KNET_VEC_MATH_INL_HPP
#undef KNET_VEC_MATH_INL_HPP
#else
#define KNET_VEC_MATH_INL_HPP
#endif

#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();

/// c[0] + x (c[1] + x (c[2] + ...))
template <class T, std::size_t N>
HWY_INLINE Vec<T> polynomial(Vec<T> x, const double (&c)[N]) {
  auto r = Vec<T>::set(c[N - 1]);
  for (std::size_t i = N - 1; i-- > 0;) r = fma(r, x, Vec<T>::set(c[i]));
  return r;
}

/// 2^k, k an integer within the exponents of T.
template <class T>
HWY_INLINE Vec<T> power_of_2(Vec<T> k) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<hn::ScalableTag<T>> di;
  constexpr int bits = std::numeric_limits<T>::digits - 1, bias = std::numeric_limits<T>::max_exponent - 1;
  // The integer appears in the low bits of k + 1.5 * 2^bits.
  const auto magic = Vec<T>::set(1.5 * static_cast<double>(std::int64_t{1} << bits));
  const auto i = hn::Sub(hn::BitCast(di, (k + magic).v), hn::BitCast(di, magic.v));
  return hn::BitCast(d, hn::ShiftLeft<bits>(hn::Add(i, hn::Set(di, bias))));
}

// x = k ln2 + r with |r| <= ln2 / 2.
template <class T>
struct Reduced {
  Vec<T> k, r;
};
template <class T>
HWY_INLINE Reduced<T> reduce_by_ln2(Vec<T> x) {
  constexpr bool single = sizeof(T) == 4;
  const auto k = round(x * 1.44269504088896340736);
  // ln2 in two parts, the first with so few bits that its product with k is exact.
  auto r = fnma(k, Vec<T>::set(single ? 0.693359375 : 6.93147180369123816490e-01), x);
  r = fnma(k, Vec<T>::set(single ? -2.12194440e-4 : 1.90821492927058770002e-10), r);
  return {k, r};
}
/// exp(r) - 1 for |r| <= ln2 / 2: the Taylor series, long enough for the last bit.
template <class T>
HWY_INLINE Vec<T> small_expm1(Vec<T> r) {
  if constexpr (sizeof(T) == 4) {
    static constexpr double c[] = {5.0000000000e-1, 1.6666665459e-1, 4.1665795894e-2,
                                   8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4};
    return fma(polynomial<T>(r, c), r * r, r);
  } else {
    static constexpr double c[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                                   1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                                   1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    return fma(polynomial<T>(r, c), r * r, r);
  }
}

/// Below the smallest normal number the result is 0.
template <class T>
HWY_INLINE Vec<T> exp(Vec<T> x) {
  constexpr bool single = sizeof(T) == 4;
  constexpr double high = single ? 88.72283935546875 : 709.782712893384,
                   low = single ? -87.3365447 : -708.396418532264;
  const auto [k, r] = reduce_by_ln2(x);
  // Twice half the power: k may be one above the largest exponent.
  const auto h = power_of_2<T>(floor(k * 0.5));
  const auto rest = power_of_2<T>(k - floor(k * 0.5));
  const auto e = (small_expm1(r) + 1.0) * h * rest;
  return select(x < low, Vec<T>::zero(), select(x > high, Vec<T>::set(infinity<T>), e));
}
template <class T>
HWY_INLINE Vec<T> expm1(Vec<T> x) {
  constexpr bool single = sizeof(T) == 4;
  constexpr double high = single ? 88.72283935546875 : 709.782712893384, low = single ? -18 : -38;
  const auto [k, r] = reduce_by_ln2(x);
  const auto half = power_of_2<T>(k - 1.0);
  const auto e = fma(half, small_expm1(r), half - 0.5) * 2.0;
  // In the middle the sum would lose the lowest bits of tiny arguments.
  const auto y = select(k == 0.0, small_expm1(r), e);
  return select(x < low, Vec<T>::set(-1), select(x > high, Vec<T>::set(infinity<T>), y));
}
template <class T>
HWY_INLINE Vec<T> exp2(Vec<T> x) {
  constexpr bool single = sizeof(T) == 4;
  const auto k = round(x);
  const auto h = floor(k * 0.5);
  const auto e =
      (small_expm1((x - k) * 0.69314718055994530942) + 1.0) * power_of_2<T>(h) * power_of_2<T>(k - h);
  return select(x < (single ? -126.0 : -1022.0), Vec<T>::zero(),
                select(x >= (single ? 128.0 : 1024.0), Vec<T>::set(infinity<T>), e));
}
template <class T>
HWY_INLINE Vec<T> tanh(Vec<T> x) {
  constexpr double one = sizeof(T) == 4 ? 9.1 : 19.1;  // from here on tanh is 1
  const auto a = abs(x);
  const auto e = expm1(a * 2.0);
  const auto y = select(a > one, Vec<T>::set(1), e / (e + 2.0));
  return hn::CopySign(select(is_nan(x), x, y).v, x.v);
}
/// exp of a negative argument only: nothing overflows.
template <class T>
HWY_INLINE Vec<T> sigmoid(Vec<T> x) {
  const auto e = exp(-abs(x));
  const auto r = 1.0 / (e + 1.0);
  return select(x < 0.0, e * r, r);
}
template <class T>
HWY_INLINE Vec<T> sinh(Vec<T> x) {
  const auto a = abs(x);
  const auto e = expm1(a);
  // e^a overflows one ln2 before sinh does.
  const auto big = exp(a * 0.5);
  const auto y = select(a > (sizeof(T) == 4 ? 88.0 : 709.0), big * 0.5 * big, (e + e / (e + 1.0)) * 0.5);
  return hn::CopySign(select(is_nan(x), x, y).v, x.v);
}
template <class T>
HWY_INLINE Vec<T> cosh(Vec<T> x) {
  const auto half = exp(abs(x) * 0.5);
  const auto e = half * 0.5 * half;  // e^|x| / 2
  return e + 0.25 / e;
}

/// log(1 + f) - f + c for 1 + f in [sqrt(1/2), sqrt(2)], in the form f - s (f - R) of s = f / (2 + f).
template <class T>
HWY_INLINE Vec<T> log_of_one_plus(Vec<T> f, Vec<T> low) {
  const auto s = f / (f + 2.0);
  const auto z = s * s;
  Vec<T> series = z;
  if constexpr (sizeof(T) == 4) {
    static constexpr double c[] = {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9};
    series = polynomial<T>(z, c) * z;
  } else {
    static constexpr double c[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                                   2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
    series = polynomial<T>(z, c) * z;
  }
  return f - (s * (f - series) - low);
}
// x = 2^k m with m in [sqrt(1/2), sqrt(2)), x positive and normal.
template <class T>
HWY_INLINE Reduced<T> split_exponent(Vec<T> x) {
  const hn::ScalableTag<T> d;
  const hn::RebindToSigned<hn::ScalableTag<T>> di;
  using I = hn::TFromD<decltype(di)>;
  constexpr int bits = std::numeric_limits<T>::digits - 1;
  const auto root_half = hn::BitCast(di, hn::Set(d, static_cast<T>(0.70710678118654752440)));
  const auto moved = hn::Sub(hn::BitCast(di, x.v), root_half);
  const auto k = hn::ShiftRight<bits>(moved);
  const auto m = hn::BitCast(d, hn::Add(hn::And(moved, hn::Set(di, (I{1} << bits) - 1)), root_half));
  // k back to a float by the same low bits as in power_of_2.
  const auto magic = hn::Set(d, static_cast<T>(1.5 * static_cast<double>(std::int64_t{1} << bits)));
  return {Vec<T>(hn::BitCast(d, hn::Add(k, hn::BitCast(di, magic)))) - Vec<T>(magic), m};
}
template <class T>
HWY_INLINE Vec<T> log_special(Vec<T> x, Vec<T> y) {
  y = select(x == 0.0, Vec<T>::set(-infinity<T>), y);
  y = select(hn::Or(x < 0.0, is_nan(x)), Vec<T>::set(std::numeric_limits<T>::quiet_NaN()), y);
  return select(x == infinity<T>, x, y);
}
// ln2 * k in two parts.
template <class T>
constexpr double ln2_high = sizeof(T) == 4 ? 0.693359375 : 6.93147180369123816490e-01;
template <class T>
constexpr double ln2_low = sizeof(T) == 4 ? -2.12194440e-4 : 1.90821492927058770002e-10;

/// log x / ln 2 = k + log m / ln 2: `unit` is 1 for log, 1 / ln 2 for log2 and so on.
template <class T>
HWY_INLINE Vec<T> log(Vec<T> x) {
  constexpr double tiny = static_cast<double>(std::numeric_limits<T>::min());
  constexpr int up = std::numeric_limits<T>::digits;
  const auto small = x < tiny;
  const auto lifted = select(small, x * static_cast<double>(std::int64_t{1} << up), x);
  auto [k, m] = split_exponent(lifted);
  k = k - select(small, Vec<T>::set(up), Vec<T>::zero());
  const auto y = k * ln2_high<T> + log_of_one_plus(m - 1.0, k * ln2_low<T>);
  return log_special(x, y);
}
template <class T>
HWY_INLINE Vec<T> log2(Vec<T> x) {
  constexpr double tiny = static_cast<double>(std::numeric_limits<T>::min());
  constexpr int up = std::numeric_limits<T>::digits;
  const auto small = x < tiny;
  auto [k, m] = split_exponent(select(small, x * static_cast<double>(std::int64_t{1} << up), x));
  k = k - select(small, Vec<T>::set(up), Vec<T>::zero());
  return log_special(x,
                     fma(log_of_one_plus(m - 1.0, Vec<T>::zero()), Vec<T>::set(1.44269504088896340736), k));
}
template <class T>
HWY_INLINE Vec<T> log10(Vec<T> x) {
  return log(x) * 0.43429448190325182765;
}
template <class T>
HWY_INLINE Vec<T> log1p(Vec<T> x) {
  const auto u = x + 1.0;
  // What the sum has lost, relative to u.
  const auto lost = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x)) / u;
  const auto [k, m] = split_exponent(u);
  const auto y = k * ln2_high<T> + log_of_one_plus(m - 1.0, fma(k, Vec<T>::set(ln2_low<T>), lost));
  return select(abs(x) < (sizeof(T) == 4 ? 1e-7 : 1e-16), x, log_special(u, y));
}

// ---- lane by lane ----
template <class T, class F>
HWY_INLINE Vec<T> each_lane(Vec<T> x, const F& f) {
  HWY_ALIGN T t[Vec<T>::lanes];
  x.store(t);
  for (Int i = 0; i < Vec<T>::lanes; ++i) t[i] = f(fn::Scalar<T>(t[i])).v;
  return Vec<T>::load(t);
}
template <class T, class F>
HWY_INLINE Vec<T> each_lane(Vec<T> a, Vec<T> b, const F& f) {
  HWY_ALIGN T s[Vec<T>::lanes], t[Vec<T>::lanes];
  a.store(s);
  b.store(t);
  for (Int i = 0; i < Vec<T>::lanes; ++i) s[i] = f(fn::Scalar<T>(s[i]), fn::Scalar<T>(t[i])).v;
  return Vec<T>::load(s);
}
#define KNET_EACH_LANE(name)                             \
  template <class T>                                     \
  HWY_INLINE Vec<T> name(Vec<T> x) {                     \
    return each_lane(x, [](auto v) { return name(v); }); \
  }
KNET_EACH_LANE(cbrt)
KNET_EACH_LANE(sin)
KNET_EACH_LANE(cos)
KNET_EACH_LANE(tan)
KNET_EACH_LANE(asin)
KNET_EACH_LANE(acos)
KNET_EACH_LANE(atan)
KNET_EACH_LANE(asinh)
KNET_EACH_LANE(acosh)
KNET_EACH_LANE(atanh)
KNET_EACH_LANE(erf)
KNET_EACH_LANE(erfc)
KNET_EACH_LANE(erfinv)
KNET_EACH_LANE(lgamma)
KNET_EACH_LANE(digamma)
KNET_EACH_LANE(trigamma)
#undef KNET_EACH_LANE
template <class T>
HWY_INLINE Vec<T> pow(Vec<T> x, Vec<T> e) {
  return each_lane(x, e, [](auto a, auto b) { return pow(a, b); });
}
template <class T>
HWY_INLINE Vec<T> atan2(Vec<T> y, Vec<T> x) {
  return each_lane(y, x, [](auto a, auto b) { return atan2(a, b); });
}
template <class T>
HWY_INLINE Vec<T> hypot(Vec<T> x, Vec<T> y) {
  return each_lane(x, y, [](auto a, auto b) { return hypot(a, b); });
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
