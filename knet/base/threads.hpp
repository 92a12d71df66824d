// One pool of threads for all kernels (OpenMP). Small work stays on the calling thread; nobody else's thread
// count is changed.
#pragma once
#include <cstdint>

namespace knet {

/// Threads a kernel may use; at start OMP_NUM_THREADS or the number of cores.
int threads();
/// Sets it; n < 1 is a ValueError.
void set_threads(int n);

namespace detail {
void parallel(std::int64_t n, std::int64_t grain, void (*f)(void*, std::int64_t, std::int64_t),
              void* context);
}

/// Calls f(begin, end) for parts of [0, n), each at least `grain` long (so n <= grain is one plain call).
/// Parts depend only on n, grain and threads(). f must not throw when more than one part runs.
template <class F>
void parallel_for(std::int64_t n, std::int64_t grain, const F& f) {
  if (n <= grain) {
    if (n > 0) f(std::int64_t{0}, n);
    return;
  }
  detail::parallel(
      n, grain, [](void* c, std::int64_t a, std::int64_t b) { (*static_cast<const F*>(c))(a, b); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace knet
