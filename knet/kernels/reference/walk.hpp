// Visiting every element of strided arrays in row-major order.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "knet/kernels/kernels.hpp"

namespace knet::reference {

/// f(offset in each array, row-major position); all arrays have the first one's sizes.
template <class F, class... A>
void walk(const F& f, const A&... arrays) {
  constexpr std::size_t n = sizeof...(A);
  const std::array<const Array*, n> a{&arrays...};
  const Array& form = *a[0];
  const std::int64_t total = form.numel();
  std::array<std::int64_t, n> at{};
  std::int64_t index[max_dims]{};
  for (std::int64_t i = 0; i < total; ++i) {
    f(at, i);
    for (int d = form.ndim - 1; d >= 0; --d) {
      for (std::size_t k = 0; k < n; ++k) at[k] += a[k]->stride[d];
      if (++index[d] < form.size[d]) break;
      for (std::size_t k = 0; k < n; ++k) at[k] -= a[k]->stride[d] * form.size[d];
      index[d] = 0;
    }
  }
}

/// Every line along dim: f(offset of its first element in each array).
template <class F, class... A>
void lines(int dim, const F& f, const A&... arrays) {
  const auto without = [dim](Array x) {
    x.size[dim] = 1;
    return x;
  };
  walk([&](const auto& at, std::int64_t) { f(at); }, without(arrays)...);
}

}  // namespace knet::reference
