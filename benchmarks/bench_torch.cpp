// LibTorch's side. Written for speed within its public interface: modules without containers, in-place
// activations where autograd allows them, inference mode, gradients set to none, parameters that need no
// gradient switched off, results written into existing tensors where an operator offers it. Memory and BLAS
// settings come from compare.py.
#include <malloc.h>

#include "torch.hpp"

namespace {

using bench::Workload;
using peer::digest;
using peer::drop_gradients;
using peer::tensor;
using torch::Tensor;

struct Mlp {
  std::vector<torch::nn::Linear> layers;
  std::vector<Tensor> start;
  bool elu;

  Mlp(std::vector<std::int64_t> sizes, std::uint32_t seed, bool with_elu = false) : elu(with_elu) {
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      layers.emplace_back(torch::nn::LinearOptions(sizes[i], sizes[i + 1]));
      const auto in = static_cast<std::size_t>(sizes[i]), out = static_cast<std::size_t>(sizes[i + 1]);
      start.push_back(
          tensor(bench::weights(seed + static_cast<std::uint32_t>(i), out, in), {sizes[i + 1], sizes[i]}));
    }
    reset();
  }
  void reset() {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      layers[i]->weight.copy_(start[i]);
      layers[i]->bias.zero_();
    }
  }
  std::vector<Tensor> parameters() const {
    std::vector<Tensor> p;
    for (const auto& l : layers) {
      p.push_back(l->weight);
      p.push_back(l->bias);
    }
    return p;
  }
  Tensor operator()(Tensor x) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      x = torch::linear(x, layers[i]->weight, layers[i]->bias);
      if (i + 1 < layers.size()) x = elu ? torch::elu_(x) : torch::relu_(x);
    }
    return x;
  }
};

Workload mlp_train(std::int64_t batch = 100) {
  struct State {
    Mlp model{{784, 100, 50, 10}, 1};
    Tensor x, y;
    std::vector<Tensor> parameters = model.parameters();
    torch::optim::SGD sgd{parameters, torch::optim::SGDOptions(0.1)};
    double loss = 0;
  };
  auto s = std::make_shared<State>();
  s->x = tensor(bench::uniform(10, static_cast<std::size_t>(batch) * 784, 0, 1), {batch, 784});
  s->y = tensor(bench::integers(11, static_cast<std::size_t>(batch), 10), {batch});
  Workload w;
  w.reset = [s] { s->model.reset(); };
  w.step = [s] {
    drop_gradients(s->parameters);
    const Tensor loss = torch::cross_entropy_loss(s->model(s->x), s->y);
    loss.backward();
    s->sgd.step();
    s->loss = loss.item<double>();
  };
  w.check = [s] { return s->loss; };
  return w;
}

Workload mlp_infer(std::int64_t batch) {
  struct State {
    Mlp model{{784, 100, 50, 10}, 1};
    Tensor x, y;
  };
  auto s = std::make_shared<State>();
  s->x = tensor(bench::uniform(10, static_cast<std::size_t>(batch) * 784, 0, 1), {batch, 784});
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const c10::InferenceMode guard;
    s->y = s->model(s->x);
  };
  w.check = [s] { return digest(s->y); };
  w.check_steps = 1;
  return w;
}

