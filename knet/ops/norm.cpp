#include "knet/ops/norm.hpp"

#include "knet/autograd/layer_call.hpp"
#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/elementwise.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

void check(const char* who, const Tensor& x, std::initializer_list<const Tensor*> per_channel, double eps) {
  check_defined(who, x);
  if (x.dtype() != f32 && x.dtype() != f64) fail<DTypeError>(who, ": expects f32 or f64, not ", x.dtype());
  if (x.ndim() < 2 || x.ndim() > 5)
    fail<ShapeError>(who, ": input is ", x.shape(), ", expected [N, C] to [N, C, D, H, W]");
  for (const Tensor* t : per_channel) {
    if (!*t) continue;
    check_same(who, x, *t);
    if (t->shape() != Shape{x.size(1)})
      fail<ShapeError>(who, ": weight, bias or moments are ", t->shape(), ", expected [", x.size(1), "]");
  }
  if (!(eps >= 0)) fail<ValueError>(who, ": eps = ", eps, " is negative");
}
void check_residual(const Tensor& x, const Tensor& residual) {
  if (!residual) return;
  check_same("batch_norm", x, residual);
  if (residual.shape() != x.shape())
    fail<ShapeError>("batch_norm: residual is ", residual.shape(), ", expected ", x.shape(), " as the input");
}
/// [C] against [N, C, ...]
Tensor along_channels(const Tensor& t, const Tensor& x) {
  Shape s{1, x.size(1)};
  for (int i = 2; i < x.ndim(); ++i) s.push(1);
  return t.reshape(s);
}
Dims all_but_channels(const Tensor& x) {
  Dims d{0};
  for (int i = 2; i < x.ndim(); ++i) d.d[d.n++] = static_cast<std::int8_t>(i);
  return d;
}

/// x as [n, c, l] for the kernels.
Array channels(const Tensor& x) {
  Array a = array(x);
  Array r = a;
  r.ndim = 3;
  r.size[2] = 1;
  r.stride[2] = 1;
  for (int i = 2; i < a.ndim; ++i) r.size[2] *= a.size[i];
  const bool last = !x.is_contiguous();
  r.stride[2] = last ? r.size[1] : 1;
  r.stride[1] = last || a.ndim == 2 ? 1 : r.size[2];
  r.stride[0] = r.size[1] * r.size[2];
  return r;
}
void* pointer(const Tensor& t) { return t ? TensorAccess::data(t) : nullptr; }

/// Made of plain operators, for derivatives of derivatives.
Tensor composed(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                const Tensor& bias, const BatchNormOptions& o) {
  Tensor scale = rsqrt(var + o.eps);
  if (weight) scale = scale * along_channels(weight, x);
  Tensor y = (x - mean) * scale;
  if (bias) y = y + along_channels(bias, x);
  if (o.residual) y = y + o.residual;
  return o.relu ? relu(y) : y;
}

/// t in the memory order of x.
Tensor ordered_like(const Tensor& t, const Tensor& x) {
  if (x.is_contiguous()) return raw::contiguous(t);
  if (t.is_channels_last()) return t;
  Tensor r = raw::empty_like(x, x.dtype());
  kernels(x.device()).copy(array(t), array(r));
  return r;
}

/// One kernel for the values and one for the gradients; `constant` moments do not depend on x. `over`: x's
/// memory may be written.
Tensor fused(const Tensor& given, const Tensor& weight, const Tensor& bias, const Moments& m, bool constant,
             const BatchNormOptions& o, bool over = false) {
  const Tensor x = raw::is_dense(given) ? given.detach() : raw::contiguous(given);
  const Tensor mean = raw::contiguous(m.mean), rstd = rsqrt(m.var + o.eps),
               w = weight ? raw::contiguous(weight.detach()) : Tensor(), scale = w ? rstd * w : rstd,
               shift = bias ? bias.detach() - mean * scale : -(mean * scale);
  const Tensor residual = o.residual ? ordered_like(o.residual.detach(), x) : Tensor();
  Tensor y = over ? x : raw::empty_like(x, x.dtype());
  if (y.numel() > 0)
    kernels(x.device())
        .channel_affine(o.relu, channels(x), pointer(scale), pointer(shift),
                        residual ? channels(residual) : Array{}, channels(y));
  if (Node* n = track(y, "batch_norm", {&given, &weight, &bias, &o.residual})) {
    n->backward([x, y = o.relu ? y : Tensor(), mean, rstd, w, constant](const Tensor& dy, Gradients& g) {
      // The residual's gradient is that of the sum, which is needed for itself then.
      const bool sum = g.wants(3), relu = y && !sum;
      const Tensor dz = sum && y ? detail::unary_grad(Unary::relu, {}, {}, y, dy) : Tensor();
      // Over dy, element by element, where nobody else sees it.
      const bool own = !sum && !tape::state.on && detail::claim(dy);
      const Tensor d = ordered_like(dz ? dz : dy, x);
      Tensor dx = own && TensorAccess::data(d) == TensorAccess::data(dy) ? d : raw::empty_like(x, x.dtype());
      Tensor dw = zeros_like(mean), db = zeros_like(mean);
      if (x.numel() > 0)
        kernels(x.device())
            .batch_norm_grad(relu, constant, channels(x), relu ? channels(y) : channels(x), channels(d),
                             pointer(mean), pointer(rstd), pointer(w), channels(dx), pointer(dw),
                             pointer(db));
      g.add(0, std::move(dx));
      if (g.wants(1)) g.add(1, std::move(dw));
      if (g.wants(2)) g.add(2, std::move(db));
      if (sum) g.add(3, d);
    });
  }
  return y;
}

