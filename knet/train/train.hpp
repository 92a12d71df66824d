// Running a range of losses to its end, training in one call, and measuring a model on data.
#pragma once
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "knet/layers/losses.hpp"
#include "knet/optim/schedule.hpp"
#include "knet/train/checkpoints.hpp"
#include "knet/train/early_stopping.hpp"
#include "knet/train/minimize.hpp"
#include "knet/train/progress.hpp"

namespace knet {

struct TrainLog {
  std::size_t steps = 0;
  double first = 0, last = 0, mean = 0;  ///< losses
};
/// train(progress(adam(model, nll, data))): runs it to the end.
template <class R>
requires detail::data_range<R> TrainLog train(R&& r) {
  TrainLog t;
  for (double v : r) {
    if (t.steps++ == 0) t.first = v;
    t.last = v;
    t.mean += (v - t.mean) / static_cast<double>(t.steps);
  }
  return t;
}

struct Epoch {
  int number;       ///< from 1
  double loss;      ///< mean over the epoch
  Metrics metrics;  ///< the loss, and what TrainOptions::evaluate gave
};
using Loss = std::function<Tensor(const Tensor& scores, const Tensor& labels)>;
struct TrainOptions {
  Rule optimizer = Adam{};
  Loss loss = nll;
  int epochs = 1;
  bool progress = true;
  std::function<bool(const Epoch&)> on_epoch = {};  ///< false ends the training
  Schedule schedule = {};                           ///< learning rate by step
  double clip_norm = 0;                             ///< of all gradients together; 0: not clipped
  /// Batches of one update: gradients are averaged over so many, as Minimize::accumulate() says.
  int accumulate = 1;
  /// Measures the model after each epoch: .evaluate = [&] { return Metrics{{"accuracy", ...}}; }
  std::function<Metrics()> evaluate = {};
  std::string metric = "loss";  ///< what patience looks at: "loss", or a name that evaluate gives
  bool maximize = false;        ///< larger is better
  /// So many epochs in a row may fail to be better than the best; then training ends. With a patience the
  /// model is in the end the best one. 0: all epochs.
  int patience = 0;
  /// Saves after each epoch, and begins where the latest checkpoint ends:
  ///   .checkpoints = Checkpoints("runs/a", {.metric = "accuracy", .maximize = true})
  /// Data with state() and set_state() is saved too.
  Checkpoints checkpoints = {};
};

namespace detail {
/// What train() does between epochs.
class Epochs {
 public:
  Epochs(AnyModel, Optimizer&, const TrainOptions&);
  Checkpoint& state() { return run_; }
  /// Goes on from the latest checkpoint, if there is one.
  void begin();
  /// Is there another epoch to be trained?
  bool more() const { return !stopped_ && run_.epoch < o_.epochs; }
  void done(const TrainLog&);
  /// Puts the best model back, if that is wanted.
  void finish();

 private:
  Optimizer& opt_;
  const TrainOptions& o_;
  Checkpoint run_;
  std::optional<EarlyStopping> stop_;
  bool stopped_ = false;
};
}  // namespace detail

/// Everything at once: train(model, data, {.optimizer = SGD{}, .epochs = 10}). The log is of the epochs
/// trained in this call.
template <class M, class R>
TrainLog train(M& model, R&& data, TrainOptions o = {}) {
  auto steps = minimize(model, o.loss, data, o.optimizer);
  steps.accumulate(o.accumulate);
  detail::Epochs epochs(detail::any_model(model), steps.optimizer(), o);
  if constexpr (requires { data.set_state(data.state()); }) epochs.state().value("data", data);
  epochs.begin();
  TrainLog all;
  while (epochs.more()) {
    const TrainLog t = o.progress ? train(progress(steps)) : train(steps);
    if (all.steps == 0) all.first = t.first;
    all.steps += t.steps;
    all.last = t.last;
    all.mean = t.mean;
    epochs.done(t);
  }
  epochs.finish();
  return all;
}

namespace detail {
double count_labels(const Tensor& y);  // other than `ignore`
}
/// Mean of a loss over all batches: mean_loss(model, dtst), mean_loss(model, dtst, mse). Batches count as
/// Minimize::accumulate() says, so that it is the loss of all rows together.
template <class M, class R, class L = NLL>
requires detail::data_range<R>
double mean_loss(M& model, R&& data, const L& loss = {}) {
  double sum = 0, count = 0;
  for (auto&& b : data) {
    const double n = detail::weight_of(b);
    if (n > 0) sum += n * detail::loss_of(model, loss, b).item();
    count += n;
  }
  return sum / count;
}
/// Share of right answers over all batches (x, y); labels of `ignore` are not counted.
template <class M, class R>
requires detail::data_range<R>
double accuracy(const M& model, R&& data) {
  double right = 0, count = 0;
  for (auto&& b : data) {
    detail::apply_batch(
        [&](const Tensor& x, const Tensor& y) {
          const double n = detail::count_labels(y);
          if (n > 0) right += accuracy(model(x), y) * n;
          count += n;
        },
        b);
  }
  return right / count;
}

}  // namespace knet
