// Philox against the published vectors; generators that split, save and go on.
#include "knet/device/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using namespace knet;

namespace {

using Four = std::array<std::uint32_t, 4>;
constexpr std::uint64_t join(std::uint32_t low, std::uint32_t high) {
  return std::uint64_t{high} << 32 | low;
}

// "philox4x32 10" of kat_vectors in Random123 (Salmon et al. 2011): counter, key, result.
TEST(Philox, KnownAnswers) {
  struct Vector {
    Four counter;
    std::array<std::uint32_t, 2> key;
    Four result;
  };
  const Vector vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& v : vectors) {
    Four out;
    philox::block({join(v.key[0], v.key[1]), join(v.counter[2], v.counter[3])},
                  join(v.counter[0], v.counter[1]), out.data());
    EXPECT_EQ(out, v.result);
  }
}

TEST(Philox, NumbersAreTheWordsOfTheBlocks) {
  const RandomKey key{42, 7};
  for (std::uint64_t i :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{6}, (std::uint64_t{1} << 40) + 3}) {
    Four out;
    philox::block(key, i / 4, out.data());
    EXPECT_EQ(philox::number(key, i), out[i % 4]);
  }
}

TEST(Philox, UnitNumbersNeverReachOne) {
  EXPECT_EQ(philox::to_unit_float(0), 0.0f);
  EXPECT_EQ(philox::to_unit_float(0xFFFFFFFFu), 1.0f - 0x1p-24f);
  EXPECT_EQ(philox::to_unit_float(0x80000000u), 0.5f);
  EXPECT_EQ(philox::to_unit_double(0), 0.0);
  EXPECT_EQ(philox::to_unit_double(0xFFFFFFFFu), 1.0 - 0x1p-32);
}

TEST(Generator, EveryKeyIsNew) {
  Generator g(3);
  std::set<std::uint64_t> streams;
  for (int i = 0; i < 1000; ++i) {
    const RandomKey k = g.next();
    EXPECT_EQ(k.seed, 3u);
    EXPECT_TRUE(streams.insert(k.stream).second);
  }
}

TEST(Generator, TheSameSeedGivesTheSameKeys) {
  Generator a(11), b(11), c(12);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(a.next(), b.next());
  EXPECT_FALSE(a.next() == c.next());
}

TEST(Generator, GoesOnFromASavedState) {
  Generator g(5);
  g.next();
  const RandomKey state = g.state();
  const std::vector<RandomKey> expected{g.next(), g.next(), g.next()};
  Generator h(99);
  h.set_state(state);
  for (const auto& k : expected) EXPECT_EQ(h.next(), k);
}

TEST(Generator, SplitsAreRepeatableAndApart) {
  Generator a(5), b(5);
  Generator c = a.split(), d = b.split();
  EXPECT_EQ(c.state(), d.state());
  EXPECT_EQ(a.state(), b.state());
  EXPECT_FALSE(c.state() == a.split().state());  // the next split is another one
  std::set<std::uint64_t> seeds{5};
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seeds.insert(a.split().state().seed).second);
}

/// Puts the process-wide generator back.
class GlobalRandom : public testing::Test {
 protected:
  ~GlobalRandom() override { set_random_state(before_); }

 private:
  RandomKey before_ = random_state();
};

TEST_F(GlobalRandom, SeedRestartsIt) {
  seed(17);
  const RandomKey a = next_random_key(), b = next_random_key();
  EXPECT_FALSE(a == b);
  seed(17);
  EXPECT_EQ(next_random_key(), a);
  const RandomKey state = random_state();
  EXPECT_EQ(next_random_key(), b);
  set_random_state(state);
  EXPECT_EQ(next_random_key(), b);
}

TEST_F(GlobalRandom, ThreadsNeverGetTheSameKey) {
  seed(1);
  constexpr int each = 5000;
  std::array<std::vector<std::uint64_t>, 3> got;
  std::vector<std::thread> workers;
  for (auto& g : got) {
    workers.emplace_back([&g] {
      for (int i = 0; i < each; ++i) g.push_back(next_random_key().stream);
    });
  }
  for (auto& w : workers) w.join();
  std::set<std::uint64_t> all;
  for (const auto& g : got) all.insert(g.begin(), g.end());
  EXPECT_EQ(all.size(), std::size_t{3 * each});
}

}  // namespace
