// Counts the size of allocations, so that tests can say "a file of 100 bytes does not cost a gigabyte".
#include <cstdlib>
#include <new>

#include "io_test.hpp"

std::atomic<std::size_t> io_test::largest_new{0};

[[gnu::noinline]] void* operator new(std::size_t n) {
  auto& most = io_test::largest_new;
  for (std::size_t old = most; n > old && !most.compare_exchange_weak(old, n);) {
  }
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  return std::malloc(n ? n : 1);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

TEST(Allocations, AreCounted) {
  // By a pointer the compiler does not know, or it would leave the pair out.
  void* (*volatile allocate)(std::size_t) = ::operator new;
  EXPECT_GE(io_test::most_memory([&] { ::operator delete(allocate(12345)); }), 12345u);
  EXPECT_GE(
      io_test::most_memory([] { knet::memory::deallocate(knet::memory::allocate(64 << 20), 64 << 20); }),
      64u << 20);
}

}  // namespace
