// Convolutions over images. Batches come first, then channels: [N, C, H, W]; one image [C, H, W] may come
// alone, and [H, W] or [W] where there is one channel.
//   Conv{.height = 3, .width = 3, .inout = {3, 16}, .activation = relu, .padding = 1}
// Weights are named and laid out as PyTorch's: [out, in / groups, height, width].
#pragma once
#include <string>

#include "knet/layers/activation.hpp"
#include "knet/layers/argument.hpp"
#include "knet/layers/init.hpp"
#include "knet/ops/conv.hpp"

namespace knet {

namespace detail {
/// The shape of a convolution's weight, after checking groups and channels; `transposed` has the input first.
Shape conv_weight(const char* who, InOut, std::int64_t groups, bool transposed, Shape kernel);
}  // namespace detail

/// activation(convolution + bias) over [N, C, H, W]; .padding = same keeps the size at stride 1. Size of the
/// output: see conv().
struct Conv {
  Size<argument::height> height;
  Size<argument::width> width;
  InOut inout = {1, 1};
  Activation activation = nullptr;
  Padding padding = 0;
  Extents stride = 1, dilation = 1;
  std::int64_t groups = 1;
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;  ///< times the convolution, not the bias
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit(detail::conv_weight("Conv", inout, groups, false, {height, width}), dtype),
        bias = binit({inout.out}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// The same over [N, C, W].
struct Conv1d {
  Size<argument::width> width;
  InOut inout = {1, 1};
  Activation activation = nullptr;
  Padding padding = 0;
  Extents stride = 1, dilation = 1;
  std::int64_t groups = 1;
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit(detail::conv_weight("Conv1d", inout, groups, false, {width}), dtype),
        bias = binit({inout.out}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// The same over [N, C, D, H, W].
struct Conv3d {
  Size<argument::depth> depth;
  Size<argument::height> height;
  Size<argument::width> width;
  InOut inout = {1, 1};
  Activation activation = nullptr;
  Padding padding = 0;
  Extents stride = 1, dilation = 1;
  std::int64_t groups = 1;
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit(detail::conv_weight("Conv3d", inout, groups, false, {depth, height, width}), dtype),
        bias = binit({inout.out}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// The transposed convolution over [N, C, H, W], the adjoint of Conv: enlarges where Conv shrinks. Its weight
/// is [in, out / groups, height, width]. Size of the output: see deconv().
struct DeConv {
  Size<argument::height> height;
  Size<argument::width> width;
  InOut inout = {1, 1};
  Activation activation = nullptr;
  Padding padding = 0;
  Extents stride = 1, dilation = 1, output_padding = 0;
  std::int64_t groups = 1;
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit(detail::conv_weight("DeConv", inout, groups, true, {height, width}), dtype),
        bias = binit({inout.out}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// The same over [N, C, W].
struct DeConv1d {
  Size<argument::width> width;
  InOut inout = {1, 1};
  Activation activation = nullptr;
  Padding padding = 0;
  Extents stride = 1, dilation = 1, output_padding = 0;
  std::int64_t groups = 1;
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit(detail::conv_weight("DeConv1d", inout, groups, true, {width}), dtype),
        bias = binit({inout.out}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// The same over [N, C, D, H, W].
struct DeConv3d {
  Size<argument::depth> depth;
  Size<argument::height> height;
  Size<argument::width> width;
  InOut inout = {1, 1};
  Activation activation = nullptr;
  Padding padding = 0;
  Extents stride = 1, dilation = 1, output_padding = 0;
  std::int64_t groups = 1;
  ConvMode mode = ConvMode::cross_correlation;
  double alpha = 1;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit(detail::conv_weight("DeConv3d", inout, groups, true, {depth, height, width}), dtype),
        bias = binit({inout.out}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

}  // namespace knet
