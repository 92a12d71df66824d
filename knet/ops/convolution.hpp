// Convolutions with bias and activation in one kernel and one node on the tape. Not installed; layers use it.
#pragma once
#include "knet/kernels/kernels.hpp"
#include "knet/ops/conv.hpp"

namespace knet {

/// activation(conv(x, weight) + bias); `who` names the layer in errors. Unbatched x (one dimension less) is
/// one image.
Tensor convolution(const char* who, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const ConvOptions&, Unary activation = Unary::identity, double alpha = 0);
Tensor transposed_convolution(const char* who, const Tensor& x, const Tensor& weight, const Tensor& bias,
                              const ConvOptions&, Extents output_padding);

namespace detail {
/// [N, C, spatial...] as the kernels' [N, C, depth, height, width].
Array image_array(const Tensor&);
/// A tensor [N, C, ...] whose memory has the channels last.
Tensor make_channels_last(const Shape&, DType, Device);
}  // namespace detail

}  // namespace knet
