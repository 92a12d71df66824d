#include "knet/ops/elementwise.hpp"

#include <utility>

#include "knet/autograd/layer_call.hpp"
#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/functor_tensor.hpp"
#include "knet/ops/reduce.hpp"

namespace knet::detail {
namespace {

// Functions that make sense on integers; the others would silently truncate.
bool takes_integers(Unary op) {
  switch (op) {
    case Unary::identity:
    case Unary::neg:
    case Unary::abs:
    case Unary::sign:
    case Unary::square:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
    case Unary::trunc:
    case Unary::clamp:
    case Unary::scale:
    case Unary::logical_not: return true;
    default: return false;
  }
}
void check_unary(Unary op, const Tensor& x) {
  check_defined(fn::name_of(op), x);
  const DType t = x.dtype();
  if (t == f32 || t == f64 || (is_integer(t) && takes_integers(op)) ||
      (t == boolean && op == Unary::logical_not))
    return;
  fail<DTypeError>(fn::name_of(op), ": does not take ", t, " ", x.shape(), "; convert with .to(f32) first");
}
bool is_comparison(Binary op) { return gives_boolean(op); }
void check_operand(Binary op, const Tensor& x) {
  const DType t = x.dtype();
  if (t == f16 || t == bf16 || (t == boolean && !is_comparison(op)))
    fail<DTypeError>(fn::name_of(op), ": does not take ", t, " ", x.shape(), "; convert with .to(f32) first");
}
struct Traits {
  bool x[static_cast<std::size_t>(Unary::count)], y[static_cast<std::size_t>(Unary::count)];
};
const Traits traits = [] {
  Traits t{};
  for (std::size_t i = 0; i < static_cast<std::size_t>(Unary::is_nan); ++i) {
    fn::dispatch_unary(static_cast<Unary>(i), [&]<class F>(F) { t.x[i] = F::uses_x, t.y[i] = F::uses_y; });
  }
  return t;
}();

/// In a backward function that is run once: where the gradient of the input may be written, dy or else y,
/// which goes with it. Empty: neither.
Tensor over(const Tensor& dy, const Tensor& y) {
  if (tape::state.on) return {};
  if (claim(dy)) return dy;
  return y && y.dtype() == dy.dtype() && claim(y) ? y : Tensor();
}
/// dy s. One number that stands for all of them stays one.
Tensor times(const Tensor& dy, double s) {
  if (tape::state.on) return dy * s;
  if (claim(dy)) {
    kernels(dy.device()).binary_scalar(Binary::mul, array(dy), s, false, array(dy));
    return dy;
  }
  bool one = dy.numel() > 1;
  for (int i = 0; i < dy.ndim(); ++i) one = one && (dy.strides()[i] == 0 || dy.size(i) == 1);
  if (!one) return dy * s;
  Shape ones;
  for (int i = 0; i < dy.ndim(); ++i) ones.push(1);
  const Tensor first = TensorAccess::view(dy, ones, row_major(ones), TensorAccess::offset(dy));
  return raw::expand("mul", first * s, dy.shape());
}

}  // namespace

bool claim(const Tensor& x) {
  if (!TensorAccess::sole_owner(x) || !raw::is_dense(x) || !is_floating(x.dtype()) || tape::watched())
    return false;
  TensorAccess::storage(x)->drop_packed();
  return true;
}
bool grad_uses_x(Unary op) { return traits.x[static_cast<std::size_t>(op)]; }
bool grad_uses_y(Unary op) { return traits.y[static_cast<std::size_t>(op)]; }

Tensor unary_grad(Unary op, fn::Params p, const Tensor& x, const Tensor& y, const Tensor& dy) {
  if (tape::state.on && (tracked(dy) || tracked(x) || tracked(y))) {
    Tensor d;
    fn::dispatch_unary(op, [&]<class F>(F) { d = F::grad(fn::Value{x}, fn::Value{y}, p).t; });
    return dy * d;
  }
  const Tensor& form = y ? y : x;
  Tensor dx = over(dy, form);
  if (!dx) dx = raw::empty_like(form, dy.dtype());
  Array none;
  none.dtype = dy.dtype();
  kernels(dx.device())
      .unary_grad(op, p.a, p.b, x ? array(x) : none, y ? array(y) : none, array(dy), array(dx));
  return dx;
}

namespace {
/// y = op(x), written and recorded; y may be a second name of x's memory.
Tensor unary_into(Tensor y, Unary op, const Tensor& x, double a, double b) {
  kernels(x.device()).unary(op, a, b, array(x), array(y));
  if (gives_boolean(op)) return y;
  if (Node* n = track(y, fn::name_of(op), {&x})) {
    const fn::Params p{a, b};
    const bool keep_x = grad_uses_x(op), keep_y = grad_uses_y(op);
    if (keep_x && keep_y)
      n->backward([=](const Tensor& dy, Gradients& g) { g.add(0, unary_grad(op, p, x, y, dy)); });
    else if (keep_x)
      n->backward([=](const Tensor& dy, Gradients& g) { g.add(0, unary_grad(op, p, x, {}, dy)); });
    else
      n->backward([=](const Tensor& dy, Gradients& g) { g.add(0, unary_grad(op, p, {}, y, dy)); });
  }
  return y;
}
Tensor same_memory(const Tensor& x) {
  return TensorAccess::view(x, x.shape(), x.strides(), TensorAccess::offset(x));
}
}  // namespace

Tensor unary(Unary op, const Tensor& x, double a, double b) {
  check_unary(op, x);
  return unary_into(raw::empty_like(x, gives_boolean(op) ? boolean : x.dtype()), op, x, a, b);
}
Tensor unary(Unary op, Tensor&& x, double a, double b) {
  check_unary(op, x);
  if (gives_boolean(op) || (tracked(x) && grad_uses_x(op)) || !claim(x))
    return unary(op, std::as_const(x), a, b);
  const Tensor old = std::move(x);  // its name must not count as an owner in the rest of the expression
  return unary_into(same_memory(old), op, old, a, b);
}

Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  check_same(fn::name_of(op), a, b);
  check_operand(op, a);
  const DType t = is_comparison(op) ? boolean : a.dtype();
  Tensor y;
  if (a.shape() == b.shape()) {
    y = raw::empty_like(a.is_contiguous() ? a : b, t);
    kernels(a.device()).binary(op, array(a), array(b), array(y));
  } else {
    const Shape s = broadcast(fn::name_of(op), a.shape(), b.shape());
    y = a.shape() == s   ? raw::empty_like(a, t)
        : b.shape() == s ? raw::empty_like(b, t)
                         : Tensor::make(s, t, a.device());
    kernels(a.device()).binary(op, array_as(a, s), array_as(b, s), array(y));
  }
  if (is_comparison(op)) return y;
  Node* n = track(y, fn::name_of(op), {&a, &b});
  if (!n) return y;
  switch (op) {
    case Binary::add:
      n->backward([sa = a.shape(), sb = b.shape()](const Tensor& dy, Gradients& g) {
        if (g.wants(0)) g.add(0, sum_to(dy, sa));
        if (g.wants(1)) g.add(1, sum_to(dy, sb));
      });
      break;
    case Binary::sub:
      n->backward([sa = a.shape(), sb = b.shape()](const Tensor& dy, Gradients& g) {
        if (g.wants(0)) g.add(0, sum_to(dy, sa));
        if (g.wants(1)) g.add(1, -sum_to(dy, sb));
      });
      break;
    case Binary::mul:
      n->backward([a, b](const Tensor& dy, Gradients& g) {
        if (g.wants(0)) g.add(0, sum_to(dy * b, a.shape()));
        if (g.wants(1)) g.add(1, sum_to(dy * a, b.shape()));
      });
      break;
    default:
      n->backward([op, a, b, y](const Tensor& dy, Gradients& g) {
        // Broadcast first, so that the derivative's constants have the result's shape.
        const Tensor x = a.expand(y.shape()), z = b.expand(y.shape());
        fn::dispatch_binary(op, [&]<class F>(F) {
          if (g.wants(0))
            g.add(0, sum_to(dy * F::grad_a(fn::Value{x}, fn::Value{z}, fn::Value{y}).t, a.shape()));
          if (g.wants(1))
            g.add(1, sum_to(dy * F::grad_b(fn::Value{x}, fn::Value{z}, fn::Value{y}).t, b.shape()));
        });
      });
  }
  return y;
}

