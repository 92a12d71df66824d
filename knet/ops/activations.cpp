#include "knet/ops/activations.hpp"

#include <utility>

#include "knet/ops/elementwise.hpp"

namespace knet {
using detail::unary;

Tensor ReLU::operator()(const Tensor& x) const { return unary(Unary::relu, x); }
Tensor ReLU::operator()(Tensor&& x) const { return unary(Unary::relu, std::move(x)); }
Tensor Sigm::operator()(const Tensor& x) const { return unary(Unary::sigm, x); }
Tensor Sigm::operator()(Tensor&& x) const { return unary(Unary::sigm, std::move(x)); }
Tensor Tanh::operator()(const Tensor& x) const { return unary(Unary::tanh, x); }
Tensor Tanh::operator()(Tensor&& x) const { return unary(Unary::tanh, std::move(x)); }
Tensor ELU::operator()(const Tensor& x) const { return unary(Unary::elu, x, alpha); }
Tensor ELU::operator()(Tensor&& x) const { return unary(Unary::elu, std::move(x), alpha); }
Tensor SELU::operator()(const Tensor& x) const { return unary(Unary::selu, x); }
Tensor SELU::operator()(Tensor&& x) const { return unary(Unary::selu, std::move(x)); }
Tensor LeakyReLU::operator()(const Tensor& x) const { return unary(Unary::leaky_relu, x, alpha); }
Tensor LeakyReLU::operator()(Tensor&& x) const { return unary(Unary::leaky_relu, std::move(x), alpha); }
Tensor GeLU::operator()(const Tensor& x) const { return unary(Unary::gelu, x); }
Tensor GeLU::operator()(Tensor&& x) const { return unary(Unary::gelu, std::move(x)); }
Tensor ExactGeLU::operator()(const Tensor& x) const { return unary(Unary::gelu_exact, x); }
Tensor ExactGeLU::operator()(Tensor&& x) const { return unary(Unary::gelu_exact, std::move(x)); }
Tensor SiLU::operator()(const Tensor& x) const { return unary(Unary::silu, x); }
Tensor SiLU::operator()(Tensor&& x) const { return unary(Unary::silu, std::move(x)); }
Tensor Softplus::operator()(const Tensor& x) const { return unary(Unary::softplus, x); }
Tensor Softplus::operator()(Tensor&& x) const { return unary(Unary::softplus, std::move(x)); }
Tensor HardSigmoid::operator()(const Tensor& x) const { return unary(Unary::hard_sigmoid, x); }
Tensor HardSigmoid::operator()(Tensor&& x) const { return unary(Unary::hard_sigmoid, std::move(x)); }
Tensor LogSigm::operator()(const Tensor& x) const { return unary(Unary::log_sigm, x); }
Tensor LogSigm::operator()(Tensor&& x) const { return unary(Unary::log_sigm, std::move(x)); }

}  // namespace knet
