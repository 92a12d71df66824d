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

#include "program.hpp"
using namespace knet;
using program::fake_loss, program::real_loss;

int main(int argc, char** argv) {
  program::SmallImages images;
  program::Run run;
  std::string png, classifier, save_to;
  int epochs = 20, batch = 32, noise = 256, hidden = 512, every = 5;
  double lr = 2e-4, beta1 = 0.5, drop = 0.3;

  CLI::App app{"Trains a generator of digits against a discriminator."};
  images.add(app);
  app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "real images per update")->check(CLI::PositiveNumber);
  app.add_option("--noise", noise, "size of the generator's input")->check(CLI::PositiveNumber);
  app.add_option("--hidden", hidden, "size of the hidden layers")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate of both");
  app.add_option("--beta1", beta1, "of Adam: 0.5 forgets faster than usual, since the opponent moves");
  app.add_option("--dropout", drop, "in the discriminator: it must not win too early")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--png", png, "write samples to this file; %02d is the epoch");
  app.add_option("--every", every, "epochs between two files")->check(CLI::PositiveNumber);
  app.add_option("--classifier", classifier, "weights of mnist_cnn, to look at 1,000 samples")
      ->check(CLI::ExistingFile);
  app.add_option("--save", save_to, "write the generator to this safetensors file");
  run.add(app);
  CLI11_PARSE(app, argc, argv);

  try {
    run.begin();
    const auto [xtrn, ytrn, xtst, ytst] = images.load();
    auto dtrn = minibatch(mat(xtrn), ytrn, batch, {.shuffle = true});

    auto generator = Chain{MLP{.sizes = {noise, hidden, 784}, .activation = elu}, sigm};
    MLP discriminator{.sizes = {784, hidden, 1}, .activation = elu, .dropout = drop};
    Optimizer of_generator(generator, Adam{.lr = lr, .beta1 = beta1}),
        of_discriminator(discriminator, Adam{.lr = lr, .beta1 = beta1});
    Tensor fixed_noise = randn({100, noise});
    run.state.model(generator, "generator").model(discriminator, "discriminator");
    run.state.optimizer(of_generator, "of_generator").optimizer(of_discriminator, "of_discriminator");
    run.state.value("data", dtrn).value("noise", fixed_noise);

    for (run.resume(); run.epoch() < epochs;) {
      double d_sum = 0, g_sum = 0;
      run.each(dtrn, [&](const Batch& b) {
        const Tensor fake = generator(randn({batch, noise})), z = randn({2 * batch, noise});
        const auto d =
            diff([&] { return (real_loss(discriminator(b.x)) + fake_loss(discriminator(fake))) / 2; });
        of_discriminator.step(d);
        const auto g = diff([&] { return real_loss(discriminator(generator(z))); });
        of_generator.step(g);
        d_sum += d.item();
        g_sum += g.item();
      });
      const auto n = static_cast<double>(dtrn.size());
      const std::int64_t e = run.epoch() + 1;
      std::printf("epoch %lld: discriminator %.4f, generator %.4f\n", static_cast<long long>(e), d_sum / n,
                  g_sum / n);
      if (!std::isfinite(d_sum) || !std::isfinite(g_sum)) throw ValueError("a loss is no longer finite");
      if (!png.empty() && (e % every == 0 || e == epochs)) {
        const Tensor grid = io::image_grid(generator(fixed_noise).reshape({100, 1, 28, 28}), 10);
        io::save_png(program::numbered(png, e), grid);
      }
      run.finish({{"discriminator", d_sum / n}, {"generator", g_sum / n}});
    }
    if (!save_to.empty()) save(save_to, generator);
    if (!classifier.empty())
      program::print_kinds(classifier, "samples", generator(randn({1000, noise})).reshape({1000, 1, 28, 28}));
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
