#include "knet/optim/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "knet/base/text.hpp"

namespace knet::schedule {
namespace {
void check(const char* who, double lr, std::int64_t steps) {
  if (!(lr >= 0) || !std::isfinite(lr)) fail<ValueError>(who, ": learning rate ", lr);
  if (steps < 1) fail<ValueError>(who, ": ", steps, " steps");
}
double half_cosine(double from, double to, double share) {
  return to + (from - to) * (1 + std::cos(3.14159265358979323846 * std::clamp(share, 0.0, 1.0))) / 2;
}
}  // namespace

Schedule step(double lr, std::int64_t every, double factor) {
  check("schedule::step", lr, every);
  return [=](std::int64_t k) { return lr * std::pow(factor, static_cast<double>(k / every)); };
}
Schedule cosine(double lr, std::int64_t total, double last) {
  check("schedule::cosine", lr, total);
  return [=](std::int64_t k) {
    return half_cosine(lr, last, static_cast<double>(k) / static_cast<double>(total));
  };
}
Schedule warmup(std::int64_t steps, Schedule then) {
  check("schedule::warmup", 0, steps);
  return [=](std::int64_t k) {
    return k < steps ? then(0) * static_cast<double>(k + 1) / static_cast<double>(steps) : then(k - steps);
  };
}
Schedule one_cycle(double peak, std::int64_t total, double rise, double div, double final_div) {
  check("schedule::one_cycle", peak, total);
  if (!(rise > 0 && rise < 1) || !(div >= 1) || !(final_div >= 1))
    fail<ValueError>("schedule::one_cycle: rise ", rise, ", div ", div);
  const double top = rise * static_cast<double>(total);
  return [=](std::int64_t k) {
    const auto at = static_cast<double>(k);
    return at < top ? half_cosine(peak / div, peak, at / top)
                    : half_cosine(peak, peak / final_div, (at - top) / (static_cast<double>(total) - top));
  };
}

}  // namespace knet::schedule
