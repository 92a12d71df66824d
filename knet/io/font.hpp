// A bitmap font of 5 x 7 dots for the labels of plots: the printable characters of ASCII. Not installed.
#pragma once
#include <array>
#include <cstdint>

namespace knet::io::font {

inline constexpr int width = 5, height = 7;
using Glyph = std::array<std::uint8_t, height>;  // rows from the top; bit 4 is the leftmost dot

/// The glyph of a character; a box for what is not printable ASCII.
const Glyph& glyph(char);

}  // namespace knet::io::font
