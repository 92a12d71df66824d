#include "knet/layers/dense.hpp"

#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/linear.hpp"
#include "knet/ops/matmul.hpp"

namespace knet {
namespace {

Tensor value(const Param& p) { return p ? Tensor(p) : Tensor(); }
void check_features(const char* who, const Tensor& x, std::int64_t n) {
  if (!x || x.ndim() == 0 || x.size(-1) != n)
    fail<ShapeError>(who, ": input is ", x ? to_string(x.shape()) : "empty", ", expected [.., ", n, "]");
}
// One-hot input: columns of the weight.
Tensor columns(const char* who, const Tensor& weight, const Tensor& ids) {
  return lookup(weight.T(), ids, who);
}
bool one_hot_input(const Tensor& x) { return x && is_integer(x.dtype()); }
std::string sizes_text(const char* name, const Param& w, int in, int out) {
  return text(name, "(input=", w.size(in), ", output=", w.size(out));
}

}  // namespace

Tensor Multiply::operator()(const Tensor& x) const {
  return one_hot_input(x) ? columns("Multiply", weight, x) : linear("Multiply", x, weight, {});
}
std::string Multiply::describe() const { return sizes_text("Multiply", weight, 1, 0) + ")"; }

Tensor Embed::operator()(const Tensor& x) const {
  if (one_hot_input(x)) return lookup(weight, x, "Embed");
  check_features("Embed", x, weight.size(0));
  return matmul(x, weight);
}
std::string Embed::describe() const { return sizes_text("Embed", weight, 0, 1) + ")"; }

Tensor Bias::operator()(const Tensor& x) const { return bias ? x + bias : x; }
std::string Bias::describe() const { return bias ? "Bias" + to_string(bias.shape()) : "Bias()"; }

Tensor Linear::operator()(const Tensor& x) const {
  if (!one_hot_input(x)) return linear("Linear", x, weight, value(bias));
  const Tensor y = columns("Linear", weight, x);
  return bias ? y + bias : y;
}
std::string Linear::describe() const {
  return sizes_text("Linear", weight, 1, 0) + (bias ? ")" : ", no bias)");
}

Tensor Dense::operator()(const Tensor& x) const {
  if (one_hot_input(x)) {
    const Tensor y = columns("Dense", weight, x);
    return activation(bias ? y + bias : y);
  }
  if (activation.fusible())
    return linear("Dense", x, weight, value(bias), activation.kind(), activation.alpha());
  return activation(linear("Dense", x, weight, value(bias)));
}
std::string Dense::describe() const {
  return text(sizes_text("Dense", weight, 1, 0), ", activation=", activation.name(),
              bias ? ")" : ", no bias)");
}

Tensor Diagonal::operator()(const Tensor& x) const {
  check_features("Diagonal", x, weight.size(0));
  const Tensor y = x * weight;
  return bias ? y + bias : y;
}
std::string Diagonal::describe() const {
  return text("Diagonal(", weight.size(0), bias ? ")" : ", no bias)");
}

std::vector<Dense> MLP::make_layers() const {
  if (sizes.size() < 2) fail<ValueError>("MLP: .sizes needs at least the input and the output size");
  if (!(dropout >= 0 && dropout <= 1)) fail<ValueError>("MLP: .dropout = ", dropout, ": expected [0, 1]");
  std::vector<Dense> r;
  r.reserve(sizes.size() - 1);
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
    r.push_back({.input = sizes[i],
                 .output = sizes[i + 1],
                 .activation = i + 2 < sizes.size() ? activation : Activation(),
                 .winit = winit,
                 .binit = binit,
                 .dtype = dtype});
  }
  return r;
}
Tensor MLP::operator()(Tensor x) const {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (dropout > 0 && (i > 0 || drop_input)) x = knet::dropout(x, dropout);
    x = layers[i](x);
  }
  return x;
}

}  // namespace knet
