// A learning rate that falls when a measured value no longer gets better.
//
//   ReduceOnPlateau plateau{.patience = 3};
//   plateau(validation_loss, opt);  // once an epoch
#pragma once
#include <limits>

#include "knet/optim/optimizer.hpp"

namespace knet {

/// A plain struct of numbers: a checkpoint keeps it with value("plateau", plateau). PyTorch's
/// ReduceLROnPlateau with its defaults.
struct ReduceOnPlateau {
  double factor = 0.1;      ///< of the learning rate, in (0, 1)
  int patience = 10;        ///< values in a row that may fail to be better
  double threshold = 1e-4;  ///< better by less than this share of the best does not count
  int cooldown = 0;         ///< values after a reduction that are not judged
  double smallest = 0;      ///< no rate goes below
  bool maximize = false;    ///< larger is better

  double best = std::numeric_limits<double>::quiet_NaN();
  int bad = 0, cooling = 0;

  /// Takes the next value. When patience is at its end every rule's rate is multiplied by factor, each from
  /// its own, and the result is true. A NaN is not better than anything. ValueError for a factor outside
  /// (0, 1), a negative count, and a rule without a rate.
  bool operator()(double value, Optimizer&);
};

}  // namespace knet
