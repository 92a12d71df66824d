// Convolution layers: the Julia system's golden numbers, sizes, properties, and what wrong options get.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "knet/kernels/kernels.hpp"
#include "knet/knet.hpp"
#include "tests/layers/refusal.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

/// 1, 2, ... in row-major order, which is the order of Julia's arrays read from the last dimension.
Tensor count_up(const Shape& s) { return arange(1, s.numel() + 1, 1, f64).reshape(s); }
Tensor numbers(const Shape& s, const std::vector<double>& v) { return Tensor(v, s); }
constexpr ConvMode flipped = ConvMode::convolution;

TEST(GoldenConv, OfOneDimension) {
  const Tensor w = numbers({1, 1, 1, 3}, {1, 2, 3}), x = count_up({1, 1, 1, 7});
  const auto line = [](const std::vector<double>& v) {
    return numbers({1, 1, 1, static_cast<std::int64_t>(v.size())}, v);
  };
  expect_close(conv(x, w, {.mode = flipped}), line({10, 16, 22, 28, 34}), "mode 0");
  expect_close(conv(x, w, {.padding = {0, 1}, .mode = flipped}), line({4, 10, 16, 22, 28, 34, 32}),
               "padding");
  expect_close(conv(x, w, {.stride = 3, .padding = {0, 1}, .mode = flipped}), line({4, 22, 32}), "stride");
  expect_close(conv(x, w), line({14, 20, 26, 32, 38}), "mode 1");
}
TEST(GoldenConv, OfImages) {
  expect_close(conv(count_up({1, 1, 3, 3}), count_up({1, 1, 2, 2}), {.mode = flipped}),
               numbers({1, 1, 2, 2}, {23, 33, 53, 63}), "3x3");
  const Tensor x = count_up({1, 2, 3, 3}), w = count_up({3, 2, 2, 2});
  expect_close(conv(x, w, {.mode = flipped}),
               numbers({1, 3, 2, 2}, {328, 364, 436, 472, 808, 908, 1108, 1208, 1288, 1452, 1780, 1944}),
               "channels, mode 0");
  expect_close(conv(x, w),
               numbers({1, 3, 2, 2}, {356, 392, 464, 500, 836, 936, 1136, 1236, 1316, 1480, 1808, 1972}),
               "channels, mode 1");
  const Tensor five = count_up({1, 1, 5, 5}), small = count_up({1, 1, 2, 2});
  expect_close(conv(five, small, {.dilation = 2, .mode = flipped}),
               numbers({1, 1, 3, 3}, {48, 58, 68, 98, 108, 118, 148, 158, 168}), "dilation, mode 0");
  expect_close(conv(five, small, {.dilation = 2}),
               numbers({1, 1, 3, 3}, {92, 102, 112, 142, 152, 162, 192, 202, 212}), "dilation, mode 1");
  expect_close(conv(numbers({1, 1, 1, 3}, {1, 2, 3}), numbers({2, 1, 1, 3}, {1, 3, 5, 2, 4, 6})),
               numbers({1, 2, 1, 1}, {22, 28}), "matrix product");
}
TEST(GoldenConv, Transposed) {
  const Tensor a = count_up({1, 1, 2, 2});
  expect_close(deconv(a, a, {.mode = flipped}), numbers({1, 1, 3, 3}, {4, 11, 6, 14, 30, 14, 6, 11, 4}),
               "mode 0");
  expect_close(deconv(a, a), numbers({1, 1, 3, 3}, {1, 4, 4, 6, 20, 16, 9, 24, 16}), "mode 1");
  expect_close(deconv(a, a, {.stride = 2}),
               numbers({1, 1, 4, 4}, {1, 2, 2, 4, 3, 4, 6, 8, 3, 6, 4, 8, 9, 12, 12, 16}), "stride");
}
TEST(Conv, Sizes) {
  const auto shape = [](const Tensor& t) { return to_string(t.shape()); };
  EXPECT_EQ(shape(Conv{.height = 3, .width = 3, .inout = {3, 5}, .padding = 1}(zeros({2, 3, 10, 10}))),
            "[2, 5, 10, 10]");
  const Conv plain{.height = 3, .width = 3, .inout = {3, 5}, .padding = 1, .binit = nullptr};
  EXPECT_EQ(shape(plain(zeros({2, 3, 10, 10}))), "[2, 5, 10, 10]");
  EXPECT_EQ(named_params(plain).size(), 1u);
  EXPECT_EQ(shape(DeConv{
                .height = 3, .width = 3, .inout = {5, 3}, .padding = 1, .stride = 2}(zeros({2, 5, 10, 10}))),
            "[2, 3, 19, 19]");
  EXPECT_EQ(shape(Conv{.height = 3, .width = 3, .inout = {3, 10}, .padding = 1}(zeros({1, 3, 224, 224}))),
            "[1, 10, 224, 224]");
  EXPECT_EQ(shape(Conv{
                .height = 3, .width = 5, .inout = {2, 4}, .padding = same, .stride = 2}(zeros({1, 2, 7, 8}))),
            "[1, 4, 4, 4]");
  EXPECT_EQ(shape(DeConv{
                .height = 3, .width = 3, .inout = {2, 4}, .padding = same, .stride = 2}(zeros({1, 2, 7, 8}))),
            "[1, 4, 14, 16]");
  EXPECT_EQ(shape(Conv1d{.width = 3, .inout = {2, 4}}(zeros({5, 2, 9}))), "[5, 4, 7]");
  EXPECT_EQ(shape(Conv3d{.depth = 2, .height = 3, .width = 3, .inout = {1, 2}}(zeros({1, 1, 4, 5, 6}))),
            "[1, 2, 3, 3, 4]");
  EXPECT_EQ(shape(GlobalPool{}(zeros({2, 3, 4, 5}))), "[2, 3]");
  EXPECT_EQ(shape(AdaptivePool{.output = {2, 1}}(zeros({3, 4, 5}))), "[3, 2, 1]");
  // Less than a batch of images.
  EXPECT_EQ(shape(Conv{.height = 3, .width = 3, .inout = {2, 4}}(zeros({2, 5, 6}))), "[4, 3, 4]");
  EXPECT_EQ(shape(Conv{.height = 3, .width = 3}(zeros({5, 6}))), "[3, 4]");
  EXPECT_EQ(shape(Conv{.height = 1, .width = 3}(zeros({6}))), "[4]");
  EXPECT_EQ(shape(Pool{}(zeros({3, 4, 6}))), "[3, 2, 3]");
  EXPECT_EQ(shape(Conv{.height = 3, .width = 3}(zeros({0, 1, 5, 6}))), "[0, 1, 3, 4]");
}

