#include "knet/ops/linear.hpp"

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/elementwise.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/packed.hpp"
#include "knet/ops/product.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {
namespace {

// dz = dy act'(y) and the bias's gradient, from one pass.
Tensor before_activation(Unary act, double alpha, const Tensor& y, const Tensor& dy, bool has_bias,
                         Tensor& dbias) {
  const std::int64_t n = y.size(1);
  const bool plain = act == Unary::identity;
  if (plain && !has_bias) return dy;
  const Tensor d = raw::contiguous(dy);
  Tensor dz = plain ? d : Tensor::make(y.shape(), y.dtype(), y.device());
  Array none = array(d), db;
  none.data = nullptr;
  if (has_bias) {
    dbias = Tensor::make({n}, y.dtype(), y.device());
    db = array(dbias);
  }
  kernels(y.device())
      .bias_act_grad(act, alpha, array(y), array(d), plain ? none : array(dz), has_bias ? &db : nullptr);
  return dz;
}

}  // namespace

Tensor linear(const char* who, const Tensor& x, const Tensor& weight, const Tensor& bias, Unary act,
              double alpha) {
  check_same(who, x, weight);
  if (weight.ndim() != 2)
    fail<ShapeError>(who, ": the weight is ", weight.shape(), ", expected [output, input]");
  if (!x.floating()) fail<DTypeError>(who, ": expects f32 or f64 input, not ", x.dtype());
  const std::int64_t in = weight.size(1), out = weight.size(0);
  if (x.ndim() == 0 || x.size(-1) != in)
    fail<ShapeError>(who, ": input is ", x.shape(), ", expected [.., ", in, "] for a weight of ",
                     weight.shape());
  if (bias) {
    check_same(who, x, bias);
    if (bias.shape() != Shape{out})
      fail<ShapeError>(who, ": bias is ", bias.shape(), ", expected [", out, "]");
  }
  if (x.ndim() != 2) {
    Shape s = x.shape();
    s[-1] = out;
    return linear(who, x.ndim() == 1 ? x.reshape({1, in}) : x.flatten(0, x.ndim() - 2), weight, bias, act,
                  alpha)
        .reshape(s);
  }
  if (!grad_needs_only_result(act)) {
    return detail::unary(act, linear(who, x, weight, bias), alpha);
  }

  Epilogue e;
  const Tensor dense_bias = bias ? raw::contiguous(bias) : Tensor();
  if (bias) e.bias = TensorAccess::data(dense_bias);
  e.activation = act;
  e.alpha = alpha;
  const Tensor wt = raw::transpose(weight, 0, 1);
  const bool constant = !tracked(x) && !tracked(weight) && !tracked(bias);
  if (constant && !tape::state.on) {
    const Kernels& k = kernels(x.device());
    e.packed_b = detail::packed(weight, {1, k.packed_bytes(x.size(0), array(wt))},
                                [&](void* to) { k.pack_b(array(wt), to); });
  }
  Tensor y = detail::raw_product(x, wt, e);
  Node* n = constant ? nullptr : track(y, who, {&x, &weight, &bias});
  if (!n) return y;
  n->backward([x, weight, y, act, alpha, has_bias = static_cast<bool>(bias)](const Tensor& dy, Gradients& g) {
    if (tape::state.on) {
      const Tensor dz = act == Unary::identity ? dy : detail::unary_grad(act, {alpha, 0}, {}, y, dy);
      detail::add_product(g, 0, dz, weight);
      detail::add_product(g, 1, dz.T(), x);
      if (g.wants(2)) g.add(2, dz.sum(0));
      return;
    }
    Tensor db;
    const Tensor dz = before_activation(act, alpha, y, dy, has_bias && g.wants(2), db);
    detail::add_product(g, 0, dz, weight);
    detail::add_product(g, 1, raw::transpose(dz, 0, 1), x);
    if (db) g.add(2, std::move(db));
  });
  return y;
}

}  // namespace knet
