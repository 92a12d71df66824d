// Learning rates that change: functions of the step, from 0. opt.set_lr(rate(opt.steps()));
#pragma once
#include <cstdint>
#include <functional>

namespace knet {

using Schedule = std::function<double(std::int64_t step)>;

namespace schedule {
/// lr, times `factor` after every `every` steps.
Schedule step(double lr, std::int64_t every, double factor = 0.1);
/// Half a cosine from lr down to `last` over `total` steps. Loshchilov & Hutter 2017, arXiv:1608.03983.
Schedule cosine(double lr, std::int64_t total, double last = 0);
/// A straight line from near 0 to another schedule's beginning over `steps`, then that schedule.
Schedule warmup(std::int64_t steps, Schedule then);
/// Up from peak / div to peak over `rise` of the steps and down to peak / final_div, both by half cosines.
/// Smith & Topin 2019, arXiv:1708.07120.
Schedule one_cycle(double peak, std::int64_t total, double rise = 0.3, double div = 25,
                   double final_div = 1e4);
}  // namespace schedule

}  // namespace knet
