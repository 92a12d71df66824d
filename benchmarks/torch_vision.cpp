// Convolutional networks, LibTorch's side.
#include "torch_inception.hpp"

namespace {

using bench::Workload;
using peer::digest;
using peer::drop_gradients;
using peer::image;
using peer::relu_of;
using peer::tensor;
using torch::Tensor;
namespace nn = torch::nn;

nn::Conv2d square(std::int64_t from, std::int64_t to, std::int64_t window, std::int64_t stride = 1) {
  return nn::Conv2d(nn::Conv2dOptions(from, to, window).stride(stride).padding(window / 2).bias(false));
}

template <bool kTanh>
struct SmallImpl : nn::Module {
  nn::Conv2d conv1, conv2;
  nn::Linear fc1, fc2;
  SmallImpl(std::int64_t a, std::int64_t b, std::int64_t c)
      : conv1(register_module("conv1", nn::Conv2d(1, a, 5))),
        conv2(register_module("conv2", nn::Conv2d(a, b, 5))),
        fc1(register_module("fc1", nn::Linear(16 * b, c))),
        fc2(register_module("fc2", nn::Linear(c, 10))) {}
  Tensor forward(Tensor x) {
    x = torch::max_pool2d(relu_of(conv1(x)), 2);
    x = conv2(x);
    x = torch::max_pool2d(kTanh ? torch::tanh_(x) : relu_of(x), 2);
    x = fc1(x.flatten(1));
    return fc2(kTanh ? torch::tanh_(x) : relu_of(x));
  }
};

struct BasicBlockImpl : nn::Module {
  static constexpr std::int64_t widening = 1;
  nn::Conv2d conv1, conv2;
  nn::BatchNorm2d bn1, bn2;
  nn::Sequential downsample;
  BasicBlockImpl(std::int64_t from, std::int64_t to, std::int64_t stride)
      : conv1(register_module("conv1", square(from, to, 3, stride))),
        conv2(register_module("conv2", square(to, to, 3))),
        bn1(register_module("bn1", nn::BatchNorm2d(to))),
        bn2(register_module("bn2", nn::BatchNorm2d(to))) {
    if (stride != 1 || from != to)
      downsample =
          register_module("downsample", nn::Sequential(square(from, to, 1, stride), nn::BatchNorm2d(to)));
  }
  Tensor forward(const Tensor& x) {
    Tensor y = bn2(conv2(relu_of(bn1(conv1(x)))));
    return relu_of(y.add_(downsample->is_empty() ? x : downsample->forward(x)));
  }
};
struct BottleneckImpl : nn::Module {
  static constexpr std::int64_t widening = 4;
  nn::Conv2d conv1, conv2, conv3;
  nn::BatchNorm2d bn1, bn2, bn3;
  nn::Sequential downsample;
  BottleneckImpl(std::int64_t from, std::int64_t to, std::int64_t stride)
      : conv1(register_module("conv1", square(from, to, 1))),
        conv2(register_module("conv2", square(to, to, 3, stride))),
        conv3(register_module("conv3", square(to, 4 * to, 1))),
        bn1(register_module("bn1", nn::BatchNorm2d(to))),
        bn2(register_module("bn2", nn::BatchNorm2d(to))),
        bn3(register_module("bn3", nn::BatchNorm2d(4 * to))) {
    if (stride != 1 || from != 4 * to)
      downsample = register_module("downsample",
                                   nn::Sequential(square(from, 4 * to, 1, stride), nn::BatchNorm2d(4 * to)));
  }
  Tensor forward(const Tensor& x) {
    Tensor y = relu_of(bn1(conv1(x)));
    y = bn3(conv3(relu_of(bn2(conv2(y)))));
    return relu_of(y.add_(downsample->is_empty() ? x : downsample->forward(x)));
  }
};
template <class Block>
struct ResNetImpl : nn::Module {
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Sequential layer1, layer2, layer3, layer4;
  nn::Linear fc;
  explicit ResNetImpl(std::array<int, 4> depth)
      : conv1(register_module("conv1",
                              nn::Conv2d(nn::Conv2dOptions(3, 64, 7).stride(2).padding(3).bias(false)))),
        bn1(register_module("bn1", nn::BatchNorm2d(64))),
        fc(register_module("fc", nn::Linear(512 * Block::widening, 1000))) {
    std::int64_t from = 64, to = 64;
    int stage = 0;
    for (auto* layer : {&layer1, &layer2, &layer3, &layer4}) {
      for (int i = 0; i < depth[static_cast<std::size_t>(stage)]; ++i, from = to * Block::widening)
        (*layer)->push_back(std::make_shared<Block>(from, to, i == 0 && stage > 0 ? 2 : 1));
      register_module("layer" + std::to_string(++stage), *layer);
      to *= 2;
    }
  }
  Tensor forward(Tensor x) {
    x = torch::max_pool2d(relu_of(bn1(conv1(x))), 3, 2, 1);
    x = layer4->forward(layer3->forward(layer2->forward(layer1->forward(x))));
    return fc(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }
};

Tensor values(int seed, const std::vector<std::int64_t>& size, double low, double high) {
  std::size_t n = 1;
  for (const auto s : size) n *= static_cast<std::size_t>(s);
  return image(tensor(bench::uniform(seed, n, low, high), size));
}
Tensor pictures(const std::vector<std::int64_t>& size) { return values(10, size, 0, 1); }

template <class M, class Make>
Workload training(std::shared_ptr<M> model, const std::vector<std::int64_t>& size, std::int64_t classes,
                  Make make) {
  struct State {
    std::shared_ptr<M> model;
    Tensor x, y;
    std::vector<Tensor> parameters;
    std::unique_ptr<torch::optim::Optimizer> optimizer;
    double loss = 0;
  };
  auto s = std::make_shared<State>();
  s->model = std::move(model);
  peer::start(*s->model);
  s->x = pictures(size);
  s->y = tensor(bench::integers(11, static_cast<std::size_t>(size[0]), classes), {size[0]});
  s->parameters = s->model->parameters();
  Workload w;
  w.reset = [s, make] {
    peer::start(*s->model);
    s->optimizer = make(s->parameters);
  };
  w.step = [s] {
    drop_gradients(s->parameters);
    const Tensor loss = torch::cross_entropy_loss(s->model->forward(s->x), s->y);
    loss.backward();
    s->optimizer->step();
    s->loss = loss.template item<double>();
  };
  w.check = [s] { return s->loss; };
  w.check_steps = size[0] < 100 ? 2 : 3;  // large networks: the third step multiplies rounding
  return w;
}
template <class M>
Workload inference(std::shared_ptr<M> model, const std::vector<std::int64_t>& size) {
  struct State {
    std::shared_ptr<M> model;
    Tensor x, y;
  };
  auto s = std::make_shared<State>();
  s->model = std::move(model);
  peer::start(*s->model);
  s->model->eval();
  s->x = pictures(size);
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const c10::InferenceMode guard;
    s->y = s->model->forward(s->x);
  };
  w.check = [s] { return digest(s->y); };
  w.check_steps = 1;
  return w;
}

// The log losses that examples/dcgan.cpp uses; the noise is given.
Workload dcgan_step() {
  struct State {
    peer::DCGeneratorImpl g;
    peer::DCDiscriminatorImpl d;
    Tensor x = image(tensor(bench::uniform(20, 32 * 784, -1, 1), {32, 1, 28, 28})),
           z1 = tensor(bench::uniform(21, 32 * 100, -1.7, 1.7), {32, 100}),
           z2 = tensor(bench::uniform(22, 32 * 100, -1.7, 1.7), {32, 100});
    std::vector<Tensor> pg, pd;
    std::unique_ptr<torch::optim::Optimizer> opt_g, opt_d;
    double jd = 0, jg = 0;
  };
  auto s = std::make_shared<State>();
  s->pg = s->g.parameters(), s->pd = s->d.parameters();
  Workload w;
  w.reset = [s] {
    peer::start(s->g), peer::start(s->d);
    const auto options = torch::optim::AdamOptions(2e-4).betas({0.5, 0.999});
    s->opt_g = std::make_unique<torch::optim::Adam>(s->pg, options);
    s->opt_d = std::make_unique<torch::optim::Adam>(s->pd, options);
  };
  w.step = [s] {
    Tensor fake;
    {
      const torch::NoGradGuard no_grad;
      fake = s->g.forward(s->z1);
    }
    drop_gradients(s->pd);
    const Tensor jd =
        -torch::log_sigmoid(s->d.forward(s->x)).mean() - torch::log_sigmoid(-s->d.forward(fake)).mean();
    jd.backward();
    s->opt_d->step();
    for (Tensor& p : s->pd) p.set_requires_grad(false);
    drop_gradients(s->pg);
    const Tensor jg = -torch::log_sigmoid(s->d.forward(s->g.forward(s->z2))).mean();
    jg.backward();
    s->opt_g->step();
    for (Tensor& p : s->pd) p.set_requires_grad(true);
    s->jd = jd.item<double>(), s->jg = jg.item<double>();
  };
  w.check = [s] { return s->jd + s->jg; };
  w.check_steps = 1;  // Adam makes of small differences large ones
  return w;
}

Workload conv_step(const bench::ConvRow& r) {
  struct State {
    Tensor x, w, c;
  };
  auto s = std::make_shared<State>();
  s->x = values(1, {r.n, r.in, r.size, r.size}, -1, 1).requires_grad_();
  s->w = values(2, {r.out, r.in / r.groups, r.window, r.window}, -0.1, 0.1).requires_grad_();
  s->c = values(3, {r.n, r.out, r.result(), r.result()}, -1, 1);
  Workload w;
  w.reset = [] {};
  w.step = [s, r] {
    s->x.mutable_grad() = s->w.mutable_grad() = Tensor();
    (torch::conv2d(s->x, s->w, {}, r.stride, r.window / 2, 1, r.groups) * s->c).sum().backward();
  };
  w.check = [s] { return digest(s->x.grad()) + digest(s->w.grad()); };
  w.check_steps = 1;
  return w;
}

}  // namespace

