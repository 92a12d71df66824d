// The tape: gradients of gradients, shared and sparse parameters, threads, writing to tensors, and what is
// refused.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "knet/knet.hpp"

namespace {
using namespace knet;

class TapeTest : public testing::Test {
 protected:
  TapeTest() { set_default(f64); }
  ~TapeTest() override { set_default(f32); }
};
using Vector = std::vector<double>;

TEST_F(TapeTest, ValueAndGradient) {
  const Param w(Tensor(Vector{1, 2, 3})), unused(Tensor(Vector{1}));
  const Tape t = diff([&] { return sum(w * w); });
  EXPECT_DOUBLE_EQ(t.item(), 14);
  EXPECT_TRUE(allclose(t.grad(w), Tensor(Vector{2, 4, 6})));
  EXPECT_TRUE(t.uses(w));
  EXPECT_FALSE(t.uses(unused));
  EXPECT_EQ(t.grad(unused).item(), 0);
  EXPECT_FALSE(recording());
}
TEST_F(TapeTest, GradientOfGradientOfGradient) {
  const Param x(Tensor(Vector{2}));
  const Tape d3 = diff([&] {
    const Tape d2 = diff([&] {
      const Tape d1 = diff([&] { return sum(x * x * x); });
      return sum(d1.grad(x));
    });
    return sum(d2.grad(x));
  });
  EXPECT_NEAR(d3.item(), 12, 1e-12);
  EXPECT_NEAR(d3.grad(x).item(), 6, 1e-12);
}
TEST_F(TapeTest, GradientPenaltyThroughANetwork) {
  MLP m{.sizes = {3, 5, 1}, .activation = Tanh{}};
  const Param input(randn({2, 3}));
  const auto penalty = [&] {
    const Tape inner = diff([&] { return sum(m(input)); });
    const Tensor g = inner.grad(input);
    return sum(g * g);
  };
  const auto report = gradcheck(m, penalty);
  EXPECT_TRUE(report) << report.worst;
}
struct Two {
  Linear a{.input = 3, .output = 3}, b{.input = 3, .output = 3};
};
TEST_F(TapeTest, TiedParametersAddUp) {
  Two t;
  tie(t.b.weight, t.a.weight);
  EXPECT_EQ(params(t).size(), 3u);
  const Tensor x = randn({2, 3});
  const auto report = gradcheck(t, [&] { return sum(t.b(sigm(t.a(x)))); });
  EXPECT_TRUE(report) << report.worst;
  EXPECT_THROW(Two copy = t, Error);
  auto c = clone(t);
  EXPECT_EQ(c.a.weight.id(), c.b.weight.id());
  EXPECT_NE(c.a.weight.id(), t.a.weight.id());
}
// Products add to a gradient in place, but not to one that another parameter has too.
TEST_F(TapeTest, ProductsAddToGradients) {
  const Param w(randn({3, 4})), v(randn({3, 4}));
  const Linear l{.input = 4, .output = 3};
  const Tensor a = randn({5, 3}), b = randn({2, 3}), c = randn({3, 4}), x = randn({6, 4}), z = randn({1, 4});
  const Tape t = diff([&] { return sum(matmul(a, w)) + sum(matmul(b, w)) + sum((w + v) * c); });
  EXPECT_TRUE(allclose(t.grad(v), c));
  EXPECT_TRUE(allclose(t.grad(w), c + matmul(a.T(), ones({5, 4})) + matmul(b.T(), ones({2, 4}))));
  const Tape u = diff([&] { return sum(l(x)) + sum(l(z)); });
  EXPECT_TRUE(allclose(u.grad(l.weight), matmul(ones({3, 7}), cat({x, z}, 0))));
}
// The gradient of nll is scaled in place: also of two that share their scores, and used twice.
TEST_F(TapeTest, ScaledLosses) {
  const Param s(randn({4, 3}));
  const Tensor p(std::vector<std::int64_t>{0, 2, 1, 1}), q(std::vector<std::int64_t>{2, 2, 0, 1});
  const auto of = [&](const Tensor& labels) { return diff([&] { return nll(s, labels); }).grad(s); };
  const Tape t = diff([&] {
    const Tensor a = nll(s, p), b = nll(s, q);
    return 2 * a + 3 * b + a;
  });
  EXPECT_TRUE(allclose(t.grad(s), 3 * of(p) + 3 * of(q)));
}
TEST_F(TapeTest, LookupsGiveRowGradients) {
  const Embed e{.input = 1000, .output = 4};
  const Tape t = diff([&] {
    const Tensor y = e(Tensor(std::vector<std::int64_t>{3, 7, 3, 9}));
    return sum(y * y);
  });
  const auto r = t.row_grad(e.weight);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->rows.shape(), Shape({4, 4}));
  EXPECT_NEAR(t.grad(e.weight)(3, 0).item(), 4 * e.weight.value()(3, 0).item(), 1e-12);
  const Tape mixed = diff([&] {
    return sum(matmul(e(Tensor(std::vector<std::int64_t>{3, 7})), e.weight.T()));
  });
  EXPECT_FALSE(mixed.row_grad(e.weight));  // used densely as well
}
TEST_F(TapeTest, EveryThreadHasItsTape) {
  const MLP m{{4, 8, 3}};
  const Tensor x = randn({8, 4}), y = randint(0, 3, {8});
  const Tape whole = diff([&] { return nll(m(x), y); });
  Tape half[2];
  std::thread t[2];
  for (int i = 0; i < 2; ++i) {
    t[i] = std::thread([&, i] {
      for (int k = 0; k < 50; ++k) {
        half[i] = diff([&] { return nll(m(x(slice(4 * i, 4 * i + 4))), y(slice(4 * i, 4 * i + 4))); });
      }
    });
  }
  for (auto& h : t) h.join();
  for (const Param& w : params(m)) {
    EXPECT_TRUE(allclose((half[0].grad(w) + half[1].grad(w)) / 2, whole.grad(w), 1e-9, 1e-12));
  }
}
TEST_F(TapeTest, WritingIntoTrackedTensors) {
  Param w(Tensor(Vector{1, 2, 3}));
  const Tape t = diff([&] {
    Tensor x = w * 2.0;
    const Tensor keep = x;
    x += 1.0;
    x.ref(1) = 0.0;
    return sum(x * keep);  // (2w + 1) 2w where not overwritten
  });
  EXPECT_TRUE(allclose(t.grad(w), Tensor(Vector{10, 0, 26})));
  EXPECT_THROW(diff([&] {
                 const Tensor y = w * w;
                 w -= Tensor(Vector{1, 1, 1});
                 return sum(y);
               }),
               Error);
  EXPECT_FALSE(recording());
  const Tape after = diff([&] { return sum(w * w); });
  w -= 0.1 * after.grad(w);
  EXPECT_TRUE(allclose(w.value(), Tensor(Vector{.8, 1.6, 2.4})));
  EXPECT_TRUE(allclose(after.grad(w), Tensor(Vector{2, 4, 6})));
}
TEST_F(TapeTest, ModelsAreValues) {
  MLP m{{3, 4, 2}};
  const MLP copy = m;
  const Tensor x = randn({5, 3}), before = copy(x);
  Optimizer opt(m, SGD{.lr = 1});
  const MLP moved = std::move(m);  // the optimiser follows
  opt.step(diff([&] { return nll(moved(x), Tensor(std::vector<std::int64_t>{0, 1, 0, 1, 1})); }));
  EXPECT_TRUE(allclose(copy(x), before));
  EXPECT_FALSE(allclose(moved(x), before));
  std::vector<Linear> six(6, Linear{.input = 2, .output = 2});
  EXPECT_EQ(params(six).size(), 12u);
}
TEST_F(TapeTest, FrozenModesAndErrors) {
  MLP m{{3, 4, 2}};
  const Tensor y = Tensor(std::vector<std::int64_t>{0, 1}), bad = Tensor(std::vector<std::int64_t>{0, 7});
  freeze(m.layers[0]);
  const Tape t = diff([&] { return nll(m(randn({2, 3})), y); });
  EXPECT_FALSE(t.uses(m.layers[0].weight));
  EXPECT_TRUE(t.uses(m.layers[1].weight));
  EXPECT_THROW(diff([&] { return nll(m(randn({2, 3})), bad); }), ValueError);
  EXPECT_FALSE(recording());
  EXPECT_THROW(diff([&] { return m(randn({2, 3})); }), ShapeError);  // a loss is one number
  const Tensor x = ones({1000});
  EXPECT_EQ(dropout(x, .5).sum().item(), 1000);
  diff([&] {
    EXPECT_NE(dropout(x, .5).sum().item(), 1000);
    const Mode eval(false);
    EXPECT_EQ(dropout(x, .5).sum().item(), 1000);
    return sum(x);
  });
}
TEST_F(TapeTest, NoGradAndOwnPrimitives) {
  const Param w(Tensor(Vector{1, 2}));
  const Tape t = diff([&] {
    Tensor constant;
    {
      const NoGrad off;
      constant = w * 3.0;
    }
    return sum(w * constant);
  });
  EXPECT_TRUE(allclose(t.grad(w), Tensor(Vector{3, 6})));
  const auto twice = [](const Tensor& x) {
    return primitive(x * 2.0, {x}, [](const Tensor& dy, const Tensor&) { return std::vector{dy * 20.0}; });
  };
  EXPECT_TRUE(allclose(diff([&] { return sum(twice(w)); }).grad(w), Tensor(Vector{20, 20})));
}
TEST_F(TapeTest, GradcheckFindsAWrongGradient) {
  struct Model {
    Param w{Tensor(Vector{1, 2})};
  } m;
  const auto wrong = [&] {
    return sum(
        primitive(m.w * 2.0, {m.w}, [](const Tensor& dy, const Tensor&) { return std::vector{dy * 2.1}; }));
  };
  const auto report = gradcheck(m, wrong);
  EXPECT_FALSE(report);
  EXPECT_NE(report.worst.find("w["), std::string::npos) << report.worst;
}

