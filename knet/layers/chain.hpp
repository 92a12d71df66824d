// Chain: layers whose types are known, one after the other; anything may flow between them.
#pragma once
#include <tuple>
#include <utility>

#include "knet/autograd/layer_call.hpp"
#include "knet/autograd/model.hpp"

namespace knet {

/// Chain{Linear{...}, relu, [](const Tensor& x) { return x.sum(-1); }}
template <class... L>
struct Chain {
  std::tuple<L...> layers;

  explicit(sizeof...(L) == 1) Chain(L... l) : layers(std::forward<L>(l)...) {}
  template <class... X>
  decltype(auto) operator()(X&&... x) const {
    return run<0>(std::forward<X>(x)...);
  }
  template <std::size_t I>
  auto& get() {
    return std::get<I>(layers);
  }
  template <std::size_t I>
  const auto& get() const {
    return std::get<I>(layers);
  }
  auto& last() { return get<sizeof...(L) - 1>(); }
  const auto& last() const { return get<sizeof...(L) - 1>(); }
  /// Layers B to E - 1 as a Chain of references: it shares the layers with this one.
  template <std::size_t B, std::size_t E>
  auto slice() const {
    return part<B>(layers, std::make_index_sequence<E - B>{});
  }
  template <std::size_t B, std::size_t E>
  auto slice() {
    return part<B>(layers, std::make_index_sequence<E - B>{});
  }
  static constexpr std::size_t size() { return sizeof...(L); }
  template <class F>
  void for_each(F&& f) {
    std::apply([&](auto&... l) { (f(l), ...); }, layers);
  }
  static void visit(auto& self, auto&& f) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      char b[20];
      (f(detail::index_name(I, b), std::get<I>(self.layers)), ...);
    }
    (std::index_sequence_for<L...>{});
  }

 private:
  template <std::size_t I, class... X>
  decltype(auto) run(X&&... x) const {
    if constexpr (I + 1 == sizeof...(L))
      return one<I>(std::forward<X>(x)...);
    else
      return run<I + 1>(one<I>(std::forward<X>(x)...));
  }
  template <std::size_t I, class... X>
  decltype(auto) one(X&&... x) const {
    const LayerCall running(std::get<I>(layers));
    return std::get<I>(layers)(std::forward<X>(x)...);
  }
  template <std::size_t B, class T, std::size_t... I>
  static auto part(T& t, std::index_sequence<I...>);
};
template <class... L>
Chain(L...) -> Chain<L...>;
template <class... L>
template <std::size_t B, class T, std::size_t... I>
auto Chain<L...>::part(T& t, std::index_sequence<I...>) {
  return Chain<decltype((std::get<B + I>(t)))...>(std::get<B + I>(t)...);
}
template <std::size_t I, class... L>
auto& get(Chain<L...>& c) {
  return std::get<I>(c.layers);
}
template <std::size_t I, class... L>
const auto& get(const Chain<L...>& c) {
  return std::get<I>(c.layers);
}

}  // namespace knet
template <class... L>
struct std::tuple_size<knet::Chain<L...>> : std::integral_constant<std::size_t, sizeof...(L)> {};
template <std::size_t I, class... L>
struct std::tuple_element<I, knet::Chain<L...>> : std::tuple_element<I, std::tuple<L...>> {};
