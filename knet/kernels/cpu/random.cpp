// Random numbers and dropout by the recipe of reference/random.hpp: the same bits, many blocks of the counter
// at once. Normal floats take their logarithm and their angle in single precision, within a few ulps of the
// recipe.
#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/lines.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/random.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

using U32 = hn::ScalableTag<std::uint32_t>;
using Bits = hn::Vec<U32>;
constexpr Int u32_lanes = static_cast<Int>(HWY_LANES(std::uint32_t));

// The upper halves of the 64-bit products.
HWY_INLINE Bits high_product(Bits a, Bits b) {
  const U32 d;
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(d, static_cast<std::uint32_t>((std::uint64_t{hn::GetLane(a)} * hn::GetLane(b)) >> 32));
#else
  const auto even = hn::BitCast(d, hn::MulEven(a, b));
  const auto odd = hn::BitCast(d, hn::MulEven(hn::Reverse2(d, a), hn::Reverse2(d, b)));
  return hn::OddEven(odd, hn::Reverse2(d, even));
#endif
}

/// Blocks [block, block + lanes) of the stream, in the order of their numbers.
HWY_INLINE void philox_blocks(RandomKey key, std::uint64_t block, std::uint32_t* out) {
  const U32 d;
  const auto low = static_cast<std::uint32_t>(block);
  const auto step = hn::Iota(d, 0u);
  Bits c0 = hn::Add(hn::Set(d, low), step);
  // Counters that passed 2^32 on the way.
  const Bits carry = hn::IfThenElseZero(hn::Lt(c0, hn::Set(d, low)), hn::Set(d, 1u));
  Bits c1 = hn::Add(hn::Set(d, static_cast<std::uint32_t>(block >> 32)), carry);
  Bits c2 = hn::Set(d, static_cast<std::uint32_t>(key.stream));
  Bits c3 = hn::Set(d, static_cast<std::uint32_t>(key.stream >> 32));
  auto k0 = static_cast<std::uint32_t>(key.seed), k1 = static_cast<std::uint32_t>(key.seed >> 32);
  const Bits m0 = hn::Set(d, 0xD2511F53u), m1 = hn::Set(d, 0xCD9E8D57u);
  for (int round = 0; round < 10; ++round) {
    const Bits n0 = hn::Xor(hn::Xor(high_product(c2, m1), c1), hn::Set(d, k0)), n1 = hn::Mul(c2, m1);
    const Bits n2 = hn::Xor(hn::Xor(high_product(c0, m0), c3), hn::Set(d, k1)), n3 = hn::Mul(c0, m0);
    c0 = n0, c1 = n1, c2 = n2, c3 = n3;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  hn::StoreInterleaved4(c0, c1, c2, c3, d, out);
}

// Numbers made at a time: whole calls of philox_blocks for any instruction set.
constexpr Int batch = 1024;
/// Numbers [first, first + n), n <= batch, first a multiple of 4.
HWY_INLINE void numbers(RandomKey key, Int first, Int n, std::uint32_t* out) {
  for (Int i = 0; i < n; i += 4 * u32_lanes)
    philox_blocks(key, static_cast<std::uint64_t>(first + i) / 4, out + i);
}
HWY_INLINE Vec<float> unit_floats(const std::uint32_t* bits) {
  const hn::RebindToSigned<U32> di;
  const auto high = hn::BitCast(di, hn::ShiftRight<8>(hn::LoadU(U32(), bits)));
  return Vec<float>(hn::ConvertTo(hn::ScalableTag<float>(), high)) * 0x1p-24;
}

/// Elements [begin, end) of y, dense, y points to element 0. begin is a multiple of batch.
void uniform_f32(RandomKey key, float a, float b, Int begin, Int end, float* y) {
  using V = Vec<float>;
  HWY_ALIGN std::uint32_t bits[batch + 4 * u32_lanes];
  const V low = V::set(static_cast<double>(a)), range = V::set(static_cast<double>(b - a)),
          last = V::set(static_cast<double>(a == b ? b : std::nextafter(b, a))),
          top = V::set(static_cast<double>(b));
  for (Int i = begin; i < end; i += batch) {
    const Int n = std::min(batch, end - i);
    numbers(key, i, n, bits);
    for (Int j = 0; j < n; j += V::lanes) {
      const V v = low + range * unit_floats(bits + j), r = select(v < top, v, last);
      if (n - j >= V::lanes)
        r.store(y + i + j);
      else
        r.store_some(y + i + j, n - j);
    }
  }
}

/// Pairs of uniforms to radius times cosine and sine (Box and Muller).
void normal_f32(RandomKey key, float mean, float std, Int begin, Int end, float* y) {
  using V = Vec<float>;
  HWY_ALIGN std::uint32_t bits[batch + 4 * u32_lanes];
  HWY_ALIGN float unit[batch + 4 * u32_lanes];
  for (Int i = begin; i < end; i += batch) {
    const Int n = std::min(batch, end - i);
    numbers(key, i, n + n % 2, bits);
    for (Int j = 0; j < n; j += V::lanes) unit_floats(bits + j).store(unit + j);
    for (Int j = 0; j < n; j += 2 * V::lanes) {
      V::Raw first, second;
      hn::LoadInterleaved2(V::D(), unit + j, first, second);
      const V radius = sqrt(log(1.0 - V(first)) * -2.0);
      // cos and sin of 2 pi u: u = q / 4 + f with |f| <= 1/8, then the quadrant.
      const V quarter = round(V(second) * 4.0), f = (V(second) - quarter * 0.25) * 6.28318530717958647693;
      const V z = f * f;
      static constexpr double c[] = {1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320};
      static constexpr double s[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880};
      const V cosine = polynomial<float>(z, c), sine = polynomial<float>(z, s) * f;
      const auto odd = hn::Or(quarter == 1.0, quarter == 3.0);
      const V x = select(odd, sine, cosine), w = select(odd, cosine, sine);
      const V cos_u = select(hn::Or(quarter == 1.0, quarter == 2.0), -x, x);
      const V sin_u = select(hn::Or(quarter == 2.0, quarter == 3.0), -w, w);
      const V scale = V::set(static_cast<double>(std)), shift = V::set(static_cast<double>(mean));
      hn::StoreInterleaved2((shift + scale * radius * cos_u).v, (shift + scale * radius * sin_u).v, V::D(),
                            unit + j);
    }
    for (Int j = 0; j < n; j += V::lanes) {
      if (n - j >= V::lanes)
        V::load(unit + j).store(y + i + j);
      else
        V::load(unit + j).store_some(y + i + j, n - j);
    }
  }
}

template <class T>
HWY_INLINE void dropout(RandomKey key, double p, Int first, Int count, const T* x, T* y) {
  HWY_ALIGN std::uint32_t bits[batch + 4 * u32_lanes];
  const T scale = static_cast<T>(1 / (1 - p));
  const float limit = static_cast<float>(p);
  using V = Vec<float>;
  for (Int i = 0; i < count; i += batch) {
    const Int n = std::min(batch, count - i);
    numbers(key, first + i, n, bits);
    if constexpr (sizeof(T) == 4) {
      for (Int j = 0; j < n; j += V::lanes) {
        const auto dropped = unit_floats(bits + j) < V::set(static_cast<double>(limit));
        if (n - j >= V::lanes) {
          select(dropped, V::zero(), V::load(x + i + j) * static_cast<double>(scale)).store(y + i + j);
        } else {
          const V v = V::load_some(x + i + j, n - j) * static_cast<double>(scale);
          select(dropped, V::zero(), v).store_some(y + i + j, n - j);
        }
      }
    } else {
      for (Int j = 0; j < n; ++j)
        y[i + j] = philox::to_unit_float(bits[j]) >= limit ? x[i + j] * scale : T(0);
    }
  }
}
void dropout_f32(RandomKey key, double p, Int first, Int count, const float* x, float* y) {
  dropout(key, p, first, count, x, y);
}
void dropout_f64(RandomKey key, double p, Int first, Int count, const double* x, double* y) {
  dropout(key, p, first, count, x, y);
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(uniform_f32);
auto best_uniform_f32() { return HWY_DYNAMIC_DISPATCH(uniform_f32); }
HWY_EXPORT(normal_f32);
auto best_normal_f32() { return HWY_DYNAMIC_DISPATCH(normal_f32); }
HWY_EXPORT(dropout_f32);
auto best_dropout_f32() { return HWY_DYNAMIC_DISPATCH(dropout_f32); }
HWY_EXPORT(dropout_f64);
auto best_dropout_f64() { return HWY_DYNAMIC_DISPATCH(dropout_f64); }
}  // namespace simd

namespace {
using Int = std::int64_t;
// Parts for threads, in units of this many elements: a part starts where a block of the counter does.
constexpr Int unit = 1024, units_grain = 8;

template <class F>
void in_units(Int n, const F& f) {
  parallel_for((n + unit - 1) / unit, units_grain, [&](Int b, Int e) { f(b * unit, std::min(n, e * unit)); });
}
}  // namespace

void random(Distribution d, RandomKey key, double a, double b, const Array& y) {
  if (d == Distribution::integer || y.dtype != DType::f32 || !is_dense(y)) {
    return reference_kernels().random(d, key, a, b, y);
  }
  const auto f = d == Distribution::uniform ? simd::best_uniform_f32() : simd::best_normal_f32();
  in_units(y.numel(), [&](Int begin, Int end) {
    f(key, static_cast<float>(a), static_cast<float>(b), begin, end, y.as<float>());
  });
}

void dropout(RandomKey key, double p, const Array& x, const Array& y) {
  if (!is_dense(x) || !is_dense(y)) return reference_kernels().dropout(key, p, x, y);
  if (x.dtype == DType::f32) {
    const auto f = simd::best_dropout_f32();
    in_units(y.numel(),
             [&](Int b, Int e) { f(key, p, b, e - b, x.as<const float>() + b, y.as<float>() + b); });
  } else if (x.dtype == DType::f64) {
    const auto f = simd::best_dropout_f64();
    in_units(y.numel(),
             [&](Int b, Int e) { f(key, p, b, e - b, x.as<const double>() + b, y.as<double>() + b); });
  } else {
    reference_kernels().dropout(key, p, x, y);
  }
}

void dropout_line(RandomKey key, double p, Int first, Int n, float* x) {
  simd::best_dropout_f32()(key, p, first, n, x, x);
}
void dropout_line(RandomKey key, double p, Int first, Int n, double* x) {
  simd::best_dropout_f64()(key, p, first, n, x, x);
}

}  // namespace knet::cpu_impl
#endif
