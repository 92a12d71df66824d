// Which random number belongs to which element: the recipe every device follows.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "knet/device/random.hpp"

namespace knet::reference {

/// Uniform in [0, 1): float from number i (24 bits), double from numbers 2i and 2i + 1 (53 bits).
template <class T>
T unit(RandomKey key, std::uint64_t i) {
  if constexpr (std::is_same_v<T, float>) {
    return philox::to_unit_float(philox::number(key, i));
  } else {
    const std::uint64_t high = philox::number(key, 2 * i) >> 5, low = philox::number(key, 2 * i + 1) >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }
}
template <class T>
T uniform(RandomKey key, std::uint64_t i, double a, double b) {
  const T v = static_cast<T>(a) + (static_cast<T>(b) - static_cast<T>(a)) * unit<T>(key, i);
  return v < static_cast<T>(b) || a == b ? v : std::nextafter(static_cast<T>(b), static_cast<T>(a));
}
/// Box-Muller: elements 2j and 2j + 1 are radius times cosine and sine of one pair of uniforms.
template <class T>
T normal(RandomKey key, std::uint64_t i, double mean, double std) {
  const std::uint64_t j = i & ~std::uint64_t{1};
  const double radius = std::sqrt(-2 * std::log(1 - static_cast<double>(unit<T>(key, j))));
  const double angle = 6.28318530717958647693 * static_cast<double>(unit<T>(key, j + 1));
  return static_cast<T>(mean + std * radius * (i == j ? std::cos(angle) : std::sin(angle)));
}
/// Integer in [low, high): the upper bits of a product (Lemire 2019), 64 random bits.
inline std::int64_t integer(RandomKey key, std::uint64_t i, std::int64_t low, std::int64_t high) {
  const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  const std::uint64_t p = philox::number(key, 2 * i), q = philox::number(key, 2 * i + 1);
  // (p 2^32 + q) range / 2^64 without a 128-bit type.
  const std::uint64_t rh = range >> 32, rl = range & 0xFFFFFFFFu;
  const std::uint64_t middle = p * rl + ((q * rl) >> 32), carry = (middle & 0xFFFFFFFFu) + q * rh;
  return low + static_cast<std::int64_t>(p * rh + (middle >> 32) + (carry >> 32));
}
/// Is element i kept by dropout with probability p?
inline bool kept(RandomKey key, std::uint64_t i, double p) {
  return philox::to_unit_float(philox::number(key, i)) >= static_cast<float>(p);
}

}  // namespace knet::reference
