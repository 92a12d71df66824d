// A generative adversarial network of two MLPs on MNIST (Goodfellow et al. 2014, arXiv:1406.2661).
//
//   build/release/examples/gan_mlp --epochs 20 --png 'samples-%02d.png' --every 5
//
// Writes a grid of 10 x 10 samples every few epochs. With --classifier (a model that mnist_cnn --save wrote)
// the last lines count which digits it sees among 1,000 samples.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "knet/knet.hpp"
using namespace knet;

namespace {

// The losses on the discriminator's scores before its sigmoid: -log(sigm(s)) stays finite where the seed's
// log(sigm(s) + 1e-8) does not.
Tensor real_loss(const Tensor& scores) { return -mean(log_sigm(scores)); }
Tensor fake_loss(const Tensor& scores) { return -mean(log_sigm(-scores)); }

std::string numbered(const std::string& pattern, int i) {
  const auto at = pattern.find("%02d");
  if (at == std::string::npos) return pattern;
  char digits[16];
  std::snprintf(digits, sizeof digits, "%02d", i);
  return pattern.substr(0, at) + digits + pattern.substr(at + 4);
}

}  // namespace

int main(int argc, char** argv) {
  std::string data = "mnist", folder, png, classifier, save_to;
  int epochs = 20, batch = 32, noise = 256, hidden = 512, every = 5;
  std::int64_t limit = -1;
  double lr = 2e-4, beta1 = 0.5, drop = 0.3;
  std::uint64_t seed_value = 1;
  bool quiet = false;

  CLI::App app{"Trains a generator of digits against a discriminator."};
  app.add_option("--data", data, "mnist or fashion_mnist")->check(CLI::IsMember({"mnist", "fashion_mnist"}));
  app.add_option("--folder", folder, "where the IDX files are (default: searched)");
  app.add_option("--limit", limit, "use only so many training images");
  app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "real images per update")->check(CLI::PositiveNumber);
  app.add_option("--noise", noise, "size of the generator's input")->check(CLI::PositiveNumber);
  app.add_option("--hidden", hidden, "size of the hidden layers")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate of both");
  app.add_option("--beta1", beta1, "of Adam: 0.5 forgets faster than usual, since the opponent moves");
  app.add_option("--dropout", drop, "in the discriminator: it must not win too early")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--seed", seed_value, "of everything random");
  app.add_option("--png", png, "write samples to this file; %02d is the epoch");
  app.add_option("--every", every, "epochs between two files")->check(CLI::PositiveNumber);
  app.add_option("--classifier", classifier, "weights of mnist_cnn, to count the digits among 1,000 samples");
  app.add_option("--save", save_to, "write the generator to this safetensors file");
  app.add_flag("--quiet", quiet, "no progress bar");
  CLI11_PARSE(app, argc, argv);

  try {
    seed(seed_value);
    auto [xtrn, ytrn, xtst, ytst] =
        data == "mnist" ? datasets::mnist(folder) : datasets::fashion_mnist(folder);
    if (limit > 0 && limit < xtrn.size(0)) {
      xtrn = xtrn.narrow(0, 0, limit);
      ytrn = ytrn.narrow(0, 0, limit);
    }
    const auto dtrn = minibatch(mat(xtrn), ytrn, batch, {.shuffle = true});

    auto generator = Chain{MLP{.sizes = {noise, hidden, 784}, .activation = elu}, sigm};
    MLP discriminator{.sizes = {784, hidden, 1}, .activation = elu, .dropout = drop};
    Optimizer of_generator(generator, Adam{.lr = lr, .beta1 = beta1}),
        of_discriminator(discriminator, Adam{.lr = lr, .beta1 = beta1});
    const Tensor fixed_noise = randn({100, noise});

    for (int e = 1; e <= epochs; ++e) {
      double d_sum = 0, g_sum = 0;
      const auto pass = [&](const Batch& b) {
        const Tensor fake = generator(randn({batch, noise})), z = randn({2 * batch, noise});
        const auto d =
            diff([&] { return (real_loss(discriminator(b.x)) + fake_loss(discriminator(fake))) / 2; });
        of_discriminator.step(d);
        const auto g = diff([&] { return real_loss(discriminator(generator(z))); });
        of_generator.step(g);
        d_sum += d.item();
        g_sum += g.item();
      };
      if (quiet) {
        for (const Batch& b : dtrn) pass(b);
      } else {
        for (const Batch& b : progress(dtrn)) pass(b);
      }
      const auto n = static_cast<double>(dtrn.size());
      std::printf("epoch %d: discriminator %.4f, generator %.4f\n", e, d_sum / n, g_sum / n);
      std::fflush(stdout);
      if (!std::isfinite(d_sum) || !std::isfinite(g_sum)) throw ValueError("a loss is no longer finite");
      if (!png.empty() && (e % every == 0 || e == epochs)) {
        const Tensor images = generator(fixed_noise).reshape({100, 1, 28, 28});
        io::save_png(numbered(png, e), io::image_grid(images, 10));
      }
    }
    if (!save_to.empty()) save(save_to, generator);
    if (!classifier.empty()) {
      auto model = Chain{Conv{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu},
                         Pool{.window = 2},
                         Conv{.height = 5, .width = 5, .inout = {12, 12}, .activation = Tanh{}},
                         Pool{.window = 2},
                         mat,
                         Dense{.input = 4 * 4 * 12, .output = 13, .activation = Tanh{}},
                         Linear{.input = 13, .output = 10}};
      load(classifier, model);
      const Tensor seen = model(generator(randn({1000, noise})).reshape({1000, 1, 28, 28})).argmax(1);
      int kinds = 0;
      for (std::int64_t digit = 0; digit < 10; ++digit) {
        const double count = (seen == static_cast<double>(digit)).to(i64).sum().item();
        std::printf("digit %d: %.0f of 1000\n", static_cast<int>(digit), count);
        kinds += count > 0;
      }
      std::printf("%d different digits\n", kinds);
    }
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
