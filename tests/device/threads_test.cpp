// parallel_for: every position once, the same parts every time, small work on the calling thread.
#include "knet/base/threads.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "knet/base/all_threads.hpp"
#include "knet/base/error.hpp"

using namespace knet;

namespace {

/// Puts the number of threads back.
class Threads : public testing::Test {
 protected:
  ~Threads() override { set_threads(before_); }

 private:
  int before_ = threads();
};

using Parts = std::set<std::pair<std::int64_t, std::int64_t>>;
Parts parts(std::int64_t n, std::int64_t grain) {
  Parts r;
  std::mutex m;
  parallel_for(n, grain, [&](std::int64_t a, std::int64_t b) {
    std::lock_guard lock(m);
    EXPECT_TRUE(r.emplace(a, b).second);
  });
  return r;
}

TEST_F(Threads, EveryPositionIsVisitedOnce) {
  for (int t : {1, 2, 3, 7}) {
    set_threads(t);
    for (std::int64_t n : {0, 1, 2, 15, 16, 17, 63, 64, 65, 129, 1000, 4097}) {
      for (std::int64_t grain : {1, 2, 16, 64, 100, 5000}) {
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
        parallel_for(n, grain, [&](std::int64_t a, std::int64_t b) {
          ASSERT_LT(a, b);
          for (; a < b; ++a) ++visits[static_cast<std::size_t>(a)];
        });
        for (const auto& v : visits) ASSERT_EQ(v, 1) << n << " by " << grain << " on " << t;
      }
    }
  }
}

TEST_F(Threads, PiecesDependOnSizeGrainAndThreadsOnly) {
  set_threads(3);
  const Parts first = parts(1000, 64);
  EXPECT_GT(first.size(), 3u);  // more than threads, so that a slow one takes fewer
  for (const auto& [a, b] : first) {
    EXPECT_EQ(a % 16, 0) << "pieces would share a cache line";
    EXPECT_TRUE(b - a >= 32 || b == 1000) << a << " to " << b;
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(parts(1000, 64), first);
  set_threads(2);
  EXPECT_NE(parts(1000, 64), first);
  EXPECT_EQ(parts(100, 64), (Parts{{0, 64}, {64, 100}}));  // too short for more than one each
}
// Every thread gets a piece of its own before it takes what is left: none comes too late for all of them.
TEST_F(Threads, EveryThreadHasItsFirstPiece) {
  for (int n : {3, 7, 100}) {
    Pieces pieces(n, 1, 3);
    std::vector<std::vector<std::int64_t>> of(3);
    for (int part : {2, 1, 0}) {
      pieces.run(
          part, [&](std::int64_t a, std::int64_t b) { of[static_cast<std::size_t>(part)].push_back(b - a); });
    }
    std::int64_t all = 0;
    for (const auto& lengths : of) {
      ASSERT_FALSE(lengths.empty()) << n;
      EXPECT_LE(lengths.front(), pieces.longest());
      all = std::accumulate(lengths.begin(), lengths.end(), all);
    }
    EXPECT_EQ(all, n);
  }
}

// All of it once, for more threads than there are shares too, whoever comes first or not before the others
// are done.
TEST_F(Threads, PiecesAreTheWhole) {
  for (const int parts : {1, 2, 3, 16, 17, 40, 100}) {
    for (const int n : {1, 5, 16, 17, 63, 1000}) {
      for (const int least : {1, 7}) {
        SCOPED_TRACE(testing::Message() << parts << " threads, " << n << ", least " << least);
        Pieces pieces(n, least, parts);
        std::vector<int> times(static_cast<std::size_t>(n));
        for (int part = parts; part-- > 0;) {
          pieces.run(part, [&](std::int64_t a, std::int64_t b) {
            EXPECT_LE(b - a, pieces.longest());
            for (; a < b; ++a) ++times[static_cast<std::size_t>(a)];
          });
        }
        EXPECT_EQ(std::count(times.begin(), times.end(), 1), n);
      }
    }
  }
}

TEST_F(Threads, SmallWorkStaysOnTheCallingThread) {
  set_threads(4);
  int calls = 0;
  parallel_for(100, 100, [&](std::int64_t a, std::int64_t b) {
    ++calls;
    EXPECT_EQ(a, 0);
    EXPECT_EQ(b, 100);
  });
  EXPECT_EQ(calls, 1);
  // It may throw then.
  EXPECT_THROW(parallel_for(5, 10, [](std::int64_t, std::int64_t) { throw ValueError("x"); }), ValueError);
  parallel_for(0, 1, [&](std::int64_t, std::int64_t) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST_F(Threads, OneThreadMeansTheCallersThread) {
  set_threads(1);
  const auto me = std::this_thread::get_id();
  int calls = 0;
  parallel_for(100'000, 1, [&](std::int64_t, std::int64_t) {
    ++calls;
    EXPECT_EQ(std::this_thread::get_id(), me);
  });
  EXPECT_EQ(calls, 1);
}

TEST_F(Threads, PartsRunAtTheSameTime) {
  set_threads(2);
  std::atomic<int> arrived{0};
  std::mutex m;
  std::set<std::thread::id> ids;
  parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    // Ends only when the other part has come too.
    for (int i = 0; i < 100'000 && arrived < 2; ++i) std::this_thread::yield();
    std::lock_guard lock(m);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2u);
}

TEST_F(Threads, NestedWorkDoesNotMultiplyThreads) {
  set_threads(2);
  std::atomic<int> inner{0}, seen{0};
  parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    seen += threads();
    parallel_for(1000, 1, [&](std::int64_t, std::int64_t) { ++inner; });
  });
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(inner, 2);
}

/// On how many threads the parts of a job run.
std::size_t threads_of_a_job(int parts) {
  std::mutex m;
  std::set<std::thread::id> ids;
  parallel_for(parts, 1, [&](std::int64_t, std::int64_t) {
    std::lock_guard lock(m);
    ids.insert(std::this_thread::get_id());
  });
  return ids.size();
}
TEST_F(Threads, AllTakePartWhereTheyAreWaitedFor) {
  const AllThreads all;
  for (int t : {2, 5, 3}) {
    set_threads(t);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(threads_of_a_job(t), static_cast<std::size_t>(t));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they fall asleep
    EXPECT_EQ(threads_of_a_job(t), static_cast<std::size_t>(t));
  }
}

TEST_F(Threads, WhoFindsThePoolBusyWorksAlone) {
  set_threads(2);
  std::atomic<bool> began{false}, done{false};
  std::thread other([&] {
    while (!began) std::this_thread::yield();
    EXPECT_EQ(threads_of_a_job(2), 1u);
    done = true;
  });
  // Ends only when the other's job has ended.
  parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
    began = true;
    while (!done) std::this_thread::yield();
  });
  other.join();
}

TEST_F(Threads, ManyCallersEachGetTheirOwnWorkDone) {
  set_threads(3);
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([c] {
      for (int i = 0; i < 300; ++i) {
        const std::int64_t n = 100 + 10 * c + i;
        std::atomic<std::int64_t> sum{0};
        parallel_for(n, 7, [&](std::int64_t a, std::int64_t b) {
          for (; a < b; ++a) sum += a;
        });
        ASSERT_EQ(sum, n * (n - 1) / 2);
      }
    });
  }
  for (auto& t : callers) t.join();
}

TEST_F(Threads, AChildProcessHasThreadsOfItsOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the sanitizer ends a child that starts threads";
#endif
  set_threads(2);
  const AllThreads all;
  EXPECT_EQ(threads_of_a_job(2), 2u);
  const pid_t child = fork();
  if (child == 0) _exit(threads_of_a_job(2) == 2 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(Threads, TheSettingIsChecked) {
  set_threads(5);
  EXPECT_EQ(threads(), 5);
  EXPECT_THROW(set_threads(0), ValueError);
  EXPECT_THROW(set_threads(-2), ValueError);
  EXPECT_EQ(threads(), 5);
}

}  // namespace
