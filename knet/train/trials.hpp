// Running the trials of a search, here or in processes of their own. Not for users.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "knet/train/search.hpp"

namespace knet::detail {

using search::Trial;

struct TrialOptions {
  std::uint64_t seed = 1;
  int processes = 0;
  double seconds = 0;
};
/// Fills in loss, seconds and error of each trial. Before each one the process-wide generator is seeded by
/// the seed and the trial's number; afterwards it is as it was.
void run_trials(std::vector<Trial>& trials, const std::function<double(const Trial&)>& f,
                const TrialOptions&);

}  // namespace knet::detail
