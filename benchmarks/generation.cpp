// How fast GPT-2 small writes, batch 1, against what memory allows: a token must read all weights once. The
// read bandwidth of the same threads is measured in turn with the tokens, so that a machine whose speed
// changes does not change their ratio.
//
//   bench_generation [--threads N]... [--rounds N]
//
// A line per number of threads: medians of milliseconds a token, GB/s of weights, GB/s that a loop of
// additions reads, and the share (the median of the rounds' shares).
#include <knet/knet.hpp>

#include <chrono>
#include <span>
#include <thread>

#include "bandwidth.hpp"

namespace {

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

/// GB/s, the best of a few passes over memory that no cache holds.
double read_bandwidth(const knet::Tensor& memory, int threads) {
  const std::span<const float> x(memory.data<float>(), static_cast<std::size_t>(memory.numel()));
  double best = 1e9;
  for (int r = 0; r < 6; ++r) {
    best = std::min(best, bench::timed(threads, [&](int t, int all) {
                      const std::size_t part = x.size() / static_cast<std::size_t>(all) / 128 * 128;
                      const volatile float kept =
                          bench::sum(x.data() + static_cast<std::size_t>(t) * part, part, r % 2 ? 2048 : 0);
                      static_cast<void>(kept);
                    }));
  }
  return 4.0 * static_cast<double>(x.size()) / best / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace knet;
  std::vector<int> counts;
  int rounds = 9;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    if (a == "--threads" && i + 1 < argc) {
      counts.push_back(std::max(1, std::atoi(argv[++i])));
    } else if (a == "--rounds" && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else {
      return std::fprintf(stderr, "usage: %s [--threads N]... [--rounds N]\n", argv[0]), 2;
    }
  }
  if (counts.empty()) counts = {1, 2};
  omp_set_dynamic(0);
  const models::GPT2 model;
  // The position table is read a row at a time, the token table whole, as the output's weights.
  const double bytes = 4.0 * static_cast<double>(count_params(model) - model.wpe.weight.numel());
  const Tensor memory = ones({std::int64_t{64} << 20});  // in large pages, as the weights are
  std::vector<std::int64_t> prompt(64);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<std::int64_t>(i * 97 % 50257);
  std::printf("%.1f MB of weights a token\n", bytes / 1e6);
  for (const int threads : counts) {
    set_threads(threads);
    std::vector<double> times, shares, bandwidths;
    for (int r = 0; r < rounds; ++r) {
      const double limit = read_bandwidth(memory, threads);
      // OpenMP's threads, which measured it, wait for more with open eyes for some milliseconds.
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      // The time between two tokens; the first comes after the prompt was read.
      std::vector<double> each;
      double last = 0;
      models::GenerateOptions o{.max_tokens = 13, .sampling = {.top_k = 40}, .seed = 1};
      o.on_token = [&](std::int64_t) {
        const double now = bench::now();
        if (last > 0) each.push_back(now - last);
        last = now;
        return true;
      };
      models::generate(model, prompt, o);
      times.push_back(median(each));
      bandwidths.push_back(limit);
      shares.push_back(bytes / times.back() / 1e9 / limit);
    }
    std::printf(
        "%d threads: %.2f ms a token (%.1f a second), %.2f GB/s of weights, memory %.2f GB/s, %.0f %%\n",
        threads, 1e3 * median(times), 1 / median(times), bytes / median(times) / 1e9, median(bandwidths),
        100 * median(shares));
  }
}
