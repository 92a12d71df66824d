// Batches made ahead by background threads, while the model is busy with the one before. They come in the
// same order and with the same values as without.
#pragma once
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "knet/data/pass.hpp"
#include "knet/data/ranges.hpp"

namespace knet {

struct PrefetchOptions {
  int workers = 1;        ///< threads; more than one only for loaders
  std::size_t depth = 0;  ///< batches made ahead at most; 0: eight for every worker
};

namespace detail {
// Makes items first, first + 1 ... on threads of its own, at most `depth` ahead, and hands them out in order.
class PrefetchQueue {
 public:
  /// Item i; null when there is no such item. Called on the threads, each i once.
  using Make = std::function<std::shared_ptr<void>(std::size_t)>;
  PrefetchQueue(std::size_t first, PrefetchOptions o, Make make);
  PrefetchQueue(const PrefetchQueue&) = delete;
  PrefetchQueue& operator=(const PrefetchQueue&) = delete;
  /// Stops the threads and waits for what they are about to finish.
  ~PrefetchQueue();
  /// The next item, or null after the last. What make() threw for it is thrown here, at its turn.
  std::shared_ptr<void> next();
  /// Seconds that next() has waited.
  double waited() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
void check_prefetch(const PrefetchOptions&, bool is_loader);
}  // namespace detail

template <class R>
class Prefetch {
 public:
  static constexpr bool is_loader = loader<std::remove_cvref_t<R>>;
  Prefetch(R&& r, PrefetchOptions o) : r_(std::forward<R>(r)), o_(o) { detail::check_prefetch(o, is_loader); }

 private:
  // Where the batches come from: a pass, or the iterator of a range.
  static auto origin(std::remove_reference_t<R>& r) {
    if constexpr (is_loader)
      return r.pass();
    else
      return r.begin();
  }
  using Origin = decltype(origin(std::declval<std::remove_reference_t<R>&>()));
  static decltype(auto) value(const Origin& o) {
    if constexpr (is_loader)
      return o[std::size_t{0}];
    else
      return *o;
  }
  using T = std::remove_cvref_t<decltype(value(std::declval<const Origin&>()))>;

  // One pass. Its threads end before what they read goes away: the queue is the last member.
  struct Run {
    explicit Run(std::remove_reference_t<R>& r, double* waited, const PrefetchOptions& o)
        : range(&r),
          from(origin(r)),
          waited_before(*waited),
          waited_now(waited),
          queue(first(), o, [this](std::size_t k) { return make(k); }) {}
    std::size_t first() {
      if constexpr (is_loader) i = from.start().position;
      return i;
    }
    std::shared_ptr<void> make(std::size_t k) {
      if constexpr (is_loader) {
        if (k >= from.size()) return {};
        return std::make_shared<T>(from[k]);
      } else {
        if (k > 0) ++from;
        if (from == range->end()) return {};
        return std::make_shared<T>(*from);
      }
    }
    void pull() {
      item = std::static_pointer_cast<T>(queue.next());
      ++i;
      *waited_now = waited_before + queue.waited();
    }
    std::remove_reference_t<R>* range;
    Origin from;
    std::size_t i = 0;  // batches pulled, counted from the start of the pass
    std::shared_ptr<T> item;
    double waited_before;
    double* waited_now;
    detail::PrefetchQueue queue;
  };

 public:
  class iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    iterator(std::remove_reference_t<R>& r, double* waited, const PrefetchOptions& o)
        : run_(std::make_shared<Run>(r, waited, o)) {
      run_->pull();
    }
    T& operator*() const {
      if constexpr (is_loader) run_->from.handed_out(run_->i);
      return *run_->item;
    }
    iterator& operator++() {
      run_->pull();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return !a.run_->item; }

   private:
    std::shared_ptr<Run> run_;
  };
  /// Begins a pass, here and now: random keys are drawn on this thread.
  iterator begin() { return iterator(r_, &waited_, o_); }
  std::default_sentinel_t end() const { return {}; }
  std::ptrdiff_t size() const requires requires(const std::remove_reference_t<R>& r) { r.size(); }
  { return static_cast<std::ptrdiff_t>(r_.size()); }
  /// The position of what has been handed out, not of what has been made.
  DataState state() const requires(is_loader) { return r_.state(); }
  void set_state(const DataState& s) const requires(is_loader) { r_.set_state(s); }
  /// Seconds that the loop has waited for batches, in all passes.
  double waited() const { return waited_; }

 private:
  R r_;
  PrefetchOptions o_;
  double waited_ = 0;
};

/// for (auto& [x, y] : prefetch(minibatch(...), {.workers = 2})): batches are made by background threads.
///
/// Of a loader (minibatch, batch_by_length, map of them) any number of threads make batches; source, map and
/// collate functions are then called from all of them at once. Any other range is walked by one thread; if it
/// draws random numbers on the way (as repeat() does at a new pass of a loader without a seed), they come at
/// times nobody can foresee, so write repeat(prefetch(data), n) rather than prefetch(repeat(data, n)).
///
/// A worker wants a core: where kernels use all of them (see set_threads()), steps that take less than a
/// millisecond become slower than without.
///
/// What is thrown while a batch is made comes out of the loop when it is that batch's turn. Leaving the loop
/// early stops the threads. An lvalue is referred to, a temporary is kept. ValueError for workers below 1,
/// or above 1 where the range is not a loader.
template <class R>
auto prefetch(R&& r, PrefetchOptions o = {}) {
  return Prefetch<R>(std::forward<R>(r), o);
}

}  // namespace knet
