#include "knet/optim/plateau.hpp"

#include <algorithm>
#include <cmath>

#include "knet/base/text.hpp"

namespace knet {

bool ReduceOnPlateau::operator()(double value, Optimizer& opt) {
  if (!(factor > 0 && factor < 1) || patience < 0 || cooldown < 0 || !(threshold >= 0)) {
    fail<ValueError>("ReduceOnPlateau: factor ", factor, ", patience ", patience, ", cooldown ", cooldown,
                     ", threshold ", threshold, "; expected a factor in (0, 1) and nothing negative");
  }
  const double margin = threshold * std::abs(best);
  const bool better = std::isnan(best) ? !std::isnan(value)
                      : maximize       ? value > best + margin
                                       : value < best - margin;
  if (better) {
    best = value;
    bad = 0;
  } else {
    ++bad;
  }
  if (cooling > 0) {
    --cooling;
    bad = 0;
  }
  if (bad <= patience) return false;
  for (Optimizer::Entry& e : opt.entries()) {
    const double lr = e.rule.lr();
    if (lr > smallest) e.rule = e.rule.with_lr(std::max(lr * factor, smallest));
  }
  cooling = cooldown;
  bad = 0;
  return true;
}

}  // namespace knet
