// This library's side, through its public face only: what is timed is what a user would write. Where
// LibTorch's side leaves work out (gradients of frozen weights), so does this one.
#include <knet/base/threads.hpp>

#include "ours.hpp"

namespace {

using namespace knet;
using bench::Workload;
using ours::digest;
using ours::tensor;

// The first weights [out, in] of an MLP, and the way back to them.
struct Start {
  std::vector<Tensor> weights, biases;

  Start(const std::vector<std::int64_t>& sizes, std::uint32_t seed) {
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      const auto in = static_cast<std::size_t>(sizes[i]), out = static_cast<std::size_t>(sizes[i + 1]);
      weights.push_back(
          tensor(bench::weights(seed + static_cast<std::uint32_t>(i), out, in), {sizes[i + 1], sizes[i]}));
      biases.push_back(zeros({sizes[i + 1]}));
    }
  }
  void reset(MLP& model) const {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      model.layers[i].weight = weights[i];
      model.layers[i].bias = biases[i];
    }
  }
};

Workload mlp_train(std::int64_t batch = 100) {
  struct State {
    Start start{{784, 100, 50, 10}, 1};
    MLP model{{784, 100, 50, 10}};
    Tensor x, y;
    Optimizer sgd{model, SGD{.lr = 0.1}};
    double loss = 0;
  };
  auto s = std::make_shared<State>();
  s->x = tensor(bench::uniform(10, static_cast<std::size_t>(batch) * 784, 0, 1), {batch, 784});
  s->y = tensor(bench::integers(11, static_cast<std::size_t>(batch), 10), {batch});
  Workload w;
  w.reset = [s] { s->start.reset(s->model); };
  w.step = [s] {
    const Tape tape = diff([&] { return nll(s->model(s->x), s->y); });
    s->sgd.step(tape);
    s->loss = tape.item();
  };
  w.check = [s] { return s->loss; };
  return w;
}

