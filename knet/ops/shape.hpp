// Joining, splitting and padding tensors; views are members of Tensor.
#pragma once
#include <initializer_list>
#include <span>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet {

/// Joined along an existing dimension; the other sizes are equal.
Tensor cat(std::span<const Tensor>, int dim = 0);
inline Tensor cat(std::initializer_list<Tensor> l, int dim = 0) { return cat({l.begin(), l.size()}, dim); }
inline Tensor cat(const std::vector<Tensor>& v, int dim = 0) { return cat(std::span<const Tensor>(v), dim); }
/// All elements of the tensors, one after the other, as a vector: cat1d(a, b, c).
Tensor cat1d(std::span<const Tensor>);
template <class... T>
Tensor cat1d(const Tensor& first, const T&... rest) {
  const Tensor all[] = {first, rest...};
  return cat1d(std::span<const Tensor>(all));
}
/// Joined along a new dimension; all shapes are equal.
Tensor stack(std::span<const Tensor>, int dim = 0);
inline Tensor stack(std::initializer_list<Tensor> l, int dim = 0) {
  return stack({l.begin(), l.size()}, dim);
}
inline Tensor stack(const std::vector<Tensor>& v, int dim = 0) {
  return stack(std::span<const Tensor>(v), dim);
}
/// Views of `size` positions each (the last may be shorter), or of the given sizes, which add up to the
/// dimension.
std::vector<Tensor> split(const Tensor&, std::int64_t size, int dim = 0);
std::vector<Tensor> split(const Tensor&, std::span<const std::int64_t> sizes, int dim = 0);
/// `before` and `after` positions of `value` added along a dimension.
Tensor pad(const Tensor&, int dim, std::int64_t before, std::int64_t after, double value = 0);
/// [n, ...] as a matrix: all dimensions but the first (or the first `keep`) joined. mat(x), mat(x, 2), or a
/// layer: Chain{Conv{...}, mat, Dense{...}}.
struct Mat {
  Tensor operator()(const Tensor&, int keep = 1) const;
};
inline constexpr Mat mat{};
/// The elements in the reverse order along a dimension.
Tensor flip(const Tensor&, int dim);

}  // namespace knet
