// What both sides of a comparison share: the numbers that models start from, the timing loop, and the
// protocol spoken with compare.py. It knows neither library and is C++17, because LibTorch's headers are.
//
// A workload's check value comes from a fresh start and a fixed number of steps, so it does not depend on how
// long was measured. Timed batches start again from the same weights (not timed): a model that has been
// trained on one batch for thousands of steps would drift to saturated or subnormal numbers, and time
// something else.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Number i of stream `seed`, the same on both sides: uniform in [0, 1).
inline double number(std::uint32_t seed, std::size_t i) {
  std::uint32_t h = static_cast<std::uint32_t>(i) * 0x9e3779b9u + seed * 0x85ebca6bu + 1;
  h ^= h >> 16;
  h *= 0x7feb352du;
  h ^= h >> 15;
  h *= 0x846ca68bu;
  h ^= h >> 16;
  return static_cast<double>(h >> 8) / 16777216.0;
}
inline std::vector<float> uniform(std::uint32_t seed, std::size_t n, double low, double high) {
  std::vector<float> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<float>(low + (high - low) * number(seed, i));
  return v;
}
inline std::vector<std::int64_t> integers(std::uint32_t seed, std::size_t n, std::int64_t below) {
  std::vector<std::int64_t> v(n);
  for (std::size_t i = 0; i < n; ++i)
    v[i] = static_cast<std::int64_t>(number(seed, i) * static_cast<double>(below));
  return v;
}
// A weight matrix [out, in] of layer `seed`, about as large as usual initialisers make it.
inline std::vector<float> weights(std::uint32_t seed, std::size_t out, std::size_t in) {
  const double a = std::sqrt(6.0 / static_cast<double>(in + out));
  return uniform(seed, in * out, -a, a);
}
// The first values of a parameter, from its name and sizes: the same for both sides, whose names agree.
// Matrices and kernels spread as LeCun's do, factors of normalisation are 1, what else has one dimension is
// small.
inline std::vector<float> parameter(const std::string& name, const std::vector<std::int64_t>& size) {
  std::size_t n = 1;
  for (const auto s : size) n *= static_cast<std::size_t>(s);
  std::uint32_t seed = 2166136261u;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 16777619u;
  const bool weight = name.size() >= 6 && name.compare(name.size() - 6, 6, "weight") == 0;
  if (size.size() < 2) return weight ? std::vector<float>(n, 1.f) : uniform(seed, n, -0.1, 0.1);
  const double a = std::sqrt(3.0 * static_cast<double>(size[0]) / static_cast<double>(n));
  return uniform(seed, n, -a, a);
}
// A sentence for Morse: characters of words (ids from 4 to 49), and what to write for each: letters (4 to
// 48), then tags (49 to 112).
struct MorseWords {
  std::vector<std::vector<std::int64_t>> characters, letters, tags;
  MorseWords() {
    const auto some = [](std::uint32_t seed, std::int64_t least, std::int64_t most, std::int64_t first,
                         std::int64_t below) {
      const auto n = static_cast<std::size_t>(least) +
                     static_cast<std::size_t>(number(seed, 99) * static_cast<double>(most - least + 1));
      std::vector<std::int64_t> v = integers(seed, n, below - first);
      for (auto& x : v) x += first;
      return v;
    };
    for (std::uint32_t w = 0; w < 12; ++w) {
      characters.push_back(some(200 + w, 2, 12, 4, 50));
      letters.push_back(some(300 + w, 2, 8, 4, 49));
      tags.push_back(some(400 + w, 1, 8, 49, 113));
    }
  }
};
// One number that depends on every element and its place.
inline double digest(const float* p, std::size_t n) {
  double s = 0;
  for (std::size_t i = 0; i < n; ++i)
    s += std::fabs(static_cast<double>(p[i])) * static_cast<double>(1 + i % 7);
  return s;
}

struct Workload {
  std::function<void()> reset;    // back to the first weights
  std::function<void()> step;     // what is timed
  std::function<double()> check;  // called after a reset and check_steps steps
  int check_steps = 10;
  double per_step = 1;  // operations in one step, for those too short to be timed alone
};
struct Entry {
  std::string name;  // those of a row that is measured at several batch sizes end in @ and the size
  std::function<Workload()> make;
};
inline constexpr int batch_sizes[] = {1, 4, 16, 64, 256, 1024};
/// One convolution, forward and backward, with the gradients of its input and its weights.
struct ConvRow {
  const char* name;
  std::int64_t n, in, out, size, window, stride, groups;
  std::int64_t result() const { return (size + window / 2 * 2 - window) / stride + 1; }
};
inline constexpr ConvRow conv_rows[] = {
    {"conv_1x1", 8, 256, 64, 56, 1, 1, 1},          {"conv_3x3", 8, 128, 128, 28, 3, 1, 1},
    {"conv_3x3_stride2", 8, 128, 256, 28, 3, 2, 1}, {"conv_5x5", 8, 48, 96, 28, 5, 1, 1},
    {"conv_7x7_stride2", 8, 3, 64, 224, 7, 2, 1},   {"conv_depthwise", 8, 192, 192, 28, 3, 1, 192},
    {"conv_groups", 8, 256, 256, 14, 3, 1, 32},
};
struct Side {
  std::string title;  // library and version
  std::vector<Entry> workloads;
  std::function<void(int)> set_threads;
  std::function<double()> first_step;    // makes a small model and trains one step
  std::function<void()> release_memory;  // gives what is kept for later back to the system
};

