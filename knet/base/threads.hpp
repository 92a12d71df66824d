// One pool of threads for all kernels. Small work stays on the calling thread. Large work is cut into pieces
// that threads take as they get on: a core may be slower than its neighbour, or run somebody else's program
// too. When several threads of a program call kernels at the same time, one of them has the pool and the
// others work alone.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

namespace knet {

/// Threads a kernel may use; at start OMP_NUM_THREADS or the number of processors that the process may use.
/// With OMP_PROC_BIND=true (or close, or spread) each stays on a processor of its own, the one that first
/// calls a large kernel too.
int threads();
/// Sets it; n < 1 is a ValueError.
void set_threads(int n);

namespace detail {
/// Whether a job is worth waking threads that fell asleep, which takes some microseconds.
enum class Job : bool { longer, brief };

void parallel(std::int64_t n, std::int64_t grain, void (*f)(void*, std::int64_t, std::int64_t), void* context,
              Job);
}  // namespace detail

/// [0, n) in pieces for `parts` threads. Each thread has a share, the same every time, so that what it wrote
/// or read before is in its caches. The first piece is half of it, the later ones ever smaller, down to
/// `least`; who is done takes pieces of the others' shares. What is too short for that is cut evenly. Where
/// the cuts are depends on the three numbers alone.
class Pieces {
 public:
  Pieces(std::int64_t n, std::int64_t least, std::int64_t parts);
  std::int64_t longest() const { return std::min(n_, std::max(longest_, 2 * least_ - 1)); }
  /// On thread `part`: f(begin, end) for its own first piece and then for those that nobody has taken yet.
  template <class F>
  void run(std::int64_t part, const F& f) {
    const std::int64_t own = part * shares_ / parts_, first = first_part(own),
                       b = begin(own) + (part - first) * longest_, e = std::min(begin(own + 1), b + longest_);
    if (b < e) f(b, e);
    for (std::int64_t i = 0; i < shares_; ++i) {
      const std::int64_t share = (own + i) % shares_;
      for (Piece p = take(share); p.begin < p.end; p = take(share)) f(p.begin, p.end);
    }
  }

 private:
  struct Piece {
    std::int64_t begin, end;
  };
  // Many threads have a share together.
  static constexpr std::int64_t most_shares = 16;
  struct alignas(64) Share {
    std::atomic<std::int64_t> next;
  };
  std::int64_t first_part(std::int64_t share) const { return (share * parts_ + shares_ - 1) / shares_; }
  std::int64_t begin(std::int64_t share) const { return (n_ * first_part(share) + parts_ - 1) / parts_; }
  Piece take(std::int64_t share);

  std::int64_t n_, least_, parts_, shares_, longest_;
  Share share_[most_shares];
};

/// Calls f(begin, end) for pieces of [0, n) on as many threads as have `grain` each to do (so n <= grain is
/// one plain call). Pieces depend only on n, grain and threads(). f must not throw when more than one thread
/// runs. A brief job after a pause is left to the threads that are awake.
template <class F>
void parallel_for(std::int64_t n, std::int64_t grain, const F& f, detail::Job job = detail::Job::longer) {
  if (n <= grain) {
    if (n > 0) f(std::int64_t{0}, n);
    return;
  }
  detail::parallel(
      n, grain, [](void* c, std::int64_t a, std::int64_t b) { (*static_cast<const F*>(c))(a, b); },
      const_cast<void*>(static_cast<const void*>(&f)), job);
}

}  // namespace knet
