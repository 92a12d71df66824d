// Three operators, each the gradient of the others: the convolution, its adjoint in the input (the transposed
// convolution) and its adjoint in the weight. So gradients of any order exist.
#include "knet/ops/conv.hpp"

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/convolution.hpp"
#include "knet/ops/elementwise.hpp"
#include "knet/ops/packed.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/shape.hpp"

namespace knet {

std::string to_string(const Extents& e) {
  if (e.n == 1) return text(e.v[0]);
  return e.n == 2 ? text("{", e.v[0], ", ", e.v[1], "}") : text("{", e.v[0], ", ", e.v[1], ", ", e.v[2], "}");
}
std::string to_string(const Padding& p) {
  if (p.automatic) return "same";
  if (p.before == p.after) return to_string(p.before);
  return text("{before ", to_string(p.before), ", after ", to_string(p.after), "}");
}

namespace detail {

Array image_array(const Tensor& t) {
  const Array a = array(t);
  Array r = a;
  r.ndim = 5;
  const int spatial = a.ndim - 2, skip = 3 - spatial;
  for (int d = 0; d < 3; ++d) {
    r.size[d + 2] = d < skip ? 1 : a.size[d - skip + 2];
    r.stride[d + 2] = d < skip ? 0 : a.stride[d - skip + 2];
  }
  return r;
}

Tensor make_channels_last(const Shape& s, DType t, Device device) {
  Shape memory{s[0]};
  for (int i = 2; i < s.ndim(); ++i) memory.push(s[i]);
  memory.push(s[1]);
  int order[max_dims] = {0, s.ndim() - 1};
  for (int i = 2; i < s.ndim(); ++i) order[i] = i - 1;
  return raw::permute(Tensor::make(memory, t, device),
                      std::span<const int>(order, static_cast<std::size_t>(s.ndim())));
}

}  // namespace detail

namespace {

/// A convolution whose operands have been checked.
struct Geometry {
  ConvShape shape;
  Shape x, w, y;
};

void check_extents(const char* who, const char* name, const Extents& e, int spatial, std::int64_t least) {
  if (!e.fits(spatial))
    fail<ShapeError>(who, ": ", name, " ", to_string(e), " has ", e.n, " sizes, the image has ", spatial,
                     " spatial dimensions");
  for (int i = 0; i < spatial; ++i) {
    if (e[i] < least) fail<ValueError>(who, ": ", name, " = ", to_string(e), ": expected at least ", least);
  }
}

void check_operands(const char* who, const Tensor& x, const Tensor& w, const Tensor& bias, std::int64_t out,
                    const ConvOptions& o) {
  check_same(who, x, w);
  if (!x.floating()) fail<DTypeError>(who, ": expects f32 or f64 input, not ", x.dtype());
  const int spatial = w.ndim() - 2;
  if (spatial < 1 || spatial > 3)
    fail<ShapeError>(who, ": the weight is ", w.shape(),
                     ", expected one, two or three kernel sizes after two of "
                     "channels");
  if (x.ndim() != w.ndim())
    fail<ShapeError>(who, ": input is ", x.shape(), ", expected ", w.ndim(), " dimensions for a weight of ",
                     w.shape());
  if (o.groups < 1) fail<ValueError>(who, ": groups = ", o.groups, ": expected at least 1");
  if (w.size(0) % o.groups != 0)
    fail<ShapeError>(who, ": ", o.groups, " groups do not divide ", w.size(0), " channels of the weight ",
                     w.shape());
  if (bias) {
    check_same(who, x, bias);
    if (bias.shape() != Shape{out})
      fail<ShapeError>(who, ": bias is ", bias.shape(), ", expected [", out, "]");
  }
  check_extents(who, "stride", o.stride, spatial, 1);
  check_extents(who, "dilation", o.dilation, spatial, 1);
  check_extents(who, "padding", o.padding.before, spatial, 0);
  check_extents(who, "padding", o.padding.after, spatial, 0);
}

/// Fills what does not depend on the direction; `image` is the side that the convolution reads.
Geometry describe(const Shape& image, const Shape& w, const Shape& result, const ConvOptions& o,
                  const std::int64_t* before) {
  Geometry g{{}, image, w, result};
  ConvShape& s = g.shape;
  s.n = image[0], s.in_channels = image[1], s.out_channels = result[1], s.groups = o.groups;
  const int spatial = w.ndim() - 2, skip = 3 - spatial;
  for (int d = 0; d < 3; ++d) {
    const int i = d - skip;
    const bool real = i >= 0;
    s.in[d] = real ? image[i + 2] : 1;
    s.out[d] = real ? result[i + 2] : 1;
    s.kernel[d] = real ? w[i + 2] : 1;
    s.stride[d] = real ? o.stride[i] : 1;
    s.dilation[d] = real ? o.dilation[i] : 1;
    s.pad[d] = real ? before[i] : 0;
  }
  return g;
}

Geometry forward_geometry(const char* who, const Tensor& x, const Tensor& w, const Tensor& bias,
                          const ConvOptions& o) {
  check_operands(who, x, w, bias, w.ndim() ? w.size(0) : 0, o);
  if (x.size(1) != w.size(1) * o.groups)
    fail<ShapeError>(who, ": input is ", x.shape(), " with ", x.size(1), " channels, expected ",
                     w.size(1) * o.groups, " for a weight of ", w.shape(),
                     o.groups > 1 ? text(" in ", o.groups, " groups") : "");
  Shape y{x.size(0), w.size(0)};
  std::int64_t before[3]{};
  for (int i = 0; i < w.ndim() - 2; ++i) {
    const std::int64_t in = x.size(i + 2), reach = (w.size(i + 2) - 1) * o.dilation[i] + 1,
                       step = o.stride[i];
    std::int64_t total = o.padding.before[i] + o.padding.after[i];
    before[i] = o.padding.before[i];
    if (o.padding.automatic) {
      total = std::max<std::int64_t>(0, ((in + step - 1) / step - 1) * step + reach - in);
      before[i] = total / 2;
    }
    if (w.size(i + 2) < 1) fail<ShapeError>(who, ": the weight is ", w.shape(), ": its kernel is empty");
    if (in + total < reach)
      fail<ShapeError>(who, ": a kernel that spans ", reach, " does not fit input ", x.shape(),
                       " with padding ", to_string(o.padding), " along dimension ", i + 2);
    y.push((in + total - reach) / step + 1);
  }
  return describe(x.shape(), w.shape(), y, o, before);
}

Geometry transposed_geometry(const char* who, const Tensor& x, const Tensor& w, const Tensor& bias,
                             const ConvOptions& o, const Extents& extra) {
  const std::int64_t out = w.ndim() > 1 ? w.size(1) * o.groups : 0;
  check_operands(who, x, w, bias, out, o);
  const int spatial = w.ndim() - 2;
  check_extents(who, "output_padding", extra, spatial, 0);
  if (x.size(1) != w.size(0))
    fail<ShapeError>(who, ": input is ", x.shape(), " with ", x.size(1), " channels, expected ", w.size(0),
                     " for a weight of ", w.shape());
  Shape image{x.size(0), out};
  std::int64_t before[3]{};
  for (int i = 0; i < spatial; ++i) {
    const std::int64_t reach = (w.size(i + 2) - 1) * o.dilation[i] + 1, step = o.stride[i];
    if (extra[i] >= step)
      fail<ValueError>(who, ": output_padding ", to_string(extra), " must be less than stride ",
                       to_string(o.stride));
    before[i] = o.padding.automatic ? std::max<std::int64_t>(0, reach - step) / 2 : o.padding.before[i];
    const std::int64_t size = o.padding.automatic ? step * x.size(i + 2)
                                                  : step * (x.size(i + 2) - 1) + reach - o.padding.before[i] -
                                                        o.padding.after[i] + extra[i];
    if (size < 1 || x.size(i + 2) < 1)
      fail<ShapeError>(who, ": input ", x.shape(), " with padding ", to_string(o.padding),
                       " leaves no output along dimension ", i + 2);
    image.push(size);
  }
  return describe(image, w.shape(), x.shape(), o, before);
}

bool dense_channels_last(const Tensor& t) {
  const Array a = detail::image_array(t);
  std::int64_t step = a.size[1];
  if (a.size[1] != 1 && a.stride[1] != 1) return false;
  for (const int d : {4, 3, 2, 0}) {
    if (a.size[d] != 1 && a.stride[d] != step) return false;
    step *= a.size[d];
  }
  return true;
}

Tensor forward(const char* who, const Geometry&, const Tensor& x, const Tensor& w, const Tensor& bias,
               Unary act, double alpha);
Tensor grad_input(const char* who, const Geometry&, const Tensor& dy, const Tensor& w);
Tensor grad_weight(const char* who, const Geometry&, const Tensor& x, const Tensor& dy);

Tensor grad_input(const char* who, const Geometry& g, const Tensor& dy, const Tensor& w) {
  Tensor dx = detail::make_channels_last(g.x, dy.dtype(), dy.device());
  const Kernels& k = kernels(dy.device());
  if (dx.numel() > 0 && dy.numel() > 0)
    k.conv_grad_input(g.shape, detail::image_array(dy), detail::image_array(w), detail::image_array(dx));
  else if (dx.numel() > 0)
    k.fill(0, array(dx));
  if (Node* n = track(dx, who, {&dy, &w})) {
    n->backward([who, g, dy, w](const Tensor& ddx, Gradients& out) {
      if (out.wants(0)) out.add(0, forward(who, g, ddx, w, {}, Unary::identity, 0));
      if (out.wants(1)) out.add(1, grad_weight(who, g, ddx, dy));
    });
  }
  return dx;
}

Tensor grad_weight(const char* who, const Geometry& g, const Tensor& x, const Tensor& dy) {
  Tensor dw = Tensor::make(g.w, x.dtype(), x.device());
  const Kernels& k = kernels(x.device());
  if (dw.numel() > 0 && dy.numel() > 0)
    k.conv_grad_weight(g.shape, detail::image_array(x), detail::image_array(dy), detail::image_array(dw));
  else if (dw.numel() > 0)
    k.fill(0, array(dw));
  if (Node* n = track(dw, who, {&x, &dy})) {
    n->backward([who, g, x, dy](const Tensor& ddw, Gradients& out) {
      if (out.wants(0)) out.add(0, grad_input(who, g, dy, ddw));
      if (out.wants(1)) out.add(1, forward(who, g, x, ddw, {}, Unary::identity, 0));
    });
  }
  return dw;
}

Tensor sum_of_channels(const Tensor& t) {
  Dims others{0};
  for (int i = 2; i < t.ndim(); ++i) others.d[others.n++] = static_cast<std::int8_t>(i);
  return t.sum(others);
}

/// dy act'(y), and its sums over all but the channels; both dense with channels last.
Tensor before_activation(Unary act, double alpha, const Tensor& y, const Tensor& dy, Tensor* dbias) {
  const bool plain = act == Unary::identity;
  if (plain && !dbias) return dy;
  if (!dense_channels_last(dy) || !dense_channels_last(y)) {
    Tensor dz = plain ? dy : detail::unary_grad(act, {alpha, 0}, {}, y, dy);
    if (dbias) *dbias = sum_of_channels(dz);
    return dz;
  }
  const std::int64_t c = y.size(1), rows = y.numel() / std::max<std::int64_t>(1, c);
  const auto as_rows = [&](const Tensor& t) {
    Array a;
    a.data = TensorAccess::data(t);
    a.dtype = t.dtype();
    a.ndim = 2;
    a.size[0] = rows, a.size[1] = c, a.stride[0] = c, a.stride[1] = 1;
    return a;
  };
  Tensor dz = plain ? dy : detail::make_channels_last(y.shape(), y.dtype(), y.device());
  Array none = as_rows(dy), db;
  none.data = nullptr;
  if (dbias) {
    *dbias = Tensor::make({c}, y.dtype(), y.device());
    db = array(*dbias);
  }
  kernels(y.device())
      .bias_act_grad(act, alpha, as_rows(y), as_rows(dy), plain ? none : as_rows(dz), dbias ? &db : nullptr);
  return dz;
}

/// The gradients of act(convolution + bias).
struct Backward {
  const char* who;
  Geometry g;
  Tensor x, w, y;
  Unary act;
  double alpha;