Tensor numbers(const std::vector<float>& v) { return Tensor(v, {static_cast<std::int64_t>(v.size())}); }

// x * 2 + 1 needs one block of memory; what somebody keeps stays as it is.
TEST(Temporaries, GiveTheirMemory) {
  const Tensor x = numbers({1, 2, 3});
  Tensor t = x * 2;
  const float* const memory = t.data<float>();
  const Tensor alone = knet::exp(-(std::move(t) + 1));
  EXPECT_EQ(alone.data<float>(), memory);
  EXPECT_TRUE(allclose(alone, numbers({0.049787068f, 0.0067379470f, 0.00091188197f})));

  Tensor kept = x * 2;
  const Tensor other = kept, part = kept.narrow(0, 1, 2);
  EXPECT_TRUE(allclose(std::move(kept) - 1, numbers({1, 3, 5})));
  EXPECT_TRUE(allclose(other, numbers({2, 4, 6})));
  EXPECT_TRUE(allclose(part, numbers({4, 6})));
  EXPECT_TRUE(
      allclose((2.0 / (x * 2).reshape({3, 1}).expand({3, 2})).select(1, 0), numbers({1, 0.5f, 1.f / 3})));

  // What is computed while the tape is off is a constant.
  const Param p = x;
  const Tape tape = diff([&] {
    Tensor u = p * 2, constant;
    {
      const NoGrad off;
      constant = std::move(u) * 3;
    }
    return sum(p * constant);
  });
  EXPECT_TRUE(allclose(tape.grad(p), numbers({6, 12, 18})));
}
TEST(Temporaries, HaveTheGradientsOfNamedValues) {
  seed(1);
  Param x = randn({3, 4}, f64);
  const Tensor w = rand({3, 4}, f64);
  const auto short_form = [&] { return knet::tanh(-(2 * (1.5 - (x * 3 - 1) / 7.0)) + w) * 0.3 / 5; };
  const auto long_form = [&] {
    const Tensor a = x * 3, b = a - 1, c = b / 7.0, d = 1.5 - c, e = 2 * d, f = -e, g = f + w,
                 h = knet::tanh(g), i = h * 0.3, j = i / 5;
    return j;
  };
  const Tape a = diff([&] { return sum(short_form()); }), b = diff([&] { return sum(long_form()); });
  EXPECT_TRUE(allclose(a.value(), b.value(), 1e-14));
  EXPECT_TRUE(allclose(a.grad(x), b.grad(x), 1e-13));
  EXPECT_TRUE(gradcheck(x, [&] { return sum(knet::exp(0.1 * short_form()) * w); }));
  // The gradient of a gradient.
  const auto penalty = [&](const auto& form) {
    const Tape inner = diff([&] { return sum(form() * w); });
    return sum(square(inner.grad(x)) * 2 + 1);
  };
  EXPECT_TRUE(gradcheck(x, [&] { return penalty(short_form); }));
  EXPECT_TRUE(allclose(diff([&] { return penalty(short_form); }).grad(x),
                       diff([&] { return penalty(long_form); }).grad(x), 1e-12));
  // One number that stands for all.
  EXPECT_TRUE(allclose(diff([&] { return sum(x) * 3; }).grad(x), full({3, 4}, 3, f64)));
}

}  // namespace
