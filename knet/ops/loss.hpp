// Losses: what is minimised. Each gives one number, the mean over the counted elements unless said otherwise.
#pragma once
#include <cstdint>

#include "knet/tensor/tensor.hpp"

namespace knet {

/// The label that no class has: positions with it count for nothing.
inline constexpr std::int64_t ignore = -1;

struct CrossEntropyOptions {
  int dim = -1;  ///< where the classes are
  std::int64_t ignore = knet::ignore;
  bool average = true;   ///< the mean over the counted labels; otherwise their sum
  double smoothing = 0;  ///< label smoothing in [0, 1): Szegedy et al. 2015, arXiv:1512.00567
  Tensor weight = {};    ///< [classes], each label counts as much as its class's weight
};
/// -log softmax(scores)[label]. scores [.., c, ..] (c at dim), labels: integers with dim left out, or, for
/// soft labels, probabilities in the shape of the scores. A label outside 0 to c-1 that is not `ignore` is a
/// ValueError. No counted label: 0.
Tensor cross_entropy(const Tensor& scores, const Tensor& labels, const CrossEntropyOptions& = {});
/// Binary cross entropy of scores before the sigmoid; labels 0 or 1 (any dtype), or probabilities, of the
/// scores' shape. log(1 + exp(-s)) for 1, log(1 + exp(s)) for 0, without overflow.
Tensor binary_cross_entropy(const Tensor& scores, const Tensor& labels, bool average = true);
/// log(1 + exp(-s y)) for labels -1 and 1.
Tensor logistic_loss(const Tensor& scores, const Tensor& labels, bool average = true);
Tensor mse_loss(const Tensor& y, const Tensor& target, bool average = true);
Tensor l1_loss(const Tensor& y, const Tensor& target, bool average = true);
/// d d / 2 where |d| < delta, delta (|d| - delta / 2) beyond. Huber 1964.
Tensor huber_loss(const Tensor& y, const Tensor& target, double delta = 1, bool average = true);
/// sum p (log p - logq) over the last dimension, the mean over the rest; logq are log-probabilities.
Tensor kl_div(const Tensor& logq, const Tensor& p, bool average = true);

/// Share of the labels whose class has the largest score along dim; `ignore` is not counted.
double accuracy(const Tensor& scores, const Tensor& labels, int dim = -1);
/// 1 - accuracy.
double zeroone(const Tensor& scores, const Tensor& labels, int dim = -1);

}  // namespace knet
