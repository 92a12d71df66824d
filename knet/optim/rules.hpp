// Update rules: plain settings with one function. Formulas are Knet's; each parameter has memory of its own.
// `gclip` > 0 scales a parameter's gradient down to that 2-norm; weight_decay adds that share of the weight
// to the gradient. A rate that is negative or not finite is a ValueError.
#pragma once
#include <cstdint>
#include <vector>

#include "knet/autograd/tape.hpp"

namespace knet {

/// What a rule remembers about one parameter.
struct Slots {
  std::vector<Tensor> t;
  std::int64_t step = 0;
};

/// w -= lr g
struct SGD {
  double lr = 0.1, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void rows(Tensor& w, const RowGradient&, Slots&) const;  ///< touches only the rows that were read
  void check() const;
};
/// v = gamma v - lr g; w += v
struct Momentum {
  double lr = 0.05, gamma = 0.95, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};
/// w -= gamma v; v = gamma v - lr g; w += (1 + gamma) v
struct Nesterov {
  double lr = 0.05, gamma = 0.95, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};
/// G += g g; w -= lr g / sqrt(G + eps). Duchi et al. 2011.
struct Adagrad {
  double lr = 0.05, eps = 1e-6, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};
/// G = rho G + (1 - rho) g g; w -= lr g / sqrt(G + eps). Tieleman & Hinton 2012.
struct Rmsprop {
  double lr = 0.01, rho = 0.9, eps = 1e-6, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};
/// As Rmsprop with steps measured by earlier steps. Zeiler 2012, arXiv:1212.5701.
struct Adadelta {
  double lr = 1.0, rho = 0.9, eps = 1e-6, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};
/// m = b1 m + (1-b1) g; v = b2 v + (1-b2) g g; w -= lr m' / (sqrt(v') + eps), m' and v' without their bias to
/// 0. Kingma & Ba 2015, arXiv:1412.6980.
struct Adam {
  double lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, gclip = 0, weight_decay = 0;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};
/// Adam that shrinks the weights by lr weight_decay beside the gradient. Loshchilov & Hutter 2019,
/// arXiv:1711.05101.
struct AdamW {
  double lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, gclip = 0, weight_decay = 0.01;
  void operator()(Tensor& w, const Tensor& g, Slots&) const;
  void check() const;
};

}  // namespace knet
