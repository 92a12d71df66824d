// The pool. A caller announces a job of so many parts and begins with part 0; part i waits for thread i, but
// what nobody has begun when the caller has nothing left to do, the caller does itself: a thread that is
// late, asleep or has lost its core holds up nobody. One job runs at a time; who finds the pool busy works
// alone.
#include "knet/base/threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "knet/base/all_threads.hpp"
#include "knet/base/one_thread.hpp"
#include "knet/base/text.hpp"
#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

namespace knet {
namespace {

thread_local int alone = 0;    // how many OneThreads live on this thread
thread_local int patient = 0;  // how many AllThreads do
thread_local bool in_job = false;

/// The processors that this process may use.
std::vector<int> processors() {
  std::vector<int> r;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) r.push_back(i);
    }
  }
#endif
  if (r.empty()) r.resize(std::max(1u, std::thread::hardware_concurrency()), -1);
  return r;
}

int default_threads() {
  // As OpenMP reads it: a list has a number for every level of nesting.
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text && std::atoi(text) >= 1) return std::atoi(text);
  return static_cast<int>(processors().size());
}
std::atomic<int>& setting() {
  static std::atomic<int> n{default_threads()};
  return n;
}

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
/// Waits for another thread: longer and longer, since it may need this very processor.
template <class F>
void until(const F& done) {
  for (int n = 0; !done(); ++n) n < 2000 ? relax() : std::this_thread::yield();
}

class Pool {
 public:
  /// f(context, i) for every part i in [0, parts). False, and nothing done, where another job runs.
  bool run(int parts, void (*f)(void*, int), void* context) noexcept {
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    start(parts);
    f_ = f, context_ = context;
    const std::uint32_t ticket = ++ticket_;
    // Sequentially consistent, as in sleep(): either a thread sees the job, or it is seen asleep.
    gate_.store(std::uint64_t{ticket} << 32 | static_cast<std::uint64_t>(parts) << 16 | is_open);
    const int there = std::min(parts, static_cast<int>(workers_.size()) + 1);
    for (int i = 1; i < there; ++i) {
      if (auto& asleep = workers_[static_cast<std::size_t>(i - 1)]->asleep; asleep.load()) {
        asleep.store(0);
        asleep.notify_one();
      }
    }
    in_job = true;
    f(context, 0);
    for (int i = 1; i < parts; ++i) {
      if (i < there) {
        Worker& w = *workers_[static_cast<std::size_t>(i - 1)];
        if (patient > 0) until([&] { return w.begun.load(std::memory_order_relaxed) == ticket; });
        if (!w.begin(ticket)) continue;
      }
      f(context, i);
    }
    in_job = false;
    gate_.fetch_and(~is_open, std::memory_order_relaxed);
    until([&] { return (gate_.load(std::memory_order_acquire) & inside) == 0; });
    busy_.clear(std::memory_order_release);
    return true;
  }

 private:
  struct alignas(64) Worker {
    std::atomic<std::uint32_t> asleep{0};
    std::atomic<std::uint32_t> begun{0};  ///< the last job of which somebody has begun this thread's part

    bool begin(std::uint32_t ticket) {
      return begun.load(std::memory_order_relaxed) != ticket &&
             begun.exchange(ticket, std::memory_order_relaxed) != ticket;
    }
  };
  // The gate: number of the job, its parts, whether it may be entered, and how many threads are inside.
  static constexpr std::uint64_t is_open = 1 << 15, inside = is_open - 1;
  static std::uint32_t ticket_of(std::uint64_t gate) { return static_cast<std::uint32_t>(gate >> 32); }
  static bool wants(std::uint64_t gate, int part) {
    return (gate & is_open) && part < static_cast<int>(gate >> 16 & 0xffff);
  }

