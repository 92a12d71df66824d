// A training step in its steady state asks the system for no memory: neither the pool (MemoryStats::system)
// nor malloc and operator new (counted here; operator new comes down to malloc).
#include <gtest/gtest.h>
#include <knet/knet.hpp>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <vector>

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
#else
#define KNET_COUNT_MALLOC 0
#endif
#endif

namespace {
std::atomic<long> allocations{0};
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
  long mallocs;
  std::uint64_t system;
};
template <class F>
Counts counted(F&& f) {
  const std::uint64_t before = memory_stats(cpu).system;
  allocations = 0;
  counting = true;
  f();
  counting = false;
  return {allocations, memory_stats(cpu).system - before};
}
#define EXPECT_NO_ALLOCATION(counts)                             \
  do {                                                           \
    const Counts c = (counts);                                   \
    EXPECT_EQ(c.system, 0u) << "blocks the pool had to ask for"; \
    EXPECT_EQ(c.mallocs, 0) << "calls of malloc and its kin";    \
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
#endif
}

class Steps : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
#ifdef __clang__
    if (GetParam() > 1) GTEST_SKIP() << "LLVM's OpenMP allocates in every parallel region";
#endif
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
    for (int i = 0; i < 20; ++i) step();
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
  for (int i = 0; i < 30; ++i) ++loss;  // three epochs
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
  for (int i = 0; i < 20; ++i) run();
  EXPECT_NO_ALLOCATION(counted([&] {
    for (int i = 0; i < 100; ++i) run();
  }));
}

INSTANTIATE_TEST_SUITE_P(Threads, Steps, testing::Values(1, 2));

}  // namespace
