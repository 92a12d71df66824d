// Sequences of unequal lengths: lists of ids, the same padded to a matrix, and packed step by step without
// padding.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet {

/// Lists of ids: Sequences{{1, 2, 3, 4}, {5, 6}}.
struct Sequences {
  std::vector<std::vector<std::int64_t>> items;
  Sequences() = default;
  Sequences(std::initializer_list<std::initializer_list<std::int64_t>> l) {
    for (const auto& s : l) items.emplace_back(s);
  }
  Sequences(std::vector<std::vector<std::int64_t>> v) : items(std::move(v)) {}
  std::size_t size() const { return items.size(); }
  std::vector<std::int64_t> lengths() const;
};

/// Where a shorter sequence gets its padding.
enum class PadSide : std::uint8_t { right, left };
/// [batch, longest] of i64, filled up with `value`. No sequence at all is a ValueError.
Tensor pad_sequence(const Sequences&, std::int64_t value = 0, PadSide = PadSide::right);
/// The same of [length, features...] each: [batch, longest, features...]. Gradients flow back.
Tensor pad_sequence(std::span<const Tensor>, double value = 0, PadSide = PadSide::right);

/// Step after step, the values of those sequences that are still going: those of step 0, then step 1 ...
/// Sequences are sorted by length, longest first.
struct PackedSequence {
  Tensor data;                            ///< [rows] ids or [rows, features]
  std::vector<std::int64_t> batch_sizes;  ///< how many sequences every step has: never growing
};
/// Lengths must not grow from one sequence to the next.
PackedSequence pack_sequence(const Sequences&);
/// The same of [length, features...] each; gradients flow back.
PackedSequence pack_sequence(std::span<const Tensor>);
/// The rows of a packed batch that belong to every sequence: {4, 4, 1, 1} gives {0, 4, 8, 9}, {1, 5}, {2, 6},
/// {3, 7}.
std::vector<std::vector<std::int64_t>> batch_sizes_to_indices(std::span<const std::int64_t> batch_sizes);

}  // namespace knet
