#include "knet/layers/norm.hpp"

#include <utility>

#include "knet/autograd/layer_call.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/norm.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/access.hpp"

namespace knet {
namespace {

Tensor value(const Param& p) { return p ? Tensor(p) : Tensor(); }
void check_features(const char* who, const Tensor& x, std::int64_t n) {
  if (!x || x.ndim() < 1 || x.size(-1) != n)
    fail<ShapeError>(who, ": input is ", x ? to_string(x.shape()) : "empty", ", expected [.., ", n, "]");
}
void check_channels(const char* who, const Tensor& x, std::int64_t c) {
  if (!x || x.ndim() < 2 || x.ndim() > 5 || x.size(1) != c)
    fail<ShapeError>(who, ": input is ", x ? to_string(x.shape()) : "empty", ", expected [N, ", c,
                     "] to [N, ", c, ", D, H, W]");
}

}  // namespace

Tensor LayerNorm::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  check_features("LayerNorm", x, size);
  return layer_norm(x, value(weight), value(bias), eps);
}
std::string LayerNorm::describe() const {
  return text("LayerNorm(", std::int64_t{size}, weight ? "" : ", no weight", bias ? ")" : ", no bias)");
}

namespace {
/// An empty residual is none.
Tensor normalise(const BatchNorm& m, Tensor x, const Tensor& residual) {
  check_channels("BatchNorm", x, m.channels);
  if (!(m.momentum >= 0 && m.momentum <= 1))
    fail<ValueError>("BatchNorm: .momentum = ", m.momentum, ": expected [0, 1]");
  if (residual && residual.shape() != x.shape())
    fail<ShapeError>("BatchNorm: the residual is ", residual.shape(), ", expected ", x.shape(),
                     " as the input");
  const bool is_relu = m.activation.fusible() && m.activation.kind() == Unary::relu;
  const BatchNormOptions options{.eps = m.eps, .residual = residual, .relu = is_relu};
  Tensor y;
  if (training() && !m.frozen) {
    Moments seen;
    y = batch_norm(x, value(m.weight), value(m.bias), options, &seen);
    const NoGrad constant;
    m.running_mean = m.running_mean * (1 - m.momentum) + seen.mean * m.momentum;
    m.running_var = m.running_var * (1 - m.momentum) + seen.var * m.momentum;
  } else {
    y = batch_norm(std::move(x), value(m.weight), value(m.bias), Moments{m.running_mean, m.running_var},
                   options);
  }
  return is_relu ? y : m.activation(std::move(y));
}
}  // namespace
Tensor BatchNorm::operator()(Tensor x) const { return normalise(*this, std::move(x), {}); }
Tensor BatchNorm::operator()(Tensor x, const Tensor& residual) const {
  check_defined("BatchNorm", residual);
  return normalise(*this, std::move(x), residual);
}
std::string BatchNorm::describe() const {
  std::string s = text("BatchNorm(", std::int64_t{channels});
  if (momentum != 0.1) s += text(", momentum=", momentum);
  if (!affine) s += ", not affine";
  if (frozen) s += ", frozen";
  if (!activation.fusible() || activation.kind() != Unary::identity) s += ", activation=" + activation.name();
  return s + ")";
}

Tensor detail::group_weight(std::int64_t groups, std::int64_t channels, bool affine, DType t) {
  if (channels % groups != 0)
    fail<ValueError>("GroupNorm: .groups = ", groups, " does not divide .channels = ", channels);
  return affine ? ones({channels}, t) : Tensor();
}
Tensor GroupNorm::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  check_channels("GroupNorm", x, channels);
  return group_norm(x, groups, value(weight), value(bias), eps);
}
std::string GroupNorm::describe() const {
  return text("GroupNorm(groups=", std::int64_t{groups}, ", channels=", std::int64_t{channels},
              affine ? ")" : ", not affine)");
}

Tensor InstanceNorm::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  check_channels("InstanceNorm", x, channels);
  return group_norm(x, channels, value(weight), value(bias), eps);
}
std::string InstanceNorm::describe() const {
  return text("InstanceNorm(", std::int64_t{channels}, affine ? ", affine)" : ")");
}

Tensor RMSNorm::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  check_features("RMSNorm", x, size);
  return rms_norm(x, value(weight), eps);
}
std::string RMSNorm::describe() const { return text("RMSNorm(", std::int64_t{size}, ")"); }

}  // namespace knet
