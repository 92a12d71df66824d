#include "knet/autograd/observe.hpp"

#include <mutex>
#include <string_view>
#include <tuple>
#include <utility>

#include "knet/base/reflect.hpp"
#include "knet/kernels/functors.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet {
namespace tape {
constinit std::atomic<int> watchers{0};
}

namespace {

constinit thread_local Observer* of_thread = nullptr;
constinit thread_local bool telling = false;  // what observers compute themselves is not reported
constinit std::atomic<Observer*> of_all{nullptr};

template <class F>
void tell(const F& f) {
  if (telling) return;
  telling = true;
  if (Observer* o = of_all.load(std::memory_order_acquire)) f(*o);
  if (of_thread) f(*of_thread);
  telling = false;
}

// ---- a table of kernels that reports ----

struct Seen {
  Shape arrays[8];
  std::size_t n = 0;
  const char* function = nullptr;

  [[gnu::noinline]] void see(const Array& a) {
    if (a.data && n < std::size(arrays))
      arrays[n++] = Shape(std::span<const std::int64_t>(a.size, static_cast<std::size_t>(a.ndim)));
  }
  void see(const Array* a) {
    if (a) see(*a);
  }
  void see(const AttentionInputs& in) { see(in.q), see(in.k), see(in.v), see(in.mask); }
  void see(const RNNShape& s) { arrays[n++] = {s.steps, s.batch ? s.batch[0] : 0, s.hidden}; }
  void see(Unary op) { function = fn::name_of(op); }
  void see(Binary op) { function = fn::name_of(op); }
  void see(const auto&) {}
};

double product(double a) { return a; }
double product(double a, auto... b) { return a * product(static_cast<double>(b)...); }
double flops_of(const ConvShape& s) {
  return 2 * product(1, s.n, s.out_channels, s.out[0], s.out[1], s.out[2], s.in_channels / s.groups,
                     s.kernel[0], s.kernel[1], s.kernel[2]);
}
double flops_of(const RNNShape& s) { return 2 * product(gate_count(s.kind), s.rows, s.hidden, s.hidden); }
double flops_of(const AttentionShape& s) {
  return 2 * product(1, s.batch, s.heads, s.queries, s.keys, s.size + s.value_size);
}
double flops_of(const auto&) { return 0; }

/// Two for every multiplication of a product with its addition, and nothing for the rest.
template <std::size_t I, class First, class... A>
double count(const First& first, const A&... rest) {
  constexpr std::string_view name = reflect::field_name<Kernels, I>();
  if constexpr (name == "matmul") {
    const Array& c = std::get<1>(std::tie(rest...));
    return 2 * product(1, c.numel(), first.size[first.ndim - 1]);
  } else if constexpr (name == "attention_grad") {
    return 2.5 * flops_of(first);  // five products for the forward pass's two
  } else {
    return flops_of(first);
  }
}

/// Around a kernel; compiled once for all of them.
struct Telling {
  [[gnu::noinline]] Telling(const char* name, const Seen& seen, double flops, const void* const* arguments) {
    tell([&](Observer& o) {
      o.kernel_begins({name, seen.function, {seen.arrays, seen.n}, flops, arguments});
    });
  }
  [[gnu::noinline]] ~Telling() {
    tell([](Observer& o) { o.kernel_ends(); });
  }
};

template <std::size_t I, class F>
struct Reporting;
template <std::size_t I, class R, class... A>
struct Reporting<I, R (*)(A...)> {
  static inline constinit std::atomic<R (*)(A...)> real{nullptr};
  static R call(A... a) {
    const auto f = real.load(std::memory_order_relaxed);
    constexpr std::string_view name = reflect::field_name<Kernels, I>();
    if constexpr (name == "packed_bytes" || name == "conv_form") {
      return !telling && of_thread && !of_thread->packs() ? R{} : f(a...);
    } else {
      if (telling || !tape::watched()) return f(a...);
      Seen seen;
      (seen.see(a), ...);
      const void* const arguments[] = {&a...};
      const Telling told(name.data(), seen, count<I>(a...), arguments);
      return f(a...);
    }
  }
};

std::mutex mutex;  // of what follows
const Kernels* usual = nullptr;
Kernels reporting;

template <std::size_t... I>
void wrap(std::index_sequence<I...>) {
  reflect::with_fields(reporting, [](auto&... entry) {
    const auto one = []<std::size_t J>(std::integral_constant<std::size_t, J>, auto& e) {
      using W = Reporting<J, std::remove_reference_t<decltype(e)>>;
      if (!e) return;
      W::real.store(e, std::memory_order_relaxed);
      e = &W::call;
    };
    (one(std::integral_constant<std::size_t, I>{}, entry), ...);
  });
}

void add_watcher() {
  const std::lock_guard lock(mutex);
  if (tape::watchers.load() == 0) {
    const Kernels& now = kernels(cpu);
    if (usual != &now) {
      usual = &now;
      reporting = now;
      wrap(std::make_index_sequence<reflect::field_count<Kernels>>{});
    }
    set_cpu_kernels(&reporting);
  }
  ++tape::watchers;
}
void remove_watcher() {
  const std::lock_guard lock(mutex);
  if (--tape::watchers == 0) set_cpu_kernels(usual);
}

}  // namespace

Watch::Watch(Observer& o) : outer_(of_thread) {
  add_watcher();
  of_thread = &o;
}
Watch::~Watch() {
  of_thread = outer_;
  remove_watcher();
}
bool watch_all_threads(Observer* o) {
  Observer* none = nullptr;
  if (o) {
    if (!of_all.compare_exchange_strong(none, o)) return false;
    add_watcher();
  } else if (of_all.exchange(nullptr)) {
    remove_watcher();
  }
  return true;
}

namespace tape {
void tell_recorded(const char* name, const Tensor& y, const Tensor* const* inputs, int n) {
  const std::span<const Tensor* const> in(inputs, inputs ? static_cast<std::size_t>(n) : 0);
  tell([&](Observer& o) { o.recorded(name, y, in); });
}
void tell_read(std::uint64_t id, const Tensor& leaf) {
  tell([&](Observer& o) { o.read(id, leaf); });
}
void tell_layer_begins(const void* layer, std::string_view type) {
  tell([&](Observer& o) { o.layer_begins(layer, type); });
}
void tell_layer_ends() {
  tell([](Observer& o) { o.layer_ends(); });
}
bool traced() { return of_thread != nullptr; }
TellBackward::TellBackward(const char* name, const Tensor& dy) {
  tell([&](Observer& o) { o.backward_begins(name, dy); });
}
TellBackward::~TellBackward() {
  tell([](Observer& o) { o.backward_ends(); });
}
}  // namespace tape

}  // namespace knet
