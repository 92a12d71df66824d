// What the machine can do: f32 fused multiply-adds and memory bandwidth, with 1 and 2 (or --threads N)
// threads. Each figure is the best of many short runs, since a limit can only be missed, not passed. Widths
// are written with compiler vectors, and the widest that the processor has is not assumed to be the fastest:
// all are tried.
//
// Output, one figure a line: "fma THREADS GFLOP/s", "barrier THREADS nanoseconds"
// (how far apart the processors are: on a virtual machine it changes with where the host puts them),
// "read|axpy|copy KILOBYTES THREADS GB/s".
#include <algorithm>
#include <cstring>
#include <functional>

#include "bandwidth.hpp"
#include "common.hpp"

namespace {

using bench::sum;
using bench::timed;
using bench::Vector;

// `count` independent chains of x = x * b + c, so that latency is hidden; the empty asm keeps every step.
#define KNET_PEAK_LOOP(name, attributes, bytes, count, constraint)                                   \
  attributes double name(long n) {                                                                   \
    typedef Vector<bytes>::type V;                                                                   \
    V x[count], b = V{} + 0.9999f, c = V{} + 1e-6f;                                                  \
    _Pragma("GCC unroll 32") for (int i = 0; i < count; ++i) { x[i] = V{} + static_cast<float>(i); } \
    for (long k = 0; k < n; ++k) {                                                                   \
      _Pragma("GCC unroll 32") for (int i = 0; i < count; ++i) {                                     \
        x[i] = x[i] * b + c;                                                                         \
        asm volatile("" : constraint(x[i]));                                                         \
      }                                                                                              \
    }                                                                                                \
    V s = V{};                                                                                       \
    _Pragma("GCC unroll 32") for (int i = 0; i < count; ++i) s = s + x[i];                           \
    return static_cast<double>(s[0]);                                                                \
  }

struct Loop {
  double (*run)(long);
  double flops;  // per iteration
};

#if defined(__x86_64__)
KNET_PEAK_LOOP(fma_512, __attribute__((noinline, target("avx512f"))), 64, 24, "+v")
KNET_PEAK_LOOP(fma_256, __attribute__((noinline, target("avx2,fma"))), 32, 12, "+x")
KNET_PEAK_LOOP(fma_128, __attribute__((noinline)), 16, 12, "+x")
std::vector<Loop> loops() {
  std::vector<Loop> l{{fma_128, 12 * 4 * 2}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) l.push_back({fma_256, 12 * 8 * 2});
  if (__builtin_cpu_supports("avx512f")) l.push_back({fma_512, 24 * 16 * 2});
  return l;
}
#elif defined(__aarch64__)
KNET_PEAK_LOOP(fma_128, __attribute__((noinline)), 16, 24, "+w")
std::vector<Loop> loops() { return {{fma_128, 24 * 4 * 2}}; }
#else
KNET_PEAK_LOOP(fma_128, __attribute__((noinline)), 16, 8, "+m")
std::vector<Loop> loops() { return {{fma_128, 8 * 4 * 2}}; }
#endif

double fma_peak(int threads) {
  double best = 0;
  for (const Loop& loop : loops()) {
    const long n = 100000;
    for (const double end = bench::now() + 0.4; bench::now() < end;) {
      const double s = timed(threads, [&](int, int) {
        const volatile double kept = loop.run(n);
        static_cast<void>(kept);
      });
      best = std::max(best, threads * static_cast<double>(n) * loop.flops / s / 1e9);
    }
  }
  return best;
}

// One OpenMP barrier; the median, because short moments in which a thread is away do not matter.
double barrier_seconds(int threads) {
  std::vector<double> v;
  const int n = 2000;
  for (int r = 0; r < 21; ++r) {
    v.push_back(timed(threads,
                      [&](int, int) {
                        for (int i = 0; i < n; ++i) {
#pragma omp barrier
                        }
                      }) /
                n);
  }
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

KNET_PEAK_CLONES void axpy(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += 0.5f * x[i];
}

void bandwidth(std::size_t kilobytes, int threads) {
  const std::size_t n = kilobytes * 1024 / sizeof(float) / 2;  // two arrays
  std::vector<float> x(n, 1.0f), y(n, 2.0f);
  const std::size_t repeats = std::max<std::size_t>(1, (std::size_t{8} << 20) / n);
  const auto measure = [&](const char* what, double bytes,
                           const std::function<void(std::size_t, std::size_t)>& f) {
    double best = 0;
    for (int r = 0; r < 15; ++r) {
      const double s = timed(threads, [&](int t, int all) {
        const std::size_t part = n / static_cast<std::size_t>(all) / 128 * 128;
        for (std::size_t k = 0; k < repeats; ++k) f(static_cast<std::size_t>(t) * part, part);
      });
      const std::size_t done =
          n / static_cast<std::size_t>(threads) / 128 * 128 * static_cast<std::size_t>(threads);
      best = std::max(best, static_cast<double>(repeats * done) * bytes / s / 1e9);
    }
    std::printf("%s %zu %d %.1f\n", what, kilobytes, threads, best);
    std::fflush(stdout);
  };
  measure("read", 4, [&](std::size_t at, std::size_t count) {
    const volatile float kept = sum(x.data() + at, count);
    static_cast<void>(kept);
  });
  measure("axpy", 12, [&](std::size_t at, std::size_t count) { axpy(x.data() + at, y.data() + at, count); });
  measure("copy", 8, [&](std::size_t at, std::size_t count) {
    std::memcpy(y.data() + at, x.data() + at, count * sizeof(float));
    asm volatile("" ::"r"(y.data()) : "memory");
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> counts;
  bool only_fma = false;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    if (a == "--threads" && i + 1 < argc) {
      counts.push_back(std::max(1, std::atoi(argv[++i])));
    } else if (a == "--fma") {
      only_fma = true;
    } else {
      return std::fprintf(stderr, "usage: %s [--fma] [--threads N]...\n", argv[0]), 2;
    }
  }
  if (counts.empty()) counts = {1, 2};
  omp_set_dynamic(0);
  for (const int t : counts) {
    std::printf("fma %d %.1f\n", t, fma_peak(t));
    std::fflush(stdout);
  }
  if (only_fma) return 0;
  for (const int t : counts) std::printf("barrier %d %.0f\n", t, barrier_seconds(t) * 1e9);
  for (const std::size_t kilobytes : {16u, 512u, 8192u, 262144u})
    for (const int t : counts) bandwidth(kilobytes, t);
}
