// Layers of matrices: [.., input] -> [.., output]. Integers are one-hot vectors: ids [..] -> [.., output]. A
// layer is an aggregate: its arguments, parameters and state are its fields, so that
//   Dense{.input = 784, .output = 100, .activation = sigm}
// is plain aggregate initialisation, and a user's layer is written in the same way.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "knet/layers/activation.hpp"
#include "knet/layers/argument.hpp"
#include "knet/layers/init.hpp"

namespace knet {

/// x W^T
struct Multiply {
  Size<argument::input> input;
  Size<argument::output> output;
  Init winit = xavier_uniform;
  DType dtype = default_dtype();
  Param weight = winit({output, input}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// A table: ids [..] -> rows [.., output]; floats [.., input] -> [.., output], as if every row were weighted.
/// The gradient of a lookup holds only the rows that were read.
struct Embed {
  Size<argument::input> input;    ///< how many rows: the vocabulary
  Size<argument::output> output;  ///< their size
  Init winit = xavier_uniform;
  DType dtype = default_dtype();
  Param weight = winit({input, output}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// x + b; without a shape x itself. Bias{{10}}, Bias{.shape = {3, 1, 1}}
struct Bias {
  std::vector<std::int64_t> shape = {};
  Init winit = zeros;
  DType dtype = default_dtype();
  Param bias = shape.empty() ? Tensor() : winit(Shape(std::span<const std::int64_t>(shape)), dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// x W^T + b; .binit = nullptr for no bias.
struct Linear {
  Size<argument::input> input;
  Size<argument::output> output;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit({output, input}, dtype), bias = binit({output}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// activation(x W^T + b), one kernel and one step on the tape.
struct Dense {
  Size<argument::input> input;
  Size<argument::output> output;
  Activation activation = relu;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit({output, input}, dtype), bias = binit({output}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// x * w + b, one weight per feature.
struct Diagonal {
  Size<argument::size> size;
  Init winit = ones, binit = zeros;
  DType dtype = default_dtype();
  Param weight = winit({size}, dtype), bias = binit({size}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

/// Dense layers with the activation between them, not after the last. MLP{{784, 100, 50, 10}},
/// MLP{.sizes = {784, 10}, .activation = elu}.
struct MLP {
  std::vector<std::int64_t> sizes;
  Activation activation = relu;
  double dropout = 0;      ///< of the input of every layer, in training
  bool drop_input = true;  ///< of the first one too
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  std::vector<Dense> layers = make_layers();
  Tensor operator()(Tensor x) const;
  std::vector<Dense> make_layers() const;
};

}  // namespace knet
