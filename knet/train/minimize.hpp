// Training as a lazy range of losses: each ++ takes one batch and makes one update.
//
//   for (double loss : progress(adam(model, nll, data, {.lr = 1e-3}))) if (loss < 0.1) break;
#pragma once
#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "knet/autograd/tape.hpp"
#include "knet/data/ranges.hpp"
#include "knet/optim/optimizer.hpp"

namespace knet {

namespace detail {
template <class F, class B>
decltype(auto) apply_batch(F&& f, B&& b) {
  using U = std::remove_cvref_t<B>;
  if constexpr (tuple_like<U>)
    return std::apply(f, std::forward<B>(b));
  else if constexpr (std::is_aggregate_v<U>)
    return reflect::with_fields(b, f);  // Batch, or the user's own struct
  else
    return f(std::forward<B>(b));
}
struct FromModel {};  // no loss given: the model itself returns it
template <class M, class L, class B>
Tensor loss_of(M& m, const L& loss, B&& batch) {
  return apply_batch(
      [&](auto&&... a) -> Tensor {
        if constexpr (std::same_as<L, FromModel>)
          return m(a...);
        else if constexpr (std::invocable<const L&, M&, decltype(a)...>)
          return loss(m, a...);  // loss(model, x, y)
        else
          return
              [&](auto&& x, auto&&... y) -> Tensor { return loss(m(x), y...); }(a...);  // loss(model(x), y)
      },
      std::forward<B>(batch));
}
template <class R>
concept data_range = requires(std::remove_reference_t<R>& r) {
  r.begin();
};
}  // namespace detail

template <class M, class L, class R>
class Minimize {
 public:
  Minimize(M& m, L loss, R&& data, Rule rule)
      : m_(m), loss_(std::move(loss)), data_(std::forward<R>(data)), opt_(m, std::move(rule)) {}
  class iterator {
   public:
    using value_type = double;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(Minimize* p) : p_(p) {
      i_.emplace(p->data_.begin());
      pull();
    }
    double operator*() const { return loss_; }
    iterator& operator++() {
      ++*i_;
      pull();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.p_ == nullptr; }

   private:
    void pull() {
      if (*i_ == p_->data_.end())
        p_ = nullptr;
      else
        loss_ = p_->step(**i_);
    }
    Minimize* p_ = nullptr;
    std::optional<begin_t<R>> i_;
    double loss_ = 0;
  };
  /// The first update is made here. Another pass goes on with what the optimiser remembers.
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  std::ptrdiff_t size() const requires requires(const std::remove_reference_t<R>& r) { r.size(); }
  { return static_cast<std::ptrdiff_t>(data_.size()); }
  Optimizer& optimizer() { return opt_; }
  /// One update on one batch; the loss before it.
  template <class B>
  double step(B&& batch) {
    const Tape tape = diff([&] { return detail::loss_of(m_, loss_, batch); });
    opt_.step(tape);
    return tape.item();
  }

 private:
  M& m_;
  L loss_;
  R data_;
  Optimizer opt_;
};

/// loss is loss(scores, y), loss(model, x, y), or left out when the model returns it.
template <class M, class L, class R>
auto minimize(M& m, L loss, R&& data, Rule rule) {
  return Minimize<M, L, R>(m, std::move(loss), std::forward<R>(data), std::move(rule));
}
template <class M, class R>
requires detail::data_range<R>
auto minimize(M& m, R&& data, Rule rule) {
  return Minimize<M, detail::FromModel, R>(m, {}, std::forward<R>(data), std::move(rule));
}

#define KNET_MINIMIZER(name, Type)                                       \
  template <class M, class L, class R>                                   \
  auto name(M& m, L loss, R&& data, Type o = {}) {                       \
    return minimize(m, std::move(loss), std::forward<R>(data), Rule(o)); \
  }                                                                      \
  template <class M, class R>                                            \
  requires detail::data_range<R>                                         \
  auto name(M& m, R&& data, Type o = {}) { return minimize(m, std::forward<R>(data), Rule(o)); }
KNET_MINIMIZER(sgd, SGD)
KNET_MINIMIZER(momentum, Momentum)
KNET_MINIMIZER(nesterov, Nesterov)
KNET_MINIMIZER(adagrad, Adagrad)
KNET_MINIMIZER(rmsprop, Rmsprop)
KNET_MINIMIZER(adadelta, Adadelta)
KNET_MINIMIZER(adam, Adam)
KNET_MINIMIZER(adamw, AdamW)
#undef KNET_MINIMIZER

}  // namespace knet
