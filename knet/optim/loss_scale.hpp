// Loss scaling: small gradients of narrow number types vanish, so the loss is multiplied before the backward
// pass and the gradients are divided before the update. Micikevicius et al. 2018, arXiv:1710.03740.
//
//   LossScale scale;
//   const Tape tape = diff([&] { return scale(nll(model(x), y)); });
//   scale.step(opt, tape);
#pragma once
#include "knet/optim/optimizer.hpp"

namespace knet {

/// A plain struct of numbers: a checkpoint keeps it with value("scale", scale). The tape's own value is the
/// scaled loss.
struct LossScale {
  double scale = 65536;
  /// The scale follows the gradients: halved by a step that was skipped, doubled after `interval` good ones.
  /// false: it stays.
  bool dynamic = true;
  double growth = 2, backoff = 0.5;
  int interval = 2000;
  double smallest = 1, largest = 0x1p+24;  ///< where a dynamic scale stays
  int good = 0;                            ///< steps since the scale changed
  std::int64_t skipped = 0;                ///< steps that were not made

  /// loss times scale.
  Tensor operator()(const Tensor& loss) const;
  /// One update of the optimizer with the gradients divided by scale; false, and no update, when one of them
  /// is not finite. Then the scale is adapted. ValueError for settings that make no sense.
  bool step(Optimizer&, const Tape&);
  /// The same with what the optimizer has accumulated.
  bool step(Optimizer&);
};

}  // namespace knet
