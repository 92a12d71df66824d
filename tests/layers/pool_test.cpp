// Pooling layers: the Julia system's golden numbers, every rank and mode, NaN, and what wrong options get.
#include <gtest/gtest.h>

#include <cmath>

#include "knet/knet.hpp"
#include "tests/layers/refusal.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

/// 1, 2, ... in row-major order, which is the order of Julia's arrays read from the last dimension.
Tensor count_up(const Shape& s) { return arange(1, s.numel() + 1, 1, f64).reshape(s); }
Tensor numbers(const Shape& s, const std::vector<double>& v) { return Tensor(v, s); }

TEST(GoldenPool, OfTheNotebook) {
  const auto line = [](const std::vector<double>& v) {
    return numbers({1, 1, 1, static_cast<std::int64_t>(v.size())}, v);
  };
  const Tensor six = count_up({1, 1, 1, 6});
  expect_close(pool(six, {.window = {1, 2}}), line({2, 4, 6}), "window 2");
  expect_close(pool(six, {.window = {1, 3}}), line({3, 6}), "window 3");
  expect_close(pool(six, {.window = {1, 2}, .padding = {0, 1}}), line({1, 3, 5, 6}), "padding");
  expect_close(pool(count_up({1, 1, 1, 10}), {.window = {1, 2}, .stride = 4}), line({2, 6, 10}), "stride");
  expect_close(pool(count_up({1, 1, 4, 4})), numbers({1, 1, 2, 2}, {6, 8, 14, 16}), "default");
  expect_close(pool(count_up({1, 2, 4, 4})), numbers({1, 2, 2, 2}, {6, 8, 14, 16, 22, 24, 30, 32}),
               "channels");
  expect_close(pool(six, {.window = {1, 2}, .padding = {0, 1}, .mode = PoolMode::mean_inside}),
               line({1, 2.5, 4.5, 6}), "mean without padding");
  EXPECT_THROW(pool(six, {.padding = {0, 1}}), ShapeError);  // a window higher than the image
}
TEST(Pool, LayersOfEveryRank) {
  const Tensor x5 = randn({2, 3, 4, 6, 5}, f64), x4 = x5.select(2, 0), x3 = x4.select(2, 0);
  for (const PoolMode mode : {PoolMode::max, PoolMode::mean, PoolMode::mean_inside}) {
    const PoolOptions o{.window = 3, .stride = 2, .padding = 1, .mode = mode, .alpha = 2};
    const Pool layer{.window = 3, .stride = 2, .padding = 1, .mode = mode, .alpha = 2};
    expect_close(layer(x5), pool(x5, o), "[N, C, D, H, W]");
    expect_close(layer(x4), pool(x4, o), "[N, C, H, W]");
    expect_close(layer(x4(1)), pool(x4, o)(1), "[C, H, W]");
    const Pool1d line{.window = 3, .stride = 2, .padding = 1, .mode = mode, .alpha = 2};
    expect_close(line(x3), pool(x3, o), "[N, C, W]");
    expect_close(line(x3(1)), pool(x3, o)(1), "[C, W]");
    const UnPool wide{.window = 2, .mode = mode};
    expect_close(wide(x4(1)), unpool(x4, {.mode = mode})(1), "one image");
    expect_close(AdaptivePool{.output = {2, 3}, .mode = mode}(x4(1)), adaptive_pool(x4, {2, 3}, mode)(1),
                 "adaptive");
  }
  expect_close(GlobalPool{}(x5), x5.mean({2, 3, 4}), "mean of all");
  expect_close(GlobalPool{.mode = PoolMode::max}(x3), x3.max(2), "largest of all");
  // Windows that cover the image are the global pool.
  expect_close(Pool{.window = {6, 5}, .mode = PoolMode::mean}(x4).flatten(1), GlobalPool{}(x4),
               "whole window");
}
TEST(Pool, UndoesUnPool) {
  const Tensor x = randn({2, 3, 4, 5}, f64);
  for (const PoolMode mode : {PoolMode::max, PoolMode::mean, PoolMode::mean_inside}) {
    for (const PoolOptions& o :
         {PoolOptions{.mode = mode}, PoolOptions{.window = 3, .mode = mode},
          PoolOptions{.window = {3, 2}, .mode = mode}, PoolOptions{.window = 3, .padding = 1, .mode = mode},
          PoolOptions{.padding = 1, .mode = mode}, PoolOptions{.window = 2, .stride = 3, .mode = mode},
          PoolOptions{.window = 3, .padding = 1, .mode = mode, .alpha = 2}})
      expect_close(pool(unpool(x, o), o), x, "mode " + std::to_string(static_cast<int>(mode)));
  }
}
struct PoolInput {
  Param x;
};
// PyTorch's max_pool2d and avg_pool2d with ceil_mode.
TEST(Pool, CeilMode) {
  const Tensor x = (remainder(arange(60).to(f64) * 7, 11) - 5).reshape({1, 2, 5, 6});
  expect_close(
      pool(x, {.window = 3, .stride = 2, .padding = 1, .ceil_mode = true}),
      numbers({1, 2, 3, 4}, {4, 5, 5, -3, 4, 5, 4, 4, 5, 5, 4, 2, 5, 4, 4, -2, 5, 4, 5, 5, 1, 4, 5, 3}),
      "max");
  expect_close(Pool{.ceil_mode = true}(x),
               numbers({1, 2, 3, 3}, {4, 5, 1, 2, 5, 4, 5, 1, 4, 5, 4, 2, 3, 4, 5, -1, 2, 5}), "layer");
  const PoolOptions inside{.window = 3, .stride = 2, .mode = PoolMode::mean_inside, .ceil_mode = true};
  expect_close(pool(x, inside) * 18, numbers({1, 2, 2, 3}, {0, 10, -21, 16, 4, 6, -4, -16, -3, -10, 0, 24}),
               "mean");
  EXPECT_EQ(pool(x, {.window = 2, .stride = 3, .ceil_mode = true}).shape(), Shape({1, 2, 2, 2}));
  EXPECT_EQ(pool(x, {.window = 2, .stride = 3, .padding = 1, .ceil_mode = true}).shape(),
            Shape({1, 2, 2, 3}));
  EXPECT_EQ(pool(x, {.window = 7, .ceil_mode = true}).max().item(), 5);
  for (const PoolMode mode : {PoolMode::max, PoolMode::mean_inside}) {
    const PoolOptions o{.window = 3, .stride = 2, .mode = mode, .ceil_mode = true};
    PoolInput in{randn({1, 2, 4, 6}, f64)};
    const Tensor weight = (arange(12).to(f64) + 1).reshape({1, 2, 2, 3});
    const auto report = gradcheck(in, [&] { return sum(pool(in.x, o) * weight); });
    EXPECT_TRUE(report.ok) << report.worst;
  }
  expect_refusal([&] { pool(x, {.mode = PoolMode::mean, .ceil_mode = true}); }, {"pool", "ceil_mode"});
  EXPECT_EQ((Pool{.window = 3, .ceil_mode = true}.describe()), "Pool(window=3, ceil_mode)");
}
TEST(Pool, NaN) {
  Tensor x = count_up({1, 1, 2, 2});
  x.ref(0, 0, 1, 1) = NAN;
  EXPECT_TRUE(std::isnan(pool(x).item()));
  EXPECT_EQ(pool(x, {.propagate_nan = false}).item(), 3);
  EXPECT_TRUE(std::isnan(pool(full({1, 1, 2, 2}, NAN), {.propagate_nan = false}).item()));
}

