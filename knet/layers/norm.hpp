// Normalisation layers.
#pragma once
#include <string>

#include "knet/layers/activation.hpp"
#include "knet/layers/argument.hpp"
#include "knet/layers/init.hpp"

namespace knet {

/// Features (the last dimension) to mean 0 and variance 1, then times weight plus bias. Ba et al. 2016,
/// arXiv:1607.06450.
struct LayerNorm {
  Size<argument::size> size;
  double eps = 1e-5;
  Init winit = ones, binit = zeros;  ///< nullptr: without
  DType dtype = default_dtype();
  Param weight = winit({size}, dtype), bias = binit({size}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// Channels (dimension 1 of [N, C] to [N, C, D, H, W]) to mean 0 and variance 1: with the batch's moments
/// while training, which also move the running ones (the variance unbiased), and with the running ones
/// otherwise. Ioffe & Szegedy 2015, arXiv:1502.03167. An activation of relu costs nothing.
///   BatchNorm{64}, BatchNorm{.channels = 64, .activation = relu}
/// bn(x, residual) is activation(bn(x) + residual) in one pass, the end of a residual block. Of an x that
/// nobody keeps, as in bn(conv(x)), the result takes over the memory where no gradient needs it.
struct BatchNorm {
  Size<argument::channels> channels;
  double momentum = 0.1;  ///< the weight of the new batch in the running moments
  double eps = 1e-5;
  bool affine = true;   ///< weight and bias
  bool frozen = false;  ///< always the running moments, which stay
  Activation activation = nullptr;
  DType dtype = default_dtype();
  Param weight = affine ? ones({channels}, dtype) : Tensor(),
        bias = affine ? zeros({channels}, dtype) : Tensor();
  mutable Tensor running_mean = zeros({channels}, dtype), running_var = ones({channels}, dtype);
  Tensor operator()(Tensor x) const;
  /// `residual` has x's shape.
  Tensor operator()(Tensor x, const Tensor& residual) const;
  std::string describe() const;
};

namespace detail {
/// Ones [channels] when `affine`, after checking the groups.
Tensor group_weight(std::int64_t groups, std::int64_t channels, bool affine, DType);
}  // namespace detail

/// The channels of each example in groups, each to mean 0 and variance 1, then times weight plus bias. Wu &
/// He 2018, arXiv:1803.08494.
struct GroupNorm {
  Size<argument::groups> groups;
  Size<argument::channels> channels;
  double eps = 1e-5;
  bool affine = true;
  DType dtype = default_dtype();
  Param weight = detail::group_weight(groups, channels, affine, dtype),
        bias = affine ? zeros({channels}, dtype) : Tensor();
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// Each channel of each example to mean 0 and variance 1. Ulyanov et al. 2016, arXiv:1607.08022.
struct InstanceNorm {
  Size<argument::channels> channels;
  double eps = 1e-5;
  bool affine = false;
  DType dtype = default_dtype();
  Param weight = affine ? ones({channels}, dtype) : Tensor(),
        bias = affine ? zeros({channels}, dtype) : Tensor();
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// Features (the last dimension) over the root of their mean square, times weight. Zhang & Sennrich 2019,
/// arXiv:1910.07467.
struct RMSNorm {
  Size<argument::size> size;
  double eps = 1e-5;
  Init winit = ones;
  DType dtype = default_dtype();
  Param weight = winit({size}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

}  // namespace knet