  void operator()(const Tensor& dy, Gradients& out) const {
    Tensor db;
    Tensor dz = dy;
    if (tape::state.on) {
      if (act != Unary::identity) dz = detail::unary_grad(act, {alpha, 0}, {}, y, dy);
      if (out.wants(2)) db = sum_of_channels(dz);
    } else {
      dz = before_activation(act, alpha, y, dy, out.wants(2) ? &db : nullptr);
    }
    if (out.wants(0)) out.add(0, grad_input(who, g, dz, w));
    if (out.wants(1)) out.add(1, grad_weight(who, g, x, dz));
    if (db) out.add(2, db);
  }
  /// The derivative of the activation is needed only where a number was picked.
  void operator()(const PickedGradient& dy, Gradients& out) const {
    if (dy.values.numel() == 0) return (*this)(dy.written_out(dy), out);
    const Kernels& k = kernels(x.device());
    PickedGradient dz = dy;
    if (!dense_channels_last(dz.values)) {
      dz.values = detail::make_channels_last(dy.values.shape(), y.dtype(), y.device());
      k.copy(array(dy.values), array(dz.values));
    }
    Tensor db;
    dz.values = before_activation(act, alpha, dy.picked, dz.values, out.wants(2) ? &db : nullptr);
    const Picks picks{y.dtype(), TensorAccess::data(dz.values), dy.index.data<std::int32_t>(),
                      dz.values.numel() / (g.shape.n * g.shape.out_channels)};
    Tensor all;  // with its zeros
    const auto written_out = [&] { return all ? all : all = dz.written_out(dz); };
    if (out.wants(0)) {
      Tensor dx;
      if (k.takes_picks(g.shape, picks, false)) {
        dx = detail::make_channels_last(g.x, y.dtype(), y.device());
        k.picks_grad_input(g.shape, picks, detail::image_array(w), detail::image_array(dx));
      } else {
        dx = grad_input(who, g, written_out(), w);
      }
      out.add(0, dx);
    }
    if (out.wants(1)) {
      Tensor dw;
      if (k.takes_picks(g.shape, picks, true)) {
        dw = Tensor::make(g.w, y.dtype(), y.device());
        k.picks_grad_weight(g.shape, detail::image_array(x), picks, detail::image_array(dw));
      } else {
        dw = grad_weight(who, g, x, written_out());
      }
      out.add(1, dw);
    }
    if (db) out.add(2, db);
  }
};

Tensor forward(const char* who, const Geometry& g, const Tensor& x, const Tensor& w, const Tensor& bias,
               Unary act, double alpha) {
  if (!grad_needs_only_result(act))
    return detail::unary(act, forward(who, g, x, w, bias, Unary::identity, 0), alpha);
  Tensor y = detail::make_channels_last(g.y, x.dtype(), x.device());
  Epilogue e;
  const Tensor dense_bias = bias ? raw::contiguous(bias) : Tensor();
  if (bias) e.bias = TensorAccess::data(dense_bias);
  e.activation = act;
  e.alpha = alpha;
  if (y.numel() > 0) {
    const Kernels& k = kernels(x.device());
    const Array wa = detail::image_array(w);
    if (!tape::state.on && w.is_contiguous()) {
      const PackedForm form = k.conv_form(g.shape, wa);
      e.packed_b =
          detail::packed(w, {form.number + 1, form.bytes}, [&](void* to) { k.conv_pack(g.shape, wa, to); });
    }
    k.conv(g.shape, detail::image_array(x), wa, detail::image_array(y), e);
  }
  if (Node* n = track(y, who, {&x, &w, &bias})) n->backward(Backward{who, g, x, w, y, act, alpha});
  return y;
}

/// The weight as the kernels use it.
Tensor prepared(const Tensor& weight, const ConvOptions& o) {
  Tensor w = weight;
  if (o.mode == ConvMode::convolution) {
    for (int i = 2; i < w.ndim(); ++i) w = w.size(i) > 1 ? flip(w, i) : w;
  }
  return o.alpha == 1 ? w : w * o.alpha;
}

}  // namespace

Tensor convolution(const char* who, const Tensor& x, const Tensor& weight, const Tensor& bias,
                   const ConvOptions& o, Unary act, double alpha) {
  check_defined(who, x);
  if (x.ndim() + 1 == weight.ndim())
    return convolution(who, x.unsqueeze(0), weight, bias, o, act, alpha).squeeze(0);
  const Geometry g = forward_geometry(who, x, weight, bias, o);
  return forward(who, g, x, prepared(weight, o), bias, act, alpha);
}

Tensor transposed_convolution(const char* who, const Tensor& x, const Tensor& weight, const Tensor& bias,
                              const ConvOptions& o, Extents output_padding) {
  check_defined(who, x);
  if (x.ndim() + 1 == weight.ndim())
    return transposed_convolution(who, x.unsqueeze(0), weight, bias, o, output_padding).squeeze(0);
  const Geometry g = transposed_geometry(who, x, weight, bias, o, output_padding);
  Tensor y = grad_input(who, g, x, prepared(weight, o));
  if (!bias) return y;
  Shape s{bias.size(0)};
  for (int i = 2; i < y.ndim(); ++i) s.push(1);
  return y + bias.reshape(s);
}

Tensor conv(const Tensor& x, const Tensor& weight, const ConvOptions& o) {
  return convolution("conv", x, weight, {}, o);
}
Tensor deconv(const Tensor& x, const Tensor& weight, const ConvOptions& o, Extents output_padding) {
  return transposed_convolution("deconv", x, weight, {}, o, output_padding);
}

}  // namespace knet
