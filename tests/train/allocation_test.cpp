// A training step in its steady state asks the system for no memory: neither the pool (MemoryStats::system)
// nor malloc and operator new (counted here; operator new comes down to malloc). A plan takes no lock either.
#include <gtest/gtest.h>
#include <knet/knet.hpp>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "knet/base/all_threads.hpp"
#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KNET_COUNT_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KNET_COUNT_MALLOC 0
#endif
#endif
#ifndef KNET_COUNT_MALLOC
#ifdef __GLIBC__
#define KNET_COUNT_MALLOC 1
#include <dlfcn.h>
#include <pthread.h>
#else
#define KNET_COUNT_MALLOC 0
#endif
#endif

namespace {
std::atomic<long> allocations{0};
std::atomic<long> locks{0};  // of mutexes
std::atomic<bool> counting{false};
void count() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

#if KNET_COUNT_MALLOC
// Take the place of the C library's for the whole process, shared libraries included.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t n) noexcept {
  count();
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) noexcept {
  count();
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) noexcept {
  count();
  return __libc_realloc(p, n);
}
void* memalign(std::size_t alignment, std::size_t n) noexcept {
  count();
  return __libc_memalign(alignment, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) noexcept {
  count();
  return __libc_memalign(alignment, n);
}
int pthread_mutex_lock(pthread_mutex_t* m) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static std::atomic<Lock> real{nullptr};
  Lock f = real.load();
  if (!f) real = f = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  if (counting.load(std::memory_order_relaxed)) locks.fetch_add(1, std::memory_order_relaxed);
  return f(m);
}
int posix_memalign(void** p, std::size_t alignment, std::size_t n) noexcept {
  count();
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : ENOMEM;
}
}
#endif

namespace {

using namespace knet;

struct Counts {
  long mallocs, locks;
  std::uint64_t system;
};
template <class F>
Counts counted(F&& f) {
  const std::uint64_t before = memory_stats(cpu).system;
  allocations = 0, locks = 0;
  counting = true;
  f();
  counting = false;
  return {allocations, locks, memory_stats(cpu).system - before};
}
#define EXPECT_NO_ALLOCATION(counts)                                \
  do {                                                              \
    const Counts seen = (counts);                                   \
    EXPECT_EQ(seen.system, 0u) << "blocks the pool had to ask for"; \
    EXPECT_EQ(seen.mallocs, 0) << "calls of malloc and its kin";    \
  } while (false)

TEST(Allocation, TheCountersCount) {
  // Larger than anything the pool can have kept.
  const Counts c = counted([] { const Tensor t = zeros({(std::int64_t{1} << 24) + 1}); });
  EXPECT_GE(c.system, 1u);
#if KNET_COUNT_MALLOC
  void* (*volatile allocate)(std::size_t) = std::malloc;
  EXPECT_EQ(counted([&] { std::free(allocate(100)); }).mallocs, 1);
  void* (*volatile clear)(std::size_t, std::size_t) = std::calloc;
  EXPECT_EQ(counted([&] { std::free(clear(10, 10)); }).mallocs, 1);
  void* (*volatile create)(std::size_t) = ::operator new;
  EXPECT_EQ(counted([&] { ::operator delete(create(100)); }).mallocs, 1);
  std::mutex mutex;
  EXPECT_EQ(counted([&] { const std::lock_guard lock(mutex); }).locks, 1);
#endif
}

/// So often that everything has been asked for once, by every thread.
template <class F>
void warm_up(int times, const F& f) {
  const AllThreads all;
  for (int i = 0; i < times; ++i) f();
}

class Steps : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    before_ = threads();
    set_threads(GetParam());
  }
  void TearDown() override { set_threads(before_); }

  template <class Rule>
  void train_by_hand(Rule rule) {
    MLP model{{784, 100, 50, 10}};
    const Tensor x = rand({100, 784}), y = randint(0, 10, {100});
    Optimizer optimizer(model, rule);
    double first = 0, last = 0;
    const auto step = [&] {
      const Tape tape = diff([&] { return nll(model(x), y); });
      optimizer.step(tape);
      last = tape.item();
      if (first == 0) first = last;
    };
    warm_up(20, step);
    EXPECT_NO_ALLOCATION(counted([&] {
      for (int i = 0; i < 100; ++i) step();
    }));
    EXPECT_LT(last, first);  // the steps were real ones
  }

 private:
  int before_ = threads();
};

