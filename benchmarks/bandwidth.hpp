// How fast memory is read by some threads at once. Vectors are the compiler's, so that no library is
// measured.
#pragma once
#include <omp.h>

#include <cstring>
#include <functional>

#include "common.hpp"

namespace bench {

template <int bytes>
struct Vector {
  typedef float type __attribute__((vector_size(bytes)));
};

// Seconds of f(thread, threads) in all threads at once; the threads are awake when the clock starts.
inline double timed(int threads, const std::function<void(int, int)>& f) {
  double start = 0, stop = 0;
#pragma omp parallel num_threads(threads)
  {
#pragma omp barrier
#pragma omp master
    start = now();
#pragma omp barrier
    f(omp_get_thread_num(), omp_get_num_threads());
#pragma omp barrier
#pragma omp master
    stop = now();
  }
  return stop - start;
}

// Vectorised by the compiler, for the widest set the processor has.
#if defined(__x86_64__) && !defined(__clang__)
#define KNET_PEAK_CLONES __attribute__((noinline, target_clones("avx512f", "avx2", "default")))
#else
#define KNET_PEAK_CLONES __attribute__((noinline))
#endif
// With `ahead`, numbers so far on are asked for beforehand: what processors foresee ends with a page.
KNET_PEAK_CLONES [[maybe_unused]] static float sum(const float* x, std::size_t n, std::size_t ahead = 0) {
  Vector<64>::type s[8] = {};
  for (std::size_t i = 0; i + 128 <= n; i += 128)
    for (std::size_t j = 0; j < 8; ++j) {
      if (ahead) __builtin_prefetch(x + i + 16 * j + ahead);
      Vector<64>::type v;
      std::memcpy(&v, x + i + 16 * j, sizeof v);
      s[j] += v;
    }
  float total = 0;
  for (const auto& v : s)
    for (int j = 0; j < 16; ++j) total += v[j];
  return total;
}

}  // namespace bench
