// EarlyStopping: ends the training when a measured value no longer gets better, and gives the best model
// back.
//
//   EarlyStopping stop(model, {.patience = 3, .maximize = true});
//   while (!stop(accuracy(model, validation))) train(steps);
//   stop.restore();
#pragma once
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "knet/autograd/model.hpp"
#include "knet/io/safetensors.hpp"

namespace knet {

struct EarlyStoppingOptions {
  int patience = 5;       ///< values in a row that may fail to be better; at least 1
  double margin = 0;      ///< better by not more than this does not count
  bool maximize = false;  ///< larger is better
};

/// Remembers the best model so far (all its tensors). The model must stay where it is. A checkpoint keeps it
/// with value("stop", stop).
class EarlyStopping {
 public:
  /// ValueError for options that make no sense.
  template <class M>
  requires(!std::same_as<std::remove_const_t<M>, EarlyStopping>) explicit EarlyStopping(
      M& model, EarlyStoppingOptions o = {})
      : EarlyStopping(detail::any_model(model), o) {}
  EarlyStopping(detail::AnyModel, EarlyStoppingOptions);

  /// Takes the value that the model has reached now; true when it is time to stop. NaN is not better than
  /// anything.
  bool operator()(double value);
  /// The best value, NaN before the first.
  double best() const { return s_.best; }
  /// Which value that was, from 1; 0 before the first.
  std::int64_t best_at() const { return s_.best_at; }
  /// Makes the model what it was when it reached the best value. Optimisers keep their memory.
  void restore() const;

  struct State {
    double best = std::numeric_limits<double>::quiet_NaN();
    std::int64_t best_at = 0, values = 0;
    io::NamedTensors model;
  };
  const State& state() const { return s_; }
  /// ValueError unless it is of the same model.
  void set_state(const State&);

 private:
  detail::AnyModel model_;
  EarlyStoppingOptions o_;
  State s_;
};

}  // namespace knet
