// The memory pool: aligned blocks, reuse, honest statistics, threads that free what others got.
#include "knet/device/pool.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "knet/base/error.hpp"

using namespace knet;

namespace {

/// Starts with nothing cached, ends with nothing left in use.
class Pool : public testing::Test {
 protected:
  Pool() {
    release_memory(cpu);
    start_ = memory_stats(cpu);
  }
  ~Pool() override { EXPECT_EQ(memory_stats(cpu).in_use, start_.in_use); }
  MemoryStats start_;
};

TEST_F(Pool, BlocksAreAlignedWritableAndApart) {
  struct Block {
    unsigned char* p;
    std::size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> blocks;
  std::mt19937 rng(1);
  for (int i = 0; i < 300; ++i) {
    const std::size_t bytes = i < 200 ? static_cast<std::size_t>(i) : rng() % 100'000;
    auto* p = static_cast<unsigned char*>(memory::allocate(bytes));
    ASSERT_NE(p, nullptr);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(p) % 64, 0u);
    const auto mark = static_cast<unsigned char>(i);
    std::memset(p, mark, bytes);
    blocks.push_back({p, bytes, mark});
  }
  for (const auto& b : blocks) {
    for (std::size_t i = 0; i < b.bytes; ++i) ASSERT_EQ(b.p[i], b.mark);
    memory::deallocate(b.p, b.bytes);
  }
}

TEST_F(Pool, AFreedBlockComesBackFirst) {
  for (std::size_t bytes : {1u, 64u, 65u, 5000u, 3u << 20}) {
    void* a = memory::allocate(bytes);
    memory::deallocate(a, bytes);
    void* b = memory::allocate(bytes);
    EXPECT_EQ(a, b) << bytes;
    memory::deallocate(b, bytes);
  }
}

TEST_F(Pool, RoundsUpByNoMoreThanAQuarter) {
  for (std::size_t bytes = 1; bytes < std::size_t{1} << 26; bytes += bytes / 3 + 1) {
    void* p = memory::allocate(bytes);
    const std::size_t used = memory_stats(cpu).in_use - start_.in_use;
    EXPECT_GE(used, bytes);
    EXPECT_LE(used, bytes + bytes / 4 + 64) << bytes;
    memory::deallocate(p, bytes);
    EXPECT_EQ(memory_stats(cpu).in_use, start_.in_use) << bytes;
    release_memory(cpu);
  }
}

TEST_F(Pool, RoundsUpLargeBlocksByNoMoreThanASixteenth) {
  for (std::size_t bytes = (std::size_t{1} << 20) + 1; bytes < std::size_t{1} << 26;
       bytes += bytes / 13 + 1) {
    void* p = memory::allocate(bytes);
    const std::size_t used = memory_stats(cpu).in_use - start_.in_use;
    EXPECT_GE(used, bytes);
    EXPECT_LE(used, bytes + bytes / 16) << bytes;
    memory::deallocate(p, bytes);
    release_memory(cpu);
  }
}

TEST_F(Pool, ALargeRequestTakesAFreeBlockOfUpToTwiceItsSize) {
  constexpr std::size_t mib = 1 << 20;
  release_memory(cpu);
  void* big = memory::allocate(6 * mib);
  memory::deallocate(big, 6 * mib);
  void* p = memory::allocate(3 * mib);
  EXPECT_EQ(p, big);
  std::memset(p, 1, 3 * mib);
  // It counts with its real size, and serves the larger request again.
  EXPECT_GE(memory_stats(cpu).in_use - start_.in_use, 6 * mib);
  memory::deallocate(p, 3 * mib);
  EXPECT_EQ(memory_stats(cpu).in_use, start_.in_use);
  p = memory::allocate(6 * mib);
  EXPECT_EQ(p, big);
  std::memset(p, 2, 6 * mib);
  memory::deallocate(p, 6 * mib);
  // Less than half would waste too much.
  p = memory::allocate(2 * mib);
  EXPECT_NE(p, big);
  memory::deallocate(p, 2 * mib);
}

TEST_F(Pool, StatisticsCountBytesAndRequests) {
  void* a = memory::allocate(1024);
  void* b = memory::allocate(4096);
  MemoryStats s = memory_stats(cpu);
  EXPECT_EQ(s.in_use, start_.in_use + 1024 + 4096);
  EXPECT_EQ(s.requests, start_.requests + 2);
  EXPECT_EQ(s.system, start_.system + 2);
  EXPECT_GE(s.peak, s.in_use);
  EXPECT_EQ(s.cached, start_.cached);
  memory::deallocate(a, 1024);
  s = memory_stats(cpu);
  EXPECT_EQ(s.in_use, start_.in_use + 4096);
  EXPECT_EQ(s.cached, start_.cached + 1024);
  a = memory::allocate(1000);  // the same size class
  s = memory_stats(cpu);
  EXPECT_EQ(s.requests, start_.requests + 3);
  EXPECT_EQ(s.system, start_.system + 2);
  EXPECT_EQ(s.cached, start_.cached);
  memory::deallocate(a, 1000);
  memory::deallocate(b, 4096);
}

TEST_F(Pool, PeakIsTheMostEverInUse) {
  const std::size_t big = memory_stats(cpu).peak + (std::size_t{1} << 20);
  void* p = memory::allocate(big);
  const std::size_t peak = memory_stats(cpu).peak;
  EXPECT_GE(peak, start_.in_use + big);
  memory::deallocate(p, big);
  memory::deallocate(memory::allocate(64), 64);
  EXPECT_EQ(memory_stats(cpu).peak, peak);
}

TEST_F(Pool, SteadyStateAsksTheSystemForNothing) {
  const std::size_t sizes[] = {16, 400, 400, 12'000, 700'000, 700'000, 5'000'000, 64, 64,
                               64, 64,  64,  64,     64,      64,      64,        64, 64};
  std::vector<std::pair<void*, std::size_t>> held;
  const auto step = [&] {
    for (std::size_t s : sizes) held.emplace_back(memory::allocate(s), s);
    for (auto [p, s] : held) memory::deallocate(p, s);
    held.clear();
  };
  step();
  step();
  const auto before = memory_stats(cpu);
  for (int i = 0; i < 100; ++i) step();
  const auto after = memory_stats(cpu);
  EXPECT_EQ(after.system, before.system);
  EXPECT_EQ(after.requests, before.requests + 100 * std::size(sizes));
  EXPECT_EQ(after.cached, before.cached);
}

TEST_F(Pool, ReleaseGivesEverythingBack) {
  std::vector<void*> blocks;
  for (int i = 0; i < 50; ++i) blocks.push_back(memory::allocate(2000));
  void* big = memory::allocate(std::size_t{8} << 20);
  void* kept = memory::allocate(2000);
  std::memset(kept, 7, 2000);
  for (void* p : blocks) memory::deallocate(p, 2000);
  memory::deallocate(big, std::size_t{8} << 20);
  EXPECT_GT(memory_stats(cpu).cached, std::size_t{8} << 20);
  release_memory(cpu);
  EXPECT_EQ(memory_stats(cpu).cached, 0u);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(static_cast<unsigned char*>(kept)[i], 7);
  memory::deallocate(kept, 2000);
}

TEST_F(Pool, OthersMayFreeWhatAThreadGot) {
  constexpr int n = 200;
  std::vector<std::pair<void*, std::size_t>> blocks;
  std::thread([&] {
    for (int i = 0; i < n; ++i) {
      const std::size_t bytes = static_cast<std::size_t>(i % 7 + 1) * 100;
      blocks.emplace_back(memory::allocate(bytes), bytes);
    }
  }).join();
  EXPECT_GT(memory_stats(cpu).in_use, start_.in_use);
  for (auto [p, bytes] : blocks) memory::deallocate(p, bytes);
  const auto s = memory_stats(cpu);
  EXPECT_EQ(s.in_use, start_.in_use);
  EXPECT_EQ(s.requests, start_.requests + n);  // requests of a thread that has ended still count
}

TEST_F(Pool, BlocksOfAnEndedThreadAreUsedAgain) {
  std::thread([] {
    std::vector<void*> p;
    for (int i = 0; i < 6; ++i) p.push_back(memory::allocate(9000));
    for (void* q : p) memory::deallocate(q, 9000);
  }).join();
  const auto before = memory_stats(cpu);
  std::vector<void*> p;
  for (int i = 0; i < 6; ++i) p.push_back(memory::allocate(9000));
  EXPECT_EQ(memory_stats(cpu).system, before.system);
  for (void* q : p) memory::deallocate(q, 9000);
}

// One thread allocates, the other frees: blocks must travel back, or the system would be asked again and
// again.
TEST_F(Pool, AProducerAndAConsumerReachASteadyState) {
  const auto round = [] {
    std::vector<void*> blocks(64);
    std::thread([&] {
      for (auto& b : blocks) b = memory::allocate(4000);
    }).join();
    for (void* b : blocks) memory::deallocate(b, 4000);
  };
  for (int i = 0; i < 5; ++i) round();
  const auto before = memory_stats(cpu);
  for (int i = 0; i < 50; ++i) round();
  // The consumer may keep a few blocks for itself, no more.
  EXPECT_LE(memory_stats(cpu).system, before.system + 8);
}

TEST_F(Pool, ManyThreadsAtOnce) {
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < 4; ++t) {
    workers.emplace_back([t] {
      std::mt19937 rng(t);
      std::vector<std::pair<unsigned char*, std::size_t>> held;
      for (int i = 0; i < 20'000; ++i) {
        if (held.size() < 20 && rng() % 2) {
          const std::size_t bytes = rng() % 5000 + 1;
          auto* p = static_cast<unsigned char*>(memory::allocate(bytes));
          p[0] = p[bytes - 1] = static_cast<unsigned char>(t);
          held.emplace_back(p, bytes);
        } else if (!held.empty()) {
          std::swap(held[rng() % held.size()], held.back());
          const auto [p, bytes] = held.back();
          ASSERT_EQ(p[0], t);
          ASSERT_EQ(p[bytes - 1], t);
          memory::deallocate(p, bytes);
          held.pop_back();
        }
      }
      for (auto [p, bytes] : held) memory::deallocate(p, bytes);
    });
  }
  for (auto& w : workers) w.join();
}

