// A small residual network on Fashion-MNIST (or MNIST), from scratch: random crops and flips, momentum, and a
// learning rate that rises and falls once.
//
//   build/release/examples/resnet_fashion --epochs 15 --seed 1
//
// The last line printed is "test accuracy: NN.NN %", of the mean scores of every picture and its mirror
// image: 93.81 % for the line above, 93.79 % of single pictures, in about 70 minutes on a core that others
// used too.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "program.hpp"
using namespace knet;

namespace {

// Every image moved by up to `padding` pixels in both directions (zeros come in), and mirrored half the time.
Tensor augment(const Tensor& images, std::int64_t padding, bool flip, Generator& g) {
  const std::int64_t n = images.size(0), channels = images.size(1), h = images.size(2), w = images.size(3);
  const Tensor from = images.contiguous();
  Tensor to = zeros(images.shape(), images.dtype());
  const auto* in = from.data<float>();
  auto* out = to.data<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint32_t r[4];
    philox::block(g.next(), 0, r);
    const auto shift = [&](std::uint32_t x) {
      return static_cast<std::int64_t>(x % static_cast<std::uint32_t>(2 * padding + 1)) - padding;
    };
    const std::int64_t dy = shift(r[0]), dx = shift(r[1]);
    const bool mirrored = flip && r[2] % 2 == 1;
    for (std::int64_t c = 0; c < channels; ++c, in += h * w, out += h * w) {
      for (std::int64_t y = std::max<std::int64_t>(0, -dy); y < std::min(h, h - dy); ++y) {
        for (std::int64_t x = std::max<std::int64_t>(0, -dx); x < std::min(w, w - dx); ++x)
          out[y * w + (mirrored ? w - 1 - x : x)] = in[(y + dy) * w + x + dx];
      }
    }
  }
  return to;
}

}  // namespace

int main(int argc, char** argv) {
  program::SmallImages images{.data = "fashion_mnist"};
  program::Run run;
  std::string schedule_name = "one_cycle", save_to, load_from;
  std::vector<int> blocks = {2, 2, 2};
  std::int64_t width = 24, batch = 128, padding = 2;
  int epochs = 15;
  double lr = 0.1, gamma = 0.9, weight_decay = 5e-4, smoothing = 0;
  bool bottleneck = false, v2 = false, no_flip = false;

  CLI::App app{"Trains a residual network on small images."};
  images.add(app);
  app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "images per update")->check(CLI::PositiveNumber);
  app.add_option("--blocks", blocks, "residual blocks of each stage")->check(CLI::PositiveNumber);
  app.add_option("--width", width, "channels of the first stage; doubled at each")
      ->check(CLI::PositiveNumber);
  app.add_flag("--bottleneck", bottleneck, "blocks of 1x1, 3x3 and 1x1 instead of two 3x3");
  app.add_flag("--v2", v2, "normalise before convolving");
  app.add_option("--lr", lr, "the highest learning rate")->check(CLI::PositiveNumber);
  app.add_option("--schedule", schedule_name, "one_cycle or cosine")
      ->check(CLI::IsMember({"one_cycle", "cosine"}));
  app.add_option("--momentum", gamma, "of the optimiser")->check(CLI::Range(0.0, 1.0));
  app.add_option("--weight-decay", weight_decay, "of the optimiser")->check(CLI::NonNegativeNumber);
  app.add_option("--smoothing", smoothing, "share of each label that all classes divide")
      ->check(CLI::Range(0.0, 0.99));
  app.add_option("--crop", padding, "images are moved by up to so many pixels")->check(CLI::Range(0, 14));
  app.add_flag("--no-flip", no_flip, "do not mirror images (digits are never mirrored)");
  app.add_option("--save", save_to, "write the trained model to this safetensors file");
  app.add_option("--load", load_from, "start from this safetensors file");
  run.add(app);
  CLI11_PARSE(app, argc, argv);

  try {
    run.begin();
    Generator generator(run.seed);
    auto [xtrn, ytrn, xtst, ytst] = images.load();
    // To mean 0 and variance 1, by the training images' moments.
    const double mean = xtrn.mean().item();
    const double deviation = std::sqrt(std::max(1e-12, ((xtrn - mean) * (xtrn - mean)).mean().item()));
    const double black = -mean / deviation;
    xtrn = (xtrn - mean) / deviation;
    xtst = (xtst - mean) / deviation;
    auto dtrn = minibatch(xtrn, ytrn, batch, {.shuffle = true});
    const auto dtst = minibatch(xtst, ytst, 500, {.partial = true});
    const bool flip = !no_flip && images.data != "mnist";

    const models::ResNetOptions o{
        .classes = 10, .channels = 1, .width = width, .small_images = true, .zero_init = true};
    models::Classifier net{.info = {}, .input = {}, .network = {}};
    if (v2)
      net.network = models::ResNetV2(blocks, bottleneck, o);
    else
      net.network = models::ResNet(blocks, bottleneck, o);
    if (!load_from.empty()) load(load_from, net);
    std::printf("%lld parameters\n", static_cast<long long>(count_params(net)));

    const auto total = static_cast<std::int64_t>(dtrn.size()) * std::max(epochs, 1);
    const Schedule rate =
        schedule_name == "cosine" ? schedule::cosine(lr, total) : schedule::one_cycle(lr, total);
    Optimizer optimizer(net, Momentum{.lr = lr, .gamma = gamma, .weight_decay = weight_decay});
    const auto start = std::chrono::steady_clock::now();
    const auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    run.state.model(net).optimizer(optimizer).value("data", dtrn).value("changes", generator);
    for (run.resume(); run.epoch() < epochs;) {
      double loss = 0;
      std::int64_t count = 0;
      run.each(dtrn, [&](const Batch& b) {
        // What comes in at the edges is black.
        const Tensor x = augment(b.x - black, padding, flip, generator) + black;
        optimizer.set_lr(rate(optimizer.steps()));
        const Tape tape = diff([&] { return cross_entropy(net(x), b.y, {.smoothing = smoothing}); });
        optimizer.step(tape);
        loss += (tape.item() - loss) / static_cast<double>(++count);
      });
      const double right = accuracy(net, dtst);
      std::printf("epoch %lld: loss %.4f, test accuracy %.2f %%, %.0f s\n",
                  static_cast<long long>(run.epoch() + 1), loss, 100 * right, seconds());
      run.finish({{"loss", loss}, {"accuracy", right}});
    }
    if (!save_to.empty()) save(save_to, net);
    // A picture and its mirror image are the same thing; the mean of their scores errs less.
    const auto both_ways = [&](const Tensor& x) { return softmax(net(x)) + softmax(net(knet::flip(x, 3))); };
    if (flip) std::printf("test accuracy of single pictures: %.2f %%\n", 100 * accuracy(net, dtst));
    std::printf("test accuracy: %.2f %%\n", 100 * (flip ? accuracy(both_ways, dtst) : accuracy(net, dtst)));
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
