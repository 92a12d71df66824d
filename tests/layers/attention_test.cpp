// Attention and transformers: PyTorch's values and gradients, golden numbers, cached decoding, memory of long
// sequences, and what wrong input gets.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "knet/knet.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

Tensor at(const std::string& key) {
  static const test::Reference all = test::load_reference("attention");
  const auto it = all.find(key);
  return it == all.end() ? Tensor() : it->second;
}

/// f(layer, x, memory, padding)
template <class L, class F>
void compare(const std::string& name, L layer, const F& f) {
  SCOPED_TRACE(name);
  const auto ps = named_params(layer);
  for (const Named& p : ps) {
    const Tensor v = at(name + ".p." + p.name);
    ASSERT_TRUE(v) << p.name;
    *p.param = v;
  }
  struct {
    Param x, m;
  } in{at(name + ".x"), at(name + ".m")};
  const auto y = [&] { return f(layer, Tensor(in.x), Tensor(in.m), at(name + ".padding")); };
  const auto loss = [&] { return sum(y() * at(name + ".w")); };
  expect_close(y(), at(name + ".y"), "output");
  const Tape t = diff(loss);
  for (const Named& p : ps) expect_close(t.grad(*p.param), at(name + ".g." + p.name), p.name);
  expect_close(t.grad(in.x), at(name + ".gx"), "gradient of x");
  if (at(name + ".gm")) expect_close(t.grad(in.m), at(name + ".gm"), "gradient of the memory");
  const auto report = gradcheck(layer, loss);
  EXPECT_TRUE(report) << report.worst;
  const auto second = gradcheck(in, [&] { return sum(sin(diff(loss).grad(in.x))); },
                                {.eps = 1e-5, .rtol = 1e-4, .atol = 1e-5});
  EXPECT_TRUE(second) << second.worst;
}

TEST(Attention, MatchesPyTorch) {
  const auto cross = [](const MultiheadAttention& l, const Tensor& x, const Tensor& m,
                        const Tensor& padding) { return l(x, m, m, {.padding = padding}); };
  const MultiheadAttention two{.size = 6, .heads = 2, .dropout = 0, .dtype = f64};
  compare("cross", two, cross);
  compare("padded", two, cross);
  compare("causal", MultiheadAttention{.size = 6, .heads = 2, .causal = true, .dropout = 0, .dtype = f64},
          [](const auto& l, const Tensor& x, const Tensor&, const Tensor&) { return l(x); });
  for (const bool first : {false, true}) {
    compare(first ? "pre" : "post",
            Transformer{.size = 6,
                        .heads = 2,
                        .hidden = 8,
                        .causal = true,
                        .dropout = 0,
                        .norm_first = first,
                        .dtype = f64},
            [](const auto& l, const Tensor& x, const Tensor&, const Tensor&) { return l(x); });
    compare(first ? "decoder_pre" : "decoder_post",
            TransformerDecoder{
                .size = 6, .heads = 2, .hidden = 8, .dropout = 0, .norm_first = first, .dtype = f64},
            [](const auto& l, const Tensor& x, const Tensor& m, const Tensor& padding) {
              return l(x, m, {.memory_padding = padding});
            });
  }
}

TEST(Attention, GoldenNumbers) {
  const Tensor q = Tensor{{1., 0.}, {0., 1.}, {1., 1.}}.to(f64),
               v = Tensor{{1., 2.}, {3., 4.}, {5., 6.}}.to(f64);
  expect_close(attention(q, q, v),
               Tensor(std::vector<double>{3, 4, 3.4066725560787154, 4.406672556078716, 3.5104695304536615,
                                          4.510469530453662},
                      {3, 2}),
               "all", 1e-13);
  expect_close(attention(q, q, v, {.causal = true}),
               Tensor(std::vector<double>{1, 2, 2.3395230986533138, 3.3395230986533138, 3.5104695304536615,
                                          4.510469530453662},
                      {3, 2}),
               "causal", 1e-13);
  const Tensor p = attention(q, q, eye(3, 3, f64));
  expect_close(p(0), Tensor(std::vector<double>{0.4011120926797859, 0.1977758146404282, 0.4011120926797859}),
               "probabilities", 1e-13);
  const PositionEmbedding pe{.size = 4, .max_length = 1, .kind = PositionKind::knet, .dtype = f64};
  expect_close(pe.positions(2),
               Tensor(std::vector<double>{0.5403023058681398, 0.009999833334166664, 0.9999500004166653,
                                          9.999999983333334e-05, -0.4161468365471424, 0.01999866669333308,
                                          0.9998000066665778, 0.0001999999986666667},
                      {2, 4}),
               "positions", 1e-14);
}

