// A rectangular part of a tensor (ranges and single positions) on the tape. Not installed.
#pragma once
#include "knet/tensor/access.hpp"

namespace knet::detail {

/// Per dimension of the source where the part starts and its step; single positions drop their dimension.
struct Part {
  std::int64_t start[max_dims]{}, step[max_dims]{};
  bool dropped[max_dims]{};
  Shape shape;  // of the part
  Strides strides(const Tensor& source) const;
  std::int64_t offset(const Tensor& source) const;
};
Part whole(const Tensor&);
/// The part as a view.
Tensor part(const char* who, const Tensor&, const Part&);
/// Zeros of the shape with dy in the part.
Tensor unpart(const Tensor& dy, const Part&, const Shape&);

}  // namespace knet::detail
