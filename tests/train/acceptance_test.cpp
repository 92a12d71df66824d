// Acceptance checks of the Julia system's own test suites, as far as its layers are here.
#include <gtest/gtest.h>

#include <cmath>

#include "knet/knet.hpp"

namespace {
using namespace knet;

TEST(KnetLayers, LayersOnZeros) {
  EXPECT_TRUE(equal(Multiply{.input = 10, .output = 2}(zeros({1, 10})), zeros({1, 2})));
  const Bias b{.shape = {10}};
  EXPECT_EQ(b.bias.shape(), Shape({10}));
  EXPECT_EQ(b.bias.value().sum().item(), 0);
  const Tensor x = randn({2, 10});
  EXPECT_TRUE(equal(Sigm{}(x), sigm(x)));
  EXPECT_TRUE(equal(LogSoftMax{}(x), logp(x)));
  EXPECT_EQ((MLP{{10, 5, 2}}(randn({2, 10})).shape()), Shape({2, 2}));
  EXPECT_EQ((MLP{{100, 50, 20}}(randn({1, 100})).shape()), Shape({1, 20}));
}
TEST(KnetLayers, ChainComposes) {
  const auto m = Chain([](double x) { return x * x; }, [](double x) { return x + 1; });
  EXPECT_EQ(m(5.0), 26);
  EXPECT_EQ(m(5.0), get<1>(m)(get<0>(m)(5.0)));
}
TEST(Knet, MatJoinsDimensions) {
  const Tensor x = zeros({3, 2, 8, 8});
  EXPECT_EQ(mat(x).shape(), Shape({3, 128}));
  EXPECT_EQ(mat(x, 2).shape(), Shape({6, 64}));
  EXPECT_EQ(mat(x, 3).shape(), Shape({48, 8}));
  EXPECT_EQ(mat(x, 0).shape(), Shape({1, 384}));
}
TEST(Knet, SoftmaxOverAnyDimensions) {
  const Tensor x = randn({10, 10, 10}, f64);
  const Dims all[] = {0, 1, 2, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}};
  for (const Dims& d : all) {
    const Tensor p = softmax(x, d);
    EXPECT_TRUE(allclose(p, exp(logp(x, d)), 1e-10, 1e-12));
    const Tensor s = sum(p, d);
    EXPECT_TRUE(allclose(s, ones(s.shape(), f64), 1e-10, 1e-12));
  }
  EXPECT_TRUE(allclose(softmax(x, Dims(1)), softmax(x, 1), 1e-10, 1e-12));
}
TEST(Knet, BceIsLogisticOfOtherLabels) {
  const Tensor s = randn({20}, f64), y = (rand({20}, f64) > 0.5).to(f64);
  EXPECT_NEAR(bce(s, y).item(), logistic(s, 2 * y - 1).item(), 1e-12);
}
TEST(Knet, AccuracyCountsTheLargestScore) {
  Tensor s = randn({50, 10});
  s.ref(_, 1) += 1000.0;
  const Tensor y = randint(0, 10, {50});
  EXPECT_DOUBLE_EQ(accuracy(s, y), (y == 1).to(f64).mean().item());
}
TEST(Knet, ThirdDerivatives) {
  const Activation all[] = {relu, sigm, tanh, selu, elu};
  for (const Activation& f : all) {
    struct Model {
      Param x{randn({10}, f64)};
    } m;
    const auto third = [&] {
      const Tape second = diff([&] {
        const Tape first = diff([&] { return f(m.x)(3).sum(); });
        return first.grad(m.x)(3).sum();
      });
      return second.grad(m.x)(3).sum();
    };
    const auto report = gradcheck(m, third, {.rtol = 1e-4, .atol = 1e-6});
    EXPECT_TRUE(report) << f.name() << ": " << report.worst;
  }
}
TEST(Knet, OptimisersDescendRosenbrock) {
  const std::pair<const char*, Rule> rules[] = {{"SGD", SGD{.lr = 1e-3}},
                                                {"Momentum", Momentum{.lr = 2.5e-4, .gamma = 0.95}},
                                                {"Nesterov", Nesterov{.lr = 2.5e-4, .gamma = 0.95}},
                                                {"Adam", Adam{.lr = 5e-3, .beta2 = 0.95}},
                                                {"Adagrad", Adagrad{.lr = 0.4}},
                                                {"Adadelta", Adadelta{.lr = 0.4, .rho = 0.5}},
                                                {"Rmsprop", Rmsprop{.lr = 5e-3}}};
  for (const auto& [name, rule] : rules) {
    seed(3);
    struct Model {
      Param x{rand({6}, f64)};
    } m;
    const auto f = [&] {
      const Tensor a = m.x(slice(0, 5)), b = m.x(slice(1, 6));
      return sum(square(1 - a) + 100 * square(b - square(a)));
    };
    Optimizer opt(m, rule);
    double best = INFINITY;
    for (int i = 0; i < 10'000 && best > 0.1; ++i) {
      const Tape t = diff(f);
      best = std::min(best, t.item());
      opt.step(t);
    }
    EXPECT_LE(best, 0.1) << name;
  }
}
}  // namespace
