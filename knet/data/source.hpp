// Sources: anything with size() and operator[], such as a vector of structs or a type of the user's that
// reads a file per item. What is here looks at sources through others, without touching an item before it is
// asked for. An lvalue is referred to, a temporary is kept.
//
//   auto [trn, dev] = split(map(files, read_image), {0.9, 0.1}, 7);
//   for (auto& batch : prefetch(minibatch(trn, 32, {.shuffle = true}))) ...
//
// A loader on several threads calls operator[] of its source from all of them at once.
#pragma once
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/data/minibatch.hpp"
#include "knet/data/ranges.hpp"

namespace knet {

/// size() and operator[] for reading.
template <class S>
concept source = requires(const std::remove_reference_t<S>& s) {
  { s.size() } -> std::convertible_to<std::size_t>;
  s[std::size_t{0}];
}
&&!std::same_as<std::remove_cvref_t<S>, Tensor>;

template <class S>
using item_t = decltype(std::declval<const std::remove_reference_t<S>&>()[std::size_t{0}]);

namespace detail {
[[noreturn]] void outside(const char* who, std::size_t i, std::size_t size);
inline void check_item(const char* who, std::size_t i, std::size_t size) {
  if (i >= size) outside(who, i, size);
}

// begin() and end() of a type with size() and operator[].
template <class S>
class ItemIterator {
 public:
  using value_type = std::remove_cvref_t<item_t<S>>;
  using reference = item_t<S>;
  using pointer = void;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::input_iterator_tag;
  ItemIterator() = default;
  ItemIterator(const S* s, std::size_t i) : s_(s), i_(i) {}
  reference operator*() const { return (*s_)[i_]; }
  ItemIterator& operator++() {
    ++i_;
    return *this;
  }
  ItemIterator operator++(int) { return {s_, i_++}; }
  friend bool operator==(const ItemIterator& a, const ItemIterator& b) { return a.i_ == b.i_; }

 private:
  const S* s_ = nullptr;
  std::size_t i_ = 0;
};

// An lvalue by address, a temporary by value; copies share it.
template <class S>
std::shared_ptr<const std::remove_reference_t<S>> keep(S&& s) {
  using T = const std::remove_reference_t<S>;
  if constexpr (std::is_lvalue_reference_v<S>)
    return std::shared_ptr<T>(std::shared_ptr<void>(), &s);
  else
    return std::make_shared<T>(std::move(s));
}
}  // namespace detail

/// The rows of tensors as a source of Batches without their first dimension.
class TensorRows {
 public:
  TensorRows(Tensor x, Tensor y);
  std::size_t size() const { return static_cast<std::size_t>(x_.size(0)); }
  Batch operator[](std::size_t i) const;
  /// Many of them at once.
  Batch gather(const std::vector<std::int64_t>& ids) const;
  auto begin() const { return detail::ItemIterator(this, 0); }
  auto end() const { return detail::ItemIterator(this, size()); }

 private:
  Tensor x_, y_;
};
/// Rows of x, or pairs of rows; ShapeError when the first sizes differ.
inline TensorRows rows(Tensor x, Tensor y = {}) { return {std::move(x), std::move(y)}; }

// ---- map ---------------------------------------------------------------------------------------

template <class S, class F>
class MappedSource {
 public:
  MappedSource(S&& s, F f) : s_(std::forward<S>(s)), f_(std::move(f)) {}
  std::size_t size() const { return static_cast<std::size_t>(s_.size()); }
  decltype(auto) operator[](std::size_t i) const { return std::invoke(f_, s_[i]); }
  auto begin() const { return detail::ItemIterator(this, 0); }
  auto end() const { return detail::ItemIterator(this, size()); }

