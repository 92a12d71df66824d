#include "knet/train/early_stopping.hpp"

#include <cmath>

#include "knet/base/text.hpp"
#include "knet/train/model_tensors.hpp"

namespace knet {

EarlyStopping::EarlyStopping(detail::AnyModel m, EarlyStoppingOptions o) : model_(m), o_(o) {
  if (o.patience < 1 || !(o.margin >= 0))
    fail<ValueError>("EarlyStopping: patience ", o.patience, ", margin ", o.margin,
                     "; expected at least 1 and 0");
  s_.model = detail::snapshot(m);
}

bool EarlyStopping::operator()(double value) {
  ++s_.values;
  const bool better = std::isnan(s_.best) ? !std::isnan(value)
                      : o_.maximize       ? value > s_.best + o_.margin
                                          : value < s_.best - o_.margin;
  if (better) {
    s_.best = value;
    s_.best_at = s_.values;
    s_.model = detail::snapshot(model_);
  }
  return s_.values - s_.best_at >= o_.patience;
}
void EarlyStopping::restore() const { detail::restore(model_, s_.model); }

void EarlyStopping::set_state(const State& s) {
  bool fits = s.model.size() == s_.model.size() && s.best_at >= 0 && s.values >= s.best_at;
  for (std::size_t i = 0; fits && i < s.model.size(); ++i) fits = s.model[i].first == s_.model[i].first;
  if (!fits) fail<ValueError>("EarlyStopping: set_state() of another model");
  s_ = s;
}

}  // namespace knet