// As ours; the small one runs the generator once, as users of LibTorch do.
Workload gan_step(bool small) {
  struct State {
    Mlp g{{256, 512, 784}, 1, true}, d{{784, 512, 1}, 5, true};
    std::vector<Tensor> g_parameters = g.parameters(), d_parameters = d.parameters();
    Tensor x = tensor(bench::uniform(20, 32 * 784, 0, 1), {32, 784});
    Tensor z1 = tensor(bench::uniform(21, 32 * 256, -1.7, 1.7), {32, 256});
    Tensor z2 = tensor(bench::uniform(22, 64 * 256, -1.7, 1.7), {64, 256});
    torch::optim::Adam opt_g{g_parameters, torch::optim::AdamOptions(2e-4)};
    torch::optim::Adam opt_d{d_parameters, torch::optim::AdamOptions(2e-4)};
    int fixed = 0;  // steps left that use z1 and z2
    double jd = 0, jg = 0;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [s] {
    s->g.reset();
    s->d.reset();
    s->opt_g.state().clear();
    s->opt_d.state().clear();
    s->fixed = 5;
  };
  w.step = [s, small] {
    const double eps = 1e-8;
    const bool fixed = s->fixed > 0 && s->fixed--;
    Tensor fake, jd;
    const Tensor z1 = fixed ? s->z1 : torch::randn({32, 256});
    const auto d = [&](const Tensor& x) { return s->d(x).sigmoid_(); };
    drop_gradients(s->d_parameters);
    if (small) {
      fake = s->g(z1).sigmoid_();
      const Tensor p = d(torch::cat({s->x, fake.detach()}));
      jd = -(torch::log(p.narrow(0, 0, 32) + eps) + torch::log(1 + eps - p.narrow(0, 32, 32))).mean() / 2;
    } else {
      {
        const torch::NoGradGuard no_grad;
        fake = s->g(z1).sigmoid_();
      }
      jd = -(torch::log(d(s->x) + eps) + torch::log(1 + eps - d(fake))).mean() / 2;
    }
    jd.backward();
    s->opt_d.step();
    // The generator's step needs no gradients of the discriminator's weights.
    for (Tensor& p : s->d_parameters) p.set_requires_grad(false);
    drop_gradients(s->g_parameters);
    if (!small) fake = s->g(fixed ? s->z2 : torch::randn({64, 256})).sigmoid_();
    const Tensor jg = -torch::log(d(fake) + eps).mean();
    jg.backward();
    s->opt_g.step();
    for (Tensor& p : s->d_parameters) p.set_requires_grad(true);
    s->jd = jd.item<double>();
    s->jg = jg.item<double>();
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
    const c10::InferenceMode guard;
    for (int i = 0; i < 100; ++i) s->c = s->a + s->b;
  };
  w.check = [s] { return digest(s->c); };
  w.check_steps = 1;
  w.per_step = 100;
  return w;
}

Workload tiny_chain() {
  struct State {
    Tensor p = tensor(bench::uniform(32, 10, 0.5, 1.5), {10}).requires_grad_();
    Tensor c = tensor(bench::uniform(33, 10, 0.99, 1.01), {10}), grad;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    Tensor y = s->p;
    for (int i = 0; i < 100; ++i) y = y * s->c;
    y.sum().backward();
    s->grad = s->p.grad();
    s->p.mutable_grad() = Tensor();
  };
  w.check = [s] { return digest(s->grad); };
  w.check_steps = 1;
  return w;
}

Workload elementwise_chain() {
  struct State {
    Tensor x = tensor(bench::uniform(40, 1000000, -2, 2), {1000000}).requires_grad_(), grad;
    double value = 0;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const Tensor y = s->x.mul(1.5).add_(0.25).tanh_().mul(0.75).sum();
    y.backward();
    s->value = y.item<double>();
    s->grad = s->x.grad();
    s->x.mutable_grad() = Tensor();
  };
  w.check = [s] { return s->value + digest(s->grad); };
  w.check_steps = 1;
  return w;
}

Workload embedding_sgd(bool sparse) {
  struct State {
    std::vector<float> start = bench::uniform(50, 100000 * 100, -0.1, 0.1);
    Tensor table = tensor(start, {100000, 100}).requires_grad_();
    Tensor ids = tensor(bench::integers(51, 4096, 100000), {4096});
    Tensor target = tensor(bench::uniform(52, 4096 * 100, -1, 1), {4096, 100});
    torch::optim::SGD sgd{std::vector<Tensor>{table}, torch::optim::SGDOptions(0.01)};
    double loss = 0;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [s] {
    const torch::NoGradGuard no_grad;
    s->table.copy_(torch::from_blob(s->start.data(), {100000, 100}));
  };
  w.step = [s, sparse] {
    s->table.mutable_grad() = Tensor();
    const Tensor loss = torch::embedding(s->table, s->ids, -1, false, sparse).mul_(s->target).sum();
    loss.backward();
    s->sgd.step();
    s->loss = loss.item<double>();
  };
  w.check = [s] { return s->loss; };
  return w;
}

Workload matmul(std::int64_t n) {
  struct State {
    Tensor a, b, c;
  };
  auto s = std::make_shared<State>();
  const auto count = static_cast<std::size_t>(n * n);
  s->a = tensor(bench::uniform(60, count, 0, 1), {n, n});
  s->b = tensor(bench::uniform(61, count, 0, 1), {n, n});
  s->c = torch::empty({n, n});
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const c10::InferenceMode guard;
    torch::mm_out(s->c, s->a, s->b);
  };
  w.check = [s] { return digest(s->c); };
  w.check_steps = 1;
  return w;
}

Workload softmax() {
  struct State {
    Tensor x = tensor(bench::uniform(70, 64 * 1000, -5, 5), {64, 1000}), y;
  };
  auto s = std::make_shared<State>();
  Workload w;
  w.reset = [] {};
  w.step = [s] {
    const c10::InferenceMode guard;
    s->y = torch::softmax(s->x, -1);
  };
  w.check = [s] { return digest(s->y); };
  w.check_steps = 1;
  return w;
}

}  // namespace

int main(int argc, char** argv) {
  bench::Side side;
  side.title = "LibTorch " TORCH_VERSION;
  side.release_memory = [] { malloc_trim(0); };
  side.set_threads = [](int n) {
    torch::set_num_threads(n);
    torch::set_num_interop_threads(1);
  };
  side.first_step = [] {
    const Workload w = mlp_train();
    w.reset();
    w.step();
    return w.check();
  };
  side.workloads = {{"mlp_train", [] { return mlp_train(); }},
                    {"mlp_infer_1", [] { return mlp_infer(1); }},
                    {"mlp_infer_100", [] { return mlp_infer(100); }},
                    {"gan_step", [] { return gan_step(false); }},
                    {"gan_step_32", [] { return gan_step(true); }},
                    {"tiny_op", tiny_op},
                    {"tiny_chain", tiny_chain},
                    {"elementwise_chain", elementwise_chain},
                    {"embedding_sgd", [] { return embedding_sgd(true); }},
                    {"embedding_sgd_dense_peer", [] { return embedding_sgd(false); }},
                    {"matmul_64", [] { return matmul(64); }},
                    {"matmul_256", [] { return matmul(256); }},
                    {"matmul_1024", [] { return matmul(1024); }},
                    {"softmax_64x1000", softmax}};
  for (const int n : bench::batch_sizes) {
    side.workloads.push_back({"mlp_train@" + std::to_string(n), [n] { return mlp_train(n); }});
    side.workloads.push_back({"mlp_infer@" + std::to_string(n), [n] { return mlp_infer(n); }});
  }
  peer::add_vision(side.workloads);
  peer::add_sequences(side.workloads);
  return bench::run(argc, argv, side);
}