TEST_P(Steps, SgdAllocatesNothing) { train_by_hand(SGD{.lr = 0.05}); }
TEST_P(Steps, AdamAllocatesNothing) { train_by_hand(Adam{.lr = 1e-3}); }

TEST_P(Steps, RangeOfMinibatchesAllocatesNothing) {
  MLP model{{784, 100, 50, 10}};
  const auto data = minibatch(rand({1000, 784}), randint(0, 10, {1000}), 100);
  auto losses = sgd(model, nll, cycle(data));
  auto loss = losses.begin();
  warm_up(30, [&] { ++loss; });  // three epochs
  EXPECT_NO_ALLOCATION(counted([&] {
    for (int i = 0; i < 100; ++i) ++loss;
  }));
}

TEST_P(Steps, InferenceAllocatesNothing) {
  MLP model{{784, 100, 50, 10}};
  const Tensor x = rand({100, 784}), one = rand({1, 784});
  Tensor y;
  const auto run = [&] {
    y = model(x);
    y = model(one);
  };
  warm_up(20, run);
  EXPECT_NO_ALLOCATION(counted([&] {
    for (int i = 0; i < 100; ++i) run();
  }));
}

/// Between input() and output(): nothing from the system, and no lock.
template <class M, class... X>
void expect_real_time(M&& model, const X&... x) {
  const Plan plan = compile(model, x...);
  const Tensor expected = plan(x...);
  const auto run = [&] {
    for (int i = 0; i < 20; ++i) plan.run();
    const Counts c = counted([&] {
      for (int i = 0; i < 50; ++i) plan.run();
    });
    EXPECT_NO_ALLOCATION(c);
    EXPECT_EQ(c.locks, 0) << "mutexes taken";
  };
  run();
  std::thread(run).join();
  // With tensors: no memory from the system once the results' blocks go round.
  Tensor y;
  for (int i = 0; i < 20; ++i) y = plan(x...);
  EXPECT_NO_ALLOCATION(counted([&] {
    for (int i = 0; i < 20; ++i) y = plan(x...);
  }));
  EXPECT_TRUE(equal(y, expected));
}
TEST_P(Steps, PlansAllocateNothingAndTakeNoLock) {
  expect_real_time(MLP{{784, 100, 50, 10}}, rand({100, 784}));
  expect_real_time(MLP{{784, 100, 50, 10}}, rand({1, 784}));
  // Scratch memory of the kernels: blocks of gathered inputs, and a reordered image of more than 1 MiB.
  expect_real_time(
      Chain{Conv{.height = 3, .width = 3, .inout = {32, 16}, .padding = 1}, BatchNorm{16}, relu, Pool{},
            Conv{.height = 5, .width = 5, .inout = {16, 8}}, mat, Linear{.input = 8 * 44 * 44, .output = 10}},
      rand({1, 32, 96, 96}));
  // A convolution and its pool, some images at a time.
  expect_real_time(Chain{Conv{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu}, Pool{}},
                   rand({24, 1, 28, 28}));
  const LSTM lstm{.input = 32, .hidden = 64, .layers = 2};
  const Tensor state = zeros({2, 1, 64});
  expect_real_time(lstm, randn({4, 10, 32}));
  expect_real_time(
      [&](const Tensor& x, const Tensor& h, const Tensor& c) { return lstm(x, {.hidden = h, .memory = c}); },
      randn({1, 32}), state, state);
  expect_real_time(GRU{.input = 32, .hidden = 64}, randn({4, 10, 32}));
  const Embed words{.input = 100, .output = 32};
  const Transformer layer{.size = 32, .heads = 4, .hidden = 64};
  expect_real_time([&](const Tensor& ids) { return layer(words(ids)); }, randint(0, 100, {4, 16}));
}

INSTANTIATE_TEST_SUITE_P(Threads, Steps, testing::Values(1, 2));

}  // namespace