struct TwoConvolutions {
  Conv first, second;
  Param x;
};
// What a max pool hands back to a convolution has no zeros in it; where the activation stands between the two
// as an operator, or the result is used twice, they are written out.
TEST(Pool, BehindAConvolution) {
  for (const auto& named : {std::pair{Activation(relu), "relu"}, std::pair{Activation(Tanh{}), "tanh"},
                            std::pair{Activation(nullptr), "none"}}) {
    const Activation& act = named.first;
    for (const Extents stride : {Extents(2), Extents(1)}) {
      for (const std::int64_t window : {2, 3}) {
        SCOPED_TRACE(std::string(named.second) + " window " + std::to_string(window));
        seed(3);
        TwoConvolutions m{
            Conv{.height = 5, .width = 5, .inout = {1, 3}, .activation = act, .dtype = f64},
            Conv{.height = 3, .width = 3, .inout = {3, 10}, .activation = act, .padding = 1, .dtype = f64},
            Param(randn({3, 1, 16, 17}, f64))};
        const Tensor weights = randn({3, 10, 1}, f64);
        const auto loss = [&](const auto& layer) {
          const Pool p{.window = window, .stride = stride};
          const Tensor h = p(layer(m.first, m.x));
          return sum(GlobalPool{}(p(layer(m.second, h))).reshape({3, 10, 1}) * weights);
        };
        const auto fused = [](const Conv& c, const Tensor& x) { return c(x); };
        const auto apart = [&](const Conv& c, const Tensor& x) {
          const Tensor h = conv(x, c.weight, {.padding = c.padding}) + Tensor(c.bias).reshape({1, -1, 1, 1});
          return act(h);
        };
        const auto shared = [&](const auto& layer) {  // by pools and somebody else
          const Tensor h = layer(m.first, m.x);
          return sum(h * h) + sum(pool(h)) + sum(pool(h, {.window = 3}));
        };
        const auto compare = [&](const Tape& a, const Tape& b) {
          for (const auto& [key, param] : named_params(m))
            expect_close(a.grad(*param), b.grad(*param), key, 1e-12);
        };
        compare(diff([&] { return loss(fused); }), diff([&] { return loss(apart); }));
        compare(diff([&] { return shared(fused); }), diff([&] { return shared(apart); }));
        EXPECT_TRUE(gradcheck(m, [&] { return loss(fused); }, {.eps = 1e-7, .rtol = 1e-4, .samples = 20}));
      }
    }
  }
}

