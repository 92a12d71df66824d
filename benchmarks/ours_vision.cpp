// Convolutional networks, this library's side.
#include "ours.hpp"

namespace {

using namespace knet;
using bench::Workload;
using ours::digest;
using ours::tensor;

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
  w.check_steps = batch < 100 ? 2 : 3;  // large networks: the third step multiplies rounding
  return w;
}
template <class M>
Workload inference(M model, Shape image, bool compiled = false) {
  struct State {
    M model;
    Tensor x, y;
    Plan plan = {};
  };
  auto s = std::make_shared<State>(
      State{std::move(model),
            tensor(bench::uniform(10, static_cast<std::size_t>(image.numel()), 0, 1), image),
            {}});
  ours::Start()(s->model);
  Workload w;
  w.reset = [] {};
  w.step = [s] { s->y = s->model(s->x); };
  if (compiled) {
    s->plan = compile(s->model, s->x);
    w.step = [s] { s->y = s->plan(s->x); };
  }
  w.check = [s] { return digest(s->y); };
  w.check_steps = 1;
  return w;
}

// The log losses that examples/dcgan.cpp uses; the noise is given.
Workload dcgan_step() {
  struct State {
    models::DCGenerator g;
    models::DCDiscriminator d;
    Tensor x = tensor(bench::uniform(20, 32 * 784, -1, 1), {32, 1, 28, 28}),
           z1 = tensor(bench::uniform(21, 32 * 100, -1.7, 1.7), {32, 100}),
           z2 = tensor(bench::uniform(22, 32 * 100, -1.7, 1.7), {32, 100});
    ours::Start start_g, start_d;
    std::vector<Param*> d_params;
    std::optional<Optimizer> opt_g, opt_d;
    double jd = 0, jg = 0;
  };
  auto s = std::make_shared<State>();
  for (Param& p : params(s->d)) s->d_params.push_back(&p);
  Workload w;
  w.reset = [s] {
    s->start_g(s->g), s->start_d(s->d);
    s->opt_g.emplace(s->g, Adam{.lr = 2e-4, .beta1 = 0.5});
    s->opt_d.emplace(s->d, Adam{.lr = 2e-4, .beta1 = 0.5});
  };
  w.step = [s] {
    Tensor fake;
    {
      const Mode train(true);
      fake = s->g(s->z1);
    }
    const Tape jd = diff([&] { return -mean(log_sigm(s->d(s->x))) - mean(log_sigm(-s->d(fake))); });
    s->opt_d->step(jd);
    for (Param* p : s->d_params) p->freeze();
    const Tape jg = diff([&] { return -mean(log_sigm(s->d(s->g(s->z2)))); });
    s->opt_g->step(jg);
    for (Param* p : s->d_params) p->freeze(false);
    s->jd = jd.item(), s->jg = jg.item();
  };
  w.check = [s] { return s->jd + s->jg; };
  w.check_steps = 1;  // Adam makes of small differences large ones
  return w;
}

Workload conv_step(const bench::ConvRow& r) {
  struct State {
    Param x, w;
    Tensor c, dx, dw;
  };
  const auto values = [](int seed, const Shape& size, double reach) {
    return tensor(bench::uniform(seed, static_cast<std::size_t>(size.numel()), -reach, reach), size);
  };
  const auto channels_last = [](const Tensor& t) {
    return t.permute({0, 2, 3, 1}).contiguous().permute({0, 3, 1, 2});
  };
  auto s = std::make_shared<State>();
  s->x = channels_last(values(1, {r.n, r.in, r.size, r.size}, 1));
  s->w = values(2, {r.out, r.in / r.groups, r.window, r.window}, 0.1);
  s->c = channels_last(values(3, {r.n, r.out, r.result(), r.result()}, 1));
  Workload w;
  w.reset = [] {};
  w.step = [s, o = ConvOptions{.stride = r.stride, .padding = r.window / 2, .groups = r.groups}] {
    const Tape tape = diff([&] { return sum(conv(s->x, s->w, o) * s->c); });
    s->dx = tape.grad(s->x), s->dw = tape.grad(s->w);
  };
  w.check = [s] { return digest(s->dx) + digest(s->dw); };
  w.check_steps = 1;
  return w;
}

}  // namespace

void ours::add_vision(std::vector<bench::Entry>& all) {
  const auto resnet18 = [] { return models::resnet(18); };
  const auto resnet50 = [] { return models::resnet(50); };
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
  all.push_back({"cnn_infer_100_compiled", [=] { return inference(Cnn{}, digits, true); }});
  all.push_back({"googlenet_infer_1", [] { return inference(models::GoogLeNet(), {1, 3, 224, 224}); }});
  all.push_back({"inception_v3_infer_1", [] { return inference(models::InceptionV3(), {1, 3, 299, 299}); }});
  all.push_back({"dcgan_step", dcgan_step});
  for (const bench::ConvRow& r : bench::conv_rows) all.push_back({r.name, [&r] { return conv_step(r); }});
  for (const int n : bench::batch_sizes)
    all.push_back({"cnn_infer@" + std::to_string(n), [=] { return inference(Cnn{}, {n, 1, 28, 28}); }});
  for (const std::int64_t n : {1, 8}) {
    const Shape images{n, 3, 224, 224};
    const std::string end = "_infer_" + std::to_string(n) + "_compiled";
    all.push_back({"resnet18" + end, [=] { return inference(resnet18(), images, true); }});
    all.push_back({"resnet50" + end, [=] { return inference(resnet50(), images, true); }});
  }
  all.push_back({"inception_v3_infer_1_compiled", [] {
                   return inference(models::InceptionV3(), {1, 3, 299, 299}, true);
                 }});
}
