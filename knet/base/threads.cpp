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
#include <utility>
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

using detail::Job;

constexpr int most_parts = 1024;

thread_local int alone = 0;    // how many OneThreads live on this thread
thread_local int patient = 0;  // how many AllThreads do
thread_local bool in_job = false;
struct InJob {
  InJob() { in_job = true; }
  ~InJob() { in_job = false; }
};

/// The processors that this process may use, as it was before a thread was bound to one.
const std::vector<int>& processors() {
  static const std::vector<int> found = [] {
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
  }();
  return found;
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
  bool run(int parts, void (*f)(void*, int), void* context, Job job) noexcept {
    if (busy_.test_and_set(std::memory_order_acquire)) return false;
    start(parts);
    const int there = std::min(parts, static_cast<int>(workers_.size()) + 1);
    f_ = f, context_ = context;
    woken_ = job == Job::longer || patient > 0 || follows_another() ? there : 0;
    const std::uint32_t ticket = ++ticket_;
    gate_.store(std::uint64_t{ticket} << 32 | static_cast<std::uint64_t>(parts));
    wake(0);
    {
      const InJob here;
      f(context, 0);
      for (int i = 1; i < parts; ++i) {
        if (i < there) {
          Worker& w = worker(i);
          if (patient > 0) until([&] { return w.begun.load(std::memory_order_relaxed) == ticket; });
          if (!w.begin(ticket)) continue;
        }
        f(context, i);
      }
    }
    gate_.store(std::uint64_t{ticket} << 32);
    for (int i = 1; i < there; ++i) until([&w = worker(i)] { return !w.inside.load(); });
    busy_.clear(std::memory_order_release);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds awake{1000};  // that a thread waits with open eyes

  // A cache line for each, so that beginning and ending costs a thread no more when there are many.
  struct alignas(64) Worker {
    std::atomic<std::uint32_t> asleep{0};
    std::atomic<std::uint32_t> begun{0};   ///< the last job of which somebody has begun this thread's part
    std::atomic<std::uint32_t> inside{0};  ///< may read f_ and context_

    bool begin(std::uint32_t ticket) {
      return begun.load(std::memory_order_relaxed) != ticket &&
             begun.exchange(ticket, std::memory_order_relaxed) != ticket;
    }
  };
  // The gate: the number of the job and how many parts it has; none when it is closed.
  static std::uint32_t ticket_of(std::uint64_t gate) { return static_cast<std::uint32_t>(gate >> 32); }
  static int parts_of(std::uint64_t gate) { return static_cast<int>(gate & 0xffff); }
  Worker& worker(int part) { return *workers_[static_cast<std::size_t>(part - 1)]; }

  /// Has threads for so many parts, where the system grants them.
  void start(int parts) {
    if (static_cast<int>(workers_.size()) + 1 >= parts) return;
    if (workers_.empty()) {
      bind(0);
      workers_.reserve(most_parts);  // other threads read it
    }
    try {
      for (int i = static_cast<int>(workers_.size()) + 1; i < parts; ++i) {
        auto w = std::make_unique<Worker>();
        std::thread([this, i, &me = *w] {
          bind(i);
          serve(i, me);
        }).detach();
        workers_.push_back(std::move(w));
      }
    } catch (const std::system_error&) {
      // The caller does what nobody else does.
    }
    may_spin_.store(workers_.size() < processors().size(), std::memory_order_relaxed);
  }
  /// Where the user asks for it as OpenMP's users do.
  static void bind([[maybe_unused]] int thread) {
#ifdef __linux__
    const char* text = std::getenv("OMP_PROC_BIND");
    if (!text || (std::string_view(text) != "true" && std::string_view(text) != "close" &&
                  std::string_view(text) != "spread"))
      return;
    const std::vector<int>& cpus = processors();
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpus[static_cast<std::size_t>(thread) % cpus.size()]), &set);
    sched_setaffinity(0, sizeof set, &set);
#endif
  }

  /// Of brief jobs: after a pause the first wakes nobody.
  bool follows_another() {
    const auto before = std::exchange(last_brief_, Clock::now());
    return last_brief_ - before < awake;
  }
  /// Every thread wakes two more, so that a job of many parts begins soon.
  void wake(int part) {
    for (int i = 2 * part + 1; i <= 2 * part + 2 && i < woken_; ++i) {
      if (auto& asleep = worker(i).asleep; asleep.load() && asleep.exchange(0)) asleep.notify_one();
    }
  }
  void serve(int part, Worker& me) noexcept {
    in_job = true;
    for (std::uint32_t last = 0;;) {
      next(part, last, me);
      // As in sleeping: sequentially consistent, so that either this thread sees that the gate has closed, or
      // who closed it sees this thread inside.
      me.inside.store(1);
      const std::uint64_t gate = gate_.load();
      last = ticket_of(gate);
      if (part < parts_of(gate)) {
        wake(part);
        if (me.begin(last)) f_(context_, part);
      }
      me.inside.store(0, std::memory_order_release);
    }
  }
  /// Waits for a job later than `last` that wants this part: for a while with open eyes, since in training
  /// one job follows another.
  void next(int part, std::uint32_t last, Worker& me) {
    const auto here = [&](std::uint64_t gate) { return ticket_of(gate) != last && part < parts_of(gate); };
    for (auto since = Clock::now();;) {
      for (int n = 0; n < 64; ++n, relax()) {
        if (here(gate_.load(std::memory_order_relaxed))) return;
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
  Clock::time_point last_brief_;
  std::uint32_t ticket_ = 0;
  int woken_ = 0;                     // the parts below are worth being woken for
  std::atomic<bool> may_spin_{true};  // every thread may have a processor of its own
  // A cache line together: what a thread that saw the gate open reads next.
  alignas(64) std::atomic<std::uint64_t> gate_{0};
  void (*f_)(void*, int) = nullptr;
  void* context_ = nullptr;
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
      shares_(std::min(parts, most_shares)),
      longest_(n < 2 * parts * least_ ? (n + parts - 1) / parts : n / (2 * parts)) {
  for (std::int64_t i = 0; i < shares_; ++i)
    share_[i].next.store(begin(i) + longest_ * (first_part(i + 1) - first_part(i)),
                         std::memory_order_relaxed);
}
Pieces::Piece Pieces::take(std::int64_t share) {
  const std::int64_t end = begin(share + 1), threads = first_part(share + 1) - first_part(share);
  std::atomic<std::int64_t>& next = share_[share].next;
  std::int64_t b = next.load(std::memory_order_relaxed), e;
  do {
    e = b + std::max(least_, (end - b) / (2 * threads));
    if (end - e < least_) e = end;
  } while (b < e && !next.compare_exchange_weak(b, e, std::memory_order_relaxed));
  return {b, e};
}

namespace detail {
void parallel(std::int64_t n, std::int64_t grain, void (*f)(void*, std::int64_t, std::int64_t), void* context,
              Job job) {
  const std::int64_t parts =
      std::min<std::int64_t>(std::min(threads(), most_parts), grain > 0 ? (n + grain - 1) / grain : n);
  if (parts <= 1) return f(context, 0, n);
  // Cut at multiples of 16 elements where possible, so that pieces do not share cache lines.
  const std::int64_t unit = grain >= 64 ? 16 : 1;
  Pieces pieces((n + unit - 1) / unit, grain / (2 * unit), parts);
  auto part = [&](int p) {
    pieces.run(p, [&](std::int64_t b, std::int64_t e) { f(context, b * unit, std::min(n, e * unit)); });
  };
  const auto call = [](void* p, int i) { (*static_cast<decltype(part)*>(p))(i); };
  if (pool().run(static_cast<int>(parts), call, &part, job)) return;
  const InJob here;
  for (int p = 0; p < static_cast<int>(parts); ++p) part(p);
}
}  // namespace detail

}  // namespace knet
