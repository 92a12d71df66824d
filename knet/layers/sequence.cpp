#include "knet/layers/sequence.hpp"

#include <algorithm>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/shape.hpp"
#include "knet/tensor/access.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

std::vector<std::int64_t> Sequences::lengths() const {
  std::vector<std::int64_t> r;
  r.reserve(items.size());
  for (const auto& s : items) r.push_back(static_cast<std::int64_t>(s.size()));
  return r;
}

namespace {

// The lengths of the items of [length, features...], which must agree in everything else.
std::vector<std::int64_t> lengths_of(const char* who, std::span<const Tensor> items) {
  if (items.empty()) fail<ValueError>(who, ": there are no sequences");
  std::vector<std::int64_t> r;
  for (std::size_t i = 0; i < items.size(); ++i) {
    check_defined(who, items[i]);
    const Shape &s = items[i].shape(), &first = items[0].shape();
    if (s.ndim() == 0 || s.ndim() != first.ndim() || !std::equal(s.begin() + 1, s.end(), first.begin() + 1))
      fail<ShapeError>(who, ": sequence ", i, " is ", s, " beside ", first,
                       ", expected [length, features...] with the same features");
    r.push_back(s[0]);
  }
  return r;
}

std::vector<std::int64_t> sizes_of_steps(const std::vector<std::int64_t>& lengths) {
  if (lengths.empty()) fail<ValueError>("pack_sequence: there are no sequences");
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) fail<ValueError>("pack_sequence: sequence ", i, " has length 0");
    if (i > 0 && lengths[i] > lengths[i - 1])
      fail<ValueError>("pack_sequence: sequence ", i, " of length ", lengths[i],
                       " is longer than the one before of ", lengths[i - 1], ": sort them, longest first");
  }
  std::vector<std::int64_t> r(static_cast<std::size_t>(lengths[0]), 0);
  for (const std::int64_t n : lengths) {
    for (std::int64_t t = 0; t < n; ++t) ++r[static_cast<std::size_t>(t)];
  }
  return r;
}

}  // namespace

Tensor pad_sequence(const Sequences& s, std::int64_t value, PadSide side) {
  if (s.size() == 0) fail<ValueError>("pad_sequence: there are no sequences");
  const std::vector<std::int64_t> lengths = s.lengths();
  const std::int64_t longest = *std::ranges::max_element(lengths);
  Tensor r = full({static_cast<std::int64_t>(s.size()), longest}, static_cast<double>(value), i64);
  std::int64_t* row = r.data<std::int64_t>();
  for (const auto& item : s.items) {
    const auto gap = longest - static_cast<std::int64_t>(item.size());
    std::ranges::copy(item, row + (side == PadSide::left ? gap : 0));
    row += longest;
  }
  return r;
}
Tensor pad_sequence(std::span<const Tensor> items, double value, PadSide side) {
  const std::vector<std::int64_t> lengths = lengths_of("pad_sequence", items);
  const std::int64_t longest = *std::ranges::max_element(lengths);
  std::vector<Tensor> rows;
  for (const Tensor& x : items) {
    Shape s = x.shape();
    s[0] = longest - s[0];
    const Tensor gap = full(s, value, x.dtype());
    rows.push_back(s[0] == 0 ? x : side == PadSide::left ? cat({gap, x}, 0) : cat({x, gap}, 0));
  }
  return stack(rows, 0);
}

PackedSequence pack_sequence(const Sequences& s) {
  PackedSequence r{{}, sizes_of_steps(s.lengths())};
  std::vector<std::int64_t> data;
  for (std::size_t t = 0; t < r.batch_sizes.size(); ++t) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(r.batch_sizes[t]); ++i)
      data.push_back(s.items[i][t]);
  }
  r.data = Tensor(data);
  return r;
}
PackedSequence pack_sequence(std::span<const Tensor> items) {
  const std::vector<std::int64_t> lengths = lengths_of("pack_sequence", items);
  PackedSequence r{{}, sizes_of_steps(lengths)};
  std::vector<std::int64_t> first, order;  // of every sequence's rows when they are joined
  for (std::int64_t at = 0; const std::int64_t n : lengths) first.push_back(std::exchange(at, at + n));
  for (std::size_t t = 0; t < r.batch_sizes.size(); ++t) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(r.batch_sizes[t]); ++i)
      order.push_back(first[i] + static_cast<std::int64_t>(t));
  }
  r.data = index_select(cat(items, 0), 0, Tensor(order));
  return r;
}

std::vector<std::vector<std::int64_t>> batch_sizes_to_indices(std::span<const std::int64_t> batch_sizes) {
  std::vector<std::vector<std::int64_t>> r(batch_sizes.empty() ? 0
                                                               : static_cast<std::size_t>(batch_sizes[0]));
  std::int64_t row = 0;
  for (const std::int64_t n : batch_sizes) {
    if (n < 1 || n > static_cast<std::int64_t>(r.size()))
      fail<ValueError>("batch sizes must be positive and never grow; there is ", n);
    for (std::int64_t b = 0; b < n; ++b) r[static_cast<std::size_t>(b)].push_back(row++);
  }
  return r;
}

}  // namespace knet