 private:
  S s_;
  F f_;
};

namespace detail {
// The generator of batch i of a pass: the same on whichever thread it is made.
Generator generator_of(const RandomKey& pass, std::size_t i);
}  // namespace detail

template <class L, class F>
class MappedLoader {
 public:
  MappedLoader(L&& l, F f) : l_(std::forward<L>(l)), f_(std::move(f)) {}
  class Pass {
   public:
    using Inner = decltype(std::declval<const std::remove_reference_t<L>&>().pass());
    Pass() = default;
    Pass(Inner p, const F* f) : p_(std::move(p)), f_(f) {}
    std::size_t size() const { return p_.size(); }
    auto operator[](std::size_t i) const {
      if constexpr (std::invocable<const F&, decltype(p_[i]), Generator&>) {
        Generator g = detail::generator_of(start().key, i);
        return std::invoke(*f_, p_[i], g);
      } else {
        return std::invoke(*f_, p_[i]);
      }
    }
    decltype(auto) start() const { return p_.start(); }
    void handed_out(std::size_t position) const { p_.handed_out(position); }

   private:
    Inner p_;
    const F* f_ = nullptr;
  };
  Pass pass() const { return {l_.pass(), &f_}; }
  std::size_t size() const { return l_.size(); }
  PassIterator<Pass> begin() const { return PassIterator<Pass>(pass()); }
  std::default_sentinel_t end() const { return {}; }
  DataState state() const { return l_.state(); }
  void set_state(const DataState& s) const { l_.set_state(s); }

 private:
  L l_;
  F f_;
};

template <class R, class F>
class MappedRange {
 public:
  MappedRange(R&& r, F f) : r_(std::forward<R>(r)), f_(std::move(f)) {}
  class iterator {
   public:
    using value_type = std::remove_cvref_t<std::invoke_result_t<const F&, element_t<R>>>;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    iterator(MappedRange* p) : p_(p) { i_.emplace(p->r_.begin()); }
    decltype(auto) operator*() const { return std::invoke(p_->f_, **i_); }
    iterator& operator++() {
      ++*i_;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.over(); }

   private:
    bool over() const { return *i_ == p_->r_.end(); }
    MappedRange* p_ = nullptr;
    std::optional<begin_t<R>> i_;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  std::ptrdiff_t size() const requires requires(const std::remove_reference_t<R>& r) { r.size(); }
  { return static_cast<std::ptrdiff_t>(r_.size()); }

 private:
  R r_;
  F f_;
};

/// f of every item: of a source (a source again), of a loader's batches (a loader again: prefetch() then runs
/// f in the background), or of any range. Of a loader f may take a Generator& too, to be random in a way
/// that depends on the pass and the batch alone: map(data, [](Batch b, Generator& g) { ... }).
template <class R, class F>
auto map(R&& r, F f) {
  if constexpr (source<R>)
    return MappedSource<R, F>(std::forward<R>(r), std::move(f));
  else if constexpr (loader<std::remove_cvref_t<R>>)
    return MappedLoader<R, F>(std::forward<R>(r), std::move(f));
  else
    return MappedRange<R, F>(std::forward<R>(r), std::move(f));
}

// ---- concat, subsets, cache ----------------------------------------------------------------------

template <class A, class B>
class Concatenated {
 public:
  using reference = std::common_reference_t<item_t<A>, item_t<B>>;
  Concatenated(A&& a, B&& b) : a_(std::forward<A>(a)), b_(std::forward<B>(b)) {}
  std::size_t size() const {
    return static_cast<std::size_t>(a_.size()) + static_cast<std::size_t>(b_.size());
  }
  reference operator[](std::size_t i) const {
    const std::size_t n = static_cast<std::size_t>(a_.size());
    if (i < n) return a_[i];
    return b_[i - n];
  }
  auto begin() const { return detail::ItemIterator(this, 0); }
  auto end() const { return detail::ItemIterator(this, size()); }

