// Running a range of losses to its end, training in one call, and measuring a model on data.
#pragma once
#include <cstddef>
#include <functional>
#include <utility>

#include "knet/layers/losses.hpp"
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
  int number;   ///< from 1
  double loss;  ///< mean over the epoch
};
using Loss = std::function<Tensor(const Tensor& scores, const Tensor& labels)>;
struct TrainOptions {
  Rule optimizer = Adam{};
  Loss loss = nll;
  int epochs = 1;
  bool progress = true;
  std::function<bool(const Epoch&)> on_epoch = {};  ///< false ends the training
};
/// Everything at once: train(model, data, {.optimizer = SGD{}, .epochs = 10})
template <class M, class R>
TrainLog train(M& model, R&& data, TrainOptions o = {}) {
  auto steps = minimize(model, o.loss, data, o.optimizer);
  TrainLog all;
  for (int e = 1; e <= o.epochs; ++e) {
    const TrainLog t = o.progress ? train(progress(steps)) : train(steps);
    if (e == 1) all.first = t.first;
    all.steps += t.steps;
    all.last = t.last;
    all.mean = t.mean;
    if (o.on_epoch && !o.on_epoch({e, t.mean})) break;
  }
  return all;
}

namespace detail {
double count_labels(const Tensor& y);  // other than `ignore`
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
