// Losses as layers and functions: CrossEntropyLoss{}(scores, labels), nll(scores, labels), .loss = nll.
#pragma once
#include "knet/ops/loss.hpp"

namespace knet {

/// -log softmax(scores)[label], see cross_entropy(). nll(scores, labels) is this with its defaults.
struct CrossEntropyLoss {
  int dim = -1;
  std::int64_t ignore = knet::ignore;
  bool average = true;
  double smoothing = 0;
  Tensor weight = {};
  Tensor operator()(const Tensor& scores, const Tensor& labels) const {
    return cross_entropy(scores, labels, {dim, ignore, average, smoothing, weight});
  }
};
/// Scores before the sigmoid against labels 0 and 1.
struct BCELoss {
  bool average = true;
  Tensor operator()(const Tensor& scores, const Tensor& labels) const {
    return binary_cross_entropy(scores, labels, average);
  }
};
/// Scores against labels -1 and 1.
struct LogisticLoss {
  bool average = true;
  Tensor operator()(const Tensor& scores, const Tensor& labels) const {
    return logistic_loss(scores, labels, average);
  }
};
/// Several labels at once: scores and labels (0 or 1) [n, c]; the sum over c, averaged over n.
struct SigmoidCrossEntropyLoss {
  int dim = -1;  ///< where the c labels are
  bool average = true;
  Tensor operator()(const Tensor& scores, const Tensor& labels) const;
};
struct MSELoss {
  bool average = true;
  Tensor operator()(const Tensor& y, const Tensor& target) const { return mse_loss(y, target, average); }
};
struct L1Loss {
  bool average = true;
  Tensor operator()(const Tensor& y, const Tensor& target) const { return l1_loss(y, target, average); }
};
struct HuberLoss {
  double delta = 1;
  bool average = true;
  Tensor operator()(const Tensor& y, const Tensor& target) const {
    return huber_loss(y, target, delta, average);
  }
};
/// Log-probabilities against probabilities.
struct KLLoss {
  bool average = true;
  Tensor operator()(const Tensor& logq, const Tensor& p) const { return kl_div(logq, p, average); }
};

struct NLL {
  Tensor operator()(const Tensor& scores, const Tensor& labels) const {
    return cross_entropy(scores, labels);
  }
  Tensor operator()(const Tensor& scores, const Tensor& labels, const CrossEntropyOptions& o) const {
    return cross_entropy(scores, labels, o);
  }
};
inline constexpr NLL nll{};
inline constexpr BCELoss bce{};
inline constexpr LogisticLoss logistic{};
inline constexpr MSELoss mse{};

}  // namespace knet