  /// Has threads for so many parts, where the system grants them.
  void start(int parts) {
    if (static_cast<int>(workers_.size()) + 1 >= parts) return;
    const std::vector<int> cpus = processors();
    if (workers_.empty()) bind(cpus, 0);
    try {
      for (int i = static_cast<int>(workers_.size()) + 1; i < parts; ++i) {
        auto w = std::make_unique<Worker>();
        std::thread([this, i, cpus, &worker = *w] {
          bind(cpus, i);
          serve(i, worker);
        }).detach();
        workers_.push_back(std::move(w));
      }
    } catch (const std::system_error&) {
      // The caller does what nobody else does.
    }
    may_spin_.store(workers_.size() < cpus.size(), std::memory_order_relaxed);
  }
  /// Where the user asks for it as OpenMP's users do.
  static void bind([[maybe_unused]] const std::vector<int>& cpus, [[maybe_unused]] int thread) {
#ifdef __linux__
    const char* text = std::getenv("OMP_PROC_BIND");
    if (!text || (std::string_view(text) != "true" && std::string_view(text) != "close" &&
                  std::string_view(text) != "spread"))
      return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpus[static_cast<std::size_t>(thread) % cpus.size()]), &set);
    sched_setaffinity(0, sizeof set, &set);
#endif
  }

  void serve(int part, Worker& me) noexcept {
    in_job = true;
    for (std::uint32_t last = 0;;) {
      std::uint64_t gate = next(part, last, me);
      last = ticket_of(gate);
      bool entered = false;
      while (!entered && ticket_of(gate) == last && (gate & is_open))
        entered = gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire);
      if (!entered) continue;
      if (me.begin(last)) f_(context_, part);
      gate_.fetch_sub(1, std::memory_order_release);
    }
  }
  /// Waits for a job later than `last` that wants this part: for a while with open eyes, since in training
  /// one job follows another.
  std::uint64_t next(int part, std::uint32_t last, Worker& me) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::microseconds awake{300};
    const auto here = [&](std::uint64_t gate) { return ticket_of(gate) != last && wants(gate, part); };
    for (auto since = Clock::now();;) {
      for (int n = 0; n < 64; ++n, relax()) {
        if (const std::uint64_t gate = gate_.load(std::memory_order_relaxed); here(gate)) return gate;
      }
      if (may_spin_.load(std::memory_order_relaxed) && Clock::now() - since < awake) continue;
      me.asleep.store(1);
      if (!here(gate_.load())) me.asleep.wait(1);
      me.asleep.store(0, std::memory_order_relaxed);
      since = Clock::now();
    }
  }

  std::atomic_flag busy_;  // guards all but what threads read of a job they are inside of
  std::vector<std::unique_ptr<Worker>> workers_;
  std::uint32_t ticket_ = 0;
  void (*f_)(void*, int) = nullptr;
  void* context_ = nullptr;
  std::atomic<bool> may_spin_{true};  // every thread may have a processor of its own
  alignas(64) std::atomic<std::uint64_t> gate_{0};
};
/// Never destroyed: its threads end with the process. A process made by fork() begins without threads, and so
/// with a pool of its own.
Pool& pool() {
  static Pool* p = [] {
#ifdef __linux__
    pthread_atfork(nullptr, nullptr, [] { p = new Pool; });
#endif
    return new Pool;
  }();
  return *p;
}

}  // namespace

OneThread::OneThread() { ++alone; }
OneThread::~OneThread() { --alone; }
AllThreads::AllThreads() { ++patient; }
AllThreads::~AllThreads() { --patient; }

int threads() { return alone > 0 || in_job ? 1 : setting().load(std::memory_order_relaxed); }

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
  constexpr int most = 4096;
  const std::int64_t parts =
      std::min<std::int64_t>(std::min(threads(), most), grain > 0 ? (n + grain - 1) / grain : n);
  if (parts <= 1) return f(context, 0, n);
  // Cut at multiples of 16 elements where possible, so that pieces do not share cache lines.
  const std::int64_t unit = grain >= 64 ? 16 : 1;
  Pieces pieces((n + unit - 1) / unit, grain / (2 * unit), parts);
  auto part = [&](int p) {
    pieces.run(p, [&](std::int64_t b, std::int64_t e) { f(context, b * unit, std::min(n, e * unit)); });
  };
  const auto call = [](void* p, int i) { (*static_cast<decltype(part)*>(p))(i); };
  if (pool().run(static_cast<int>(parts), call, &part)) return;
  in_job = true;
  for (int p = 0; p < static_cast<int>(parts); ++p) part(p);
  in_job = false;
}
}  // namespace detail

}  // namespace knet
