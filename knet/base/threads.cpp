#include "knet/base/threads.hpp"

#include <algorithm>
#include <atomic>

#include "knet/base/one_thread.hpp"
#include "knet/base/text.hpp"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace knet {
namespace {
std::atomic<int>& setting() {
#ifdef _OPENMP
  static std::atomic<int> n{std::max(1, omp_get_max_threads())};
#else
  static std::atomic<int> n{1};
#endif
  return n;
}
thread_local int alone = 0;  // how many OneThreads live on this thread
}  // namespace

OneThread::OneThread() { ++alone; }
OneThread::~OneThread() { --alone; }

int threads() {
  if (alone > 0) return 1;
#ifdef _OPENMP
  if (omp_in_parallel()) return 1;
#endif
  return setting().load(std::memory_order_relaxed);
}

void set_threads(int n) {
  if (n < 1) fail<ValueError>("set_threads: expects at least 1, got ", n);
  setting() = n;
}

namespace detail {
void parallel(std::int64_t n, std::int64_t grain, void (*f)(void*, std::int64_t, std::int64_t),
              void* context) {
  const std::int64_t parts = std::min<std::int64_t>(threads(), grain > 0 ? (n + grain - 1) / grain : n);
  if (parts <= 1) return f(context, 0, n);
#ifdef _OPENMP
#pragma omp parallel for num_threads(static_cast <int>(parts)) schedule(static, 1)
#endif
  for (std::int64_t p = 0; p < parts; ++p) {
    // Cut at multiples of 16 elements where possible, so that parts do not share cache lines.
    auto cut = [&](std::int64_t i) {
      const std::int64_t c = n * i / parts;
      return i == parts ? n : grain >= 64 ? c / 16 * 16 : c;
    };
    const std::int64_t a = cut(p), b = cut(p + 1);
    if (a < b) f(context, a, b);
  }
}
}  // namespace detail

}  // namespace knet
