#include "knet/optim/rules.hpp"

#include <cmath>

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

double norm_of(const Tensor& g) {
  Shape one;
  for (int i = 0; i < g.ndim(); ++i) one.push(1);
  Tensor y = Tensor::make(one, g.dtype(), g.device());
  kernels(g.device()).reduce(Reduce::sum_squares, array(g), array(y));
  return std::sqrt(y.item());
}
// How much of the gradient is left after clipping it to a norm.
double clipped(const Tensor& g, double limit) {
  if (limit <= 0) return 1;
  const double n = norm_of(g);
  return n > limit ? limit / n : 1;
}

// One pass over the weight, the gradient and the memory.
void update(OptimStep step, Tensor& w, const Tensor& g, Slots& s, std::size_t memory, double gclip) {
  if (g.shape() != w.shape())
    fail<ShapeError>("optimizer: a gradient of ", g.shape(), " for a parameter of ", w.shape());
  check_same("optimizer", w, g);
  while (s.t.size() < memory) s.t.push_back(zeros_like(raw::contiguous(w)));
  for (const Tensor& t : s.t) {  // it may come from a file
    if (!t || t.shape() != w.shape())
      fail<ShapeError>("optimizer: memory of ", t.shape(), " for a parameter of ", w.shape());
    check_same("optimizer", w, t);
  }
  const Tensor d = raw::contiguous(g);
  step.scale = clipped(d, gclip);
  raw::make_own(w);
  for (Tensor& t : s.t) raw::make_own(t);
  if (w.numel() == 0) return;
  kernels(w.device())
      .optimize(step, w.dtype(), w.numel(), TensorAccess::data(w), TensorAccess::data(d),
                memory > 0 ? TensorAccess::data(s.t[0]) : nullptr,
                memory > 1 ? TensorAccess::data(s.t[1]) : nullptr);
}
void check_rates(const char* who, std::initializer_list<double> not_negative,
                 std::initializer_list<double> below_one) {
  for (double v : not_negative) {
    if (!(v >= 0) || !std::isfinite(v))
      fail<ValueError>(who, ": a setting is ", v, ", expected a number from 0");
  }
  for (double v : below_one) {
    if (!(v >= 0 && v < 1)) fail<ValueError>(who, ": a setting is ", v, ", expected a number in [0, 1)");
  }
}
OptimStep adam_step(double lr, double b1, double b2, double eps, Slots& s) {
  const auto t = static_cast<double>(++s.step);
  return {.rule = OptimRule::adam,
          .lr = lr,
          .beta1 = b1,
          .beta2 = b2,
          .eps = eps,
          .correction1 = 1 - std::pow(b1, t),
          .correction2 = 1 - std::pow(b2, t)};
}

}  // namespace

void SGD::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  update({.rule = OptimRule::sgd, .lr = lr, .l2 = weight_decay}, w, g, s, 0, gclip);
}
void SGD::rows(Tensor& w, const RowGradient& g, Slots& s) const {
  if (weight_decay != 0) return (*this)(w, rows_to_dense(g.ids, g.rows, w.shape()), s);
  const double k = -lr * clipped(g.rows, gclip);
  Tensor scaled = Tensor::make(g.rows.shape(), g.rows.dtype(), g.rows.device());
  const Kernels& kernel = kernels(w.device());
  if (scaled.numel() == 0) return;
  kernel.binary_scalar(Binary::mul, array(g.rows), k, false, array(scaled));
  raw::make_own(w);
  kernel.index_add(array(scaled), 0, array(g.ids), array(w));
}
void SGD::check() const { check_rates("SGD", {lr, gclip, weight_decay}, {}); }

void Momentum::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  update({.rule = OptimRule::momentum, .lr = lr, .beta1 = gamma, .l2 = weight_decay}, w, g, s, 1, gclip);
}
void Momentum::check() const { check_rates("Momentum", {lr, gclip, weight_decay}, {gamma}); }

void Nesterov::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  update({.rule = OptimRule::nesterov, .lr = lr, .beta1 = gamma, .l2 = weight_decay}, w, g, s, 1, gclip);
}
void Nesterov::check() const { check_rates("Nesterov", {lr, gclip, weight_decay}, {gamma}); }

void Adagrad::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  update({.rule = OptimRule::adagrad, .lr = lr, .eps = eps, .l2 = weight_decay}, w, g, s, 1, gclip);
}
void Adagrad::check() const { check_rates("Adagrad", {lr, eps, gclip, weight_decay}, {}); }

void Rmsprop::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  update({.rule = OptimRule::rmsprop, .lr = lr, .beta1 = rho, .eps = eps, .l2 = weight_decay}, w, g, s, 1,
         gclip);
}
void Rmsprop::check() const { check_rates("Rmsprop", {lr, eps, gclip, weight_decay}, {rho}); }

void Adadelta::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  update({.rule = OptimRule::adadelta, .lr = lr, .beta1 = rho, .eps = eps, .l2 = weight_decay}, w, g, s, 2,
         gclip);
}
void Adadelta::check() const { check_rates("Adadelta", {lr, eps, gclip, weight_decay}, {rho}); }

void Adam::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  OptimStep step = adam_step(lr, beta1, beta2, eps, s);
  step.l2 = weight_decay;
  update(step, w, g, s, 2, gclip);
}
void Adam::check() const { check_rates("Adam", {lr, eps, gclip, weight_decay}, {beta1, beta2}); }

void AdamW::operator()(Tensor& w, const Tensor& g, Slots& s) const {
  OptimStep step = adam_step(lr, beta1, beta2, eps, s);
  step.decay = weight_decay;
  update(step, w, g, s, 2, gclip);
}
void AdamW::check() const { check_rates("AdamW", {lr, eps, gclip, weight_decay}, {beta1, beta2}); }

}  // namespace knet
