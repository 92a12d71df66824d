// Normalisation layers.
#pragma once
#include <string>

#include "knet/layers/argument.hpp"
#include "knet/layers/init.hpp"

namespace knet {

/// Features (the last dimension) to mean 0 and variance 1, then times weight plus bias.
struct LayerNorm {
  Size<argument::size> size;
  double eps = 1e-5;
  DType dtype = default_dtype();
  Param weight = ones({size}, dtype), bias = zeros({size}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// Channels (dimension 1 of [N, C] to [N, C, D, H, W]) to mean 0 and variance 1: with the batch's moments
/// while training, which also move the running ones, and with the running ones otherwise. Ioffe & Szegedy
/// 2015, arXiv:1502.03167. `momentum` is the weight of the new batch.
struct BatchNorm {
  Size<argument::channels> channels;
  double momentum = 0.1, eps = 1e-5;
  DType dtype = default_dtype();
  Param weight = ones({channels}, dtype), bias = zeros({channels}, dtype);
  mutable Tensor running_mean = zeros({channels}, dtype), running_var = ones({channels}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

}  // namespace knet
