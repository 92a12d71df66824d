#include "knet/optim/loss_scale.hpp"

#include <algorithm>
#include <cmath>

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"

namespace knet {
namespace {

void check(const LossScale& s) {
  if (!(s.scale > 0) || !std::isfinite(s.scale))
    fail<ValueError>("LossScale: scale ", s.scale, ", expected a positive number");
  if (!s.dynamic) return;
  if (!(s.growth > 1) || !std::isfinite(s.growth) || !(s.backoff > 0 && s.backoff < 1) || s.interval < 1 ||
      !(s.smallest > 0) || !(s.largest >= s.smallest)) {
    fail<ValueError>("LossScale: growth ", s.growth, ", backoff ", s.backoff, ", interval ", s.interval,
                     ", smallest ", s.smallest, ", largest ", s.largest,
                     "; expected growth > 1, backoff in (0, 1), interval >= 1, 0 < smallest <= largest");
  }
}
bool adapt(LossScale& s, bool done) {
  if (!done) ++s.skipped;
  if (!s.dynamic) return done;
  if (!done) {
    s.scale = std::max(s.scale * s.backoff, s.smallest);
    s.good = 0;
  } else if (++s.good >= s.interval) {
    s.scale = std::min(s.scale * s.growth, s.largest);
    s.good = 0;
  }
  return done;
}

}  // namespace

Tensor LossScale::operator()(const Tensor& loss) const {
  check(*this);
  return loss * scale;
}
bool LossScale::step(Optimizer& opt, const Tape& tape) {
  check(*this);
  return adapt(*this, opt.step_scaled(tape, scale));
}
bool LossScale::step(Optimizer& opt) {
  check(*this);
  return adapt(*this, opt.step_scaled(scale));
}

}  // namespace knet
