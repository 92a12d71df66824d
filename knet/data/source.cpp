#include "knet/data/source.hpp"

#include <cmath>
#include <mutex>

#include "knet/base/text.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

TensorRows::TensorRows(Tensor x, Tensor y) : x_(std::move(x)), y_(std::move(y)) {
  if (!x_ || x_.ndim() == 0) fail<ValueError>("rows: x has no rows");
  if (y_ && (y_.ndim() == 0 || y_.size(0) != x_.size(0)))
    fail<ShapeError>("rows: x is ", x_.shape(), ", y is ", y_.shape(), ": their first sizes differ");
  x_ = x_.contiguous();
  if (y_) y_ = y_.contiguous();
}

Batch TensorRows::operator[](std::size_t i) const {
  detail::check_item("rows", i, size());
  const auto k = static_cast<std::int64_t>(i);
  return {x_.select(0, k), y_ ? y_.select(0, k) : Tensor()};
}

Batch TensorRows::gather(const std::vector<std::int64_t>& ids) const {
  const Tensor t(ids);
  return {x_(t), y_ ? y_(t) : Tensor()};
}

namespace detail {

void outside(const char* who, std::size_t i, std::size_t size) {
  fail<ValueError>(who, ": item ", i, " of ", size);
}

Generator generator_of(const RandomKey& pass, std::size_t i) {
  // The order of the pass uses the blocks from 0; these are far behind.
  std::uint32_t r[4];
  philox::block(pass, (std::uint64_t{1} << 63) + i, r);
  return Generator((std::uint64_t{r[0]} << 32) + r[1]);
}

void check_ids(const std::vector<std::int64_t>& ids, std::size_t size) {
  for (const std::int64_t i : ids) {
    if (i < 0 || i >= static_cast<std::int64_t>(size))
      fail<ValueError>("subset: id ", i, " is outside [0, ", size, ")");
  }
}

std::vector<std::vector<std::int64_t>> split_ids(std::size_t size, const double* fractions, std::size_t count,
                                                 std::uint64_t seed) {
  double total = 0;
  for (std::size_t k = 0; k < count; ++k) {
    if (!(fractions[k] >= 0)) fail<ValueError>("split: fraction ", fractions[k], " (expected 0 to 1)");
    total += fractions[k];
  }
  if (total > 1 + 1e-9) fail<ValueError>("split: the fractions add up to ", total, " (expected at most 1)");
  const auto n = static_cast<std::int64_t>(size);
  Generator g(seed);
  const std::vector<std::int64_t> order = (seed == 0 ? arange(n) : randperm(n, g)).to_vector<std::int64_t>();
  std::vector<std::vector<std::int64_t>> parts;
  double sum = 0;
  std::size_t from = 0;
  for (std::size_t k = 0; k < count; ++k) {
    sum += fractions[k];
    // Borders are rounded, not sizes: the parts of fractions that add up to 1 are the whole.
    const auto to = std::min(size, static_cast<std::size_t>(std::llround(sum * static_cast<double>(size))));
    parts.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(from),
                       order.begin() + static_cast<std::ptrdiff_t>(std::max(from, to)));
    from = std::max(from, to);
  }
  return parts;
}

struct CacheSlots::Impl {
  mutable std::mutex mutex;
  std::vector<std::shared_ptr<const void>> items;
  std::size_t filled = 0;
};
CacheSlots::CacheSlots(std::size_t size) : impl_(std::make_shared<Impl>()) { impl_->items.resize(size); }
std::shared_ptr<const void> CacheSlots::get(std::size_t i) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->items[i];
}
std::shared_ptr<const void> CacheSlots::put(std::size_t i, std::shared_ptr<const void> p) const {
  const std::lock_guard lock(impl_->mutex);
  auto& slot = impl_->items[i];
  if (!slot) {
    slot = std::move(p);
    ++impl_->filled;
  }
  return slot;
}
std::size_t CacheSlots::filled() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->filled;
}

}  // namespace detail
}  // namespace knet