TEST(Attention, QueriesWithoutKeysGiveZeros) {
  const Param q = randn({1, 1, 3, 4}), k = randn({1, 1, 5, 4}), v = randn({1, 1, 5, 4});
  Tensor seen = ones({3, 5}, boolean);
  seen.ref(1) = zeros({5}, boolean);
  for (const Tensor& mask : {seen, where(seen, zeros({3, 5}), -std::numeric_limits<double>::infinity())}) {
    const Tape t = diff([&] {
      const Tensor y = attention(q, k, v, {.mask = mask});
      EXPECT_EQ(y(0, 0, 1).to(f64).max().item(), 0);
      EXPECT_EQ(y(0, 0, 1).to(f64).min().item(), 0);
      return sum(square(y));
    });
    EXPECT_TRUE(allclose(t.grad(q)(0, 0, 1), zeros({4})));
    EXPECT_TRUE(all(isfinite(t.grad(k))).item() == 1);
  }
}
TEST(Attention, MasksOfEveryForm) {
  MultiheadAttention m{.size = 6, .heads = 2, .dropout = 0};
  const Tensor x = randn({2, 4, 6});
  const Tensor lower = tril(ones({4, 4})).to(boolean);
  m.causal = true;
  const Tensor causal = m(x);
  m.causal = false;
  expect_close(m(x, {.mask = lower}), causal, "two dimensions", 1e-5);
  expect_close(m(x, {.mask = lower.unsqueeze(0)}), causal, "three dimensions", 1e-5);
  expect_close(m(x, {.mask = lower.expand({2, 2, 4, 4})}), causal, "four dimensions", 1e-5);
  expect_close(m(x, {.mask = where(lower, zeros({4, 4}), -1e9)}), causal, "added", 1e-5);
  const Tensor real = Tensor{{1, 1, 1, 0}, {1, 0, 1, 1}}.to(boolean);
  const Tensor both = m(x, {.padding = real, .mask = lower});
  expect_close(m(x, {.padding = real, .mask = where(lower, zeros({4, 4}), -1e9)}), both, "padding and added",
               1e-5);
  // What is padded does not matter.
  Tensor other = x;
  other.ref(0, 3) = 100.0;
  expect_close(m(other, {.padding = real})(0, slice(0, 3)), m(x, {.padding = real})(0, slice(0, 3)),
               "padding", 1e-5);
  expect_close(m(x(0)), m(x)(0), "without batch", 1e-5);
}
TEST(Attention, CachedDecodingEqualsTheWhole) {
  for (const bool rotary : {false, true}) {
    const Transformer a{.size = 12, .heads = 3, .hidden = 20, .causal = true, .rotary = rotary},
        b{.size = 12, .heads = 3, .hidden = 20, .causal = true, .norm_first = true, .rotary = rotary};
    const Tensor x = randn({2, 40, 12});
    const Tensor whole = b(a(x));
    KeyValueCache ca, cb;
    std::vector<Tensor> parts;
    for (std::int64_t t = 0; t < 40;) {
      const std::int64_t n = t == 0 ? 7 : t == 10 ? 3 : 1;
      parts.push_back(b(a(x.narrow(1, t, n), {.cache = &ca}), {.cache = &cb}));
      t += n;
    }
    EXPECT_EQ(ca.length, 40);
    expect_close(cat(parts, 1), whole, "in pieces", 1e-4);
  }
  const TransformerDecoder d{.size = 12, .heads = 3, .hidden = 20};
  const Tensor x = randn({2, 5, 12}), memory = randn({2, 6, 12});
  KeyValueCache cache;
  std::vector<Tensor> parts;
  for (std::int64_t t = 0; t < 5; ++t) parts.push_back(d(x.narrow(1, t, 1), memory, {.cache = &cache}));
  expect_close(cat(parts, 1), d(x, memory), "decoder", 1e-4);
}
TEST(Attention, MemoryGrowsWithTheLength) {
  const std::int64_t length = 8192, size = 16;
  const Param q = randn({1, 1, length, size}), k = randn({1, 1, length, size}),
              v = randn({1, 1, length, size});
  const Tape t = diff([&] { return sum(attention(q, k, v, {.causal = true})); });
  // Of the whole program; the scores alone would be 256 MB.
  EXPECT_LT(memory_stats().peak, std::size_t{64} << 20);
  EXPECT_TRUE(all(isfinite(t.grad(q))).item() == 1);
}
TEST(Attention, DropoutKeepsTheMean) {
  const Tensor q = randn({1, 2, 30, 8}), k = randn({1, 2, 300, 8}), v = ones({1, 2, 300, 8});
  const Mode mode(true);
  const Tensor y = attention(q, k, v, {.dropout = 0.3});
  EXPECT_NEAR(y.mean().item(), 1, 0.03);
  EXPECT_GT(square(y - 1).mean().item(), 1e-5);
  seed(3);
  const Tensor a = attention(q, k, v, {.dropout = 0.3});
  seed(3);
  EXPECT_TRUE(equal(attention(q, k, v, {.dropout = 0.3}), a));
}
TEST(Positions, Kinds) {
  const PositionEmbedding learned{.size = 6, .max_length = 5};
  EXPECT_EQ(learned(zeros({2, 4}, i64)).shape(), Shape({4, 6}));
  EXPECT_THROW(learned(zeros({2, 6, 6})), ValueError);
  EXPECT_THROW(learned(zeros({2, 3, 5})), ShapeError);
  const PositionEmbedding fixed{.size = 6, .max_length = 5, .kind = PositionKind::sinusoidal};
  EXPECT_EQ(count_params(fixed), 0);
  EXPECT_EQ(fixed(zeros({2, 50, 6})).shape(), Shape({2, 50, 6}));  // grows
  const Tensor p = fixed.positions(3);
  EXPECT_NEAR(p(2, 0).item(), std::sin(2.0), 1e-6);
  EXPECT_NEAR(p(2, 1).item(), std::cos(2.0), 1e-6);
  EXPECT_NEAR(p(2, 2).item(), std::sin(2.0 / std::pow(10000.0, 1.0 / 3)), 1e-6);
  expect_close(fixed.positions(5)(slice(2, 5)), fixed.positions(3, 2), "start", 1e-6);
  // Products of rotated vectors depend on the distance alone.
  const Tensor a = randn({1, 8}, f64), b = randn({1, 8}, f64);
  const auto product = [&](std::int64_t i, std::int64_t j) {
    return sum(rotary(a, {.start = i}) * rotary(b, {.start = j})).item();
  };
  EXPECT_NEAR(product(3, 5), product(10, 12), 1e-12);
}
TEST(TransformerModel, TakesAnySequenceOfBlocks) {
  const auto block = [] { return Transformer{.size = 8, .heads = 2, .hidden = 16}; };
  const auto embed = Chain{Embed{.input = 10, .output = 8}, PositionEmbedding{.size = 8, .max_length = 20}};
  const Tensor ids = randint(0, 10, {3, 7});
  const TransformerModel list{embed, std::vector{block(), block()}, Linear{.input = 8, .output = 4}};
  EXPECT_EQ(list(ids).shape(), Shape({3, 7, 4}));
  const TransformerModel chain{embed, Chain{block(), block()}};
  EXPECT_EQ(chain(ids).shape(), Shape({3, 7, 8}));
  const TransformerModel one{embed, block()};
  EXPECT_EQ(one(ids).shape(), Shape({3, 7, 8}));
  EXPECT_GT(named_params(list).size(), 30u);
}
TEST(Attention, RefusesWhatHasNoMeaning) {
  const auto expect = [&](const auto& f, std::vector<std::string> parts) {
    std::string got = "nothing was thrown";
    try {
      f();
    } catch (const Error& e) {
      got = e.what();
    }
    for (const auto& p : parts) EXPECT_NE(got.find(p), std::string::npos) << got << "\nlacks " << p;
  };
  const MultiheadAttention m{.size = 6, .heads = 2};
  const Tensor x = randn({2, 4, 6});
  expect([&] { (void)MultiheadAttention{.size = 6, .heads = 4}; }, {"size = 6", "heads = 4"});
  expect([&] { (void)MultiheadAttention{.size = 6, .heads = 2, .dropout = 1}; }, {"dropout = 1"});
  expect([&] { (void)Transformer{.size = 6, .heads = 4, .hidden = 8}; }, {"size = 6", "heads = 4"});
  expect([&] { m(randn({2, 4, 5})); }, {"MultiheadAttention", "[2, 4, 5]", "6"});
  expect([&] { m(x, randn({3, 4, 6}), randn({3, 4, 6})); }, {"MultiheadAttention", "[3, 4, 6]", "[2, 4, 6]"});
  expect([&] { m(x, {.mask = zeros({4, 5})}); }, {"mask", "[4, 5]", "[4, 4]"});
  expect([&] { m(x, {.padding = zeros({2, 5}, boolean)}); }, {"padding", "[2, 5]", "[2, 4]"});
  expect([&] { m(x, {.padding = zeros({2, 4})}); }, {"padding", "f32", "boolean"});
  expect(
      [&] {
        attention(randn({1, 2, 3, 4}), randn({1, 2, 3, 5}), randn({1, 2, 3, 5}));
      },
      {"attention", "[1, 2, 3, 5]"});
  expect(
      [&] {
        attention(randn({1, 2, 3, 4}), randn({1, 1, 3, 4}), randn({1, 1, 3, 4}));
      },
      {"attention", "heads"});
  expect([&] { rotary(randn({3, 5})); }, {"rotary", "[3, 5]", "even"});
  KeyValueCache cache;
  m(x, {.cache = &cache});
  expect([&] { m(randn({3, 1, 6}), {.cache = &cache}); }, {"cache", "[2, 2,", "[3, 2,"});
  expect([&] { diff([&] { return sum(m(x, {.cache = &cache})); }); }, {"cache", "diff()"});
}

}  // namespace
