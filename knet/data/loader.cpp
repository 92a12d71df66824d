#include "knet/data/loader.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/ops/shape.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

std::vector<std::int64_t> BatchPlan::batch(std::size_t i) const {
  detail::check_item("batch", i, size());
  return {ids.begin() + static_cast<std::ptrdiff_t>(cuts[i]),
          ids.begin() + static_cast<std::ptrdiff_t>(cuts[i + 1])};
}

namespace detail {
namespace {

void check(const char* who, std::size_t items, std::int64_t size, bool partial) {
  if (items == 0) fail<ValueError>(who, ": no data");
  if (size < 1) fail<ValueError>(who, ": size ", size);
  if (size > static_cast<std::int64_t>(items) && !partial)
    fail<ValueError>(who, ": size ", size, " is larger than the data, ", items, "; set .partial to take it");
}

std::vector<std::int64_t> permutation(std::int64_t n, const RandomKey& key) {
  Generator g;
  g.set_state(key);
  return randperm(n, g).to_vector<std::int64_t>();
}

}  // namespace

BatchPlanner::BatchPlanner(std::size_t items, std::int64_t size, const LoaderOptions& o)
    : items_(static_cast<std::int64_t>(items)),
      size_(size),
      o_{.shuffle = o.shuffle, .partial = o.partial, .seed = o.seed},
      by_length_(false) {
  check("minibatch", items, size, o.partial);
  batches_ = static_cast<std::size_t>(o.partial ? (items_ + size - 1) / size : items_ / size);
}

BatchPlanner::BatchPlanner(std::vector<std::int64_t> lengths, std::int64_t size, LengthOptions o)
    : items_(static_cast<std::int64_t>(lengths.size())),
      size_(size),
      lengths_(std::move(lengths)),
      o_(std::move(o)),
      by_length_(true) {
  check("batch_by_length", lengths_.size(), size, o_.partial);
  if (o_.pool < 0) fail<ValueError>("batch_by_length: pool ", o_.pool, " (expected 0 or more batches)");
  if (!std::ranges::is_sorted(o_.buckets)) fail<ValueError>("batch_by_length: the buckets are not ascending");
  size_ = std::min(size_, items_);  // products of it stay small
  batches_ = plan({}).size();       // how many there are does not depend on the order
}

// What is in the plan from `from` on becomes batches.
void BatchPlanner::cut(BatchPlan& p, std::size_t from) const {
  const auto size = static_cast<std::size_t>(size_);
  for (std::size_t i = from; i < p.ids.size(); i += size) {
    const std::size_t to = std::min(i + size, p.ids.size());
    if (to - i < size && !o_.partial) {
      p.ids.resize(i);
      return;
    }
    p.cuts.push_back(to);
  }
}

BatchPlan BatchPlanner::plan(const RandomKey& key) const {
  BatchPlan p;
  std::vector<std::int64_t> order;
  if (o_.shuffle) {
    order = permutation(items_, key);
  } else {
    order.resize(static_cast<std::size_t>(items_));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  }
  if (!by_length_) {
    p.ids = std::move(order);
    cut(p, 0);
    return p;
  }
  const auto longer = [&](std::int64_t a, std::int64_t b) {
    return lengths_[static_cast<std::size_t>(a)] > lengths_[static_cast<std::size_t>(b)];
  };
  const auto part = [&](auto begin, auto end) {
    const std::size_t from = p.ids.size();
    p.ids.insert(p.ids.end(), begin, end);
    cut(p, from);
  };
  if (!o_.buckets.empty()) {
    std::vector<std::vector<std::int64_t>> buckets(o_.buckets.size() + 1);
    for (const std::int64_t i : order) {
      const auto b = std::ranges::lower_bound(o_.buckets, lengths_[static_cast<std::size_t>(i)]);
      buckets[static_cast<std::size_t>(b - o_.buckets.begin())].push_back(i);
    }
    for (const auto& b : buckets) part(b.begin(), b.end());
    for (std::size_t i = 0; i < p.size(); ++i)
      std::stable_sort(p.ids.begin() + static_cast<std::ptrdiff_t>(p.cuts[i]),
                       p.ids.begin() + static_cast<std::ptrdiff_t>(p.cuts[i + 1]), longer);
  } else {
    const std::int64_t most = items_ / size_ + 1;  // beyond that a pool is everything
    const std::int64_t step = o_.pool == 0 || o_.pool > most ? most * size_ : o_.pool * size_;
    for (std::int64_t i = 0; i < items_; i += step) {
      const auto a = order.begin() + i, b = order.begin() + std::min(items_, i + step);
      std::stable_sort(a, b, longer);
      part(a, b);
    }
  }
  if (!o_.shuffle) return p;
  BatchPlan mixed;
  mixed.ids.reserve(p.ids.size());
  // Another key than that of the items.
  for (const std::int64_t k : permutation(static_cast<std::int64_t>(p.size()), {~key.seed, key.stream})) {
    const auto b = p.batch(static_cast<std::size_t>(k));
    mixed.ids.insert(mixed.ids.end(), b.begin(), b.end());
    mixed.cuts.push_back(mixed.ids.size());
  }
  return mixed;
}

Tensor collate_tensors(const std::vector<Tensor>& items) { return stack(items, 0); }
Tensor collate_integers(const std::vector<std::int64_t>& items) { return Tensor(items).to(default_device()); }
Tensor collate_reals(const std::vector<double>& items) {
  return Tensor(items).to(default_dtype()).to(default_device());
}
Batch collate_batches(const std::vector<Batch>& items) {
  std::vector<Tensor> x, y;
  for (const Batch& b : items) {
    x.push_back(b.x);
    if (b.y) y.push_back(b.y);
  }
  if (!y.empty() && y.size() != x.size())
    fail<ValueError>("minibatch: ", y.size(), " of ", x.size(), " items have a y");
  return {stack(x, 0), y.empty() ? Tensor() : stack(y, 0)};
}

}  // namespace detail
}  // namespace knet
