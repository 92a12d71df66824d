#include "knet/models/dcgan.hpp"

#include "knet/base/text.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/shape.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

struct Sides {
  Int stages = 0, height = 0, width = 0;  // doublings, and what they start from
};
Sides halve(const char* who, const Shape& image, Int channels) {
  if (image.ndim() != 3 || image.numel() < 1)
    fail<ValueError>(who, ": .image = ", image, ": expected channels, height and width");
  if (channels < 1) fail<ValueError>(who, ": .width = ", channels, ": expected at least 1");
  Sides s{.stages = 0, .height = image[1], .width = image[2]};
  while (s.height % 2 == 0 && s.width % 2 == 0 && s.height > 4 && s.width > 4)
    s = {s.stages + 1, s.height / 2, s.width / 2};
  if (s.stages == 0) fail<ValueError>(who, ": .image = ", image, ": expected sides that can be halved");
  return s;
}
Init start() { return gaussian(0, 0.02); }
// Factors of batch normalisation start around 1, as in the paper's code.
BatchNorm norm(Int channels, Activation a, DType t) {
  return {.channels = channels,
          .activation = std::move(a),
          .dtype = t,
          .weight = gaussian(1, 0.02)({channels}, t)};
}

}  // namespace

std::vector<DeConv> DCGenerator::make_stages() const {
  const Sides s = halve("DCGenerator", image, width);
  if (noise < 1) fail<ValueError>("DCGenerator: .noise = ", noise, ": expected at least 1");
  Int channels = width << (s.stages - 1);
  std::vector<DeConv> v;
  v.push_back({.height = s.height,
               .width = s.width,
               .inout = {noise, channels},
               .winit = start(),
               .binit = nullptr,
               .dtype = dtype});
  for (Int i = 1; i <= s.stages; ++i, channels /= 2) {
    const bool last = i == s.stages;
    v.push_back({.height = 4,
                 .width = 4,
                 .inout = {channels, last ? image[0] : channels / 2},
                 .activation = last ? Activation(Tanh{}) : Activation(),
                 .padding = 1,
                 .stride = 2,
                 .winit = start(),
                 .binit = last ? Init(zeros) : Init(nullptr),
                 .dtype = dtype});
  }
  return v;
}
std::vector<BatchNorm> DCGenerator::make_norms() const {
  std::vector<BatchNorm> v;
  for (std::size_t i = 0; i + 1 < stages.size(); ++i) v.push_back(norm(stages[i].inout.out, relu, dtype));
  return v;
}
Tensor DCGenerator::operator()(const Tensor& z) const {
  if (!z || z.ndim() != 2 || z.size(1) != noise)
    fail<ShapeError>("DCGenerator: input is ", z ? text(z.shape()) : "empty", ", expected [N, ", noise, "]");
  Tensor x = z.reshape({z.size(0), noise, 1, 1});
  for (std::size_t i = 0; i < norms.size(); ++i) x = norms[i](stages[i](x));
  return stages.back()(x);
}
std::string DCGenerator::describe() const {
  return text("DCGenerator(image=", image, ", noise=", noise, ", width=", width, ")");
}

std::vector<Conv> DCDiscriminator::make_stages() const {
  const Sides s = halve("DCDiscriminator", image, width);
  std::vector<Conv> v;
  Int channels = width;
  for (Int i = 0; i < s.stages; ++i) {
    v.push_back({.height = 4,
                 .width = 4,
                 .inout = {i == 0 ? image[0] : channels / 2, channels},
                 .activation = i == 0 ? Activation(LeakyReLU{slope}) : Activation(),
                 .padding = 1,
                 .stride = 2,
                 .winit = start(),
                 .binit = i == 0 ? Init(zeros) : Init(nullptr),
                 .dtype = dtype});
    channels *= 2;
  }
  v.push_back(
      {.height = s.height, .width = s.width, .inout = {channels / 2, 1}, .winit = start(), .dtype = dtype});
  return v;
}
std::vector<BatchNorm> DCDiscriminator::make_norms() const {
  std::vector<BatchNorm> v;
  for (std::size_t i = 1; i + 1 < stages.size(); ++i)
    v.push_back(norm(stages[i].inout.out, LeakyReLU{slope}, dtype));
  return v;
}
Tensor DCDiscriminator::operator()(const Tensor& x) const {
  if (!x || x.ndim() != 4 || x.size(1) != image[0] || x.size(2) != image[1] || x.size(3) != image[2])
    fail<ShapeError>("DCDiscriminator: input is ", x ? text(x.shape()) : "empty", ", expected [N, ", image[0],
                     ", ", image[1], ", ", image[2], "]");
  Tensor h = stages[0](x);
  for (std::size_t i = 0; i < norms.size(); ++i) h = norms[i](stages[i + 1](h));
  return stages.back()(h).reshape({x.size(0)});
}
std::string DCDiscriminator::describe() const {
  return text("DCDiscriminator(image=", image, ", width=", width, ")");
}

}  // namespace knet::models
