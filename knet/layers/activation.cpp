#include "knet/layers/activation.hpp"

#include "knet/ops/elementwise.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {

Activation::Activation() : kind_(Unary::identity) {}
Activation::Activation(ReLU) : kind_(Unary::relu) {}
Activation::Activation(Sigm) : kind_(Unary::sigm) {}
Activation::Activation(Tanh) : kind_(Unary::tanh) {}
Activation::Activation(Tensor (*f)(const Tensor&)) : Activation() {
  if (f == static_cast<Tensor (*)(const Tensor&)>(&knet::tanh))
    kind_ = Unary::tanh;
  else
    *this = Activation(Layer(f), 0);
}
Activation::Activation(ELU f) : kind_(Unary::elu), alpha_(f.alpha) {}
Activation::Activation(SELU) : kind_(Unary::selu) {}
Activation::Activation(LeakyReLU f) : kind_(Unary::leaky_relu), alpha_(f.alpha) {}
Activation::Activation(GeLU) : kind_(Unary::gelu) {}
Activation::Activation(ExactGeLU) : kind_(Unary::gelu_exact) {}
Activation::Activation(SiLU) : kind_(Unary::silu) {}
Activation::Activation(Softplus) : kind_(Unary::softplus) {}
Activation::Activation(HardSigmoid) : kind_(Unary::hard_sigmoid) {}
Activation::Activation(LogSigm) : kind_(Unary::log_sigm) {}
Activation::Activation(Layer l, int) : kind_(Unary::identity), other_(std::move(l)) {}

Tensor Activation::operator()(const Tensor& x) const {
  if (other_) return other_(x);
  return kind_ == Unary::identity ? x : detail::unary(kind_, x, alpha_);
}
Tensor Activation::operator()(Tensor&& x) const {
  if (other_) return other_(x);
  return kind_ == Unary::identity ? std::move(x) : detail::unary(kind_, std::move(x), alpha_);
}
std::string Activation::name() const { return other_ ? "custom" : fn::name_of(kind_); }

Tensor LogSumExp::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  return logsumexp(x, dim);
}

}  // namespace knet
