#include "knet/layers/losses.hpp"

#include "knet/ops/arithmetic.hpp"

namespace knet {

Tensor SigmoidCrossEntropyLoss::operator()(const Tensor& scores, const Tensor& labels) const {
  const Tensor total = binary_cross_entropy(scores, labels, false);
  if (!average) return total;
  const std::int64_t n = scores.numel() / std::max<std::int64_t>(scores.size(dim), 1);
  return total * (1.0 / static_cast<double>(std::max<std::int64_t>(n, 1)));
}

}  // namespace knet
