// A number of one dtype as one of another. Not installed.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "knet/base/dispatch.hpp"

namespace knet::convert {

// The 16-bit floats: to the nearest, ties to even.
inline float widen(Half h) {
  const std::uint32_t sign = (h.bits & 0x8000u) << 16, e = (h.bits >> 10) & 31u, m = h.bits & 0x3FFu;
  if (e == 31) return std::bit_cast<float>(sign | 0x7F800000u | (m << 13));
  if (e != 0) return std::bit_cast<float>(sign | ((e + 112) << 23) | (m << 13));
  const float v = std::ldexp(static_cast<float>(m), -24);
  return sign ? -v : v;
}
inline Half narrow_half(float f) {
  const std::uint32_t u = std::bit_cast<std::uint32_t>(f), sign = (u >> 16) & 0x8000u, a = u & 0x7FFFFFFFu;
  if (a > 0x7F800000u) return {static_cast<std::uint16_t>(sign | 0x7E00u)};
  if (a >= 0x477FF000u) return {static_cast<std::uint16_t>(sign | 0x7C00u)};  // rounds past 65504
  if (a < 0x38800000u) {                                                      // subnormal: units of 2^-24
    const float units = std::nearbyint(std::ldexp(std::bit_cast<float>(a), 24));
    return {static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(units))};
  }
  const std::uint32_t r = a + 0xFFFu + ((a >> 13) & 1u);
  return {static_cast<std::uint16_t>(sign | ((r - 0x38000000u) >> 13))};
}
inline float widen(BFloat16 b) { return std::bit_cast<float>(static_cast<std::uint32_t>(b.bits) << 16); }
inline BFloat16 narrow_bfloat(float f) {
  const std::uint32_t u = std::bit_cast<std::uint32_t>(f);
  if ((u & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16)};
}

/// Every dtype, the 16-bit floats too.
template <class F>
void dispatch_all(DType t, F&& f) {
  if (t == f16) return f(type<Half>{});
  if (t == bf16) return f(type<BFloat16>{});
  dispatch_any("copy", t, f);
}
/// v as To: floats to integers truncate, to boolean != 0.
template <class To, class From>
To converted(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>) {
    return converted<To>(widen(v));
  } else if constexpr (std::is_same_v<To, Half>) {
    return narrow_half(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return narrow_bfloat(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // What lies outside 64 bits has no meaning as an integer; 0 is better than undefined.
    if (!(v > static_cast<From>(-9.3e18) && v < static_cast<From>(9.2e18))) return 0;
    return static_cast<To>(static_cast<std::int64_t>(v));
  } else {
    return static_cast<To>(v);
  }
}

}  // namespace knet::convert
