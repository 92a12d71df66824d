// Random search, grids, Hyperband and golden sections; trials in processes of their own, some of which crash.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <set>
#include <sstream>
#include <thread>

#include "knet/knet.hpp"

namespace {
using namespace knet;
using namespace knet::search;

const Space& space() {
  static const Space s{{"lr", log_uniform(1e-4, 1e-1)},
                       {"drop", uniform(-1, 2)},
                       {"hidden", integers(3, 6)},
                       {"f", choices({"relu", "tanh"})},
                       {"decay", choices({0.0, 0.25, 1e-3})}};
  return s;
}

TEST(Search, SamplesLieInTheirRangesAndCoverThem) {
  std::set<std::int64_t> hidden;
  std::set<std::string> f;
  std::set<double> decay;
  double low = 0, mean = 0;
  constexpr int n = 4000;
  for (int i = 0; i < n; ++i) {
    const Config c = sample(space(), 7, static_cast<std::uint64_t>(i));
    const double lr = c.number("lr"), drop = c.number("drop");
    ASSERT_TRUE(lr >= 1e-4 && lr <= 1e-1 && drop >= -1 && drop < 2);
    low += lr < std::sqrt(1e-5);  // the middle of the logarithms
    mean += drop;
    hidden.insert(c.integer("hidden"));
    f.insert(c.text("f"));
    decay.insert(c.number("decay"));
  }
  EXPECT_NEAR(low / n, 0.5, 0.03);
  EXPECT_NEAR(mean / n, 0.5, 0.05);
  EXPECT_EQ(hidden, (std::set<std::int64_t>{3, 4, 5, 6}));
  EXPECT_EQ(f, (std::set<std::string>{"relu", "tanh"}));
  EXPECT_EQ(decay, (std::set<double>{0, 0.001, 0.25}));
  const Config a = sample(space(), 7, 3), b = sample(space(), 7, 3), c = sample(space(), 8, 3);
  EXPECT_EQ(a.number("lr"), b.number("lr"));
  EXPECT_NE(a.number("lr"), c.number("lr"));
  EXPECT_THROW(a.number("f"), ValueError);
  EXPECT_THROW(a.integer("lr"), ValueError);
  EXPECT_THROW(a.number("none"), ValueError);
  EXPECT_EQ(std::stod(a.text("lr")), a.number("lr"));
}
TEST(Search, RangesThatMakeNoSense) {
  EXPECT_THROW(uniform(1, 1), ValueError);
  EXPECT_THROW(uniform(0, INFINITY), ValueError);
  EXPECT_THROW(log_uniform(0, 1), ValueError);
  EXPECT_THROW(integers(2, 1), ValueError);
  EXPECT_THROW(choices(std::vector<std::string>{}), ValueError);
  EXPECT_THROW(Space({{"a", uniform(0, 1)}, {"a", uniform(0, 1)}}), ValueError);
  EXPECT_THROW(Space({}), ValueError);
  EXPECT_THROW(random_search(space(), [](const Config&) { return 0.0; }, {.trials = 0}), ValueError);
  EXPECT_THROW(random_search(space(), [](const Config&) { return 0.0; }, {.processes = -1}), ValueError);
  EXPECT_THROW(random_search(space(), [](const Config&) { return 0.0; }, {.seconds = 1}), ValueError);
}
TEST(Search, GridHasEveryCombination) {
  const Space s{
      {"a", uniform(0, 1)}, {"b", integers(-1, 0)}, {"c", choices({"x", "y"})}, {"d", log_uniform(1, 100)}};
  const auto all = grid(s, 3);
  ASSERT_EQ(all.size(), 36u);
  EXPECT_EQ(all[0].number("d"), 1);
  EXPECT_NEAR(all[1].number("d"), 10, 1e-12);
  EXPECT_EQ(all[2].number("d"), 100);
  EXPECT_EQ(all[35].number("a"), 1);
  EXPECT_EQ(all[35].integer("b"), 0);
  const auto trials =
      grid_search(s, 3, [](const Config& c) { return c.number("a") + std::abs(c.number("d") - 10); });
  EXPECT_EQ(trials.size(), 36u);
  EXPECT_NEAR(trials[0].loss, 0, 1e-12);
  EXPECT_EQ(trials[0].config.number("a"), 0);
  EXPECT_TRUE(std::is_sorted(trials.begin(), trials.end()));
  EXPECT_THROW(grid(s, 0), ValueError);
  EXPECT_THROW(grid(Space{{"n", integers(0, 2'000'000)}}, 1), ValueError);
}

// A loss that needs random numbers and the tape.
double train_a_little(const Config& c) {
  MLP m{{4, c.integer("hidden"), 2}};
  const Tensor x = randn({16, 4}), y = randint(0, 2, {16});
  Optimizer opt(m, Adam{.lr = c.number("lr")});
  double last = 0;
  for (int i = 0; i < 5; ++i) {
    const Tape t = diff([&] { return nll(m(x), y); });
    opt.step(t);
    last = t.item();
  }
  return last;
}
TEST(Search, TheSameResultsInAnyNumberOfProcesses) {
  seed(5);
  randn({300, 300});  // the pool of threads is at work before the forks
  const RandomKey before = random_state();
  const auto one = random_search(space(), train_a_little, {.trials = 9, .seed = 3});
  EXPECT_EQ(random_state(), before);
  for (const int processes : {1, 3, 20}) {
    const auto many =
        random_search(space(), train_a_little, {.trials = 9, .seed = 3, .processes = processes});
    ASSERT_EQ(many.size(), 9u);
    for (std::size_t i = 0; i < 9; ++i) {
      EXPECT_EQ(many[i].error, "");
      EXPECT_EQ(many[i].loss, one[i].loss);
      EXPECT_EQ(many[i].number, one[i].number);
      EXPECT_EQ(many[i].config.text("lr"), one[i].config.text("lr"));
    }
  }
  EXPECT_EQ(random_state(), before);
}
TEST(Search, FailuresAreRecordedAndComeLast) {
  const Space s{{"n", integers(0, 7)}};
  const auto f = [](const Config& c) -> double {
    switch (c.integer("n")) {
      case 1: throw ValueError("this one is wrong " + std::string(100'000, 'x'));
      case 2: throw 5;
      case 3: return std::nan("");
      case 4: signal(SIGSEGV, SIG_DFL), raise(SIGSEGV); return 0;
      case 5: _exit(3);
      case 6: std::this_thread::sleep_for(std::chrono::seconds(60)); return 0;
      default: return -static_cast<double>(c.integer("n"));
    }
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto t = grid_search(s, 1, f, {.processes = 4, .seconds = 0.5});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  ASSERT_EQ(t.size(), 8u);
  EXPECT_EQ(t[0].loss, -7);
  EXPECT_EQ(t[1].loss, 0);
  const char* errors[] = {"this one is wrong x", "unknown type", "the loss is NaN",
                          "signal 11",           "status 3",     "took longer than 0.5 seconds"};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_TRUE(std::isnan(t[i + 2].loss));
    EXPECT_EQ(t[i + 2].config.integer("n"), static_cast<std::int64_t>(i + 1));
    EXPECT_NE(t[i + 2].error.find(errors[i]), std::string::npos) << t[i + 2].error;
  }
  EXPECT_GE(t[7].seconds, 0.5);
  std::ostringstream out;
  out << t[4];
  EXPECT_EQ(out.str(), "loss nan: n=3 (the loss is NaN)");
  // Without processes what throws is recorded as well.
  const auto here = grid_search(Space{{"n", integers(0, 3)}}, 1, f);
  EXPECT_EQ(here[0].loss, 0);
  EXPECT_EQ(here[2].error, "an exception of an unknown type");
}

TEST(Hyperband, RungsByIntegers) {
  const auto pairs = [](double r, double n) {
    std::vector<std::pair<std::int64_t, double>> p;
    for (const Rung& x : hyperband_rungs(r, n)) p.emplace_back(x.configurations, x.resource);
    return p;
  };
  EXPECT_EQ(pairs(27, 3),
            (std::vector<std::pair<std::int64_t, double>>{
                {27, 1}, {9, 3}, {3, 9}, {1, 27}, {12, 3}, {4, 9}, {1, 27}, {6, 9}, {2, 27}, {4, 27}}));
  EXPECT_EQ(hyperband_rungs(243, 3).front().bracket, 5);  // floating logarithms give 4
  EXPECT_EQ(hyperband_rungs(125, 5).front().bracket, 3);
  EXPECT_EQ(hyperband_rungs(242, 3).front().bracket, 4);
  EXPECT_EQ(pairs(1, 3), (std::vector<std::pair<std::int64_t, double>>{{1, 1}}));
  EXPECT_THROW(hyperband_rungs(0.5, 3), ValueError);
  EXPECT_THROW(hyperband_rungs(27, 1), ValueError);
}
TEST(Hyperband, TheBetterOnesGoOn) {
  const Space s{{"x", uniform(0, 1)}};
  const auto loss = [](const Config& c, double resource) -> double {
    const double x = c.number("x");
    if (x > 0.9) throw ValueError("too large");
    return std::abs(x - 0.3) + 1 / resource;
  };
  const auto t = hyperband(s, loss, {.seed = 4});
  ASSERT_EQ(t.size(), 69u);
  EXPECT_TRUE(std::is_sorted(t.begin(), t.end()));
  EXPECT_EQ(t[0].resource, 27);
  EXPECT_LT(std::abs(t[0].config.number("x") - 0.3), 0.1);
  // The first bracket: what comes next are the best of the rung before.
  std::vector<Trial> order = t;
  std::sort(order.begin(), order.end(), [](const Trial& a, const Trial& b) { return a.number < b.number; });
  std::vector<Trial> first(order.begin(), order.begin() + 27);
  std::sort(first.begin(), first.end());
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(order[27 + i].config.number("x"), first[i].config.number("x"));
    EXPECT_EQ(order[27 + i].resource, 3);
  }
  const auto forked = hyperband(s, loss, {.seed = 4, .processes = 3});
  for (std::size_t i = 0; i < t.size(); ++i) {
    EXPECT_TRUE(t[i].loss == forked[i].loss || std::isnan(t[i].loss)) << i;
    EXPECT_EQ(t[i].error, forked[i].error);
  }
}

TEST(GoldenSection, FindsLowPoints) {
  const auto bowl = [](const std::vector<double>& x) {
    return std::pow(x[0] - 3, 2) + 10 * std::pow(x[1] + 2, 2) + x[0] * x[1];
  };
  const auto r = goldensection(bowl, 2, {.smallest = 1e-3});
  // Where both derivatives are 0.
  EXPECT_NEAR(r.x[0], (120 + 40) / 39.0, 0.01);
  EXPECT_NEAR(r.x[1], (-80 - 6) / 39.0, 0.01);
  EXPECT_EQ(r.value, bowl(r.x));
  EXPECT_LT(r.evaluations, 300);
  int calls = 0;
  const auto one =
      goldensection([&](const std::vector<double>& x) { return ++calls, std::abs(x[0] - 2.5); }, 1);
  EXPECT_EQ(one.evaluations, calls);
  EXPECT_NEAR(one.x[0], 2.5, 0.2);
}
TEST(GoldenSection, EndsWhateverTheFunctionGives) {
  constexpr double inf = INFINITY;
  EXPECT_EQ(goldensection([](const auto&) { return std::nan(""); }, 3).value, inf);
  EXPECT_EQ(goldensection([](const auto&) { return 1.0; }, 3).value, 1);
  EXPECT_EQ(goldensection([](const auto& x) { return -x[0]; }, 1, {.evaluations = 20}).evaluations, 20);
  // Nothing but the half line is defined; the start is outside of it.
  const auto half = [](const std::vector<double>& x) {
    return x[0] < 0.5 ? std::nan("") : std::pow(x[0] - 4, 2);
  };
  EXPECT_NEAR(goldensection(half, 1, {.smallest = 1e-3}).x[0], 4, 0.01);
  const auto wall = [](const std::vector<double>& x) {
    return x[0] > 1.2 ? std::nan("") : std::pow(x[0] - 1, 2) + std::pow(x[1] - 1, 2);
  };
  const auto r = goldensection(wall, 2, {.smallest = 1e-3});
  EXPECT_NEAR(r.x[0], 1, 0.01);
  EXPECT_NEAR(r.x[1], 1, 0.01);
  const auto zero = [](const auto&) { return 0.0; };
  EXPECT_THROW(goldensection(zero, 0), ValueError);
  EXPECT_THROW(goldensection(zero, 1, {.smallest = 0}), ValueError);
  EXPECT_THROW(goldensection(zero, 1, {.factor = 1}), ValueError);
}

}  // namespace
