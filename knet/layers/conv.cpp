#include "knet/layers/conv.hpp"

#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"
#include "knet/ops/convolution.hpp"
#include "knet/tensor/access.hpp"

namespace knet {

Shape detail::conv_weight(const char* who, InOut inout, std::int64_t groups, bool transposed, Shape kernel) {
  if (inout.in < 1 || inout.out < 1)
    fail<ValueError>(who, ": .inout = {", inout.in, ", ", inout.out, "}: expected at least 1");
  if (groups < 1 || inout.in % groups != 0 || inout.out % groups != 0)
    fail<ValueError>(who, ": .groups = ", groups, " does not divide .inout = {", inout.in, ", ", inout.out,
                     "}");
  Shape s = transposed ? Shape{inout.in, inout.out / groups} : Shape{inout.out, inout.in / groups};
  for (const std::int64_t k : kernel) s.push(k);
  return s;
}

namespace {

Tensor value(const Param& p) { return p ? Tensor(p) : Tensor(); }

template <class L>
ConvOptions options(const L& l) {
  return {.stride = l.stride,
          .padding = l.padding,
          .dilation = l.dilation,
          .groups = l.groups,
          .mode = l.mode,
          .alpha = l.alpha};
}

/// Runs f on x with its missing dimensions of size 1 in front, and takes them away again.
template <class F>
Tensor with_channels(const char* who, const Tensor& x, int ndim, const F& f) {
  check_defined(who, x);
  if (x.ndim() == 0 || x.ndim() > ndim)
    fail<ShapeError>(who, ": input is ", x.shape(), ", expected ", ndim, " dimensions");
  if (x.ndim() >= ndim - 1) return f(x);  // a batch or one image
  Tensor y = x;
  while (y.ndim() < ndim) y = y.unsqueeze(0);
  y = f(y);
  if (y.size(1) != 1)
    fail<ShapeError>(who, ": input ", x.shape(), " has no channels, but the layer makes ", y.size(1));
  while (y.ndim() > x.ndim()) y = y.squeeze(0);
  return y;
}

template <class L>
Tensor run(const char* who, const L& l, const Tensor& x) {
  return with_channels(who, x, l.weight.ndim(), [&](const Tensor& v) {
    if (l.activation.fusible())
      return convolution(who, v, l.weight, value(l.bias), options(l), l.activation.kind(),
                         l.activation.alpha());
    return l.activation(convolution(who, v, l.weight, value(l.bias), options(l)));
  });
}
template <class L>
Tensor run_transposed(const char* who, const L& l, const Tensor& x) {
  return with_channels(who, x, l.weight.ndim(), [&](const Tensor& v) {
    return l.activation(
        transposed_convolution(who, v, l.weight, value(l.bias), options(l), l.output_padding));
  });
}

template <class L>
std::string describe_filter(const char* name, const L& l) {
  std::string s = text(name, "(");
  for (int i = 2; i < l.weight.ndim(); ++i) s += text(i > 2 ? "x" : "", l.weight.size(i));
  s += text(", ", l.inout.in, " => ", l.inout.out);
  if (l.stride != Extents(1)) s += ", stride=" + to_string(l.stride);
  if (l.padding.automatic || l.padding.before != Extents(0) || l.padding.after != Extents(0))
    s += ", padding=" + to_string(l.padding);
  if (l.dilation != Extents(1)) s += ", dilation=" + to_string(l.dilation);
  if constexpr (requires { l.output_padding; }) {
    if (l.output_padding != Extents(0)) s += ", output_padding=" + to_string(l.output_padding);
  }
  if (l.groups != 1) s += text(", groups=", l.groups);
  if (l.mode == ConvMode::convolution) s += ", mode=convolution";
  if (l.alpha != 1) s += text(", alpha=", l.alpha);
  if (!l.activation.fusible() || l.activation.kind() != Unary::identity)
    s += ", activation=" + l.activation.name();
  return s + (l.bias ? ")" : ", no bias)");
}

}  // namespace

Tensor Conv::operator()(const Tensor& x) const { return run("Conv", *this, x); }
std::string Conv::describe() const { return describe_filter("Conv", *this); }
Tensor Conv1d::operator()(const Tensor& x) const { return run("Conv1d", *this, x); }
std::string Conv1d::describe() const { return describe_filter("Conv1d", *this); }
Tensor Conv3d::operator()(const Tensor& x) const { return run("Conv3d", *this, x); }
std::string Conv3d::describe() const { return describe_filter("Conv3d", *this); }
Tensor DeConv::operator()(const Tensor& x) const { return run_transposed("DeConv", *this, x); }
std::string DeConv::describe() const { return describe_filter("DeConv", *this); }
Tensor DeConv1d::operator()(const Tensor& x) const { return run_transposed("DeConv1d", *this, x); }
std::string DeConv1d::describe() const { return describe_filter("DeConv1d", *this); }
Tensor DeConv3d::operator()(const Tensor& x) const { return run_transposed("DeConv3d", *this, x); }
std::string DeConv3d::describe() const { return describe_filter("DeConv3d", *this); }

}  // namespace knet
