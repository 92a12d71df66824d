#include "knet/train/profile.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "knet/autograd/observe.hpp"
#include "knet/base/text.hpp"
#include "knet/device/pool.hpp"
#include "knet/io/atomic_file.hpp"

namespace knet {
namespace {

using Nanoseconds = std::int64_t;
enum class Kind : std::uint8_t { kernel, forward, backward, scope, memory };
constexpr const char* kind_names[] = {"kernel", "forward", "backward", "scope", "memory"};

struct Event {
  Kind kind;
  Nanoseconds begin, end;
  std::string name, shapes;
  std::size_t in_use = 0, cached = 0;  // memory
};
struct Total {
  std::int64_t count = 0;
  Nanoseconds time = 0;
  double flops = 0;
};

/// What one thread has seen. Its lock is free but while totals are asked for.
struct ThreadLog {
  int number = 0;
  std::mutex mutex;
  std::uint64_t run = 0;  // the Profile these belong to
  std::vector<Event> events;
  std::map<std::pair<Kind, std::string>, Total> totals;
  struct Open {
    Kind kind;
    Nanoseconds begin;
    std::string name, shapes;
    double flops;
  };
  std::vector<Open> open;
  Nanoseconds first = 0;  // when the first kernel of the next operator began; 0: none did
  double flops = 0;       // of kernels since then
};

/// Lives for ever, because a thread may be in it when a Profile ends.
class Recorder : public Observer {
 public:
  std::mutex mutex;  // of logs_
  std::vector<std::shared_ptr<ThreadLog>> logs;
  std::atomic<std::uint64_t> run{0};  // of the Profile that is going on; 0: none
  std::atomic<std::size_t> events{0}, dropped{0};
  std::size_t max_events = 0;
  std::chrono::steady_clock::time_point start;
  std::atomic<Nanoseconds> last_memory{0};

  Nanoseconds now() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
               .count() +
           1;
  }
  /// Calls f(log, time) for this thread, when a Profile is going on.
  template <class F>
  void with_log(const F& f) {
    const std::uint64_t r = run.load(std::memory_order_acquire);
    if (r == 0) return;
    ThreadLog& log = mine();
    const std::lock_guard lock(log.mutex);
    if (run.load(std::memory_order_acquire) != r) return;
    if (log.run != r) {
      log.run = r;
      log.events.clear(), log.totals.clear(), log.open.clear();
      log.first = 0, log.flops = 0;
    }
    f(log, now());
  }
  void begin(Kind kind, std::string name, std::string shapes, double flops) {
    with_log([&](ThreadLog& log, Nanoseconds t) {
      if (kind != Kind::kernel) {
        log.first = 0, log.flops = 0;
      } else {
        if (log.first == 0) log.first = t;
        log.flops += flops;
      }
      log.open.push_back({kind, t, std::move(name), std::move(shapes), flops});
    });
  }
  void end(Kind kind) {
    with_log([&](ThreadLog& log, Nanoseconds t) {
      if (log.open.empty() || log.open.back().kind != kind) return;  // it began before the Profile
      ThreadLog::Open o = std::move(log.open.back());
      log.open.pop_back();
      if (kind != Kind::kernel) log.first = 0, log.flops = 0;
      add(log, {kind, o.begin, t, std::move(o.name), std::move(o.shapes)}, o.flops);
      if (kind == Kind::backward) sample_memory(log, t);
    });
  }

  void kernel_begins(const Kernel& k) override {
    std::string shapes;
    for (const Shape& s : k.arrays) shapes += (shapes.empty() ? "" : " ") + to_string(s);
    begin(Kind::kernel, k.function ? text(k.name, " ", k.function) : k.name, std::move(shapes), k.flops);
  }
  void kernel_ends() override { end(Kind::kernel); }
  void recorded(const char* name, const Tensor& y, std::span<const Tensor* const> inputs) override {
    if (std::string_view(name) == "param") {
      // What came before, the batch's rows say, is not this operator's.
      with_log([](ThreadLog& log, Nanoseconds) { log.first = 0, log.flops = 0; });
      return;
    }
    std::string shapes;
    for (const Tensor* x : inputs) {
      if (x && *x) shapes += (shapes.empty() ? "" : " ") + to_string(x->shape());
    }
    shapes += text(" -> ", y.shape());
    with_log([&](ThreadLog& log, Nanoseconds t) {
      add(log, {Kind::forward, log.first ? log.first : t, t, name, std::move(shapes)}, log.flops);
      log.first = 0, log.flops = 0;
      sample_memory(log, t);
    });
  }
  void backward_begins(const char* name, const Tensor& dy) override {
    begin(Kind::backward, name, dy ? to_string(dy.shape()) : "", 0);
  }
  void backward_ends() override { end(Kind::backward); }

