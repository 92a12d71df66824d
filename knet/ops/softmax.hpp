// Softmax, its logarithm, and dropout.
#pragma once
#include "knet/device/random.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

/// exp(x) / sum(exp(x)) along dim.
Tensor softmax(const Tensor& x, int dim = -1);
/// log(softmax(x)) along dim, without overflow.
Tensor logp(const Tensor& x, int dim = -1);
/// Over several dimensions together: softmax(x, {1, 2}).
Tensor softmax(const Tensor& x, Dims dims);
Tensor logp(const Tensor& x, Dims dims);
/// While training() zeroes elements with probability p and divides the rest by 1 - p (Srivastava et al.
/// 2014); otherwise x. p = 1 leaves zeros; p outside [0, 1] is a ValueError.
Tensor dropout(const Tensor& x, double p);
/// The same with zeros from an own generator.
Tensor dropout(const Tensor& x, double p, Generator&);
/// Rows of the last dimension to mean 0, variance 1: (x - mean) / sqrt(var + eps) * weight + bias (either may
/// be empty, [d]). Ba et al. 2016, arXiv:1607.06450.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

}  // namespace knet
