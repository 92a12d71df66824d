#include "knet/layers/norm.hpp"

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/softmax.hpp"

namespace knet {

Tensor LayerNorm::operator()(const Tensor& x) const {
  if (!x || x.ndim() < 1 || x.size(-1) != weight.size(0))
    fail<ShapeError>("LayerNorm: input is ", x ? to_string(x.shape()) : "empty", ", expected [.., ",
                     weight.size(0), "]");
  return layer_norm(x, weight, bias, eps);
}
std::string LayerNorm::describe() const { return text("LayerNorm(", weight.size(0), ")"); }

Tensor BatchNorm::operator()(const Tensor& x) const {
  const std::int64_t c = weight.size(0);
  if (!x || x.ndim() < 2 || x.size(1) != c)
    fail<ShapeError>("BatchNorm: input is ", x ? to_string(x.shape()) : "empty", ", expected [N, ", c,
                     ", ..]");
  Shape s{1, c};
  Dims others{0};
  for (int i = 2; i < x.ndim(); ++i) {
    s.push(1);
    others.d[others.n++] = static_cast<std::int8_t>(i);
  }
  Tensor mean = running_mean.reshape(s), variance = running_var.reshape(s);
  if (training()) {
    const std::int64_t n = x.numel() / std::max<std::int64_t>(c, 1);
    if (n < 2) fail<ShapeError>("BatchNorm: ", x.shape(), " has one value per channel; training needs two");
    mean = x.mean(others, true);
    variance = square(x - mean).mean(others, true);
    const NoGrad constant;
    const double unbiased = static_cast<double>(n) / static_cast<double>(n - 1);
    running_mean = running_mean * (1 - momentum) + mean.detach().reshape({c}) * momentum;
    running_var = running_var * (1 - momentum) + variance.detach().reshape({c}) * (momentum * unbiased);
  }
  return (x - mean) * (rsqrt(variance + eps) * Tensor(weight).reshape(s)) + Tensor(bias).reshape(s);
}
std::string BatchNorm::describe() const { return text("BatchNorm(", weight.size(0), ")"); }

}  // namespace knet
