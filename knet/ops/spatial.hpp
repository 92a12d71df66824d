// Sizes along the spatial dimensions of images, as options of convolutions and pooling take them.
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <utility>

namespace knet {

/// One number for all spatial dimensions, or one each: 2, {height, width}, {depth, height, width}.
struct Extents {
  std::int64_t v[3];
  int n;
  constexpr Extents(std::integral auto all) : v{static_cast<std::int64_t>(all)}, n(1) {}
  constexpr Extents(std::integral auto height, std::integral auto width)
      : v{static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)}, n(2) {}
  constexpr Extents(std::integral auto depth, std::integral auto height, std::integral auto width)
      : v{static_cast<std::int64_t>(depth), static_cast<std::int64_t>(height),
          static_cast<std::int64_t>(width)},
        n(3) {}
  /// Dimension i of n spatial ones.
  constexpr std::int64_t operator[](int i) const { return v[n == 1 ? 0 : i]; }
  /// Is it one number, or one for each of so many dimensions?
  constexpr bool fits(int dims) const { return n == 1 || n == dims; }
  friend constexpr bool operator==(const Extents& a, const Extents& b) {
    if (a.n != b.n) return false;
    for (int i = 0; i < a.n; ++i) {
      if (a.v[i] != b.v[i]) return false;
    }
    return true;
  }
};
std::string to_string(const Extents&);

/// As much padding as makes the output ceil(input / stride), the odd one behind.
struct same_t {};
inline constexpr same_t same{};

/// Zeros around an image: 1, {height, width}, {depth, height, width} on both sides, {{top, bottom}, {left,
/// right}}, Padding::sides(before, after) of one dimension, or same.
struct Padding {
  Extents before, after;
  bool automatic = false;
  using Sides = std::pair<std::int64_t, std::int64_t>;

  constexpr Padding(std::integral auto all) : before(all), after(all) {}
  constexpr Padding(std::integral auto height, std::integral auto width)
      : before(height, width), after(height, width) {}
  constexpr Padding(std::integral auto depth, std::integral auto height, std::integral auto width)
      : before(depth, height, width), after(depth, height, width) {}
  constexpr Padding(Extents both) : before(both), after(both) {}
  constexpr Padding(Sides height, Sides width)
      : before(height.first, width.first), after(height.second, width.second) {}
  constexpr Padding(Sides depth, Sides height, Sides width)
      : before(depth.first, height.first, width.first), after(depth.second, height.second, width.second) {}
  constexpr Padding(same_t) : before(0), after(0), automatic(true) {}
  static constexpr Padding sides(std::int64_t before, std::int64_t after) {
    Padding p(before);
    p.after = after;
    return p;
  }
};
std::string to_string(const Padding&);

/// Does a convolution turn its kernel round?
enum class ConvMode : std::uint8_t {
  convolution,       ///< yes, as in mathematics; Knet's default
  cross_correlation  ///< no, as published weights expect
};

enum class PoolMode : std::uint8_t {
  max,
  mean,        ///< padding counts as zeros
  mean_inside  ///< padding does not count
};

}  // namespace knet
