#include "knet/data/sequence_batches.hpp"

#include "knet/base/text.hpp"
#include "knet/ops/loss.hpp"

namespace knet::detail {
namespace {

std::vector<std::int64_t> lengths_of(const SequenceColumns& c) {
  if (c.features.empty()) return c.ids.lengths();
  std::vector<std::int64_t> r;
  for (const Tensor& t : c.features) r.push_back(t.size(0));
  return r;
}

void check_steps(const char* who, const SequenceColumns& c, const std::vector<std::int64_t>& lengths) {
  if (c.steps.size() == 0) return;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (static_cast<std::int64_t>(c.steps.items[i].size()) != lengths[i])
      fail<ShapeError>(who, ": item ", i, " has ", c.steps.items[i].size(), " labels for ", lengths[i],
                       " steps");
  }
}

}  // namespace

PaddedBatch pad_columns(const SequenceColumns& c, std::int64_t value, PadSide side) {
  PaddedBatch b;
  b.lengths = lengths_of(c);
  check_steps("PadSequences", c, b.lengths);
  b.x = c.features.empty() ? pad_sequence(c.ids, value, side)
                           : pad_sequence(c.features, static_cast<double>(value), side);
  if (!c.labels.empty()) b.y = Tensor(c.labels);
  if (c.steps.size() > 0) b.y = pad_sequence(c.steps, ignore, side);
  return b;
}

PackedBatch pack_columns(SequenceColumns c) {
  PackedBatch b;
  check_steps("PackSequences", c, lengths_of(c));
  b.x = c.features.empty() ? pack_sequence(c.ids) : pack_sequence(c.features);
  if (!c.labels.empty()) b.y = Tensor(c.labels);
  if (c.steps.size() > 0) b.y = pack_sequence(c.steps).data;
  return b;
}

}  // namespace knet::detail