TEST(Conv, ActivationIsFused) {
  for (const Activation& act : {Activation(relu), Activation(tanh), Activation(gelu),
                                Activation([](const Tensor& x) { return x * x; })}) {
    Conv layer{.height = 3, .width = 3, .inout = {2, 4}, .activation = act, .padding = 1, .dtype = f64};
    layer.bias = randn({4}, f64);
    const Param x = randn({2, 2, 4, 5}, f64);
    const Tensor w = randn({2, 4, 4, 5}, f64);
    const auto apart = [&] {
      return sum(act(conv(x, layer.weight, {.padding = 1}) + Tensor(layer.bias).reshape({4, 1, 1})) * w);
    };
    const Tape a = diff([&] { return sum(layer(x) * w); }), b = diff(apart);
    expect_close(a.value(), b.value(), act.name());
    for (const Param* p :
         {&x, static_cast<const Param*>(&layer.weight), static_cast<const Param*>(&layer.bias)})
      expect_close(a.grad(*p), b.grad(*p), act.name());
    EXPECT_TRUE(gradcheck(layer, [&] { return sum(layer(x) * w); }));
  }
}

TEST(Conv, ModesDifferByAFlippedKernel) {
  const Tensor x = randn({2, 3, 6, 7}, f64), w = randn({4, 3, 3, 2}, f64);
  expect_close(conv(x, w, {.mode = flipped}), conv(x, flip(flip(w, 2), 3)), "flipped");
}
TEST(Conv, TransposedIsTheGradient) {
  const Tensor w = randn({4, 3, 3, 2}, f64), dy = randn({2, 4, 3, 4}, f64);
  const ConvOptions o{.stride = 2, .padding = {1, 0}};
  const Param x = randn({2, 3, 6, 8}, f64);
  const Tape t = diff([&] { return sum(conv(x, w, o) * dy); });
  expect_close(deconv(dy, w, o, {1, 0}), t.grad(x), "gradient");
}
/// Options of one to three dimensions, many of them at once, with kernels and images of uneven sizes.
struct Combination {
  ConvOptions o;
  Shape image, weight;  // the weight as conv takes it
};
std::vector<Combination> combinations() {
  std::vector<Combination> r;
  for (const ConvMode mode : {ConvMode::cross_correlation, flipped}) {
    for (const double alpha : {1.0, 0.5}) {
      const auto add = [&](ConvOptions o, Shape image, Shape weight) {
        o.mode = mode, o.alpha = alpha;
        r.push_back({o, image, weight});
      };
      add({}, {2, 3, 6}, {4, 3, 3});
      add({.stride = 2, .padding = Padding::sides(2, 0), .dilation = 2, .groups = 2}, {1, 4, 9}, {6, 2, 3});
      add({.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}}, {2, 2, 6, 5}, {3, 2, 3, 2});
      add({.padding = {{0, 2}, {1, 0}}, .groups = 3}, {1, 3, 4, 5}, {3, 1, 2, 3});
      add({.stride = 3, .padding = 1, .groups = 2}, {2, 4, 7, 6}, {2, 2, 3, 3});
      add({.padding = same}, {1, 2, 5, 4}, {3, 2, 4, 3});
      add({.stride = {1, 2, 1}, .padding = {1, 0, 1}, .dilation = {1, 1, 2}}, {1, 2, 3, 4, 5},
          {2, 2, 2, 3, 2});
    }
  }
  return r;
}
TEST(Conv, IsTheSumOfItsFormula) {
  for (const Combination& c : combinations()) {
    const Tensor x = randn(c.image, f64), w = randn(c.weight, f64), y = conv(x, w, c.o);
    const int dims = c.image.ndim() - 2;
    const auto at = [&](const Tensor& t, const std::vector<std::int64_t>& i) {
      Tensor v = t;
      for (const auto n : i) v = v.select(0, n);
      return v.item();
    };
    // A few positions of the result, each as a loop over the kernel.
    for (std::int64_t pick = 0; pick < y.numel(); pick += 1 + y.numel() / 7) {
      std::vector<std::int64_t> p(static_cast<std::size_t>(y.ndim()));
      for (int i = y.ndim() - 1, rest = static_cast<int>(pick); i >= 0; --i) {
        p[static_cast<std::size_t>(i)] = rest % y.size(i);
        rest /= static_cast<int>(y.size(i));
      }
      const std::int64_t in_group = c.weight[1], group = p[1] / (c.weight[0] / c.o.groups);
      double sum = 0;
      for (std::int64_t k = 0; k < w.numel() / w.size(0); ++k) {
        std::vector<std::int64_t> of_w{p[1]}, of_x{p[0]};
        std::vector<std::int64_t> tap(static_cast<std::size_t>(dims));
        std::int64_t rest = k;
        for (int d = dims - 1; d >= 0; --d)
          tap[static_cast<std::size_t>(d)] = rest % w.size(d + 2), rest /= w.size(d + 2);
        of_w.push_back(rest);
        of_x.push_back(group * in_group + rest);
        bool inside = true;
        for (int d = 0; d < dims; ++d) {
          const auto u = static_cast<std::size_t>(d);
          const std::int64_t size = w.size(d + 2), t = tap[u],
                             before = c.o.padding.automatic ? (size - 1) / 2 : c.o.padding.before[d],
                             at_x = p[u + 2] * c.o.stride[d] + t * c.o.dilation[d] - before;
          of_w.push_back(c.o.mode == flipped ? size - 1 - t : t);
          of_x.push_back(at_x);
          inside = inside && at_x >= 0 && at_x < x.size(d + 2);
        }
        if (inside) sum += at(w, of_w) * at(x, of_x);
      }
      EXPECT_NEAR(at(y, p), c.o.alpha * sum, 1e-12) << c.image << c.weight << pick;
    }
    for (int d = 0; d < dims; ++d) {
      const std::int64_t reach = (c.weight[d + 2] - 1) * c.o.dilation[d] + 1,
                         total = c.o.padding.before[d] + c.o.padding.after[d];
      EXPECT_EQ(y.size(d + 2),
                c.o.padding.automatic ? x.size(d + 2) : (x.size(d + 2) + total - reach) / c.o.stride[d] + 1);
    }
  }
}
TEST(Conv, TransposedIsTheGradientForAllOptions) {
  for (const Combination& c : combinations()) {
    const Tensor w = randn(c.weight, f64);
    const Param x = randn(c.image, f64);
    const Tensor dy = randn(conv(x.value(), w, c.o).shape(), f64);
    const Tape t = diff([&] { return sum(conv(x, w, c.o) * dy); });
    // What the stride leaves over at the end is output_padding.
    std::int64_t left[3]{};
    for (int d = 0; d + 2 < c.image.ndim(); ++d) {
      const std::int64_t reach = (c.weight[d + 2] - 1) * c.o.dilation[d] + 1,
                         total = c.o.padding.before[d] + c.o.padding.after[d];
      if (!c.o.padding.automatic) left[d] = (c.image[d + 2] + total - reach) % c.o.stride[d];
    }
    const Extents extra = c.image.ndim() == 3   ? Extents(left[0])
                          : c.image.ndim() == 4 ? Extents(left[0], left[1])
                                                : Extents(left[0], left[1], left[2]);
    expect_close(deconv(dy, w, c.o, extra), t.grad(x), to_string(c.image) + to_string(c.weight));
  }
}
TEST(DeConv, ModesDifferByAFlippedKernel) {
  const Tensor x = randn({2, 4, 5, 3}, f64), w = randn({4, 2, 3, 2}, f64);
  expect_close(deconv(x, w, {.stride = 2, .padding = 1, .groups = 2, .mode = flipped}),
               deconv(x, flip(flip(w, 2), 3), {.stride = 2, .padding = 1, .groups = 2}), "flipped");
}
/// The layer against its operator, its bias and its activation one after the other, with gradients.
template <class L, class F>
void expect_parts(L layer, const Shape& image, const F& plain) {
  layer.bias = randn({layer.inout.out}, f64);
  const Param x = randn(image, f64);
  const Tensor y = layer(x.value()), w = randn(y.shape(), f64);
  Shape per_channel{layer.inout.out};
  for (int i = 2; i < image.ndim(); ++i) per_channel.push(1);
  const Tape a = diff([&] { return sum(layer(x) * w); }),
             b = diff([&] {
               return sum(layer.activation(plain(x, layer) + Tensor(layer.bias).reshape(per_channel)) * w);
             });
  expect_close(a.value(), b.value(), layer.describe());
  for (const Param* p :
       {&x, static_cast<const Param*>(&layer.weight), static_cast<const Param*>(&layer.bias)})
    expect_close(a.grad(*p), b.grad(*p), layer.describe());
  auto model = std::tie(layer);
  const auto report = gradcheck(model, [&] { return sum(layer(x) * w); });
  EXPECT_TRUE(report) << report.worst;
  expect_close(layer(x.value().select(0, 0)), y.select(0, 0), "one image");
}
TEST(Conv, LayersOfEveryRankDoWhatTheirOperatorsDo) {
  const auto forward = [](const Tensor& x, const auto& l) {
    return conv(x, l.weight,
                {.stride = l.stride,
                 .padding = l.padding,
                 .dilation = l.dilation,
                 .groups = l.groups,
                 .mode = l.mode,
                 .alpha = l.alpha});
  };
  const auto backward = [](const Tensor& x, const auto& l) {
    return deconv(x, l.weight,
                  {.stride = l.stride,
                   .padding = l.padding,
                   .dilation = l.dilation,
                   .groups = l.groups,
                   .mode = l.mode,
                   .alpha = l.alpha},
                  l.output_padding);
  };
  expect_parts(Conv1d{.width = 3,
                      .inout = {2, 4},
                      .activation = elu,
                      .padding = 2,
                      .stride = 2,
                      .dilation = 2,
                      .groups = 2,
                      .mode = flipped,
                      .alpha = 2,
                      .dtype = f64},
               {2, 2, 9}, forward);
  expect_parts(Conv{.height = 3,
                    .width = 2,
                    .inout = {2, 4},
                    .activation = sigm,
                    .padding = {{0, 1}, {2, 0}},
                    .stride = {2, 1},
                    .groups = 2,
                    .alpha = 2,
                    .dtype = f64},
               {2, 2, 6, 5}, forward);
  expect_parts(Conv3d{.depth = 2,
                      .height = 3,
                      .width = 2,
                      .inout = {2, 2},
                      .activation = tanh,
                      .padding = {1, 0, 1},
                      .stride = {1, 2, 1},
                      .mode = flipped,
                      .dtype = f64},
               {2, 2, 3, 5, 4}, forward);
  expect_parts(DeConv1d{.width = 3,
                        .inout = {2, 4},
                        .activation = relu,
                        .padding = 1,
                        .stride = 3,
                        .output_padding = 2,
                        .groups = 2,
                        .alpha = 2,
                        .dtype = f64},
               {2, 2, 4}, backward);
  expect_parts(DeConv{.height = 3,
                      .width = 2,
                      .inout = {3, 3},
                      .activation = leaky_relu,
                      .padding = {1, 0},
                      .stride = {2, 3},
                      .dilation = {2, 1},
                      .output_padding = {1, 2},
                      .groups = 3,
                      .mode = flipped,
                      .dtype = f64},
               {2, 3, 4, 3}, backward);
  expect_parts(DeConv3d{.depth = 2,
                        .height = 3,
                        .width = 2,
                        .inout = {2, 1},
                        .activation = tanh,
                        .padding = {0, 1, 0},
                        .stride = 2,
                        .dtype = f64},
               {2, 2, 2, 3, 2}, backward);
}
TEST(Conv, RefusesWhatHasNoMeaning) {
  const Conv c{.height = 5, .width = 3, .inout = {2, 4}};
  expect_refusal([&] { c(zeros({1, 3, 8, 8})); }, {"Conv", "[1, 3, 8, 8]", "3 channels", "2"});
  expect_refusal([&] { c(zeros({1, 2, 4, 8})); }, {"Conv", "spans 5", "[1, 2, 4, 8]", "dimension 2"});
  expect_refusal([&] { c(zeros({1, 1, 2, 8, 8})); }, {"Conv", "[1, 1, 2, 8, 8]", "4"});
  expect_refusal([&] { c(zeros({8, 8})); }, {"Conv", "[1, 1, 8, 8]", "1 channels"});
  expect_refusal([&] { c(zeros({1, 2, 8, 8}, i64)); }, {"Conv", "i64"});
  expect_refusal([&] { c(zeros({1, 2, 8, 8}, f64)); }, {"Conv", "f64", "f32"});
  expect_refusal(
      [&] {
        (void)Conv{.height = 3, .width = 3, .inout = {4, 6}, .groups = 4};
      },
      {"Conv", "groups = 4", "{4, 6}"});
  expect_refusal([&] { (void)Conv{.height = 3, .width = 0}; }, {"width", "0"});
  expect_refusal([&] { (void)Conv{.height = 3, .width = 3, .inout = {0, 6}}; }, {"Conv", "inout", "{0, 6}"});
  expect_refusal(
      [&] {
        (void)Conv{.height = 3, .width = 3, .stride = 0}(zeros({1, 1, 4, 4}));
      },
      {"Conv", "stride", "0"});
  expect_refusal(
      [&] {
        (void)Conv{.height = 3, .width = 3, .padding = -1}(zeros({1, 1, 4, 4}));
      },
      {"Conv", "padding", "-1"});
  expect_refusal(
      [&] {
        (void)Conv{.height = 3, .width = 3, .stride = {1, 1, 1}}(zeros({1, 1, 4, 4}));
      },
      {"Conv", "stride", "{1, 1, 1}", "2 spatial"});
  expect_refusal(
      [&] {
        DeConv{.height = 3, .width = 3, .output_padding = 1}(zeros({1, 1, 4, 4}));
      },
      {"DeConv", "output_padding", "stride"});
  expect_refusal(
      [&] {
        DeConv{.height = 1, .width = 1, .padding = 2}(zeros({1, 1, 4, 4}));
      },
      {"DeConv", "[1, 1, 4, 4]", "no output"});
  expect_refusal(
      [&] {
        Conv1d{.width = 3, .inout = {2, 4}}(zeros({1, 3, 8}));
      },
      {"Conv1d", "3 channels", "2"});
  expect_refusal(
      [&] {
        Conv3d{.depth = 3, .height = 3, .width = 3, .inout = {2, 4}}(zeros({1, 2, 2, 8, 8}));
      },
      {"Conv3d", "spans 3", "[1, 2, 2, 8, 8]", "dimension 2"});
  expect_refusal(
      [&] {
        DeConv{.height = 3, .width = 3, .inout = {2, 4}}(zeros({1, 3, 8, 8}));
      },
      {"DeConv", "3 channels", "2"});
  expect_refusal(
      [&] {
        (void)DeConv{.height = 3, .width = 3, .inout = {2, 4}, .groups = 3};
      },
      {"DeConv", "groups = 3", "{2, 4}"});
  expect_refusal(
      [&] {
        DeConv{.height = 3, .width = 3, .stride = 0}(zeros({1, 1, 4, 4}));
      },
      {"DeConv", "stride = 0"});
  expect_refusal([&] { c(zeros({6, 8})); }, {"Conv", "[1, 1, 6, 8]"});
  expect_refusal(
      [&] {
        Conv{.height = 1, .width = 1, .inout = {1, 2}}(zeros({4, 4}));
      },
      {"Conv", "[4, 4]", "no channels", "2"});
  expect_refusal([&] { c(Tensor()); }, {"Conv", "empty"});
  expect_refusal(
      [&] {
        Conv{.height = 3, .width = 3, .dilation = 0}(zeros({1, 1, 4, 4}));
      },
      {"Conv", "dilation = 0"});
  expect_refusal([&] { conv(zeros({4}), zeros({1, 1, 4, 4})); }, {"conv", "[1, 1, 4, 4]"});
  expect_refusal(
      [&] {
        conv(zeros({1, 2, 4}), zeros({3, 1, 1}), {.groups = 2});
      },
      {"conv", "2 groups", "3 channels"});
}

}  // namespace
