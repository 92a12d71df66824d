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

Pieces::Pieces(std::int64_t n, std::int64_t least, std::int64_t parts)
    : n_(n),
      least_(parts == 1 ? n : std::max<std::int64_t>(1, least)),
      parts_(parts),
      longest_(n < 2 * parts * least_ ? (n + parts - 1) / parts : n / (2 * parts)),
      next_(longest_ * parts) {}
Pieces::Piece Pieces::take() {
  std::int64_t b = next_.load(std::memory_order_relaxed), e;
  do {
    e = std::min(n_, b + std::max(least_, (n_ - b) / (2 * parts_)));
  } while (b < e && !next_.compare_exchange_weak(b, e, std::memory_order_relaxed));
  return {b, e};
}

namespace detail {
void parallel(std::int64_t n, std::int64_t grain, void (*f)(void*, std::int64_t, std::int64_t),
              void* context) {
  const int all = threads();
  const std::int64_t parts = std::min<std::int64_t>(all, grain > 0 ? (n + grain - 1) / grain : n);
  if (parts <= 1) return f(context, 0, n);
  // Cut at multiples of 16 elements where possible, so that pieces do not share cache lines.
  const std::int64_t unit = grain >= 64 ? 16 : 1;
  Pieces pieces((n + unit - 1) / unit, grain / (2 * unit), parts);
  // Always on the whole team: OpenMP ends threads that the next region has no use for, and starts new ones for
  // the region after it.
#ifdef _OPENMP
#pragma omp parallel for num_threads(all) schedule(static, 1)
#endif
  for (std::int64_t p = 0; p < parts; ++p) {
    pieces.run(p, [&](std::int64_t b, std::int64_t e) { f(context, b * unit, std::min(n, e * unit)); });
  }
}
}  // namespace detail

}  // namespace knet
