// Attention and transformers: PyTorch's values and gradients, golden numbers, cached decoding, memory of long
// sequences, and what wrong input gets.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "knet/knet.hpp"
#include "tests/layers/refusal.hpp"
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
TEST(Attention, WithoutBatchTakesEveryMask) {
  const MultiheadAttention m{.size = 6, .heads = 2, .dropout = 0};
  const Tensor q = randn({1, 3, 6}), k = randn({1, 5, 6});
  const Tensor mask = rand({3, 5}) > 0.3, real = Tensor{1, 1, 0, 1, 1}.to(boolean);
  for (const Tensor& v : {mask, mask.unsqueeze(0), mask.expand({1, 2, 3, 5})})
    expect_close(m(q(0), k(0), k(0), {.padding = real, .mask = v}),
                 m(q, k, k, {.padding = real.unsqueeze(0), .mask = v})(0), "one example", 1e-5);
}
TEST(Attention, SizesOfHeadsKeysAndResults) {
  MultiheadAttention m{.size = 6,
                       .heads = 2,
                       .dropout = 0,
                       .head_size = 4,
                       .output_size = 5,
                       .key_size = 3,
                       .binit = gaussian(0, 0.3),
                       .dtype = f64};
  struct {
    Param q = randn({2, 3, 6}, f64), k = randn({2, 4, 3}, f64), v = randn({2, 4, 3}, f64);
  } in;
  const Tensor y = m(in.q, in.k, in.v);
  EXPECT_EQ(y.shape(), Shape({2, 3, 5}));
  // The same of plain operators, head by head.
  const auto head = [](const Tensor& x, std::int64_t h) { return x.narrow(2, 4 * h, 4); };
  std::vector<Tensor> heads;
  for (std::int64_t h = 0; h < 2; ++h) {
    const Tensor scores = matmul(head(m.query(in.q), h), head(m.key(in.k), h).transpose(1, 2)) / 2.0;
    heads.push_back(matmul(softmax(scores), head(m.value(in.v), h)));
  }
  expect_close(y, m.output(cat(heads, 2)), "plain operators");
  auto model = std::tie(m, in);
  const auto report = gradcheck(model, [&] { return sum(square(m(in.q, in.k, in.v))); });
  EXPECT_TRUE(report) << report.worst;
  EXPECT_NE(show(m).find("head_size=4, key_size=3, output_size=5"), std::string::npos) << show(m);
}
TEST(Attention, ProjectionsWithReluAreKnetLayers) {
  const MultiheadAttention m{.size = 4, .heads = 2, .dropout = 0, .activation = relu};
  MultiheadAttention linear{.size = 4, .heads = 2, .dropout = 0};
  const Tensor x = randn({2, 5, 4});
  linear.query.weight = m.query.weight, linear.key.weight = m.key.weight;
  linear.value.weight = m.value.weight, linear.output.weight = m.output.weight;
  EXPECT_FALSE(allclose(linear(x), m(x)));
  linear.query.activation = relu, linear.key.activation = relu;
  linear.value.activation = relu, linear.output.activation = relu;
  expect_close(linear(x), m(x), "all four projections", 1e-6);
}
TEST(Attention, DecoderSeesNoPadding) {
  // Padded steps of x and of the memory change nothing before them.
  TransformerDecoder d{.size = 6, .heads = 2, .hidden = 8, .dropout = 0, .dtype = f64};
  const Tensor memory = randn({2, 6, 6}, f64), real = Tensor{{1, 1, 1, 1, 0}, {1, 1, 1, 0, 0}}.to(boolean),
               seen = Tensor{{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 0, 0}}.to(boolean);
  struct {
    Param x = randn({2, 5, 6}, f64);
  } in;
  const Tensor all = d(in.x, memory, {.padding = real, .memory_padding = seen});
  const Tensor alone = d(in.x.value()(slice(1, 2), slice(0, 3)), memory(slice(1, 2), slice(0, 4)));
  expect_close(all(slice(1, 2), slice(0, 3)), alone, "the second example alone");
  // A mask of the memory says the same as its padding.
  expect_close(d(in.x, memory, {.padding = real, .memory_mask = seen.unsqueeze(1)}), all, "as a mask");
  // Keys at the end are hidden by causality; padding in front is hidden by the mask alone.
  const Tensor late = Tensor{{0, 1, 1, 1, 1}, {0, 0, 1, 1, 1}}.to(boolean);
  Tensor other = in.x.value();
  other.ref(1, slice(0, 2)) = 7.0;
  expect_close(d(other, memory, {.padding = late})(1, slice(2, 5)),
               d(in.x, memory, {.padding = late})(1, slice(2, 5)), "padding on the left");
  const Tensor w = randn({2, 5, 6}, f64) * real.unsqueeze(2).to(f64);
  auto model = std::tie(d, in);
  const auto loss = [&] { return sum(d(in.x, memory, {.padding = real, .memory_padding = seen}) * w); };
  const auto report = gradcheck(model, loss);
  EXPECT_TRUE(report) << report.worst;
}
TEST(Attention, EncoderSeesNoPadding) {
  for (const bool first : {false, true}) {
    const Transformer t{.size = 6, .heads = 2, .hidden = 8, .dropout = 0, .norm_first = first};
    const Tensor x = randn({2, 5, 6}), real = Tensor{{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}}.to(boolean);
    expect_close(t(x, {.padding = real})(slice(1, 2), slice(0, 3)), t(x(slice(1, 2), slice(0, 3))), "alone",
                 1e-5);
  }
}
TEST(Attention, GradientsInF32AreThoseOfPlainOperators) {
  // Longer than a tile, so that the running softmax has several.
  const std::int64_t n = 150, keys = 170;
  const Param q = randn({2, 3, n, 8}), k = randn({2, 3, keys, 8}), v = randn({2, 3, keys, 5}),
              m = zeros({keys});
  const Tensor w = randn({2, 3, n, 5});
  for (const bool causal : {false, true}) {
    const Tape fused = diff([&] { return sum(attention(q, k, v, {.causal = causal}) * w); });
    // A mask that is itself a parameter takes the path of plain operators.
    const Tape plain = diff([&] { return sum(attention(q, k, v, {.causal = causal, .mask = m}) * w); });
    for (const Param* p : {&q, &k, &v}) expect_close(fused.grad(*p), plain.grad(*p), "gradient", 1e-4);
  }
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
TEST(Attention, MemoryIsLinearInTheLength) {
  // What a training step asks of the pool, in bytes of blocks: twice as much for twice the length, and far
  // from the square matrix of scores, which would be 256 MB per head. With padding and dropout; all heads of
  // a layer.
  const MultiheadAttention layer{.size = 32, .heads = 2, .causal = true, .dropout = 0.1};
  const auto peak = [&](std::int64_t length) {
    const Tensor x = randn({1, length, 32});
    Tensor real = ones({1, length}, boolean);
    real.ref(0, slice(length - 100, length)) = 0.0;
    const std::size_t before = memory_stats().in_use;
    std::size_t most = 0;
    const Tape t = diff([&] {
      const Tensor y = layer(x, {.padding = real});
      most = memory_stats().in_use - before;
      return sum(square(y));
    });
    EXPECT_TRUE(all(isfinite(t.grad(layer.query.weight))).item() == 1);
    return most;
  };
  const std::size_t half = peak(4096), whole = peak(8192);
  EXPECT_GT(whole, std::size_t{4} << 20);
  EXPECT_LT(whole, 2.2 * static_cast<double>(half));
  EXPECT_LT(whole, std::size_t{24} << 20);
  // The largest that this whole program has had at any time, backward passes included.
  EXPECT_LT(memory_stats().peak, std::size_t{64} << 20);
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
  const Tensor labels = randint(0, 4, {3, 7});
  const TransformerModel last{embed, block(), Linear{.input = 8, .output = 4}};
  const Tape t = diff([&] { return nll(last(ids), labels); });
  for (const auto& p : named_params(last)) EXPECT_TRUE(t.grad(*p.param)) << p.name;
  const TransformerModel one{embed, block()};
  EXPECT_EQ(one(ids).shape(), Shape({3, 7, 8}));
  EXPECT_GT(named_params(list).size(), 30u);
}
TEST(Attention, RefusesWhatHasNoMeaning) {
  const MultiheadAttention m{.size = 6, .heads = 2};
  const Tensor x = randn({2, 4, 6});
  expect_refusal([&] { (void)MultiheadAttention{.size = 6, .heads = 4}; }, {"size = 6", "heads = 4"});
  expect_refusal([&] { (void)MultiheadAttention{.size = 6, .heads = 2, .dropout = 1}; }, {"dropout = 1"});
  expect_refusal([&] { (void)Transformer{.size = 6, .heads = 4, .hidden = 8}; }, {"size = 6", "heads = 4"});
  expect_refusal([&] { m(randn({2, 4, 5})); }, {"MultiheadAttention", "[2, 4, 5]", "6"});
  expect_refusal(
      [&] {
        m(x, randn({3, 4, 6}), randn({3, 4, 6}));
      },
      {"MultiheadAttention", "[3, 4, 6]", "[2, 4, 6]"});
  expect_refusal([&] { m(x, {.mask = zeros({4, 5})}); }, {"MultiheadAttention", "mask", "[4, 5]", "[4, 4]"});
  expect_refusal([&] { m(x, {.mask = zeros({4})}); }, {"MultiheadAttention", "mask", "[4]", "[4, 4]"});
  expect_refusal(
      [&] {
        m(x, {.mask = zeros({3, 4, 4})});
      },
      {"MultiheadAttention", "mask", "[3, 4, 4]", "[2, 4"});
  expect_refusal(
      [&] {
        m(x, {.mask = zeros({2, 3, 4, 4})});
      },
      {"MultiheadAttention", "mask", "[2, 3, 4, 4]", "[2, 2"});
  expect_refusal(
      [&] {
        m(x, {.mask = zeros({4, 4}, i64)});
      },
      {"MultiheadAttention", "mask", "i64", "boolean or f32"});
  expect_refusal(
      [&] {
        m(x, {.mask = zeros({4, 4}, f64)});
      },
      {"MultiheadAttention", "mask", "f64", "boolean or f32"});
  expect_refusal([&] { (void)MultiheadAttention{.size = 6, .heads = 2, .head_size = -1}; },
                 {"head_size = -1"});
  expect_refusal([&] { m(randn({2, 4, 6}, f64)); }, {"f64", "f32"});
  expect_refusal([&] { MultiheadAttention{.size = 6, .heads = 2, .rotary = true}(x); }, {"rotary", "even"});
  const TransformerDecoder d{.size = 6, .heads = 2, .hidden = 8};
  expect_refusal([&] { d(x, randn({2, 4, 5})); }, {"[2, 4, 5]", "6"});
  expect_refusal([&] { d(x, randn({3, 4, 6})); }, {"[3, 4, 6]", "[2, 4, 6]"});
  expect_refusal(
      [&] {
        d(x, x, {.memory_padding = zeros({2, 5}, boolean)});
      },
      {"padding", "[2, 5]", "[2, 4]"});
  expect_refusal([&] { d(x, x, {.padding = zeros({2, 5}, boolean)}); }, {"padding", "[2, 5]", "[2, 4]"});
  const PositionEmbedding p{.size = 6, .max_length = 3};
  expect_refusal([&] { p.positions(2, 2); }, {"PositionEmbedding", "4", "max_length is 3"});
  expect_refusal([&] { p.positions(-1); }, {"PositionEmbedding", "-1"});
  expect_refusal(
      [&] {
        attention(randn({1, 2, 3, 4}), randn({1, 2, 3, 4}), randn({1, 2, 3, 4}), {.scale = -1});
      },
      {"attention", "scale = -1"});
  expect_refusal([&] { m(x, {.padding = zeros({2, 5}, boolean)}); }, {"padding", "[2, 5]", "[2, 4]"});
  expect_refusal([&] { m(x, {.padding = zeros({2, 4})}); }, {"padding", "f32", "boolean"});
  expect_refusal(
      [&] {
        attention(randn({1, 2, 3, 4}), randn({1, 2, 3, 5}), randn({1, 2, 3, 5}));
      },
      {"attention", "[1, 2, 3, 5]"});
  expect_refusal(
      [&] {
        attention(randn({1, 2, 3, 4}), randn({1, 1, 3, 4}), randn({1, 1, 3, 4}));
      },
      {"attention", "heads"});
  expect_refusal([&] { rotary(randn({3, 5})); }, {"rotary", "[3, 5]", "even"});
  KeyValueCache cache;
  m(x, {.cache = &cache});
  expect_refusal([&] { m(randn({3, 1, 6}), {.cache = &cache}); }, {"cache", "[2, 2,", "[3, 2,"});
  expect_refusal([&] { diff([&] { return sum(m(x, {.cache = &cache})); }); }, {"cache", "diff()"});
}

}  // namespace
