// Activations. One type is the layer and the function: relu(x), ReLU{}(x), Dense{.activation = relu}. Of a
// value that nobody keeps, as in relu(conv(x)), the result takes over the memory.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

/// x itself.
struct NonAct {
  Tensor operator()(const Tensor& x) const { return x; }
};
/// max(x, 0)
struct ReLU {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// 1 / (1 + exp(-x))
struct Sigm {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
struct Tanh {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// x > 0 ? x : alpha (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289.
struct ELU {
  double alpha = 1;
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// Scaled ELU with fixed constants. Klambauer et al. 2017, arXiv:1706.02515.
struct SELU {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// x > 0 ? x : alpha x
struct LeakyReLU {
  double alpha = 0.2;
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// x Phi(x) in its tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Hendrycks & Gimpel 2016,
/// arXiv:1606.08415. ExactGeLU uses the normal distribution itself.
struct GeLU {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
struct ExactGeLU {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// x sigm(x), also called swish.
struct SiLU {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// log(1 + exp(x))
struct Softplus {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// clamp(x / 6 + 1/2, 0, 1)
struct HardSigmoid {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};
/// log(sigm(x))
struct LogSigm {
  Tensor operator()(const Tensor& x) const;
  Tensor operator()(Tensor&& x) const;
};

inline constexpr NonAct identity{};
inline constexpr ReLU relu{};
inline constexpr Sigm sigm{};
inline constexpr ELU elu{};
inline constexpr SELU selu{};
inline constexpr LeakyReLU leaky_relu{};
inline constexpr GeLU gelu{};
inline constexpr ExactGeLU gelu_exact{};
inline constexpr SiLU silu{};
inline constexpr HardSigmoid hard_sigmoid{};
inline constexpr LogSigm log_sigm{};

}  // namespace knet
