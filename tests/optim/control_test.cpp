// What stands around an update: gradients accumulated over parts of a batch, scaled losses, rates that fall
// when nothing gets better, and the settings of rules as numbers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "knet/knet.hpp"

namespace {
using namespace knet;

constexpr double inf = std::numeric_limits<double>::infinity(),
                 nan = std::numeric_limits<double>::quiet_NaN();

struct Words {
  Embed embed{.input = 12, .output = 4};
  Linear head{.input = 4, .output = 3};
  Tensor operator()(const Tensor& ids) const { return head(embed(ids)); }
};
template <class M>
double largest_difference(const M& a, const M& b) {
  double d = 0;
  const auto p = params(a), q = params(b);
  for (std::size_t i = 0; i < p.size(); ++i) d = std::max(d, abs(p[i].value() - q[i].value()).max().item());
  return d;
}

TEST(Accumulate, UnequalPartsEqualOneLargeBatch) {
  seed(3);
  MLP start{{5, 8, 3}};
  to(start, f64);
  const Tensor x = randn({24, 5}, f64), y = randint(0, 3, {24});
  for (const Rule& rule : {Rule(SGD{}), Rule(Adam{.lr = 0.01}), Rule(Momentum{.gclip = 0.05})}) {
    MLP one = start, parts = start;
    Optimizer a(one, rule), b(parts, rule);
    a.clip_norm(0.1);
    b.clip_norm(0.1);
    for (int step = 0; step < 5; ++step) {
      a.step(diff([&] { return nll(one(x), y); }));
      for (const auto& [from, n] : {std::pair{0, 10}, {10, 2}, {12, 12}}) {
        const Tensor u = x.narrow(0, from, n), v = y.narrow(0, from, n);
        b.accumulate(diff([&] { return nll(parts(u), v); }), n);
      }
      EXPECT_EQ(b.accumulated(), 3);
      b.step();
      EXPECT_EQ(b.accumulated(), 0);
    }
    EXPECT_EQ(b.steps(), 5);
    EXPECT_LT(largest_difference(one, parts), 1e-13);
    EXPECT_GT(largest_difference(one, start), 1e-3);
  }
}
TEST(Accumulate, RowsOfTablesAndErrors) {
  seed(4);
  Words one, parts = one;
  Optimizer a(one, SGD{}), b(parts, SGD{});
  const Tensor ids{1, 5, 1, 7}, y{0, 2, 1, 1};
  a.step(diff([&] { return nll(one(ids), y); }));
  for (int i = 0; i < 2; ++i)
    b.accumulate(diff([&] { return nll(parts(ids.narrow(0, 2 * i, 2)), y.narrow(0, 2 * i, 2)); }));
  b.step();
  EXPECT_LT(largest_difference(one, parts), 1e-6);
  EXPECT_THROW(b.step(), ValueError);
  const Tape t = diff([&] { return nll(parts(ids), y); });
  for (const double w : {0.0, -1.0, inf, nan}) EXPECT_THROW(b.accumulate(t, w), ValueError) << w;
  EXPECT_THROW(b.step(), ValueError);  // a refused weight has added nothing
}
TEST(Clip, SparseGradientsCountRepeatedRowsOnce) {
  seed(5);
  Words sparse;
  const Words start = sparse;
  Optimizer opt(sparse, SGD{.lr = 1});
  opt.clip_norm(1e-3);
  const Tensor ids{1, 1, 1, 7}, y{0, 0, 0, 1};
  opt.step(diff([&] { return 100.0 * nll(sparse(ids), y); }));
  double squares = 0;
  const auto p = params(sparse);
  const auto q = params(start);
  for (std::size_t i = 0; i < p.size(); ++i) squares += pow(p[i].value() - q[i].value(), 2.0).sum().item();
  EXPECT_NEAR(std::sqrt(squares), 1e-3, 1e-5);
}

TEST(LossScale, PowersOfTwoChangeNoBit) {
  seed(6);
  Words plain, scaled = plain;
  Optimizer a(plain, Adam{}), b(scaled, Adam{});
  LossScale scale{.scale = 1024, .dynamic = false};
  const Tensor ids{1, 5, 1, 7}, y{0, 2, 1, 1};
  for (int i = 0; i < 4; ++i) {
    a.step(diff([&] { return nll(plain(ids), y); }));
    const Tape t = diff([&] { return scale(nll(scaled(ids), y)); });
    if (i % 2) {
      EXPECT_TRUE(scale.step(b, t));
    } else {
      b.accumulate(t, 4);
      EXPECT_TRUE(scale.step(b));
    }
  }
  EXPECT_EQ(largest_difference(plain, scaled), 0);
  EXPECT_EQ(scale.scale, 1024);
}
TEST(LossScale, SkipsWhatIsNotFiniteAndAdapts) {
  struct {
    Param w{Tensor{1.0, 2.0}};
  } m;
  Optimizer opt(m, Adam{});
  LossScale scale{.scale = 8, .interval = 2, .smallest = 3, .largest = 16};
  const auto step = [&](double factor) {
    return scale.step(opt, diff([&] { return scale((m.w * factor).sum()); }));
  };
  for (const double bad : {nan, inf, -inf}) {
    const Tensor before = m.w.value();
    EXPECT_FALSE(step(bad));
    EXPECT_TRUE(equal(before, m.w.value()));
  }
  EXPECT_EQ(scale.scale, 3);  // 8, 4, 3
  EXPECT_EQ(scale.skipped, 3);
  EXPECT_EQ(opt.steps(), 0);
  EXPECT_EQ(opt.entries()[0].slots.step, 0);
  // The sum of squares overflows in f32, every gradient is finite: no reason to skip.
  EXPECT_TRUE(step(1e30));
  EXPECT_EQ(scale.scale, 3);
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(step(1));
  EXPECT_EQ(scale.scale, 16);
  opt.accumulate(diff([&] { return scale((m.w * nan).sum()); }));
  EXPECT_FALSE(scale.step(opt));
  EXPECT_EQ(opt.accumulated(), 0);
  for (const LossScale& wrong : {LossScale{.scale = 0}, LossScale{.growth = 1}, LossScale{.backoff = 1},
                                 LossScale{.interval = 0}, LossScale{.smallest = 2, .largest = 1}}) {
    EXPECT_THROW(wrong(Tensor{1.0}), ValueError);
  }
}

TEST(Plateau, FallsAfterPatienceAndCools) {
  MLP m{{2, 2}};
  Optimizer opt(m, SGD{.lr = 1});
  opt.set("layers.0.bias", SGD{.lr = 0.5});
  ReduceOnPlateau plateau{.factor = 0.5, .patience = 1, .cooldown = 1, .smallest = 0.2};
  // Worked out by hand after the rule of PyTorch's ReduceLROnPlateau.
  const double values[] = {3, 2, 2, 1.9999, nan, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1};
  const double rates[] = {1, 1, 1, .5, .5, .5, .25, .25, .25, .2, .2, .2, .2, .2, .2, .2, .2};
  for (std::size_t i = 0; i < std::size(values); ++i) {
    plateau(values[i], opt);
    EXPECT_DOUBLE_EQ(opt.lr(), rates[i]) << i;
  }
  EXPECT_DOUBLE_EQ(opt.entries().back().rule.lr(), 0.2);
  EXPECT_EQ(plateau.best, 1);
  ReduceOnPlateau up{.patience = 0, .maximize = true};
  EXPECT_FALSE(up(0.5, opt));
  EXPECT_FALSE(up(0.6, opt));
  EXPECT_TRUE(up(0.6, opt));
  ReduceOnPlateau wrong{.factor = 1};
  EXPECT_THROW(wrong(1, opt), ValueError);
}

TEST(Rule, SettingsComeAndGoAsNumbers) {
  const Rule r = Adam{.lr = 0.5, .beta1 = 0.25};
  EXPECT_EQ(r.name(), "Adam");
  auto s = r.settings();
  ASSERT_EQ(s.size(), 6u);
  EXPECT_EQ(s[0], (Rule::Setting{"lr", 0.5}));
  EXPECT_EQ(s[1], (Rule::Setting{"beta1", 0.25}));
  s[0].second = 0.125;
  EXPECT_EQ(r.with_settings(s).settings(), s);
  EXPECT_EQ(r.lr(), 0.5);
  s[1].second = 2;
  EXPECT_THROW(r.with_settings(s), ValueError);  // beta1 must be below 1
  s[1] = {"gamma", 0.5};
  EXPECT_THROW(r.with_settings(s), ValueError);
  EXPECT_THROW(r.with_settings({}), ValueError);
  EXPECT_THROW(Rule(SGD{}).with_settings(r.settings()), ValueError);
  const Rule own = [k = 0.5](Tensor& w, const Tensor& g, Slots&) { w -= k * g; };
  EXPECT_EQ(own.name(), "lambda");
  EXPECT_TRUE(own.settings().empty());
  EXPECT_TRUE(own.with_settings({}).settings().empty());
}

}  // namespace
