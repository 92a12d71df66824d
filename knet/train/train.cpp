#include "knet/train/train.hpp"

#include "knet/ops/arithmetic.hpp"

namespace knet::detail {

double count_labels(const Tensor& y) { return (y != static_cast<double>(ignore)).to(f64).sum().item(); }

}  // namespace knet::detail