bool twice() { return tape::state.on && tape::state.depth > 1; }

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const BatchNormOptions& o,
                  Moments* seen) {
  check("batch_norm", x, {&weight, &bias}, o.eps);
  check_residual(x, o.residual);
  const std::int64_t c = x.size(1), n = c > 0 ? x.numel() / c : 0;
  if (n < 2)
    fail<ShapeError>("batch_norm: ", x.shape(), " has ", n, " values per channel; training needs two");
  Moments m;
  Tensor y;
  if (twice()) {
    const Dims others = all_but_channels(x);
    const Tensor mean = x.mean(others, true), var = square(x - mean).mean(others, true);
    y = composed(x, mean, var, weight, bias, o);
    m = {mean.detach().reshape({c}), var.detach().reshape({c})};
  } else {
    const Tensor d = raw::is_dense(x) ? x.detach() : raw::contiguous(x);
    m = {Tensor::make({c}, x.dtype(), x.device()), Tensor::make({c}, x.dtype(), x.device())};
    kernels(x.device()).channel_moments(channels(d), pointer(m.mean), pointer(m.var));
    y = fused(x, weight, bias, m, false, o);
  }
  if (seen) *seen = {m.mean, m.var * (static_cast<double>(n) / static_cast<double>(n - 1))};
  return y;
}

Tensor batch_norm(Tensor x, const Tensor& weight, const Tensor& bias, const Moments& given,
                  const BatchNormOptions& o) {
  check_defined("batch_norm", given.mean);
  check_defined("batch_norm", given.var);
  check("batch_norm", x, {&weight, &bias, &given.mean, &given.var}, o.eps);
  check_residual(x, o.residual);
  const Moments m{given.mean.detach(), given.var.detach()};
  if (twice()) return composed(x, along_channels(m.mean, x), along_channels(m.var, x), weight, bias, o);
  const bool constant = !tracked(x) && !tracked(weight) && !tracked(bias) && !tracked(o.residual);
  return fused(x, weight, bias, m, true, o, constant && detail::claim(x));
}

Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
  check("group_norm", x, {&weight, &bias}, eps);
  if (groups < 1 || x.size(1) % groups != 0)
    fail<ValueError>("group_norm: ", groups, " groups do not divide the ", x.size(1), " channels of ",
                     x.shape());
  if (x.numel() == 0) return x;
  Tensor y;
  if (x.is_contiguous() || !x.is_channels_last()) {
    y = layer_norm(x.reshape({x.size(0), groups, -1}), {}, {}, eps).reshape(x.shape());
  } else {  // plain operators keep the channels last in memory
    Shape parts{x.size(0), groups, x.size(1) / groups};
    Dims of_a_group{2};
    for (int i = 2; i < x.ndim(); ++i) {
      parts.push(x.size(i));
      of_a_group.d[of_a_group.n++] = static_cast<std::int8_t>(i + 1);
    }
    const Tensor v = x.reshape(parts), c = v - v.mean(of_a_group, true);
    y = (c * rsqrt(square(c).mean(of_a_group, true) + eps)).reshape(x.shape());
  }
  if (weight) y = y * along_channels(weight, x);
  return bias ? y + along_channels(bias, x) : y;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check_defined("rms_norm", x);
  if (x.dtype() != f32 && x.dtype() != f64) fail<DTypeError>("rms_norm: expects f32 or f64, not ", x.dtype());
  if (x.ndim() < 1 || (weight && weight.shape() != Shape{x.size(-1)}))
    fail<ShapeError>("rms_norm: weight is ", weight ? to_string(weight.shape()) : "empty", " for input ",
                     x.shape());
  if (weight) check_same("rms_norm", x, weight);
  if (!(eps >= 0)) fail<ValueError>("rms_norm: eps = ", eps, " is negative");
  const Tensor y = x * rsqrt(square(x).mean(-1, true) + eps);
  return weight ? y * weight : y;
}

}  // namespace knet
