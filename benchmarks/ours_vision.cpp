// Convolutional networks, this library's side.
#include "ours.hpp"

namespace {

using namespace knet;
using bench::Workload;
using ours::digest;
using ours::tensor;

Conv square(std::int64_t from, std::int64_t to, std::int64_t window, std::int64_t stride = 1) {
  return {.height = window,
          .width = window,
          .inout = {from, to},
          .padding = window / 2,
          .stride = stride,
          .binit = nullptr};
}

// The seed's network for MNIST.
struct Cnn {
  Conv conv1{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu};
  Conv conv2{.height = 5, .width = 5, .inout = {12, 12}, .activation = Tanh{}};
  Dense fc1{.input = 192, .output = 13, .activation = Tanh{}};
  Linear fc2{.input = 13, .output = 10};
  Tensor operator()(const Tensor& x) const { return fc2(fc1(mat(pool(conv2(pool(conv1(x))))))); }
};
struct LeNet {
  Conv conv1{.height = 5, .width = 5, .inout = {1, 20}, .activation = relu};
  Conv conv2{.height = 5, .width = 5, .inout = {20, 50}, .activation = relu};
  Dense fc1{.input = 800, .output = 500, .activation = relu};
  Linear fc2{.input = 500, .output = 10};
  Tensor operator()(const Tensor& x) const { return fc2(fc1(mat(pool(conv2(pool(conv1(x))))))); }
};

// Residual networks as torchvision has them (He et al. 2015, arXiv:1512.03385; stride in the 3x3).
struct BasicBlock {
  static constexpr std::int64_t widening = 1;
  Conv conv1;
  BatchNorm bn1;
  Conv conv2;
  BatchNorm bn2;
  Sequence downsample;
  BasicBlock(std::int64_t from, std::int64_t to, std::int64_t stride)
      : conv1(square(from, to, 3, stride)),
        bn1{.channels = to, .activation = relu},
        conv2(square(to, to, 3)),
        bn2{.channels = to} {
    if (stride != 1 || from != to) downsample = Sequence{square(from, to, 1, stride), BatchNorm{to}};
  }
  static void visit(auto& self, auto&& f) {
    f("conv1", self.conv1), f("bn1", self.bn1), f("conv2", self.conv2), f("bn2", self.bn2);
    f("downsample", self.downsample);
  }
  Tensor operator()(const Tensor& x) const {
    return relu(bn2(conv2(bn1(conv1(x)))) + (downsample.size() ? downsample(x) : x));
  }
};
struct Bottleneck {
  static constexpr std::int64_t widening = 4;
  Conv conv1;
  BatchNorm bn1;
  Conv conv2;
  BatchNorm bn2;
  Conv conv3;
  BatchNorm bn3;
  Sequence downsample;
  Bottleneck(std::int64_t from, std::int64_t to, std::int64_t stride)
      : conv1(square(from, to, 1)),
        bn1{.channels = to, .activation = relu},
        conv2(square(to, to, 3, stride)),
        bn2{.channels = to, .activation = relu},
        conv3(square(to, 4 * to, 1)),
        bn3{.channels = 4 * to} {
    if (stride != 1 || from != 4 * to)
      downsample = Sequence{square(from, 4 * to, 1, stride), BatchNorm{4 * to}};
  }
  static void visit(auto& self, auto&& f) {
    f("conv1", self.conv1), f("bn1", self.bn1), f("conv2", self.conv2), f("bn2", self.bn2);
    f("conv3", self.conv3), f("bn3", self.bn3), f("downsample", self.downsample);
  }
  Tensor operator()(const Tensor& x) const {
    return relu(bn3(conv3(bn2(conv2(bn1(conv1(x)))))) + (downsample.size() ? downsample(x) : x));
  }
};
template <class Block>
struct ResNet {
  Conv conv1 = square(3, 64, 7, 2);
  BatchNorm bn1{.channels = 64, .activation = relu};
  Pool maxpool{.window = 3, .stride = 2, .padding = 1};
  std::vector<Block> layer1, layer2, layer3, layer4;
  Linear fc{.input = 512 * Block::widening, .output = 1000};
  explicit ResNet(std::array<int, 4> depth) {
    std::int64_t from = 64, to = 64;
    for (int stage = 0; stage < 4; ++stage, to *= 2) {
      auto& layer = *std::array{&layer1, &layer2, &layer3, &layer4}[static_cast<std::size_t>(stage)];
      for (int i = 0; i < depth[static_cast<std::size_t>(stage)]; ++i, from = to * Block::widening)
        layer.emplace_back(from, to, i == 0 && stage > 0 ? 2 : 1);
    }
  }
  static void visit(auto& self, auto&& f) {
    f("conv1", self.conv1), f("bn1", self.bn1);
    f("layer1", self.layer1), f("layer2", self.layer2), f("layer3", self.layer3), f("layer4", self.layer4);
    f("fc", self.fc);
  }
  Tensor operator()(const Tensor& x) const {
    Tensor h = maxpool(bn1(conv1(x)));
    for (const auto* layer : {&layer1, &layer2, &layer3, &layer4})
      for (const Block& block : *layer) h = block(h);
    return fc(mat(GlobalPool{}(h)));
  }
};

template <class M, class Rule>
Workload training(M model, Shape image, std::int64_t classes, Rule rule) {
  struct State {
    M model;
    Tensor x, y;
    ours::Start start;
    std::optional<Optimizer> optimizer;
    double loss = 0;
  };
  const std::int64_t batch = image[0];
  auto s = std::make_shared<State>(
      State{std::move(model),
            tensor(bench::uniform(10, static_cast<std::size_t>(image.numel()), 0, 1), image),
            tensor(bench::integers(11, static_cast<std::size_t>(batch), static_cast<std::size_t>(classes)),
                   {batch}),
            {},
            {}});
  Workload w;
  w.reset = [s, rule] {
    s->start(s->model);
    s->optimizer.emplace(s->model, rule);
  };
  w.step = [s] {
    const Tape tape = diff([&] { return nll(s->model(s->x), s->y); });
    s->optimizer->step(tape);
    s->loss = tape.item();
  };
  w.check = [s] { return s->loss; };
  w.check_steps = 3;
  return w;
}
template <class M>
Workload inference(M model, Shape image) {
  struct State {
    M model;
    Tensor x, y;
  };
  auto s = std::make_shared<State>(
      State{std::move(model),
            tensor(bench::uniform(10, static_cast<std::size_t>(image.numel()), 0, 1), image),
            {}});
  ours::Start()(s->model);
  Workload w;
  w.reset = [] {};
  w.step = [s] { s->y = s->model(s->x); };
  w.check = [s] { return digest(s->y); };
  w.check_steps = 1;
  return w;
}

}  // namespace

