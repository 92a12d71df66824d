// A variational autoencoder of MLPs on MNIST (Kingma & Welling 2014, arXiv:1312.6114).
//
//   build/release/examples/vae --epochs 20 --png 'vae-%02d.png'
//
// The evidence lower bound (ELBO) of the test images, in nats per image, is printed after every epoch, with
// its two parts: how well an image is rebuilt, and how far its code is from the standard normal distribution.
// --png writes a grid: samples from the prior, and below two rows of test images over their reconstructions.
//
// Fashion-MNIST, 6 epochs, one thread of a busy cloud machine (43 s, 18 s of them computing): test ELBO
// -246.99, rebuilding 230.36, divergence 16.63.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "knet/knet.hpp"
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

std::string numbered(const std::string& pattern, int i) {
  const auto at = pattern.find("%02d");
  if (at == std::string::npos) return pattern;
  char digits[16];
  std::snprintf(digits, sizeof digits, "%02d", i);
  return pattern.substr(0, at) + digits + pattern.substr(at + 4);
}

}  // namespace

int main(int argc, char** argv) {
  std::string data = "mnist", folder, png, save_to;
  int epochs = 20, batch = 128, every = 5;
  std::int64_t hidden = 400, code = 20, limit = -1;
  double lr = 1e-3;
  std::uint64_t seed_value = 1;
  bool quiet = false;
  CLI::App app{"Trains a variational autoencoder of small images."};
  app.add_option("--data", data, "mnist or fashion_mnist")->check(CLI::IsMember({"mnist", "fashion_mnist"}));
  app.add_option("--folder", folder, "where the IDX files are (default: searched)");
  app.add_option("--limit", limit, "use only so many images of each part");
  app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "images per update")->check(CLI::PositiveNumber);
  app.add_option("--hidden", hidden, "size of the hidden layers")->check(CLI::PositiveNumber);
  app.add_option("--code", code, "numbers that stand for an image")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate");
  app.add_option("--seed", seed_value, "of everything random");
  app.add_option("--png", png, "write samples to this file; %02d is the epoch");
  app.add_option("--every", every, "epochs between two files")->check(CLI::PositiveNumber);
  app.add_option("--save", save_to, "write the model to this safetensors file");
  app.add_flag("--quiet", quiet, "no progress bar");
  CLI11_PARSE(app, argc, argv);

  try {
    seed(seed_value);
    const auto [xtrn, ytrn, xtst, ytst] =
        data == "mnist" ? datasets::mnist(folder, limit) : datasets::fashion_mnist(folder, limit);
    const auto dtrn = minibatch(mat(xtrn), batch, {.shuffle = true}),
               dtst = minibatch(mat(xtst), batch, {.partial = true});
    VAE model{.encoder = {.sizes = {784, hidden, 2 * code}},
              .decoder = {.sizes = {code, hidden, 784}},
              .code = code};
    Optimizer opt(model, Adam{.lr = lr});
    const Tensor prior = randn({80, code}),
                 shown = mat(xtst).narrow(0, 0, std::min<std::int64_t>(10, xtst.size(0)));

    for (int e = 1; e <= epochs; ++e) {
      double total = 0;
      const auto step = [&](const Batch& b) {
        const Tape tape = diff([&] {
          const Elbo l = bound(model, b.x);
          return (l.rebuilt + l.divergence) / static_cast<double>(batch);
        });
        opt.step(tape);
        total += tape.item();
      };
      if (quiet) {
        for (const Batch& b : dtrn) step(b);
      } else {
        for (const Batch& b : progress(dtrn)) step(b);
      }
      if (!std::isfinite(total)) throw ValueError("vae: the loss is no longer finite");
      double rebuilt = 0, divergence = 0;
      for (const Batch& b : dtst) {
        const Elbo l = bound(model, b.x);
        rebuilt += l.rebuilt.item();
        divergence += l.divergence.item();
      }
      const auto n = static_cast<double>(xtst.size(0));
      std::printf("epoch %d: training ELBO -%.2f, test: rebuilding %.2f, divergence %.2f, test ELBO: -%.2f\n",
                  e, total / static_cast<double>(dtrn.size()), rebuilt / n, divergence / n,
                  (rebuilt + divergence) / n);
      std::fflush(stdout);
      if (!png.empty() && (e % every == 0 || e == epochs)) {
        const Tensor again = sigm(model.decoder(model.encoder(shown).narrow(1, 0, code)));
        const Tensor all = cat({sigm(model.decoder(prior)), shown, again});
        io::save_png(numbered(png, e), io::image_grid(all.reshape({all.size(0), 1, 28, 28}), 10));
      }
    }
    if (!save_to.empty()) save(save_to, model);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
