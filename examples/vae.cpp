// A variational autoencoder of MLPs on MNIST (Kingma & Welling 2014, arXiv:1312.6114).
//
//   build/release/examples/vae --epochs 20 --png 'vae-%02d.png'
//
// The evidence lower bound (ELBO) of the test images, in nats per image, is printed after every epoch, with
// its two parts: how well an image is rebuilt, and how far its code is from the standard normal distribution.
// --png writes a grid: samples from the prior, and below two rows of test images over their reconstructions.
//
// Fashion-MNIST, 10 epochs: test ELBO -244.71, rebuilding 228.83, divergence 15.88; MNIST, 20 epochs: -103.83
// (README.md of this folder has times and memory).
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "program.hpp"
using namespace knet;

namespace {

struct VAE {
  MLP encoder;  // to the mean and the logarithm of the variance of the code, side by side
  MLP decoder;  // to pixels before their sigmoid
  std::int64_t code;
};
struct Elbo {
  Tensor rebuilt, divergence;  // sums over the batch; the bound is -(rebuilt + divergence)
};

Elbo bound(const VAE& m, const Tensor& x) {
  const Tensor h = m.encoder(x), mean = h.narrow(1, 0, m.code), log_variance = h.narrow(1, m.code, m.code);
  const Tensor z = mean + exp(log_variance * 0.5) * randn(mean.shape());
  return {binary_cross_entropy(m.decoder(z), x, false),
          sum(mean * mean + exp(log_variance) - log_variance - 1.0) * 0.5};
}

}  // namespace

int main(int argc, char** argv) {
  program::SmallImages images;
  program::Run run;
  std::string png, save_to;
  int epochs = 20, batch = 128, every = 5;
  std::int64_t hidden = 400, code = 20;
  double lr = 1e-3;
  CLI::App app{"Trains a variational autoencoder of small images."};
  images.add(app);
  app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "images per update")->check(CLI::PositiveNumber);
  app.add_option("--hidden", hidden, "size of the hidden layers")->check(CLI::PositiveNumber);
  app.add_option("--code", code, "numbers that stand for an image")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate")->check(CLI::PositiveNumber);
  app.add_option("--png", png, "write samples to this file; %02d is the epoch");
  app.add_option("--every", every, "epochs between two files")->check(CLI::PositiveNumber);
  app.add_option("--save", save_to, "write the model to this safetensors file");
  run.add(app);
  CLI11_PARSE(app, argc, argv);

  try {
    run.begin();
    const auto [xtrn, ytrn, xtst, ytst] = images.load();
    auto dtrn = minibatch(mat(xtrn), batch, {.shuffle = true});
    const auto dtst = minibatch(mat(xtst), batch, {.partial = true});
    VAE model{.encoder = {.sizes = {784, hidden, 2 * code}},
              .decoder = {.sizes = {code, hidden, 784}},
              .code = code};
    Optimizer opt(model, Adam{.lr = lr});
    Tensor prior = randn({80, code});
    const Tensor shown = mat(xtst).narrow(0, 0, std::min<std::int64_t>(10, xtst.size(0)));
    run.state.model(model).optimizer(opt).value("data", dtrn).value("prior", prior);

    for (run.resume(); run.epoch() < epochs;) {
      double total = 0;
      run.each(dtrn, [&](const Batch& b) {
        const Tape tape = diff([&] {
          const Elbo l = bound(model, b.x);
          return (l.rebuilt + l.divergence) / static_cast<double>(batch);
        });
        opt.step(tape);
        total += tape.item();
      });
      if (!std::isfinite(total)) throw ValueError("vae: the loss is no longer finite");
      double rebuilt = 0, divergence = 0;
      for (const Batch& b : dtst) {
        const Elbo l = bound(model, b.x);
        rebuilt += l.rebuilt.item();
        divergence += l.divergence.item();
      }
      const auto n = static_cast<double>(xtst.size(0));
      const double training = total / static_cast<double>(dtrn.size());
      const std::int64_t e = run.epoch() + 1;
      std::printf(
          "epoch %lld: training ELBO -%.2f, test: rebuilding %.2f, divergence %.2f, test ELBO: -%.2f\n",
          static_cast<long long>(e), training, rebuilt / n, divergence / n, (rebuilt + divergence) / n);
      if (!png.empty() && (e % every == 0 || e == epochs)) {
        const Tensor again = sigm(model.decoder(model.encoder(shown).narrow(1, 0, code)));
        const Tensor all = cat({sigm(model.decoder(prior)), shown, again});
        io::save_png(program::numbered(png, e), io::image_grid(all.reshape({all.size(0), 1, 28, 28}), 10));
      }
      run.finish({{"training", training}, {"rebuilding", rebuilt / n}, {"divergence", divergence / n}});
    }
    if (!save_to.empty()) save(save_to, model);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