 private:
  ThreadLog& mine() {
    static thread_local const std::shared_ptr<ThreadLog> log = [this] {
      auto l = std::make_shared<ThreadLog>();
      const std::lock_guard lock(mutex);
      l->number = static_cast<int>(logs.size());
      logs.push_back(l);
      return l;
    }();
    return *log;
  }
  void add(ThreadLog& log, Event e, double flops) {
    Total& total = log.totals[{e.kind, e.name}];
    ++total.count;
    total.time += e.end - e.begin;
    total.flops += flops;
    keep(log, std::move(e));
  }
  void keep(ThreadLog& log, Event e) {
    if (max_events == 0) return;
    if (events.fetch_add(1, std::memory_order_relaxed) < max_events)
      log.events.push_back(std::move(e));
    else
      dropped.fetch_add(1, std::memory_order_relaxed);
  }
  void sample_memory(ThreadLog& log, Nanoseconds t) {
    Nanoseconds last = last_memory.load(std::memory_order_relaxed);
    if (max_events == 0 || t < last + 100'000 || !last_memory.compare_exchange_strong(last, t)) return;
    const MemoryStats m = memory_stats(cpu);
    keep(log, {Kind::memory, t, t, "memory", {}, m.in_use, m.cached});
  }
};
Recorder& recorder() {
  static Recorder* r = new Recorder;
  return *r;
}
std::atomic<std::uint64_t> last_run{0};

void write_trace(const std::string& path, std::uint64_t run) {
  Recorder& r = recorder();
  struct Line {
    const Event* e;
    int thread;
  };
  std::vector<Line> lines;
  const std::lock_guard lock(r.mutex);
  for (const auto& log : r.logs) {
    if (log->run != run) continue;
    for (const Event& e : log->events) lines.push_back({&e, log->number});
  }
  // An event before those inside it.
  std::ranges::stable_sort(lines, [](const Line& a, const Line& b) {
    if (a.e->begin != b.e->begin) return a.e->begin < b.e->begin;
    if (a.e->end != b.e->end) return a.e->end > b.e->end;
    return a.e->kind > b.e->kind;
  });
  io::AtomicFile file(path);
  std::string out = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n";
  const auto pid = static_cast<int>(::getpid());
  out += text(R"({"ph":"M","name":"process_name","pid":)", pid, R"(,"args":{"name":"knet"}})");
  for (const auto& log : r.logs) {
    if (log->run == run)
      out += text(",\n", R"({"ph":"M","name":"thread_name","pid":)", pid, R"(,"tid":)", log->number,
                  R"(,"args":{"name":"thread )", log->number, "\"}}");
  }
  const auto quoted = [](const std::string& s) {
    return nlohmann::json(s).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  };
  char times[80];
  for (const Line& l : lines) {
    const Event& e = *l.e;
    std::snprintf(times, sizeof times, "\"ts\":%.3f", static_cast<double>(e.begin) / 1000);
    if (e.kind == Kind::memory) {
      out += text(",\n{\"ph\":\"C\",\"name\":\"memory pool\",\"pid\":", pid, ",", times,
                  ",\"args\":{\"in use\":", e.in_use, ",\"cached\":", e.cached, "}}");
    } else {
      out +=
          text(",\n{\"ph\":\"X\",\"name\":", quoted(e.name), ",\"cat\":\"",
               kind_names[static_cast<int>(e.kind)], "\",\"pid\":", pid, ",\"tid\":", l.thread, ",", times);
      std::snprintf(times, sizeof times, ",\"dur\":%.3f", static_cast<double>(e.end - e.begin) / 1000);
      out += times;
      if (!e.shapes.empty()) out += text(",\"args\":{\"shapes\":", quoted(e.shapes), "}");
      out += '}';
    }
    if (out.size() > (std::size_t{1} << 20)) {
      file.write(out.data(), out.size());
      out.clear();
    }
  }
  out += text("\n],\"otherData\":{\"dropped\":", r.dropped.load(), "}}\n");
  file.write(out.data(), out.size());
  file.commit();
}

}  // namespace

