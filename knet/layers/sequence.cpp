#include "knet/layers/sequence.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

std::vector<std::int64_t> Sequences::lengths() const {
  std::vector<std::int64_t> r;
  r.reserve(items.size());
  for (const auto& s : items) r.push_back(static_cast<std::int64_t>(s.size()));
  return r;
}

Tensor pad_sequence(const Sequences& s, std::int64_t value, PadSide side) {
  if (s.size() == 0) fail<ValueError>("pad_sequence: there are no sequences");
  const std::vector<std::int64_t> lengths = s.lengths();
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  Tensor r = full({static_cast<std::int64_t>(s.size()), longest}, static_cast<double>(value), i64);
  std::int64_t* row = r.data<std::int64_t>();
  for (const auto& item : s.items) {
    const auto gap = longest - static_cast<std::int64_t>(item.size());
    std::copy(item.begin(), item.end(), row + (side == PadSide::left ? gap : 0));
    row += longest;
  }
  return r;
}

PackedSequence pack_sequence(const Sequences& s) {
  if (s.size() == 0) fail<ValueError>("pack_sequence: there are no sequences");
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s.items[i].empty()) fail<ValueError>("pack_sequence: sequence ", i, " has length 0");
    if (i > 0 && s.items[i].size() > s.items[i - 1].size())
      fail<ValueError>("pack_sequence: sequence ", i, " of length ", s.items[i].size(),
                       " is longer than the one before of ", s.items[i - 1].size(),
                       ": sort them, longest first");
  }
  PackedSequence r;
  std::vector<std::int64_t> data;
  for (std::size_t t = 0; t < s.items[0].size(); ++t) {
    std::int64_t n = 0;
    for (const auto& item : s.items) {
      if (t < item.size()) data.push_back(item[t]), ++n;
    }
    r.batch_sizes.push_back(n);
  }
  r.data = Tensor(data);
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