namespace {
/// y = op(x, s), written and recorded; y may be a second name of x's memory, except for operators whose
/// derivative reads x.
Tensor binary_into(Tensor y, Binary op, const Tensor& x, double s, bool scalar_first) {
  kernels(x.device()).binary_scalar(op, array(x), s, scalar_first, array(y));
  if (is_comparison(op)) return y;
  Node* n = track(y, fn::name_of(op), {&x});
  if (!n) return y;
  switch (op) {
    case Binary::add: n->backward([](const Tensor& dy, Gradients& g) { g.add(0, dy); }); break;
    case Binary::sub:
      n->backward([scalar_first](const Tensor& dy, Gradients& g) { g.add(0, scalar_first ? -dy : dy); });
      break;
    case Binary::mul: n->backward([s](const Tensor& dy, Gradients& g) { g.add(0, times(dy, s)); }); break;
    default:
      n->backward([op, x, y, s, scalar_first](const Tensor& dy, Gradients& g) {
        const fn::Value c{full_like(x, s)}, v{x}, r{y};
        fn::dispatch_binary(op, [&]<class F>(F) {
          g.add(0, dy * (scalar_first ? F::grad_b(c, v, r) : F::grad_a(v, c, r)).t);
        });
      });
  }
  return y;
}
void check_scalar(Binary op, const Tensor& x) {
  check_defined(fn::name_of(op), x);
  check_operand(op, x);
}
}  // namespace

Tensor binary(Binary op, const Tensor& x, double s, bool scalar_first) {
  check_scalar(op, x);
  return binary_into(raw::empty_like(x, is_comparison(op) ? boolean : x.dtype()), op, x, s, scalar_first);
}
Tensor binary(Binary op, Tensor&& x, double s, bool scalar_first) {
  check_scalar(op, x);
  const bool linear = op == Binary::add || op == Binary::sub || op == Binary::mul;
  if ((!linear && (is_comparison(op) || tracked(x))) || !claim(x))
    return binary(op, std::as_const(x), s, scalar_first);
  const Tensor old = std::move(x);
  return binary_into(same_memory(old), op, old, s, scalar_first);
}

}  // namespace knet::detail
