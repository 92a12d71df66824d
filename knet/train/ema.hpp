// Ema: an exponential moving average of the weights, which often does better on unseen data than the weights
// themselves. Polyak & Juditsky 1992; decay that starts small as in Tarvainen & Valpola 2017,
// arXiv:1703.01780.
//
//   Ema ema(model, {.decay = 0.999});
//   opt.step(tape); ema.update();          // after each step
//   { auto with = ema.swap_in(); evaluate(model); }  // the trained weights are back after the brace
#pragma once
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "knet/autograd/model.hpp"
#include "knet/io/safetensors.hpp"

namespace knet {

struct EmaOptions {
  double decay = 0.999;  ///< in [0, 1)
  /// At update t (from 0) the decay is at most (1 + t) / (10 + t), so that the start is soon forgotten.
  bool warmup = true;
};

/// Averages the parameters; state such as running moments is left to the model. Follows its parameters
/// through moves of the model. A checkpoint keeps it with value("ema", ema).
class Ema {
 public:
  /// Begins with the parameters as they are. ValueError for a decay outside [0, 1).
  template <class M>
  requires(!std::same_as<std::remove_const_t<M>, Ema>) explicit Ema(M& model, EmaOptions o = {})
      : Ema(named_params(model), o) {}
  Ema(const NamedParams&, EmaOptions);

  /// average = decay average + (1 - decay) weights. ValueError while swapped in.
  void update();
  std::int64_t updates() const { return updates_; }
  /// By parameter names.
  const io::NamedTensors& averages() const { return averages_; }

  /// While it lives the model has the averages.
  class Swap {
   public:
    explicit Swap(Ema&);
    ~Swap();
    Swap(const Swap&) = delete;
    Swap& operator=(const Swap&) = delete;

   private:
    Ema& ema_;
    std::vector<Tensor> trained_;
  };
  /// ValueError when it is in already. A checkpoint saved meanwhile would have the averages as the model.
  [[nodiscard]] Swap swap_in() { return Swap(*this); }

  struct State {
    std::int64_t updates = 0;
    io::NamedTensors averages;
  };
  State state() const { return {updates_, averages_}; }
  /// ValueError unless it is of the same parameters.
  void set_state(const State&);

 private:
  void check_out(const char* who) const;
  std::vector<ParamHandle> params_;
  io::NamedTensors averages_;
  EmaOptions o_;
  std::int64_t updates_ = 0;
  bool in_ = false;
};

}  // namespace knet
