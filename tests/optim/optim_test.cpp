// The optimisers' golden numbers (Knet's), PyTorch's AdamW, clipping, schedules, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "knet/knet.hpp"

namespace {
using namespace knet;

struct One {
  Param w{Tensor(std::vector<double>{1})};
};
/// w after each of three steps with the gradient w.
std::vector<double> three_steps(const Rule& rule) {
  One m;
  Optimizer opt(m, rule);
  std::vector<double> r;
  for (int i = 0; i < 3; ++i) {
    opt.step(diff([&] { return sum(m.w * m.w) / 2; }));
    r.push_back(m.w.value().item());
  }
  return r;
}
void expect_steps(const Rule& rule, const std::vector<double>& expected) {
  const auto got = three_steps(rule);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(got[i], expected[i], 1e-13) << "step " << i + 1;
}

TEST(Rules, GoldenNumbers) {
  expect_steps(SGD{}, {0.9, 0.81, 0.729});
  expect_steps(Momentum{}, {0.95, 0.855, 0.722});
  expect_steps(Nesterov{}, {0.9025, 0.76938125, 0.6107725156249999});
  expect_steps(Adagrad{}, {0.9500000249999813, 0.9155625604784811, 0.8879107956587999});
  expect_steps(Rmsprop{}, {0.9683773815110134, 0.945788242495233, 0.9270533505200348});
  expect_steps(Adadelta{}, {0.9968377381511013, 0.9935981984076517, 0.9903090828008376});
  expect_steps(Adam{}, {0.99900000001, 0.9980000262238367, 0.9970000960801475});
}
TEST(Rules, AdamWLikePyTorch) {
  // torch.optim.AdamW([w], lr=0.1, weight_decay=0.3) on w * w / 2 from 1, in float64
  expect_steps(AdamW{.lr = 0.1, .weight_decay = 0.3}, {0.870000001, 0.744502339138028, 0.6238866119188252});
}
TEST(Rules, GradientClippingPerParameter) {
  // |g| = 1 is brought down to 0.5
  EXPECT_NEAR(three_steps(SGD{.gclip = 0.5})[0], 0.95, 1e-14);
  EXPECT_NEAR(three_steps(SGD{.gclip = 5})[0], 0.9, 1e-14);
  EXPECT_NEAR(three_steps(SGD{.weight_decay = 0.5})[0], 0.85, 1e-14);
}
TEST(Optimizer, GlobalNormClipping) {
  struct Pair {
    Param a{Tensor(std::vector<double>{3})}, b{Tensor(std::vector<double>{4})};
  } m;
  Optimizer opt(m, SGD{.lr = 1});
  opt.clip_norm(1);
  opt.step(diff([&] { return sum(m.a * m.a + m.b * m.b) / 2; }));  // gradient (3, 4), norm 5
  EXPECT_NEAR(m.a.value().item(), 3 - 0.6, 1e-12);
  EXPECT_NEAR(m.b.value().item(), 4 - 0.8, 1e-12);
}
TEST(Optimizer, DifferentRulesForDifferentParameters) {
  MLP m{.sizes = {2, 3, 2}, .dtype = f64};
  const Tensor first = m.layers[0].weight.value(), second = m.layers[1].weight.value();
  Optimizer opt(m, SGD{.lr = 0.5});
  opt.set("layers.0", SGD{.lr = 1e-9});
  const Tape t = diff([&] {
    return nll(m(randn({4, 2}, f64)), Tensor(std::vector<std::int64_t>{0, 1, 0, 1}));
  });
  opt.step(t);
  EXPECT_TRUE(allclose(m.layers[0].weight.value(), first, 0, 1e-7));
  EXPECT_TRUE(allclose(m.layers[1].weight.value(), second - 0.5 * t.grad(m.layers[1].weight), 1e-12, 1e-12));
  EXPECT_THROW(opt.set("nothing", SGD{}), ValueError);
}
TEST(Optimizer, SparseRowsEqualDenseOnes) {
  Embed a{.input = 10, .output = 3, .dtype = f64};
  Embed b = a;
  const Tensor ids = Tensor(std::vector<std::int64_t>{1, 4, 1});
  Optimizer sparse(a, SGD{.lr = 0.1}), dense(b, Momentum{.lr = 0.1, .gamma = 0});
  sparse.step(diff([&] { return sum(square(a(ids))); }));
  dense.step(diff([&] { return sum(square(b(ids))); }));
  EXPECT_TRUE(allclose(a.weight.value(), b.weight.value(), 1e-12, 1e-12));
}
TEST(Optimizer, RefusesNonsense) {
  One m;
  EXPECT_THROW(Optimizer(m, SGD{.lr = NAN}), ValueError);
  EXPECT_THROW(Optimizer(m, SGD{.lr = -1}), ValueError);
  EXPECT_THROW(Optimizer(m, Adam{.beta1 = 1.5}), ValueError);
  EXPECT_THROW(Optimizer(m, SGD{.gclip = -1}), ValueError);
  Optimizer opt(m, SGD{});
  EXPECT_THROW(opt.set_lr(NAN), ValueError);
}
TEST(Schedules, Values) {
  using namespace schedule;
  const Schedule s = schedule::step(1.0, 10, 0.5), c = cosine(1.0, 100, 0.1), w = warmup(4, cosine(1.0, 100));
  EXPECT_DOUBLE_EQ(s(9), 1);
  EXPECT_DOUBLE_EQ(s(10), 0.5);
  EXPECT_DOUBLE_EQ(s(25), 0.25);
  EXPECT_DOUBLE_EQ(c(0), 1);
  EXPECT_NEAR(c(50), 0.55, 1e-12);
  EXPECT_NEAR(c(100), 0.1, 1e-12);
  EXPECT_LT(w(0), w(1));
  const Schedule o = one_cycle(1.0, 100);
  EXPECT_NEAR(o(30), 1, 0.02);
  EXPECT_LT(o(0), 0.05);
  EXPECT_LT(o(99), 0.01);
}
}  // namespace
