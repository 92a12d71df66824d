// A deep convolutional adversarial network on Fashion-MNIST (Radford et al. 2016, arXiv:1511.06434): strided
// transposed convolutions against strided convolutions, batch normalisation, Adam 2e-4 with beta1 0.5.
//
//   build/release/examples/mnist_cnn --data fashion_mnist --save cnn.safetensors
//   build/release/examples/dcgan --epochs 10 --png 'clothes-%02d.png' --classifier cnn.safetensors
//
// Writes a grid of 10 x 10 samples every few epochs. With --classifier the last lines say what it sees among
// 1,000 samples, and among 1,000 true test images: how many of each kind, and a score (see program.hpp).
//
// 5 epochs on Fashion-MNIST (README.md of this folder): all ten kinds among the samples, 67 to 156 of each;
// score 4.89, true images 7.30. That is the measure here: no kind may be missing, and the score should rise
// to theirs.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "program.hpp"
using namespace knet;
using program::fake_loss, program::real_loss;

int main(int argc, char** argv) {
  program::SmallImages images{.data = "fashion_mnist"};
  program::Run run;
  std::string png, classifier, save_to;
  int epochs = 10, every = 5;
  std::int64_t batch = 64, noise = 100, width = 32;
  double lr = 2e-4, beta1 = 0.5;

  CLI::App app{"Trains a convolutional generator of images against a discriminator."};
  images.add(app);
  app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "real images per update")->check(CLI::PositiveNumber);
  app.add_option("--noise", noise, "size of the generator's input")->check(CLI::PositiveNumber);
  app.add_option("--width", width, "channels of the stages at full size; doubled at each smaller one")
      ->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate of both")->check(CLI::PositiveNumber);
  app.add_option("--beta1", beta1, "of Adam")->check(CLI::Range(0.0, 0.999));
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
    auto dtrn = minibatch(xtrn * 2.0 - 1.0, batch, {.shuffle = true});
    models::DCGenerator generator{.image = {1, 28, 28}, .noise = noise, .width = width};
    models::DCDiscriminator discriminator{.image = {1, 28, 28}, .width = width};
    std::printf("%lld parameters, and %lld of the discriminator\n",
                static_cast<long long>(count_params(generator)),
                static_cast<long long>(count_params(discriminator)));
    Optimizer of_generator(generator, Adam{.lr = lr, .beta1 = beta1}),
        of_discriminator(discriminator, Adam{.lr = lr, .beta1 = beta1});
    Tensor fixed_noise = randn({100, noise});
    run.state.model(generator, "generator").model(discriminator, "discriminator");
    run.state.optimizer(of_generator, "of_generator").optimizer(of_discriminator, "of_discriminator");
    run.state.value("data", dtrn).value("noise", fixed_noise);

    for (run.resume(); run.epoch() < epochs;) {
      double d_sum = 0, g_sum = 0;
      run.each(dtrn, [&](const Batch& b) {
        // True and false images are normalised apart, each by their own moments.
        Tensor fake;
        const Tape g = diff([&] {
          fake = generator(randn({batch, noise}));
          return real_loss(discriminator(fake));
        });
        const Tensor seen = fake.detach();
        of_generator.step(g);
        const Tape d =
            diff([&] { return (real_loss(discriminator(b.x)) + fake_loss(discriminator(seen))) / 2.0; });
        of_discriminator.step(d);
        d_sum += d.item();
        g_sum += g.item();
      });
      const auto n = static_cast<double>(dtrn.size());
      const std::int64_t e = run.epoch() + 1;
      std::printf("epoch %lld: discriminator %.4f, generator %.4f\n", static_cast<long long>(e), d_sum / n,
                  g_sum / n);
      if (!std::isfinite(d_sum) || !std::isfinite(g_sum)) throw ValueError("a loss is no longer finite");
      if (!png.empty() && (e % every == 0 || e == epochs))
        io::save_png(program::numbered(png, e), io::image_grid((generator(fixed_noise) + 1.0) * 0.5, 10));
      run.finish({{"discriminator", d_sum / n}, {"generator", g_sum / n}});
    }
    if (!save_to.empty()) save(save_to, generator);
    if (!classifier.empty()) {
      const std::int64_t n = std::min<std::int64_t>(1000, xtst.size(0));
      program::print_kinds(classifier, "true images", xtst.narrow(0, 0, n));
      program::print_kinds(classifier, "samples", (generator(randn({1000, noise})) + 1.0) * 0.5);
    }
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
