// Byte order: files fix theirs, machines differ.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>

namespace knet::io {

/// Reverses the bytes of each of the `count` elements at p when the machine's order is not `order`.
inline void from_order(std::endian order, std::byte* p, std::size_t count, std::size_t element) {
  if (order == std::endian::native || element == 1) return;
  for (std::size_t i = 0; i < count; ++i) std::reverse(p + i * element, p + (i + 1) * element);
}

}  // namespace knet::io
