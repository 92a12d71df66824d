#include "knet/models/resnet.hpp"

#include <algorithm>
#include <array>

#include "knet/base/text.hpp"
#include "knet/layers/pool.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"

namespace knet::models {

namespace {

Conv conv(std::int64_t from, std::int64_t to, std::int64_t window, std::int64_t stride, const Init& winit) {
  return {.height = window,
          .width = window,
          .inout = {from, to},
          .padding = window / 2,
          .stride = stride,
          .winit = winit,
          .binit = nullptr};
}
BatchNorm norm(std::int64_t channels, bool activated) {
  if (activated) return {.channels = channels, .activation = relu};
  return {.channels = channels};
}

// The convolutions of a block: `width` in the middle, `to` at the end, the stride in the first 3x3.
std::vector<Conv> convolutions(std::int64_t from, std::int64_t width, std::int64_t to, std::int64_t stride,
                               bool bottleneck, const Init& winit) {
  std::vector<Conv> all;
  all.reserve(3);
  if (bottleneck) {
    all.push_back(conv(from, width, 1, 1, winit));
    all.push_back(conv(width, width, 3, stride, winit));
    all.push_back(conv(width, to, 1, 1, winit));
  } else {
    all.push_back(conv(from, width, 3, stride, winit));
    all.push_back(conv(width, to, 3, 1, winit));
  }
  return all;
}

ResNetBlock block(std::int64_t from, std::int64_t width, std::int64_t to, std::int64_t stride,
                  bool bottleneck, const ResNetOptions& o) {
  ResNetBlock b{
      .conv = convolutions(from, width, to, stride, bottleneck, o.winit), .bn = {}, .downsample = {}};
  b.bn.reserve(b.conv.size());
  for (const Conv& c : b.conv) b.bn.push_back(norm(c.inout.out, true));
  if (o.zero_init) b.bn.back().weight = zeros({to});
  if (stride != 1 || from != to) b.downsample.emplace(conv(from, to, 1, stride, o.winit), norm(to, false));
  return b;
}

ResNetV2Block block_v2(std::int64_t from, std::int64_t width, std::int64_t to, std::int64_t stride,
                       bool bottleneck, const ResNetOptions& o) {
  ResNetV2Block b{
      .bn = {}, .conv = convolutions(from, width, to, stride, bottleneck, o.winit), .downsample = {}};
  b.bn.reserve(b.conv.size());
  for (const Conv& c : b.conv) b.bn.push_back(norm(c.inout.in, true));
  if (stride != 1 || from != to) b.downsample.emplace(conv(from, to, 1, stride, o.winit));
  return b;
}

template <class Make>
auto make_stages(const std::vector<int>& blocks, bool bottleneck, const ResNetOptions& o, Make make) {
  std::vector<std::vector<decltype(make(0, 0, 0, 0, false, o))>> stages(blocks.size());
  std::int64_t from = o.width, width = o.width;
  for (std::size_t s = 0; s < blocks.size(); ++s, width *= 2) {
    stages[s].reserve(static_cast<std::size_t>(blocks[s]));
    const std::int64_t to = bottleneck ? 4 * width : width;
    for (int i = 0; i < blocks[s]; ++i, from = to)
      stages[s].push_back(make(from, width, to, s > 0 && i == 0 ? 2 : 1, bottleneck, o));
  }
  return stages;
}

// Checks the blocks, and gives the channels of the last stage.
std::int64_t last_channels(const char* who, const std::vector<int>& blocks, bool bottleneck,
                           const ResNetOptions& o) {
  if (blocks.empty() || blocks.size() > 16)
    fail<ValueError>(who, ": ", blocks.size(), " stages; 1 to 16 are expected");
  for (const int n : blocks) {
    if (n < 1) fail<ValueError>(who, ": a stage of ", n, " blocks; at least 1 is expected");
  }
  return (o.width << (blocks.size() - 1)) * (bottleneck ? 4 : 1);
}
Conv stem(const ResNetOptions& o) {
  return o.small_images ? conv(o.channels, o.width, 3, 1, o.winit) : conv(o.channels, o.width, 7, 2, o.winit);
}

void check_stage(const char* who, int stage, std::size_t stages) {
  if (stage < 1 || stage > static_cast<int>(stages) + 1)
    fail<ValueError>(who, "::features: stage ", stage, "; 1 to ", stages,
                     " are the stages, and one more is what the classifier sees");
}
// One image alone is a batch of one.
Tensor batch(const char* who, const Tensor& x, const Conv& first) {
  const Tensor images = x.ndim() == 3 ? x.reshape({1, x.size(0), x.size(1), x.size(2)}) : x;
  if (images.ndim() != 4 || images.size(1) != first.inout.in)
    fail<ShapeError>(who, ": images ", x.shape(), "; [N, ", first.inout.in, ", H, W] is expected");
  return images;
}
template <class Block>
Tensor through(const std::vector<Block>& stage, Tensor x) {
  for (const Block& b : stage) x = b(x);
  return x;
}
// The stages up to `last`, each handed to `seen`.
template <class M, class Seen>
Tensor through_stages(const M& m, Tensor h, std::size_t last, Seen seen) {
  for (std::size_t s = 0; s < last; ++s) {
    h = through(m.stages[s], std::move(h));
    seen(h);
  }
  return h;
}
const Pool& stem_pool() {
  static const Pool p{.window = 3, .stride = 2, .padding = 1};
  return p;
}
Tensor begin(const ResNet& m, const Tensor& x) {
  const Tensor h = m.bn1(m.conv1(batch("ResNet", x, m.conv1)));
  return m.pool ? stem_pool()(h) : h;
}
Tensor begin(const ResNetV2& m, const Tensor& x) {
  const Tensor h = m.bn1(m.conv1(m.bn0(batch("ResNetV2", x, m.conv1))));
  return m.pool ? stem_pool()(h) : h;
}
Tensor finish(const ResNet&, const Tensor& h) { return GlobalPool{}(h); }
Tensor finish(const ResNetV2& m, const Tensor& h) { return GlobalPool{}(m.bn2(h)); }

template <class M>
Tensor features_of(const char* who, const M& m, const Tensor& x, int stage) {
  check_stage(who, stage, m.stages.size());
  const std::size_t last = std::min(static_cast<std::size_t>(stage), m.stages.size());
  const Tensor h = through_stages(m, begin(m, x), last, [](const Tensor&) {});
  return static_cast<std::size_t>(stage) > m.stages.size() ? finish(m, h) : h;
}
template <class M>
std::vector<Tensor> all_features(const M& m, const Tensor& x) {
  std::vector<Tensor> all;
  through_stages(m, begin(m, x), m.stages.size(), [&](const Tensor& h) { all.push_back(h); });
  return all;
}

void walk_one(Visitor& v, const std::string& name, auto& x) {
  v.at(name, [&] { knet::walk(x, v); });
}
// "conv" and 0 give conv1.
void walk_numbered(Visitor& v, const char* name, std::size_t i, auto& x) {
  walk_one(v, name + std::to_string(i + 1), x);
}

struct Depth {
  int depth;
  std::array<int, 4> blocks;
  bool bottleneck;
};
constexpr std::array<Depth, 5> depths = {{{18, {2, 2, 2, 2}, false},
                                          {34, {3, 4, 6, 3}, false},
                                          {50, {3, 4, 6, 3}, true},
                                          {101, {3, 4, 23, 3}, true},
                                          {152, {3, 8, 36, 3}, true}}};
const Depth& find_depth(const char* who, int depth) {
  for (const Depth& d : depths) {
    if (d.depth == depth) return d;
  }
  fail<ValueError>(who, ": depth ", depth, "; 18, 34, 50, 101 and 152 exist");
}

}  // namespace

Tensor ResNetBlock::operator()(const Tensor& x) const {
  Tensor h = x;
  for (std::size_t i = 0; i + 1 < conv.size(); ++i) h = bn[i](conv[i](h));
  h = conv.back()(h);
  return bn.back()(std::move(h), downsample ? downsample->second(downsample->first(x)) : x);
}
void ResNetBlock::walk(Visitor& v) {
  v.enter("ResNetBlock", nullptr, this);
  for (std::size_t i = 0; i < conv.size(); ++i) {
    walk_numbered(v, "conv", i, conv[i]);
    walk_numbered(v, "bn", i, bn[i]);
  }
  if (downsample) {
    walk_one(v, "downsample.0", downsample->first);
    walk_one(v, "downsample.1", downsample->second);
  }
  v.leave();
}

ResNet::ResNet(const std::vector<int>& blocks, bool bottleneck, const ResNetOptions& o)
    : conv1(stem(o)),
      bn1(norm(o.width, true)),
      pool(!o.small_images),
      fc{.input = last_channels("ResNet", blocks, bottleneck, o), .output = o.classes} {
  stages = make_stages(blocks, bottleneck, o, block);
}
Tensor ResNet::operator()(const Tensor& x) const {
  return fc(features_of("ResNet", *this, x, static_cast<int>(stages.size()) + 1));
}
Tensor ResNet::features(const Tensor& x, int stage) const { return features_of("ResNet", *this, x, stage); }
std::vector<Tensor> ResNet::features(const Tensor& x) const { return all_features(*this, x); }
void ResNet::walk(Visitor& v) {
  v.enter("ResNet", nullptr, this);
  walk_one(v, "conv1", conv1);
  walk_one(v, "bn1", bn1);
  for (std::size_t s = 0; s < stages.size(); ++s) walk_numbered(v, "layer", s, stages[s]);
  walk_one(v, "fc", fc);
  v.leave();
}

Tensor ResNetV2Block::operator()(const Tensor& x) const {
  const Tensor activated = bn[0](x);
  Tensor h = conv[0](activated);
  for (std::size_t i = 1; i < conv.size(); ++i) h = conv[i](bn[i](h));
  return h + (downsample ? (*downsample)(activated) : x);
}
void ResNetV2Block::walk(Visitor& v) {
  v.enter("ResNetV2Block", nullptr, this);
  for (std::size_t i = 0; i < conv.size(); ++i) {
    walk_numbered(v, "bn", i, bn[i]);
    walk_numbered(v, "conv", i, conv[i]);
  }
  if (downsample) walk_one(v, "downsample", *downsample);
  v.leave();
}

ResNetV2::ResNetV2(const std::vector<int>& blocks, bool bottleneck, const ResNetOptions& o)
    : bn0(norm(o.channels, false)),
      conv1(stem(o)),
      bn1(norm(o.width, true)),
      pool(!o.small_images),
      bn2(norm(last_channels("ResNetV2", blocks, bottleneck, o), true)),
      fc{.input = last_channels("ResNetV2", blocks, bottleneck, o), .output = o.classes} {
  stages = make_stages(blocks, bottleneck, o, block_v2);
}
Tensor ResNetV2::operator()(const Tensor& x) const {
  return fc(features_of("ResNetV2", *this, x, static_cast<int>(stages.size()) + 1));
}
Tensor ResNetV2::features(const Tensor& x, int stage) const {
  return features_of("ResNetV2", *this, x, stage);
}
std::vector<Tensor> ResNetV2::features(const Tensor& x) const { return all_features(*this, x); }
void ResNetV2::walk(Visitor& v) {
  v.enter("ResNetV2", nullptr, this);
  walk_one(v, "bn0", bn0);
  walk_one(v, "conv1", conv1);
  walk_one(v, "bn1", bn1);
  for (std::size_t s = 0; s < stages.size(); ++s) walk_numbered(v, "layer", s, stages[s]);
  walk_one(v, "bn2", bn2);
  walk_one(v, "fc", fc);
  v.leave();
}

ResNet resnet(int depth, const ResNetOptions& o) {
  const Depth& d = find_depth("resnet", depth);
  return ResNet({d.blocks.begin(), d.blocks.end()}, d.bottleneck, o);
}
ResNetV2 resnet_v2(int depth, const ResNetOptions& o) {
  const Depth& d = find_depth("resnet_v2", depth);
  return ResNetV2({d.blocks.begin(), d.blocks.end()}, d.bottleneck, o);
}

std::vector<std::pair<std::string, std::string>> gluon_names(int depth, const std::string& prefix) {
  const Depth& d = find_depth("gluon_names", depth);
  std::vector<std::pair<std::string, std::string>> names;
  const auto normalisation = [&](const std::string& theirs, const std::string& ours) {
    for (const auto& [a, b] : {std::pair{"_gamma", ".weight"},
                               {"_beta", ".bias"},
                               {"_running_mean", ".running_mean"},
                               {"_running_var", ".running_var"}})
      names.emplace_back(prefix + theirs + a, ours + b);
  };
  const auto weight = [&](const std::string& theirs, const std::string& ours) {
    names.emplace_back(prefix + theirs + "_weight", ours + ".weight");
  };
  normalisation("batchnorm0", "bn0");
  weight("conv0", "conv1");
  normalisation("batchnorm1", "bn1");
  const int convolutions = d.bottleneck ? 3 : 2;
  for (int s = 0; s < 4; ++s) {
    const std::string stage = "stage" + std::to_string(s + 1) + "_";
    // Their counters run through the stage; a projection comes after its block's convolutions.
    int bn = 0, conv = 0;
    for (int i = 0; i < d.blocks[static_cast<std::size_t>(s)]; ++i) {
      const std::string block = "layer" + std::to_string(s + 1) + "." + std::to_string(i) + ".";
      for (int k = 1; k <= convolutions; ++k) {
        normalisation(stage + "batchnorm" + std::to_string(bn++), block + "bn" + std::to_string(k));
        weight(stage + "conv" + std::to_string(conv++), block + "conv" + std::to_string(k));
      }
      if (i == 0 && (s > 0 || d.bottleneck))
        weight(stage + "conv" + std::to_string(conv++), block + "downsample");
    }
  }
  normalisation("batchnorm2", "bn2");
  weight("dense0", "fc");
  names.emplace_back(prefix + "dense0_bias", "fc.bias");
  return names;
}

}  // namespace knet::models