TEST_F(Pool, HugeSizesAreAnErrorWithTheSize) {
  for (std::size_t bytes : {std::numeric_limits<std::size_t>::max(), std::size_t{1} << 63,
                            (std::size_t{1} << 62) + 1, std::size_t{1} << 62, std::size_t{1} << 56}) {
    try {
      memory::allocate(bytes);
      ADD_FAILURE() << bytes << " bytes were handed out";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(std::to_string(bytes)), std::string::npos) << e.what();
    }
  }
  EXPECT_EQ(memory_stats(cpu).requests, start_.requests);  // what failed is not counted
}

TEST_F(Pool, NothingIsFreedForNull) {
  memory::deallocate(nullptr, 100);
  EXPECT_EQ(memory_stats(cpu).in_use, start_.in_use);
  EXPECT_EQ(memory_stats(cpu).cached, start_.cached);
}

TEST_F(Pool, ServesStandardContainers) {
  {
    std::vector<int, memory::Allocator<int>> v;
    for (int i = 0; i < 1000; ++i) v.push_back(i);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(v.data()) % 64, 0u);
    EXPECT_GE(memory_stats(cpu).in_use - start_.in_use, 1000 * sizeof(int));
    EXPECT_EQ(v[999], 999);
  }
  EXPECT_TRUE(memory::Allocator<int>{} == memory::Allocator<double>{});
}

TEST(MemoryStats, OfADeviceThatIsNotThere) {
  EXPECT_THROW((void)memory_stats(cuda(7)), DeviceError);
  EXPECT_THROW(release_memory(cpu(1)), DeviceError);
}

}  // namespace
