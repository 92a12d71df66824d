// Normalisations: of the channels (dimension 1) of x [N, C] to [N, C, D, H, W] over the batch or in groups,
// and of the last dimension. layer_norm is in softmax.hpp.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

struct BatchNormOptions {
  double eps = 1e-5;
  Tensor residual = {};  ///< of x's shape: added to the result in the same pass
  bool relu = false;     ///< of the result (or sum), in the same pass
};

/// What batch_norm() has seen: [C] each, constants; the variance is the unbiased one.
struct Moments {
  Tensor mean, var;
};

/// (x - mean) / sqrt(var + eps) weight + bias with the batch's own moments; weight and bias [C] may be empty.
/// Ioffe & Szegedy 2015, arXiv:1502.03167.
/// Where `seen` is given it gets the moments.
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const BatchNormOptions& = {},
                  Moments* seen = nullptr);
/// The same with given moments [C], which are constants. May write over an x that nobody keeps.
Tensor batch_norm(Tensor x, const Tensor& weight, const Tensor& bias, const Moments& given,
                  const BatchNormOptions& = {});
/// (x - mean) / sqrt(var + eps) weight + bias with the moments of every example's groups of channels, x [N,
/// C,
/// ...]; weight and bias [C] may be empty. Wu & He 2018, arXiv:1803.08494.
Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps = 1e-5);
/// x / sqrt(mean(x^2) + eps) weight over the last dimension; weight may be empty. Zhang & Sennrich 2019,
/// arXiv:1910.07467.
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-5);

}  // namespace knet
