// Minibatches of any source: which items come together, in which order, and a function that makes a batch of
// them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/data/pass.hpp"
#include "knet/data/source.hpp"

namespace knet {

struct LoaderOptions {
  bool shuffle = false;    ///< a new order at the start of every pass
  bool partial = false;    ///< also the last batch when it is smaller
  std::uint64_t seed = 0;  ///< of the order; 0: from the process-wide generator
};

/// Which items of a source make up each batch of one pass.
struct BatchPlan {
  std::vector<std::int64_t> ids;
  std::vector<std::size_t> cuts = {0};  ///< batch i is ids[cuts[i]] to ids[cuts[i + 1]]
  std::size_t size() const { return cuts.size() - 1; }
  std::vector<std::int64_t> batch(std::size_t i) const;
};

/// Sequences of similar lengths in one batch: less padding, and packing needs it. Inside a batch the longest
/// comes first.
struct LengthOptions {
  /// Items in a new order at the start of every pass, as far as grouping leaves it open, and batches in a
  /// new order.
  bool shuffle = false;
  bool partial = true;     ///< also batches that are smaller
  std::uint64_t seed = 0;  ///< of the order; 0: from the process-wide generator
  /// Without buckets: so many batches are taken together, sorted by length and cut. 0 sorts all.
  std::int64_t pool = 50;
  /// Buckets: {10, 20} makes batches of items up to 10 long, of 11 to 20, and of longer ones.
  std::vector<std::int64_t> buckets = {};
};

namespace detail {
// Batches of equal size, or by length.
class BatchPlanner {
 public:
  BatchPlanner(std::size_t items, std::int64_t size, const LoaderOptions&);
  BatchPlanner(std::vector<std::int64_t> lengths, std::int64_t size, LengthOptions);
  BatchPlan plan(const RandomKey&) const;
  std::size_t batches() const { return batches_; }

 private:
  void cut(BatchPlan&, std::size_t from) const;
  std::int64_t items_, size_;
  std::vector<std::int64_t> lengths_;
  LengthOptions o_;
  bool by_length_;
  std::size_t batches_ = 0;
};

template <class T>
inline constexpr bool is_tuple = false;
template <class... A>
inline constexpr bool is_tuple<std::tuple<A...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;

Tensor collate_tensors(const std::vector<Tensor>&);
Tensor collate_integers(const std::vector<std::int64_t>&);
Tensor collate_reals(const std::vector<double>&);
Batch collate_batches(const std::vector<Batch>&);
}  // namespace detail

/// The batch of some items when no function says otherwise: tensors are stacked, integers become an i64
/// tensor, reals one of the default dtype, Batches a Batch; pairs and tuples a tuple of the same. Everything
/// else stays a vector of the items.
struct Collate {
  template <class T>
  auto operator()(std::vector<T> items) const {
    if constexpr (std::same_as<T, Tensor>) {
      return detail::collate_tensors(items);
    } else if constexpr (std::same_as<T, Batch>) {
      return detail::collate_batches(items);
    } else if constexpr (std::integral<T>) {
      return detail::collate_integers({items.begin(), items.end()});
    } else if constexpr (std::floating_point<T>) {
      return detail::collate_reals({items.begin(), items.end()});
    } else if constexpr (detail::is_tuple<T>) {
      return [&]<std::size_t... I>(std::index_sequence<I...>) { return std::make_tuple(column<I>(items)...); }
      (std::make_index_sequence<std::tuple_size_v<T>>());
    } else {
      return items;
    }
  }

 private:
  template <std::size_t I, class T>
  auto column(std::vector<T>& items) const {
    std::vector<std::tuple_element_t<I, T>> r;
    r.reserve(items.size());
    for (T& t : items) r.push_back(std::move(std::get<I>(t)));
    return (*this)(std::move(r));
  }
};

/// Batches of a source; made by minibatch() and batch_by_length(). Copies count their passes together.
template <class S, class C>
class Loader {
 public:
  using Source = std::remove_cvref_t<S>;
  Loader(S&& s, detail::BatchPlanner planner, Passes passes, C collate)
      : s_(std::forward<S>(s)),
        planner_(std::move(planner)),
        passes_(std::move(passes)),
        collate_(std::move(collate)) {}
  /// Batches of one pass.
  std::size_t size() const { return planner_.batches(); }
  /// One pass in its order.
  class Pass {
   public:
    Pass() = default;
    Pass(const Loader* l, PassStart s)
        : l_(l), plan_(std::make_shared<const BatchPlan>(l->planner_.plan(s.key))), start_(s) {}
    std::size_t size() const { return plan_->size(); }
    auto operator[](std::size_t i) const { return l_->make(plan_->batch(i)); }
    const PassStart& start() const { return start_; }
    void handed_out(std::size_t position) const { l_->passes_.handed_out(start_.epoch, position, size()); }

   private:
    const Loader* l_ = nullptr;
    std::shared_ptr<const BatchPlan> plan_;
    PassStart start_;
  };
  using iterator = PassIterator<Pass>;
  /// Begins a pass; draws its order.
  Pass pass() const { return {this, passes_.begin()}; }
  iterator begin() const { return iterator(pass()); }
  std::default_sentinel_t end() const { return {}; }
  /// The batch of the items with these ids.
  auto make(const std::vector<std::int64_t>& ids) const {
    if constexpr (std::same_as<C, Collate> && requires { s_.gather(ids); }) {
      return s_.gather(ids);
    } else {
      std::vector<std::remove_cvref_t<item_t<S>>> items;
      items.reserve(ids.size());
      for (const auto i : ids) items.push_back(std::as_const(s_)[static_cast<std::size_t>(i)]);
      return collate_(std::move(items));
    }
  }
  /// The position in the running pass, for checkpoints.
  DataState state() const { return passes_.state(); }
  /// The next pass to begin is the rest of the one that `s` comes from.
  void set_state(const DataState& s) const { passes_.set_state(s, size()); }

 private:
  S s_;
  detail::BatchPlanner planner_;
  Passes passes_;
  C collate_;
};

/// minibatch(people, 32, {.shuffle = true}, [](std::vector<Person> items) { return Batch{...}; }). ValueError
/// for a size below 1, an empty source, or a size beyond the source without .partial.
template <source S, class C = Collate>
requires(!std::convertible_to<S, Tensor>) auto minibatch(S&& s, std::int64_t size, LoaderOptions o = {},
                                                         C collate = {}) {
  detail::BatchPlanner planner(static_cast<std::size_t>(s.size()), size, o);
  return Loader<S, C>(std::forward<S>(s), std::move(planner), Passes("minibatch", o.shuffle, o.seed),
                      std::move(collate));
}

/// The same from items of similar lengths; `length(item)` is asked once for every item, now. ValueError as
/// above.
template <source S, class L, class C>
auto batch_by_length(S&& s, std::int64_t size, L length, LengthOptions o, C collate) {
  const auto n = static_cast<std::size_t>(s.size());
  std::vector<std::int64_t> lengths;
  lengths.reserve(n);
  for (std::size_t i = 0; i < n; ++i)
    lengths.push_back(static_cast<std::int64_t>(std::invoke(length, std::as_const(s)[i])));
  const Passes passes("batch_by_length", o.shuffle, o.seed);
  detail::BatchPlanner planner(std::move(lengths), size, std::move(o));
  return Loader<S, C>(std::forward<S>(s), std::move(planner), passes, std::move(collate));
}

}  // namespace knet