TEST(Pool, RefusesWhatHasNoMeaning) {
  expect_refusal([&] { pool(zeros({1, 1, 4, 4}), {.padding = 2}); }, {"pool", "padding", "window"});
  expect_refusal([&] { pool(zeros({1, 1, 1, 4})); }, {"pool", "window", "[1, 1, 1, 4]"});
  expect_refusal([&] { pool(zeros({1, 4})); }, {"pool", "[1, 4]"});
  expect_refusal([&] { pool(zeros({1, 1, 4, 4}, i32)); }, {"pool", "i32"});
  expect_refusal([&] { Pool{.padding = 2}(zeros({1, 1, 4, 4})); }, {"Pool", "padding 2", "window 2"});
  expect_refusal(
      [&] {
        Pool{}(zeros({1, 1, 1, 4}));
      },
      {"Pool", "window of 2", "[1, 1, 1, 4]", "dimension 2"});
  expect_refusal([&] { Pool{.window = {1, 2, 3}}(zeros({1, 1, 4, 4})); }, {"Pool", "{1, 2, 3}", "2 spatial"});
  expect_refusal([&] { Pool{.stride = 0}(zeros({1, 1, 4, 4})); }, {"Pool", "stride = 0"});
  expect_refusal(
      [&] {
        UnPool{.window = 3, .padding = 2}(zeros({1, 1, 1, 1}));
      },
      {"UnPool", "[1, 1, 1, 1]", "padding 2", "no output"});
  expect_refusal([&] { UnPool{.alpha = 0}(zeros({1, 1, 1, 1})); }, {"UnPool", "alpha"});
  expect_refusal([&] { AdaptivePool{.output = 0}(zeros({1, 1, 4, 4})); }, {"AdaptivePool", "output 0"});
  expect_refusal(
      [&] {
        AdaptivePool{.output = {1, 1, 1}}(zeros({1, 1, 4, 4}));
      },
      {"AdaptivePool", "{1, 1, 1}", "2 spatial"});
  expect_refusal([&] { GlobalPool{}(zeros({1, 4})); }, {"GlobalPool", "[1, 4]"});
}

}  // namespace
