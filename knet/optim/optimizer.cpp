#include "knet/optim/optimizer.hpp"

#include <cmath>

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {

void Rule::no_rate() { fail<ValueError>("Optimizer: this rule has no .lr"); }
double Rule::setting(const std::vector<Setting>& s, std::size_t i, std::string_view name) {
  if (i < s.size() && s[i].first == name) return s[i].second;
  fail<ValueError>("Rule: setting ", i, " is called \"", i < s.size() ? s[i].first : std::string(),
                   "\", expected \"", name, "\" (of ", s.size(), " settings)");
}

Optimizer::Optimizer(const NamedParams& params, Rule rule) {
  for (const Named& p : params) entries_.push_back({ParamHandle(*p.param), p.name, rule, {}});
}

void Optimizer::step(const Tape& tape) { apply(&tape, 1, false); }
void Optimizer::step() {
  if (parts_ == 0) fail<ValueError>("Optimizer: step() without a tape, and nothing was accumulated");
  apply(nullptr, weight_, false);
  forget_sums();
}

bool Optimizer::step_scaled(const Tape& tape, double loss_scale) { return apply(&tape, loss_scale, true); }
bool Optimizer::step_scaled(double loss_scale) {
  if (parts_ == 0) fail<ValueError>("Optimizer: step_scaled() without a tape, and nothing was accumulated");
  const bool done = apply(nullptr, weight_ * loss_scale, true);
  forget_sums();
  return done;
}

void Optimizer::accumulate(const Tape& tape, double weight) {
  if (!(weight > 0) || !std::isfinite(weight))
    fail<ValueError>("Optimizer: accumulate() with weight ", weight, ", expected a positive number");
  const NoGrad constant;
  sums_.resize(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    if (e.param->frozen() || !tape.uses(*e.param)) continue;
    const Tensor g = tape.grad(*e.param) * weight;
    if (sums_[i])
      sums_[i] += g;
    else
      sums_[i] = g;
  }
  weight_ += weight;
  ++parts_;
}

void Optimizer::forget_sums() {
  sums_.clear();
  weight_ = 0;
  parts_ = 0;
}

// One update with the gradients of the tape, or with the accumulated ones, divided by `divisor`. With `check`
// it happens only when all of them are finite.
bool Optimizer::apply(const Tape* tape, double divisor, bool check) {
  if (!(divisor > 0) || !std::isfinite(divisor))
    fail<ValueError>("Optimizer: gradients are divided by ", divisor, ", expected a positive number");
  const NoGrad constant;
  const auto has = [&](std::size_t i) {
    const Param& p = *entries_[i].param;
    return !p.frozen() && (tape ? tape->uses(p) : static_cast<bool>(sums_[i]));
  };
  const auto gradient = [&](std::size_t i) { return tape ? tape->grad(*entries_[i].param) : sums_[i]; };
  double scale = 1 / divisor;
  if (clip_ > 0 || check) {
    double squares = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!has(i)) continue;
      const Tensor g = gradient(i);
      const double n = norm(g).item() * scale;
      // The squares of large finite numbers may overflow.
      if (check && !std::isfinite(n) && isfinite(g).to(f64).min().item() == 0) return false;
      squares += n * n;
    }
    const double total = std::sqrt(squares);
    if (clip_ > 0 && total > clip_) scale *= clip_ / total;
  }
  if (schedule_) set_lr(schedule_(steps_));
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!has(i)) continue;
    Entry& e = entries_[i];
    Tensor& w = e.param->mutable_value();
    if (tape) {
      if (auto rows = tape->row_grad(*e.param)) {
        if (scale != 1) rows->rows *= scale;
        if (e.rule.rows(w, *rows, e.slots)) continue;
      }
    }
    const Tensor g = gradient(i);
    e.rule(w, scale == 1 ? g : g * scale, e.slots);
  }
  ++steps_;
  return true;
}

void Optimizer::set(Rule rule) {
  for (Entry& e : entries_) e.rule = rule;
}
void Optimizer::set(std::string_view prefix, Rule rule) {
  bool found = false;
  for (Entry& e : entries_) {
    if (!e.name.starts_with(prefix)) continue;
    e.rule = rule;
    found = true;
  }
  if (!found) fail<ValueError>("Optimizer: no parameter's name begins with \"", prefix, "\"");
}
void Optimizer::set_lr(double lr) {
  for (Entry& e : entries_) e.rule = e.rule.with_lr(lr);
}
double Optimizer::lr() const {
  if (entries_.empty()) fail<ValueError>("Optimizer: the model has no parameters");
  return entries_.front().rule.lr();
}
void Optimizer::clip_norm(double limit) {
  if (!(limit >= 0)) fail<ValueError>("Optimizer: clip_norm(", limit, ")");
  clip_ = limit;
}
void Optimizer::set_steps(std::int64_t n) {
  if (n < 0) fail<ValueError>("Optimizer: set_steps(", n, ")");
  steps_ = n;
}

}  // namespace knet
