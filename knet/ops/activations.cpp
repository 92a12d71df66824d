#include "knet/ops/activations.hpp"

#include "knet/ops/elementwise.hpp"

namespace knet {
using detail::unary;

Tensor ReLU::operator()(const Tensor& x) const { return unary(Unary::relu, x); }
Tensor Sigm::operator()(const Tensor& x) const { return unary(Unary::sigm, x); }
Tensor Tanh::operator()(const Tensor& x) const { return unary(Unary::tanh, x); }
Tensor ELU::operator()(const Tensor& x) const { return unary(Unary::elu, x, alpha); }
Tensor SELU::operator()(const Tensor& x) const { return unary(Unary::selu, x); }
Tensor LeakyReLU::operator()(const Tensor& x) const { return unary(Unary::leaky_relu, x, alpha); }
Tensor GeLU::operator()(const Tensor& x) const { return unary(Unary::gelu, x); }
Tensor ExactGeLU::operator()(const Tensor& x) const { return unary(Unary::gelu_exact, x); }
Tensor SiLU::operator()(const Tensor& x) const { return unary(Unary::silu, x); }
Tensor Softplus::operator()(const Tensor& x) const { return unary(Unary::softplus, x); }
Tensor HardSigmoid::operator()(const Tensor& x) const { return unary(Unary::hard_sigmoid, x); }
Tensor LogSigm::operator()(const Tensor& x) const { return unary(Unary::log_sigm, x); }

}  // namespace knet