 private:
  A a_;
  B b_;
};
/// The items of one source after those of another.
template <source A, source B>
auto concat(A&& a, B&& b) {
  return Concatenated<A, B>(std::forward<A>(a), std::forward<B>(b));
}
template <source A, source B, source... More>
requires(sizeof...(More) > 0) auto concat(A&& a, B&& b, More&&... more) {
  return concat(concat(std::forward<A>(a), std::forward<B>(b)), std::forward<More>(more)...);
}

/// Some items of a source, in an order of their own. Copies share the source.
template <class S>
class Subset {
 public:
  Subset(std::shared_ptr<const S> s, std::vector<std::int64_t> ids)
      : s_(std::move(s)), ids_(std::move(ids)) {}
  std::size_t size() const { return ids_.size(); }
  decltype(auto) operator[](std::size_t i) const {
    detail::check_item("subset", i, ids_.size());
    return (*s_)[static_cast<std::size_t>(ids_[i])];
  }
  Batch gather(const std::vector<std::int64_t>& ids) const requires requires {
    std::declval<const S&>().gather({});
  }
  {
    std::vector<std::int64_t> inner;
    inner.reserve(ids.size());
    for (const auto i : ids) inner.push_back(ids_[static_cast<std::size_t>(i)]);
    return s_->gather(inner);
  }
  /// Their places in the source.
  const std::vector<std::int64_t>& ids() const { return ids_; }
  auto begin() const { return detail::ItemIterator(this, 0); }
  auto end() const { return detail::ItemIterator(this, size()); }

 private:
  std::shared_ptr<const S> s_;
  std::vector<std::int64_t> ids_;
};

namespace detail {
void check_ids(const std::vector<std::int64_t>& ids, std::size_t size);
// The ids of every part, one part after the other.
std::vector<std::vector<std::int64_t>> split_ids(std::size_t size, const double* fractions, std::size_t count,
                                                 std::uint64_t seed);
}  // namespace detail

/// The items with these ids; ValueError for one outside the source.
template <source S>
auto subset(S&& s, std::vector<std::int64_t> ids) {
  detail::check_ids(ids, static_cast<std::size_t>(s.size()));
  return Subset<std::remove_cvref_t<S>>(detail::keep(std::forward<S>(s)), std::move(ids));
}

/// Parts of a source at random, by fractions of its size: auto [trn, dev, tst] = split(data, {0.8, 0.1, 0.1},
/// 7). The same parts for the same seed; seed 0 leaves the order as it is. Every item is in exactly one part
/// when the fractions add up to 1; they may add up to less. ValueError when they are negative or more than 1
/// together.
template <source S, std::size_t N>
auto split(S&& s, const double (&fractions)[N], std::uint64_t seed) {
  const auto ids = detail::split_ids(static_cast<std::size_t>(s.size()), fractions, N, seed);
  const auto kept = detail::keep(std::forward<S>(s));
  using Part = Subset<std::remove_cvref_t<S>>;
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<Part, N>{Part(kept, ids[I])...};
  }
  (std::make_index_sequence<N>());
}

namespace detail {
// Which items are there already. Filled in from any thread.
class CacheSlots {
 public:
  explicit CacheSlots(std::size_t size);
  std::shared_ptr<const void> get(std::size_t i) const;
  /// The one that was first.
  std::shared_ptr<const void> put(std::size_t i, std::shared_ptr<const void>) const;
  std::size_t filled() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};
}  // namespace detail

template <class S>
class Cached {
 public:
  using T = std::remove_cvref_t<item_t<S>>;
  explicit Cached(S&& s) : s_(std::forward<S>(s)), slots_(static_cast<std::size_t>(s_.size())) {}
  std::size_t size() const { return static_cast<std::size_t>(s_.size()); }
  const T& operator[](std::size_t i) const {
    detail::check_item("cache", i, size());
    std::shared_ptr<const void> p = slots_.get(i);
    if (!p) p = slots_.put(i, std::make_shared<const T>(s_[i]));
    return *static_cast<const T*>(p.get());
  }
  /// Items kept so far.
  std::size_t filled() const { return slots_.filled(); }
  auto begin() const { return detail::ItemIterator(this, 0); }
  auto end() const { return detail::ItemIterator(this, size()); }

 private:
  S s_;
  detail::CacheSlots slots_;
};
/// Keeps every item in memory once it was asked for: cache(map(files, decode)) decodes each file once.
template <source S>
auto cache(S&& s) {
  return Cached<S>(std::forward<S>(s));
}

}  // namespace knet
