// What .activation takes: a function that kernels can fuse (relu, tanh ...), or any other layer.
#pragma once
#include <concepts>
#include <string>

#include "knet/layers/layer.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/softmax.hpp"

namespace knet {

enum class Unary : std::uint8_t;

class Activation {
 public:
  Activation();  ///< none: x itself
  Activation(std::nullptr_t) : Activation() {}
  Activation(NonAct) : Activation() {}
  Activation(ReLU);
  Activation(Sigm);
  Activation(Tanh);
  Activation(ELU);
  Activation(SELU);
  Activation(LeakyReLU);
  Activation(GeLU);
  Activation(ExactGeLU);
  Activation(SiLU);
  Activation(Softplus);
  Activation(Tensor (*f)(const Tensor&));  ///< tanh, or any function of the user's
  Activation(HardSigmoid);
  Activation(LogSigm);
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, Activation> && std::constructible_from<Layer, F>)
      Activation(F&& f)
      : Activation(Layer(std::forward<F>(f)), 0) {}

  /// Is it one of the functions that kernels know?
  bool fusible() const { return !other_; }
  Unary kind() const { return kind_; }
  double alpha() const { return alpha_; }
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
  void walk(Visitor& v) { other_.walk(v); }
  /// "relu", or "custom".
  std::string name() const;

 private:
  Activation(Layer, int);
  Unary kind_;
  double alpha_ = 0;
  Layer other_;
};

/// exp(x) / sum(exp(x)) along a dimension, or over several together: Softmax{.dim = {1, 2}}. Dims{} are all,
/// KnetLayers' default.
struct Softmax {
  Dims dim = -1;
  Tensor operator()(const Tensor& x) const {
    const LayerCall running(*this);
    return softmax(x, dim);
  }
};
using SoftMax = Softmax;
struct LogSoftmax {
  Dims dim = -1;
  Tensor operator()(const Tensor& x) const {
    const LayerCall running(*this);
    return logp(x, dim);
  }
};
using LogSoftMax = LogSoftmax;
/// log(sum(exp(x))) along dim, which disappears.
struct LogSumExp {
  Dims dim = -1;
  Tensor operator()(const Tensor& x) const;
};
/// Zeroes elements with probability p while training, see dropout().
struct Dropout {
  double p = 0.5;
  Tensor operator()(const Tensor& x) const {
    const LayerCall running(*this);
    return dropout(x, p);
  }
};

}  // namespace knet
