// Training as a lazy range of losses: each ++ takes one batch (or a few, see accumulate()) and makes one
// update.
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
// What a mean over a batch divides by, up to a factor: labels other than `ignore` when the last tensor holds
// integers, else rows.
double batch_weight(const Tensor& last);
template <class B>
double weight_of(B&& batch) {
  return apply_batch(
      [](auto&&... a) {
        double weight = 1;
        const auto look = [&]([[maybe_unused]] const auto& x) {
          if constexpr (std::same_as<std::remove_cvref_t<decltype(x)>, Tensor>) weight = batch_weight(x);
        };
        (look(a), ...);
        return weight;
      },
      batch);
}
void check_accumulate(int batches);
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
    explicit iterator(Minimize* p) : p_(p) { pull(); }
    double operator*() const { return loss_; }
    iterator& operator++() {
      pull();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, std::default_sentinel_t) { return a.p_ == nullptr; }

   private:
    // The next batch is there.
    bool next() {
      if (over_) return false;
      if (i_)
        ++*i_;
      else
        i_.emplace(p_->data_.begin());
      over_ = *i_ == p_->data_.end();
      return !over_;
    }
    void pull() {
      if (p_->group_ == 1) {
        if (next())
          loss_ = p_->step(**i_);
        else
          p_ = nullptr;
        return;
      }
      double sum = 0, weight = 0;
      int n = 0;
      for (; n < p_->group_ && next(); ++n) p_->add(**i_, sum, weight);
      if (n == 0) {
        p_ = nullptr;
        return;
      }
      if (weight > 0) p_->opt_.step();
      loss_ = weight > 0 ? sum / weight : 0;
    }
    Minimize* p_ = nullptr;
    std::optional<begin_t<R>> i_;
    bool over_ = false;
    double loss_ = 0;
  };
  /// The first update is made here. Another pass goes on with what the optimiser remembers.
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }
  std::ptrdiff_t size() const requires requires(const std::remove_reference_t<R>& r) { r.size(); }
  { return (static_cast<std::ptrdiff_t>(data_.size()) + group_ - 1) / group_; }
  Optimizer& optimizer() { return opt_; }
  /// From now on each update takes so many batches (the last one of a pass those that are left) and their
  /// gradients' mean, weighted by rows, or by labels other than `ignore` where a batch ends with integers:
  /// one update on all of them together in the memory of one. ValueError below 1.
  Minimize& accumulate(int batches) & {
    detail::check_accumulate(batches);
    group_ = batches;
    return *this;
  }
  Minimize accumulate(int batches) && { return std::move(accumulate(batches)); }
  /// One update on one batch; the loss before it.
  template <class B>
  double step(B&& batch) {
    const Tape tape = diff([&] { return detail::loss_of(m_, loss_, batch); });
    opt_.step(tape);
    return tape.item();
  }

 private:
  template <class B>
  void add(B&& batch, double& sum, double& weight) {
    const double w = detail::weight_of(batch);
    if (!(w > 0)) return;  // nothing to learn from
    const Tape tape = diff([&] { return detail::loss_of(m_, loss_, batch); });
    opt_.accumulate(tape, w);
    sum += w * tape.item();
    weight += w;
  }
  M& m_;
  L loss_;
  R data_;
  Optimizer opt_;
  int group_ = 1;  // batches of one update
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