void peer::add_vision(std::vector<bench::Entry>& all) {
  using Parameters = std::vector<Tensor>;
  const auto sgd = [](double lr) {
    return [lr](const Parameters& p) -> std::unique_ptr<torch::optim::Optimizer> {
      return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(lr));
    };
  };
  const auto adam = [](const Parameters& p) -> std::unique_ptr<torch::optim::Optimizer> {
    return std::make_unique<torch::optim::Adam>(p, torch::optim::AdamOptions(1e-3));
  };
  const auto cnn = [] { return std::make_shared<SmallImpl<true>>(12, 12, 13); };
  const auto lenet = [] { return std::make_shared<SmallImpl<false>>(20, 50, 500); };
  const auto resnet18 = [] { return std::make_shared<ResNetImpl<BasicBlockImpl>>(std::array{2, 2, 2, 2}); };
  const auto resnet50 = [] { return std::make_shared<ResNetImpl<BottleneckImpl>>(std::array{3, 4, 6, 3}); };
  const std::vector<std::int64_t> digits{100, 1, 28, 28};
  all.push_back({"cnn_train", [=] { return training(cnn(), digits, 10, sgd(0.1)); }});
  all.push_back({"cnn_infer_100", [=] { return inference(cnn(), digits); }});
  all.push_back({"lenet_train", [=] { return training(lenet(), digits, 10, adam); }});
  all.push_back({"resnet18_infer_1", [=] { return inference(resnet18(), {1, 3, 224, 224}); }});
  all.push_back({"resnet18_infer_8", [=] { return inference(resnet18(), {8, 3, 224, 224}); }});
  all.push_back({"resnet18_train_8", [=] {
                   return training(resnet18(), {8, 3, 224, 224}, 1000, sgd(0.01));
                 }});
  all.push_back({"resnet50_infer_1", [=] { return inference(resnet50(), {1, 3, 224, 224}); }});
  all.push_back({"resnet50_infer_8", [=] { return inference(resnet50(), {8, 3, 224, 224}); }});
  all.push_back({"googlenet_infer_1", [] {
                   return inference(std::make_shared<GoogLeNetImpl>(), {1, 3, 224, 224});
                 }});
  all.push_back({"inception_v3_infer_1", [] {
                   return inference(std::make_shared<InceptionV3Impl>(), {1, 3, 299, 299});
                 }});
  all.push_back({"dcgan_step", dcgan_step});
  for (const bench::ConvRow& r : bench::conv_rows) all.push_back({r.name, [&r] { return conv_step(r); }});
  for (const int n : bench::batch_sizes)
    all.push_back({"cnn_infer@" + std::to_string(n), [=] { return inference(cnn(), {n, 1, 28, 28}); }});
}
