#include "knet/train/ema.hpp"

#include <algorithm>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"

namespace knet {

Ema::Ema(const NamedParams& params, EmaOptions o) : o_(o) {
  if (!(o.decay >= 0 && o.decay < 1))
    fail<ValueError>("Ema: decay ", o.decay, ", expected a number in [0, 1)");
  for (const Named& p : params) {
    params_.emplace_back(*p.param);
    averages_.emplace_back(p.name, p.param->value());
  }
}

void Ema::check_out(const char* who) const {
  if (in_) fail<ValueError>("Ema: ", who, " while the averages are in the model");
}

void Ema::update() {
  check_out("update()");
  const NoGrad constant;
  const auto t = static_cast<double>(updates_);
  const double decay = o_.warmup ? std::min(o_.decay, (1 + t) / (10 + t)) : o_.decay;
  for (std::size_t i = 0; i < params_.size(); ++i) {
    Tensor& average = averages_[i].second;
    average *= decay;
    average += params_[i]->value() * (1 - decay);
  }
  ++updates_;
}

void Ema::set_state(const State& s) {
  check_out("set_state()");
  bool fits = s.averages.size() == averages_.size();
  for (std::size_t i = 0; fits && i < averages_.size(); ++i) {
    const auto& [name, t] = averages_[i];
    const Tensor& u = s.averages[i].second;
    fits = name == s.averages[i].first && t.shape() == u.shape() && t.dtype() == u.dtype();
  }
  if (!fits || s.updates < 0) fail<ValueError>("Ema: set_state() with the averages of another model");
  averages_ = s.averages;
  updates_ = s.updates;
}

Ema::Swap::Swap(Ema& e) : ema_(e) {
  e.check_out("swap_in()");
  for (std::size_t i = 0; i < e.params_.size(); ++i) {
    Tensor& w = e.params_[i]->mutable_value();
    trained_.push_back(w);
    w = e.averages_[i].second;
  }
  e.in_ = true;
}
Ema::Swap::~Swap() {
  for (std::size_t i = 0; i < trained_.size(); ++i) ema_.params_[i]->mutable_value() = trained_[i];
  ema_.in_ = false;
}

}  // namespace knet
