// The optimisers' updates of one element, formulas of Knet (and AdamW's decay): w is the weight, g its
// gradient, s and t the rule's memory. V is fn::Scalar<T> or a vector, as in functors.hpp. Not installed.
#pragma once
#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::rules {

struct Sgd {
  static constexpr int memory = 0;
  template <class V>
  static void update(V& w, const V& g, V&, V&, const OptimStep& o) {
    w = w - g * o.lr;
  }
};
struct Momentum {
  static constexpr int memory = 1;
  template <class V>
  static void update(V& w, const V& g, V& s, V&, const OptimStep& o) {
    s = s * o.beta1 - g * o.lr;
    w = w + s;
  }
};
struct Nesterov {
  static constexpr int memory = 1;
  template <class V>
  static void update(V& w, const V& g, V& s, V&, const OptimStep& o) {
    w = w - s * o.beta1;
    s = s * o.beta1 - g * o.lr;
    w = w + s * (1 + o.beta1);
  }
};
struct Adagrad {
  static constexpr int memory = 1;
  template <class V>
  static void update(V& w, const V& g, V& s, V&, const OptimStep& o) {
    s = s + g * g;
    w = w - g * o.lr / sqrt(s + o.eps);
  }
};
struct Rmsprop {
  static constexpr int memory = 1;
  template <class V>
  static void update(V& w, const V& g, V& s, V&, const OptimStep& o) {
    s = s * o.beta1 + g * g * (1 - o.beta1);
    w = w - g * o.lr / sqrt(s + o.eps);
  }
};
struct Adadelta {
  static constexpr int memory = 2;
  template <class V>
  static void update(V& w, const V& g, V& s, V& t, const OptimStep& o) {
    s = s * o.beta1 + g * g * (1 - o.beta1);
    const V d = g * sqrt(t + o.eps) / sqrt(s + o.eps);
    t = t * o.beta1 + d * d * (1 - o.beta1);
    w = w - d * o.lr;
  }
};
/// Kingma & Ba 2015, arXiv:1412.6980; the decay of Loshchilov & Hutter 2019, arXiv:1711.05101.
struct Adam {
  static constexpr int memory = 2;
  template <class V>
  static void update(V& w, const V& g, V& s, V& t, const OptimStep& o) {
    s = s * o.beta1 + g * (1 - o.beta1);
    t = t * o.beta2 + g * g * (1 - o.beta2);
    w = w - s * (o.lr / o.correction1) / (sqrt(t * (1 / o.correction2)) + o.eps);
  }
};

/// What comes before every rule: clipping, weight decay in its two forms.
template <class V>
V prepare(V& w, const V& g, const OptimStep& o) {
  V r = g * o.scale;
  if (o.l2 != 0) r = r + w * o.l2;
  if (o.decay != 0) w = w * (1 - o.lr * o.decay);
  return r;
}

/// f(Adam{}) for OptimRule::adam.
template <class F>
decltype(auto) dispatch(OptimRule r, F&& f) {
  switch (r) {
    case OptimRule::sgd: return f(Sgd{});
    case OptimRule::momentum: return f(Momentum{});
    case OptimRule::nesterov: return f(Nesterov{});
    case OptimRule::adagrad: return f(Adagrad{});
    case OptimRule::rmsprop: return f(Rmsprop{});
    case OptimRule::adadelta: return f(Adadelta{});
    case OptimRule::adam: return f(Adam{});
  }
  fail<ValueError>("optimize: unknown rule ", static_cast<int>(r));
}

}  // namespace knet::rules
