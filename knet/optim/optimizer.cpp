#include "knet/optim/optimizer.hpp"

#include <cmath>

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {

void Rule::no_rate() { fail<ValueError>("Optimizer: this rule has no .lr"); }

Optimizer::Optimizer(const NamedParams& params, Rule rule) {
  for (const Named& p : params) entries_.push_back({ParamHandle(*p.param), p.name, rule, {}});
}

void Optimizer::step(const Tape& tape) {
  const NoGrad constant;
  double scale = 1;
  if (clip_ > 0) {
    double squares = 0;
    for (const Entry& e : entries_) {
      if (e.param->frozen() || !tape.uses(*e.param)) continue;
      const double n = norm(tape.grad(*e.param)).item();
      squares += n * n;
    }
    const double total = std::sqrt(squares);
    if (total > clip_) scale = clip_ / total;
  }
  for (Entry& e : entries_) {
    if (e.param->frozen() || !tape.uses(*e.param)) continue;
    Tensor& w = e.param->mutable_value();
    if (scale == 1) {
      if (const auto rows = tape.row_grad(*e.param); rows && e.rule.rows(w, *rows, e.slots)) continue;
    }
    const Tensor g = tape.grad(*e.param);
    e.rule(w, scale == 1 ? g : g * scale, e.slots);
  }
  ++steps_;
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

}  // namespace knet