Workload mlp_infer(std::int64_t batch, bool compiled = false) {
  struct State {
    MLP model{{784, 100, 50, 10}};
    Tensor x, y;
    Plan plan;
  };
  auto s = std::make_shared<State>();
  Start({784, 100, 50, 10}, 1).reset(s->model);
  s->x = tensor(bench::uniform(10, static_cast<std::size_t>(batch) * 784, 0, 1), {batch, 784});
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

// MLP and sigmoid; kept as a struct so that the MLP's weights can be set.
struct Scores {
  MLP mlp;
  Tensor operator()(const Tensor& x) const { return sigm(mlp(x)); }
};

// The step of examples/gan.cpp; or, `small`, that of design measurements: real and generated pictures judged
// together, and one batch of noise for both networks' steps.
Workload gan_step(bool small) {
  struct State {
    Start start_g{{256, 512, 784}, 1}, start_d{{784, 512, 1}, 5};
    Scores g{MLP{.sizes = {256, 512, 784}, .activation = elu}},
        d{MLP{.sizes = {784, 512, 1}, .activation = elu}};
    Tensor x = tensor(bench::uniform(20, 32 * 784, 0, 1), {32, 784});
    Tensor z1 = tensor(bench::uniform(21, 32 * 256, -1.7, 1.7), {32, 256});
    Tensor z2 = tensor(bench::uniform(22, 64 * 256, -1.7, 1.7), {64, 256});
    std::vector<Param*> d_params;
    std::optional<Optimizer> opt_g, opt_d;
    int fixed = 0;  // steps left that use z1 and z2
    double jd = 0, jg = 0;
  };
  auto s = std::make_shared<State>();
  for (Param& p : params(s->d)) s->d_params.push_back(&p);
  Workload w;
  w.reset = [s] {
    s->start_g.reset(s->g.mlp);
    s->start_d.reset(s->d.mlp);
    s->opt_g.emplace(s->g, Adam{.lr = 2e-4});
    s->opt_d.emplace(s->d, Adam{.lr = 2e-4});
    s->fixed = 5;
  };
  w.step = [s, small] {
    const double eps = 1e-8;
    const bool fixed = s->fixed > 0 && s->fixed--;
    const Tensor z1 = fixed ? s->z1 : randn({32, 256}), fake = s->g(z1);
    const Tensor z = small ? z1 : fixed ? s->z2 : randn({64, 256});
    const Tape jd = diff([&] {
      if (small) {
        const Tensor p = s->d(cat({s->x, fake}, 0));
        return -mean(log(p.narrow(0, 0, 32) + eps) + log(1 + eps - p.narrow(0, 32, 32))) / 2;
      }
      return -mean(log(s->d(s->x) + eps) + log(1 + eps - s->d(fake))) / 2;
    });
    s->opt_d->step(jd);
    for (Param* p : s->d_params) p->freeze();
    const Tape jg = diff([&] { return -mean(log(s->d(s->g(z)) + eps)); });
    s->opt_g->step(jg);
    for (Param* p : s->d_params) p->freeze(false);
    s->jd = jd.item();
    s->jg = jg.item();
  };
  w.check = [s] { return s->jd + s->jg; };
  w.check_steps = 5;
  return w;
}

Workload tiny_op() {
  struct State {
    Tensor a = tensor(bench::uniform(30, 10, 0, 1), {10}), b = tensor(bench::uniform(31, 10, 0, 1), {10}), c;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    for (int i = 0; i < 100; ++i) s->c = s->a + s->b;
  };
  w.check = [s] { return digest(s->c); };
  w.check_steps = 1;
  w.per_step = 100;
  return w;
}

Workload tiny_chain() {
  struct State {
    Param p = tensor(bench::uniform(32, 10, 0.5, 1.5), {10});
    Tensor c = tensor(bench::uniform(33, 10, 0.99, 1.01), {10}), grad;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const Tape tape = diff([&] {
      Tensor y = s->p;
      for (int i = 0; i < 100; ++i) y = y * s->c;
      return sum(y);
    });
    s->grad = tape.grad(s->p);
  };
  w.check = [s] { return digest(s->grad); };
  w.check_steps = 1;
  return w;
}

Workload elementwise_chain() {
  struct State {
    Param x = tensor(bench::uniform(40, 1000000, -2, 2), {1000000});
    Tensor grad;
    double value = 0;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const Tape tape = diff([&] { return sum(knet::tanh(s->x * 1.5 + 0.25) * 0.75); });
    s->value = tape.item();
    s->grad = tape.grad(s->x);
  };
  w.check = [s] { return s->value + digest(s->grad); };
  w.check_steps = 1;
  return w;
}

Workload embedding_sgd() {
  struct State {
    Tensor start = tensor(bench::uniform(50, 100000 * 100, -0.1, 0.1), {100000, 100});
    Embed table{.input = 100000, .output = 100, .weight = start};
    Tensor ids = tensor(bench::integers(51, 4096, 100000), {4096});
    Tensor target = tensor(bench::uniform(52, 4096 * 100, -1, 1), {4096, 100});
    Optimizer sgd{table, SGD{.lr = 0.01}};
    double loss = 0;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [s] { s->table.weight = s->start; };
  w.step = [s] {
    const Tape tape = diff([&] { return sum(s->table(s->ids) * s->target); });
    s->sgd.step(tape);
    s->loss = tape.item();
  };
  w.check = [s] { return s->loss; };
  return w;
}

Workload square_matmul(std::int64_t n) {
  struct State {
    Tensor a, b, c;
  };
  auto s = std::make_shared<State>();
  const auto count = static_cast<std::size_t>(n * n);
  s->a = tensor(bench::uniform(60, count, 0, 1), {n, n});
  s->b = tensor(bench::uniform(61, count, 0, 1), {n, n});
  Workload w;
  w.reset = [] {};
  w.step = [s] { s->c = knet::matmul(s->a, s->b); };
  w.check = [s] { return digest(s->c); };
  w.check_steps = 1;
  return w;
}

Workload softmax_rows() {
  struct State {
    Tensor x = tensor(bench::uniform(70, 64 * 1000, -5, 5), {64, 1000}), y;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] { s->y = knet::softmax(s->x); };
  w.check = [s] { return digest(s->y); };
  w.check_steps = 1;
  return w;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Side side;
  side.title = "KnetLayers";
  side.release_memory = [] { release_memory(); };
  side.set_threads = [](int n) { set_threads(n); };
  side.first_step = [] {
    const Workload w = mlp_train();
    w.reset();
    w.step();
    return w.check();
  };
  side.workloads = {{"mlp_train", [] { return mlp_train(); }},
                    {"mlp_infer_1", [] { return mlp_infer(1); }},
                    {"mlp_infer_100", [] { return mlp_infer(100); }},
                    {"mlp_infer_1_compiled", [] { return mlp_infer(1, true); }},
                    {"gan_step", [] { return gan_step(false); }},
                    {"gan_step_32", [] { return gan_step(true); }},
                    {"tiny_op", tiny_op},
                    {"tiny_chain", tiny_chain},
                    {"elementwise_chain", elementwise_chain},
                    {"embedding_sgd", embedding_sgd},
                    {"embedding_sgd_dense_peer", embedding_sgd},
                    {"matmul_64", [] { return square_matmul(64); }},
                    {"matmul_256", [] { return square_matmul(256); }},
                    {"matmul_1024", [] { return square_matmul(1024); }},
                    {"softmax_64x1000", softmax_rows}};
  for (const int n : bench::batch_sizes) {
    side.workloads.push_back({"mlp_train@" + std::to_string(n), [n] { return mlp_train(n); }});
    side.workloads.push_back({"mlp_infer@" + std::to_string(n), [n] { return mlp_infer(n); }});
  }
  ours::add_vision(side.workloads);
  ours::add_sequences(side.workloads);
  return bench::run(argc, argv, side);
}