Profile::Profile(std::string path, ProfileOptions o) : path_(std::move(path)) {
  Recorder& r = recorder();
  if (!watch_all_threads(&r)) throw ValueError("Profile: there is one already");
  if (!path_.empty()) {
    try {
      const io::AtomicFile possible(path_);  // a folder that is not there is told now
    } catch (...) {
      watch_all_threads(nullptr);
      throw;
    }
  }
  r.max_events = path_.empty() ? 0 : o.max_events;
  r.events = 0, r.dropped = 0, r.last_memory = 0;
  r.start = std::chrono::steady_clock::now();
  r.run.store(++last_run, std::memory_order_release);
}
Profile::~Profile() {
  try {
    stop();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
}
void Profile::stop() {
  if (seconds_ >= 0) return;
  Recorder& r = recorder();
  seconds_ = static_cast<double>(r.now()) * 1e-9;
  const std::uint64_t run = r.run.exchange(0);
  {
    // Whoever is writing an event has its log's lock.
    const std::lock_guard lock(r.mutex);
    for (const auto& log : r.logs) const std::lock_guard each(log->mutex);
  }
  struct End {
    ~End() { watch_all_threads(nullptr); }
  } end;
  if (!path_.empty()) write_trace(path_, run);
}

std::size_t Profile::dropped() const { return recorder().dropped; }

std::vector<ProfileTotal> Profile::totals() const {
  Recorder& r = recorder();
  const double elapsed = seconds_ >= 0 ? seconds_ : static_cast<double>(r.now()) * 1e-9;
  std::map<std::pair<Kind, std::string>, Total> sums;
  {
    const std::lock_guard lock(r.mutex);
    for (const auto& log : r.logs) {
      const std::lock_guard each(log->mutex);
      if (log->run != last_run) continue;
      for (const auto& [name, t] : log->totals) {
        Total& s = sums[name];
        s.count += t.count, s.time += t.time, s.flops += t.flops;
      }
    }
  }
  std::vector<ProfileTotal> v;
  for (const auto& [name, s] : sums)
    v.push_back({kind_names[static_cast<int>(name.first)], name.second, s.count,
                 static_cast<double>(s.time) * 1e-9, static_cast<double>(s.time) * 1e-9 / elapsed, s.flops});
  std::ranges::stable_sort(v, [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return v;
}

std::string Profile::table() const {
  const std::vector<ProfileTotal> rows = totals();
  std::size_t widest = 4;
  for (const ProfileTotal& r : rows) widest = std::max(widest, r.name.size());
  std::string out;
  for (const char* kind : {"scope", "forward", "backward", "kernel"}) {
    bool first = true;
    for (const ProfileTotal& r : rows) {
      if (r.kind != kind) continue;
      char b[128];
      if (std::exchange(first, false)) {
        std::snprintf(b, sizeof b, "%10s %12s %12s %7s %9s\n", "count", "total ms", "mean us", "share",
                      "GFLOP/s");
        out += text(kind, std::string(widest - std::string_view(kind).size() + 6, ' '), b);
      }
      std::snprintf(b, sizeof b, "%10lld %12.3f %12.3f %6.1f%% ", static_cast<long long>(r.count),
                    r.seconds * 1e3, r.seconds * 1e6 / static_cast<double>(r.count), 100 * r.share);
      out += text("  ", r.name, std::string(widest - r.name.size() + 4, ' '), b);
      if (r.flops > 0 && r.seconds > 0) {
        std::snprintf(b, sizeof b, "%9.1f", r.flops / r.seconds * 1e-9);
        out += b;
      }
      out += "\n";
    }
  }
  return out;
}

ProfileScope::ProfileScope(std::string_view name) : run_(0) {
  if (!tape::watched()) [[likely]]
    return;
  Recorder& r = recorder();
  run_ = r.run;
  if (run_) r.begin(Kind::scope, std::string(name), {}, 0);
}
ProfileScope::~ProfileScope() {
  if (run_ && recorder().run == run_) recorder().end(Kind::scope);
}

}  // namespace knet
