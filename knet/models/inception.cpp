#include "knet/models/inception.hpp"

#include <string>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/data/transforms.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/shape.hpp"

namespace knet::models {

namespace {

// Windows and paddings that the modules use.
BasicConvOptions square(std::int64_t window, const Init& winit, std::int64_t padding = 0,
                        std::int64_t stride = 1) {
  return {.window = window, .stride = stride, .padding = padding, .winit = winit};
}
BasicConvOptions flat(std::int64_t width, const Init& winit) {
  return {.window = {1, width}, .padding = {0, width / 2}, .winit = winit};
}
BasicConvOptions tall(std::int64_t height, const Init& winit) {
  return {.window = {height, 1}, .padding = {height / 2, 0}, .winit = winit};
}

// The mean of every 3x3 (zeros beyond the edges count) and the maximum of every second one.
Tensor mean3x3(const Tensor& x) {
  return pool(x, {.window = 3, .stride = 1, .padding = 1, .mode = PoolMode::mean});
}
Tensor max3x3(const Tensor& x) { return pool(x, {.window = 3, .stride = 2}); }

Tensor prepare(const char* who, const Tensor& x, std::int64_t smallest, bool transform) {
  Tensor h = x.ndim() == 3 ? x.unsqueeze(0) : x;
  if (h.ndim() != 4 || h.size(1) != 3 || h.size(2) < smallest || h.size(3) < smallest)
    fail<ShapeError>(who, ": images ", x.shape(), "; [N, 3, H, W] of at least ", smallest, " x ", smallest,
                     " is expected");
  if (!transform) return h;
  std::vector<double> scale, shift;
  for (std::size_t i = 0; i < 3; ++i) {
    scale.push_back(transforms::imagenet_std[i] / 0.5);
    shift.push_back((transforms::imagenet_mean[i] - 0.5) / 0.5);
  }
  return h * Tensor(scale, {3, 1, 1}).to(h.dtype()) + Tensor(shift, {3, 1, 1}).to(h.dtype());
}

void walk_one(Visitor& v, const std::string& name, auto& x) {
  v.at(name, [&] { knet::walk(x, v); });
}

GoogLeNetBlock block_v1(std::int64_t from, std::int64_t c1, std::array<std::int64_t, 2> c3,
                        std::array<std::int64_t, 2> c5, std::int64_t pooled, const Init& winit) {
  const BasicConvOptions one = square(1, winit), three = square(3, winit, 1);
  return {.branch1 = basic_conv(from, c1, one),
          .branch2 = {basic_conv(from, c3[0], one), basic_conv(c3[0], c3[1], three)},
          .branch3 = {basic_conv(from, c5[0], one), basic_conv(c5[0], c5[1], three)},
          .branch4 = Chain{Pool{.window = 3, .stride = 1, .padding = 1}, basic_conv(from, pooled, one)}};
}
GoogLeNetAux aux_v1(std::int64_t from, const InceptionOptions& o) {
  return {.conv = basic_conv(from, 128, square(1, o.winit)),
          .fc1 = {.input = 2048, .output = 1024},
          .fc2 = {.input = 1024, .output = o.classes}};
}
InceptionAux aux_v3(std::int64_t from, const InceptionOptions& o) {
  return {.conv0 = basic_conv(from, 128, square(1, o.winit)),
          .conv1 = basic_conv(128, 768, square(5, o.winit)),
          .fc = {.input = 768, .output = o.classes}};
}

}  // namespace

BasicConv basic_conv(std::int64_t from, std::int64_t to, const BasicConvOptions& o) {
  return {.conv = {.height = o.window[0],
                   .width = o.window[1],
                   .inout = {from, to},
                   .padding = o.padding,
                   .stride = o.stride,
                   .winit = o.winit,
                   .binit = nullptr},
          .bn = {.channels = to, .eps = 0.001, .activation = relu}};
}

Tensor GoogLeNetBlock::operator()(const Tensor& x) const {
  return cat({branch1(x), branch2[1](branch2[0](x)), branch3[1](branch3[0](x)), branch4(x)}, 1);
}
Tensor GoogLeNetAux::operator()(const Tensor& x) const {
  return fc2(dropout(relu(fc1(mat(conv(adaptive_pool(x, 4))))), 0.7));
}

GoogLeNet::GoogLeNet(const InceptionOptions& o)
    : transform_input(o.transform_input),
      conv1(basic_conv(3, 64, square(7, o.winit, 3, 2))),
      conv2(basic_conv(64, 64, square(1, o.winit))),
      conv3(basic_conv(64, 192, square(3, o.winit, 1))),
      fc{.input = 1024, .output = o.classes} {
  inception.reserve(9);
  inception.push_back(block_v1(192, 64, {96, 128}, {16, 32}, 32, o.winit));
  inception.push_back(block_v1(256, 128, {128, 192}, {32, 96}, 64, o.winit));
  inception.push_back(block_v1(480, 192, {96, 208}, {16, 48}, 64, o.winit));
  inception.push_back(block_v1(512, 160, {112, 224}, {24, 64}, 64, o.winit));
  inception.push_back(block_v1(512, 128, {128, 256}, {24, 64}, 64, o.winit));
  inception.push_back(block_v1(512, 112, {144, 288}, {32, 64}, 64, o.winit));
  inception.push_back(block_v1(528, 256, {160, 320}, {32, 128}, 128, o.winit));
  inception.push_back(block_v1(832, 256, {160, 320}, {32, 128}, 128, o.winit));
  inception.push_back(block_v1(832, 384, {192, 384}, {48, 128}, 128, o.winit));
  if (o.aux) {
    aux1.emplace(aux_v1(512, o));
    aux2.emplace(aux_v1(528, o));
  }
}
InceptionOutput GoogLeNet::forward(const Tensor& x) const {
  const Pool pool3{.window = 3, .stride = 2, .ceil_mode = true}, pool2{.ceil_mode = true};
  const bool heads = aux1 && aux2 && training();
  InceptionOutput out;
  Tensor h = pool3(conv1(prepare("GoogLeNet", x, 15, transform_input)));
  h = pool3(conv3(conv2(h)));
  for (std::size_t i = 0; i < inception.size(); ++i) {
    if (i == 2) h = pool3(h);
    if (i == 7) h = pool2(h);
    h = inception[i](h);
    if (heads && i == 2) out.aux.push_back((*aux1)(h));
    if (heads && i == 5) out.aux.push_back((*aux2)(h));
  }
  out.logits = fc(dropout(GlobalPool{}(h), 0.2));
  return out;
}
void GoogLeNet::walk(Visitor& v) {
  v.enter("GoogLeNet", nullptr, this);
  walk_one(v, "conv1", conv1);
  walk_one(v, "conv2", conv2);
  walk_one(v, "conv3", conv3);
  constexpr std::array<const char*, 9> names = {"3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"};
  for (std::size_t i = 0; i < names.size(); ++i)
    walk_one(v, std::string("inception") + names[i], inception[i]);
  if (aux1) walk_one(v, "aux1", *aux1);
  if (aux2) walk_one(v, "aux2", *aux2);
  walk_one(v, "fc", fc);
  v.leave();
}

InceptionA inception_a(std::int64_t from, std::int64_t pool_channels, const Init& winit) {
  const BasicConvOptions one = square(1, winit), three = square(3, winit, 1);
  return {.branch1x1 = basic_conv(from, 64, one),
          .branch5x5_1 = basic_conv(from, 48, one),
          .branch5x5_2 = basic_conv(48, 64, square(5, winit, 2)),
          .branch3x3dbl_1 = basic_conv(from, 64, one),
          .branch3x3dbl_2 = basic_conv(64, 96, three),
          .branch3x3dbl_3 = basic_conv(96, 96, three),
          .branch_pool = basic_conv(from, pool_channels, one)};
}
Tensor InceptionA::operator()(const Tensor& x) const {
  return cat({branch1x1(x), branch5x5_2(branch5x5_1(x)), branch3x3dbl_3(branch3x3dbl_2(branch3x3dbl_1(x))),
              branch_pool(mean3x3(x))},
             1);
}
InceptionB inception_b(std::int64_t from, const Init& winit) {
  return {.branch3x3 = basic_conv(from, 384, square(3, winit, 0, 2)),
          .branch3x3dbl_1 = basic_conv(from, 64, square(1, winit)),
          .branch3x3dbl_2 = basic_conv(64, 96, square(3, winit, 1)),
          .branch3x3dbl_3 = basic_conv(96, 96, square(3, winit, 0, 2))};
}
Tensor InceptionB::operator()(const Tensor& x) const {
  return cat({branch3x3(x), branch3x3dbl_3(branch3x3dbl_2(branch3x3dbl_1(x))), max3x3(x)}, 1);
}
InceptionC inception_c(std::int64_t from, std::int64_t middle, const Init& winit) {
  const BasicConvOptions one = square(1, winit), row = flat(7, winit), column = tall(7, winit);
  return {.branch1x1 = basic_conv(from, 192, one),
          .branch7x7_1 = basic_conv(from, middle, one),
          .branch7x7_2 = basic_conv(middle, middle, row),
          .branch7x7_3 = basic_conv(middle, 192, column),
          .branch7x7dbl_1 = basic_conv(from, middle, one),
          .branch7x7dbl_2 = basic_conv(middle, middle, column),
          .branch7x7dbl_3 = basic_conv(middle, middle, row),
          .branch7x7dbl_4 = basic_conv(middle, middle, column),
          .branch7x7dbl_5 = basic_conv(middle, 192, row),
          .branch_pool = basic_conv(from, 192, one)};
}
Tensor InceptionC::operator()(const Tensor& x) const {
  return cat({branch1x1(x), branch7x7_3(branch7x7_2(branch7x7_1(x))),
              branch7x7dbl_5(branch7x7dbl_4(branch7x7dbl_3(branch7x7dbl_2(branch7x7dbl_1(x))))),
              branch_pool(mean3x3(x))},
             1);
}
InceptionD inception_d(std::int64_t from, const Init& winit) {
  const BasicConvOptions one = square(1, winit), half = square(3, winit, 0, 2);
  return {.branch3x3_1 = basic_conv(from, 192, one),
          .branch3x3_2 = basic_conv(192, 320, half),
          .branch7x7x3_1 = basic_conv(from, 192, one),
          .branch7x7x3_2 = basic_conv(192, 192, flat(7, winit)),
          .branch7x7x3_3 = basic_conv(192, 192, tall(7, winit)),
          .branch7x7x3_4 = basic_conv(192, 192, half)};
}
Tensor InceptionD::operator()(const Tensor& x) const {
  return cat(
      {branch3x3_2(branch3x3_1(x)), branch7x7x3_4(branch7x7x3_3(branch7x7x3_2(branch7x7x3_1(x)))), max3x3(x)},
      1);
}
InceptionE inception_e(std::int64_t from, const Init& winit) {
  const BasicConvOptions one = square(1, winit), row = flat(3, winit), column = tall(3, winit);
  return {.branch1x1 = basic_conv(from, 320, one),
          .branch3x3_1 = basic_conv(from, 384, one),
          .branch3x3_2a = basic_conv(384, 384, row),
          .branch3x3_2b = basic_conv(384, 384, column),
          .branch3x3dbl_1 = basic_conv(from, 448, one),
          .branch3x3dbl_2 = basic_conv(448, 384, square(3, winit, 1)),
          .branch3x3dbl_3a = basic_conv(384, 384, row),
          .branch3x3dbl_3b = basic_conv(384, 384, column),
          .branch_pool = basic_conv(from, 192, one)};
}
Tensor InceptionE::operator()(const Tensor& x) const {
  const Tensor once = branch3x3_1(x), twice = branch3x3dbl_2(branch3x3dbl_1(x));
  return cat({branch1x1(x), branch3x3_2a(once), branch3x3_2b(once), branch3x3dbl_3a(twice),
              branch3x3dbl_3b(twice), branch_pool(mean3x3(x))},
             1);
}

Tensor InceptionAux::operator()(const Tensor& x) const {
  return fc(GlobalPool{}(conv1(conv0(pool(x, {.window = 5, .stride = 3, .mode = PoolMode::mean})))));
}

InceptionV3::InceptionV3(const InceptionOptions& o)
    : transform_input(o.transform_input),
      b(inception_b(288, o.winit)),
      d(inception_d(768, o.winit)),
      fc{.input = 2048, .output = o.classes} {
  stem.reserve(5);
  stem.push_back(basic_conv(3, 32, square(3, o.winit, 0, 2)));
  stem.push_back(basic_conv(32, 32, square(3, o.winit)));
  stem.push_back(basic_conv(32, 64, square(3, o.winit, 1)));
  stem.push_back(basic_conv(64, 80, square(1, o.winit)));
  stem.push_back(basic_conv(80, 192, square(3, o.winit)));
  a.reserve(3);
  a.push_back(inception_a(192, 32, o.winit));
  a.push_back(inception_a(256, 64, o.winit));
  a.push_back(inception_a(288, 64, o.winit));
  c.reserve(4);
  for (const std::int64_t middle : {128, 160, 160, 192}) c.push_back(inception_c(768, middle, o.winit));
  e.reserve(2);
  e.push_back(inception_e(1280, o.winit));
  e.push_back(inception_e(2048, o.winit));
  if (o.aux) aux.emplace(aux_v3(768, o));
}
InceptionOutput InceptionV3::forward(const Tensor& x) const {
  InceptionOutput out;
  Tensor h = prepare("InceptionV3", x, 75, transform_input);
  h = max3x3(stem[2](stem[1](stem[0](h))));
  h = max3x3(stem[4](stem[3](h)));
  for (const InceptionA& m : a) h = m(h);
  h = b(h);
  for (const InceptionC& m : c) h = m(h);
  if (aux && training()) out.aux.push_back((*aux)(h));
  h = d(h);
  for (const InceptionE& m : e) h = m(h);
  out.logits = fc(dropout(GlobalPool{}(h), 0.5));
  return out;
}
void InceptionV3::walk(Visitor& v) {
  v.enter("InceptionV3", nullptr, this);
  constexpr std::array<const char*, 5> stems = {"1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"};
  for (std::size_t i = 0; i < stems.size(); ++i) walk_one(v, std::string("Conv2d_") + stems[i], stem[i]);
  // Mixed_5b, Mixed_5c ...
  const auto mixed = [&](const char* stage, char letter, auto& modules) {
    for (auto& m : modules) walk_one(v, std::string("Mixed_") + stage + letter++, m);
  };
  mixed("5", 'b', a);
  walk_one(v, "Mixed_6a", b);
  mixed("6", 'b', c);
  if (aux) walk_one(v, "AuxLogits", *aux);
  walk_one(v, "Mixed_7a", d);
  mixed("7", 'b', e);
  walk_one(v, "fc", fc);
  v.leave();
}

}  // namespace knet::models
