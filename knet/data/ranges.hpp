// repeat, cycle and take: lazy ranges over data. Our own, because clang 14 cannot compile the <ranges> of
// libstdc++ 12; where a compiler can, std::views work as well. An lvalue is referred to, a temporary is kept.
#pragma once
#include <cstddef>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

namespace knet {

template <class R>
using begin_t = decltype(std::declval<std::remove_reference_t<R>&>().begin());
template <class R>
using element_t = decltype(*std::declval<begin_t<R>&>());
/// How many elements a range has, or -1 when it does not say.
template <class R>
std::ptrdiff_t size_hint(const R& r) {
  if constexpr (requires { r.size(); })
    return static_cast<std::ptrdiff_t>(r.size());
  else
    return -1;
}

template <class R>
class Repeat {
 public:
  Repeat(R&& r, std::ptrdiff_t n) : r_(std::forward<R>(r)), n_(n) {}
  class iterator {
   public:
    using value_type = std::remove_cvref_t<element_t<R>>;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(Repeat* p) : p_(p), left_(p->n_) { restart(); }
    decltype(auto) operator*() const { return **i_; }
    iterator& operator++() {
      if (++*i_ == p_->r_.end()) restart();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.p_ == nullptr; }

   private:
    void restart() {
      while (left_ != 0) {
        if (left_ > 0) --left_;
        i_.emplace(p_->r_.begin());
        if (*i_ != p_->r_.end()) return;
        if (left_ < 0) break;  // nothing, for ever
      }
      p_ = nullptr;
    }
    Repeat* p_ = nullptr;
    std::optional<begin_t<R>> i_;
    std::ptrdiff_t left_ = 0;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  /// -1 as a size means that it never ends.
  std::ptrdiff_t size() const requires requires(const std::remove_reference_t<R>& r) { r.size(); }
  { return n_ < 0 ? -1 : static_cast<std::ptrdiff_t>(r_.size()) * n_; }

 private:
  R r_;
  std::ptrdiff_t n_;
};
/// n passes over the data.
template <class R>
auto repeat(R&& r, std::ptrdiff_t n) {
  return Repeat<R>(std::forward<R>(r), n < 0 ? 0 : n);
}
/// Passes without end; take() ends them.
template <class R>
auto cycle(R&& r) {
  return Repeat<R>(std::forward<R>(r), -1);
}

template <class R>
class Take {
 public:
  Take(R&& r, std::size_t n) : r_(std::forward<R>(r)), n_(n) {}
  class iterator {
   public:
    using value_type = std::remove_cvref_t<element_t<R>>;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(Take* p) : p_(p), left_(p->n_) {
      if (left_ == 0) return;
      i_.emplace(p_->r_.begin());
      if (*i_ == p_->r_.end()) left_ = 0;
    }
    decltype(auto) operator*() const { return **i_; }
    iterator& operator++() {
      if (--left_ && ++*i_ == p_->r_.end()) left_ = 0;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.left_ == 0; }

   private:
    Take* p_ = nullptr;
    std::optional<begin_t<R>> i_;
    std::size_t left_ = 0;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  std::ptrdiff_t size() const {
    const std::ptrdiff_t n = size_hint(r_), most = static_cast<std::ptrdiff_t>(n_);
    return n < 0 || n > most ? most : n;
  }
  /// Of a source: its i-th item.
  decltype(auto) operator[](std::size_t i) const requires requires(const std::remove_reference_t<R>& r) {
    r[i];
    r.size();
  }
  { return r_[i]; }

 private:
  R r_;
  std::size_t n_;
};
/// At most the first n elements.
template <class R>
auto take(R&& r, std::size_t n) {
  return Take<R>(std::forward<R>(r), n);
}

}  // namespace knet