void ours::add_vision(std::vector<bench::Entry>& all) {
  const auto resnet18 = [] { return ResNet<BasicBlock>({2, 2, 2, 2}); };
  const auto resnet50 = [] { return ResNet<Bottleneck>({3, 4, 6, 3}); };
  const Shape digits{100, 1, 28, 28};
  all.push_back({"cnn_train", [=] { return training(Cnn{}, digits, 10, SGD{.lr = 0.1}); }});
  all.push_back({"cnn_infer_100", [=] { return inference(Cnn{}, digits); }});
  all.push_back({"lenet_train", [=] { return training(LeNet{}, digits, 10, Adam{.lr = 1e-3}); }});
  all.push_back({"resnet18_infer_1", [=] { return inference(resnet18(), {1, 3, 224, 224}); }});
  all.push_back({"resnet18_infer_8", [=] { return inference(resnet18(), {8, 3, 224, 224}); }});
  all.push_back({"resnet18_train_8", [=] {
                   return training(resnet18(), {8, 3, 224, 224}, 1000, SGD{.lr = 0.01});
                 }});
  all.push_back({"resnet50_infer_1", [=] { return inference(resnet50(), {1, 3, 224, 224}); }});
  all.push_back({"resnet50_infer_8", [=] { return inference(resnet50(), {8, 3, 224, 224}); }});
}