class Runner {
 public:
  explicit Runner(Workload w) : w_(std::move(w)) {
    w_.reset();
    for (int i = 0; i < w_.check_steps; ++i) w_.step();
    check_ = w_.check();
    // Steps for about 30 ms, found by doubling: the first steps are slower than the later ones.
    w_.reset();
    for (;;) {
      const double t = time_steps();
      if (t > 0.015 || steps_ >= 1 << 20) {
        steps_ = std::clamp(static_cast<int>(static_cast<double>(steps_) * 0.03 / t), 1, 1 << 21);
        break;
      }
      steps_ *= 2;
    }
  }
  // Milliseconds per step (or per operation) of one batch.
  double batch() {
    w_.reset();
    const double start = now();
    do w_.step();
    while (now() - start < 0.003);
    return time_steps() * 1e3 / steps_ / w_.per_step;
  }
  double check() const { return check_; }

 private:
  double time_steps() {
    const double start = now();
    for (int i = 0; i < steps_; ++i) w_.step();
    return now() - start;
  }
  Workload w_;
  int steps_ = 1;
  double check_ = 0;
};

inline const Entry& find(const Side& side, const std::string& name) {
  for (const Entry& e : side.workloads)
    if (e.name == name) return e;
  throw std::invalid_argument("there is no workload " + name);
}

// Speaks with compare.py: a name a line comes in, "name milliseconds check" goes out.
inline void serve(const Side& side) {
  std::map<std::string, Runner> runners;
  for (std::string name; std::getline(std::cin, name);) {
    auto it = runners.find(name);
    if (it == runners.end()) {
      // One model at a time: the others' memory is not this one's business.
      runners.clear();
      it = runners.emplace(name, Runner(find(side, name).make())).first;
    }
    const double ms = it->second.batch();
    std::printf("%s %.9g %.9g\n", name.c_str(), ms, it->second.check());
    std::fflush(stdout);
  }
}

// A line of /proc/self/status, in MB.
inline double status_mb(const std::string& field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.compare(0, field.size(), field) == 0) return std::stod(line.substr(field.size() + 1)) / 1024;
  return 0;
}
// MB that the process needs at most in steps of a workload, beyond what it needs after a first small model.
inline double peak_memory(const Side& side, const std::string& name) {
  side.first_step();
  const double before = status_mb("VmRSS");
  const Workload w = find(side, name).make();
  w.reset();
  w.step();
  // What the model was made from does not count: the peak starts again from what is in use.
  side.release_memory();
  std::ofstream("/proc/self/clear_refs") << "5";
  for (int i = 0; i < 3; ++i) w.step();
  return status_mb("VmHWM") - before;
}

// What an instruction counter is told to look at: one step in the steady state.
extern "C" [[gnu::noinline]] inline void bench_counted(const Workload& w) { w.step(); }
inline void count(const Side& side, const std::string& name) {
  const Workload w = find(side, name).make();
  w.reset();
  for (int i = 0; i < 3; ++i) w.step();
  bench_counted(w);
}

inline int run(int argc, char** argv, const Side& side) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto has = [&](const char* a) { return std::find(args.begin(), args.end(), a) != args.end(); };
  const auto value = [&](const char* a) {
    const auto it = std::find(args.begin(), args.end(), a);
    return it == args.end() || it + 1 == args.end() ? std::string() : *(it + 1);
  };
  if (has("--threads")) {
    const int n = std::atoi(value("--threads").c_str());
    if (n < 1) return std::fprintf(stderr, "--threads needs a number from 1\n"), 2;
    side.set_threads(n);
  }
  try {
    if (has("--title")) {
      std::printf("%s\n", side.title.c_str());
    } else if (has("--list")) {
      for (const Entry& e : side.workloads) std::printf("%s\n", e.name.c_str());
    } else if (has("--first-step")) {
      std::printf("%.9g\n", side.first_step());
      std::fflush(stdout);
    } else if (has("--serve")) {
      serve(side);
    } else if (has("--memory")) {
      std::printf("%.1f\n", peak_memory(side, value("--memory")));
    } else if (has("--count")) {
      count(side, value("--count"));
    } else {
      std::fprintf(stderr,
                   "usage: %s --list | --title | (--serve | --first-step | --memory NAME | --count NAME) "
                   "[--threads N]\n",
                   argv[0]);
      return 2;
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
  return 0;
}

}  // namespace bench
