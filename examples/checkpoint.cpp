// A training that can be stopped at any moment and goes on where it was: run it twice.
//   checkpoint [FOLDER]
#include <iostream>

#include "knet/knet.hpp"
using namespace knet;

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "checkpoints";
  seed(1);
  const Tensor y = randint(0, 2, {1000});
  const Tensor x = randn({1000, 2}) + (2.0 * y.to(f32) - 1.0).reshape({1000, 1});
  const auto data = minibatch(x, y, 50, {.shuffle = true});

  // In one call.
  MLP simple{.sizes = {2, 16, 2}, .dropout = 0.1};
  train(simple, data,
        {.epochs = 5,
         .progress = false,
         .evaluate =
             [&] {
               return Metrics{{"accuracy", accuracy(simple, data)}};
             },
         .metric = "accuracy",
         .maximize = true,
         .patience = 3,
         .checkpoints = Checkpoints(folder + "/simple", {.metric = "accuracy", .maximize = true})});
  std::cout << "in one call: " << accuracy(simple, data) << "\n";

  // In a loop of one's own, with averaged weights and a rate that falls when nothing gets better.
  MLP model{.sizes = {2, 16, 2}, .dropout = 0.1};
  Optimizer opt(model, Adam{.lr = 0.01});
  Ema ema(model);
  ReduceOnPlateau plateau{.patience = 2};
  Checkpoint run;
  run.model(model).optimizer(opt).value("ema", ema).value("plateau", plateau);
  const Checkpoints kept(folder + "/loop", {.keep_last = 2, .metric = "loss"});
  if (kept.resume(run)) std::cout << "going on after epoch " << run.epoch << "\n";
  for (const auto until = run.epoch + 3; run.epoch < until;) {
    double sum = 0;
    for (const auto& [u, v] : data) {
      const Tape tape = diff([&, u = u, v = v] { return nll(model(u), v); });
      opt.step(tape);
      ema.update();
      sum += tape.item();
    }
    ++run.epoch;
    run.step = opt.steps();
    run.metrics["loss"] = sum / static_cast<double>(data.size());
    plateau(run.metrics["loss"], opt);
    kept.save(run);
  }
  const auto averaged = ema.swap_in();
  std::cout << "after epoch " << run.epoch << ": " << accuracy(model, data) << ", best "
            << checkpoint_info(kept.best()).metrics.at("loss") << "\n";
}
