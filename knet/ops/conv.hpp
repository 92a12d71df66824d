// Convolutions over one, two or three spatial dimensions and their adjoints: x [N, C, W], [N, C, H, W] or
// [N, C, D, H, W], weight [out, in / groups, kernel...]. The results lie in memory with the channels last,
// which is what convolutions, pooling and batch normalisation like best.
#pragma once
#include "knet/ops/spatial.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

struct ConvOptions {
  Extents stride = 1;
  Padding padding = 0;
  Extents dilation = 1;
  std::int64_t groups = 1;  ///< parts of the channels that do not see each other
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;  ///< times the result
};

/// y[n, o, p] = alpha * sum over c, k of weight[o, c, k] x[n, c, p stride + k dilation - padding]. Size of
/// the output: 1 + floor((input + padding on both sides - ((kernel - 1) dilation + 1)) / stride).
Tensor conv(const Tensor& x, const Tensor& weight, const ConvOptions& = {});
/// The adjoint of conv in its input: x [N, in, ...], weight [in, out / groups, kernel...]. Size of the
/// output: stride (input - 1) + (kernel - 1) dilation + 1 - padding on both sides + output_padding; with
/// `same` padding stride * input.
Tensor deconv(const Tensor& x, const Tensor& weight, const ConvOptions& = {}, Extents output_padding = 0);

}  // namespace knet
