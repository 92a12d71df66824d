// Plans give what their models give, on other inputs than they were made with.
#include <gtest/gtest.h>
#include <knet/knet.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace knet;

std::int64_t count(const Plan& p, const char* kernel) {
  const auto calls = p.calls();
  return std::ranges::count(calls, std::string(kernel));
}
/// Largest difference, in units of the largest expected number.
double distance(const Tensor& expected, const Tensor& got) {
  EXPECT_EQ(expected.shape(), got.shape());
  EXPECT_EQ(expected.dtype(), got.dtype());
  const auto a = expected.to_vector<double>(), b = got.to_vector<double>();
  double largest = 1e-30, difference = 0;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    EXPECT_TRUE(std::isfinite(b[i]));
    largest = std::max(largest, std::abs(a[i])), difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  return difference / largest;
}
template <class M, class... X>
Plan expect_same(M&& model, const X&... x) {
  const Plan plan = compile(model, x...);
  for (int i = 0; i < 3; ++i) {
    // The first is another input than compile() saw, then the example.
    const auto other = [&](const Tensor& t) {
      return i == 1 || !t.floating() ? t : randn(t.shape(), t.dtype());
    };
    const std::vector<Tensor> in{other(x)...};
    const auto run = [&]<std::size_t... I>(std::index_sequence<I...>) {
      std::vector<Tensor> expected;
      detail::collect(model(static_cast<const Tensor&>(in[I])...), expected);
      const std::vector<Tensor> got = plan.all(in[I]...);
      EXPECT_EQ(expected.size(), got.size());
      for (std::size_t k = 0; k < got.size(); ++k)
        EXPECT_LE(distance(expected[k], got[k]), 1e-5) << "output " << k << ", round " << i;
      EXPECT_TRUE(equal(got[0], plan(in[I]...)));  // the same bits every time
    };
    run(std::index_sequence_for<X...>{});
  }
  return plan;
}

// Running moments and affine parameters that do something.
void stir(BatchNorm& b) {
  b.running_mean = randn(b.running_mean.shape());
  b.running_var = rand(b.running_var.shape()) + 0.5;
  b.weight = rand(b.weight.shape()) + 0.5;
  b.bias = randn(b.bias.shape());
}

struct Digits {
  Conv conv1{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu};
  Conv conv2{.height = 5, .width = 5, .inout = {12, 12}, .activation = Tanh{}};
  Dense fc1{.input = 192, .output = 13, .activation = Tanh{}};
  Linear fc2{.input = 13, .output = 10};
  Tensor operator()(const Tensor& x) const { return fc2(fc1(mat(pool(conv2(pool(conv1(x))))))); }
};

Conv three(std::int64_t from, std::int64_t to, std::int64_t stride = 1, std::int64_t window = 3) {
  return {.height = window,
          .width = window,
          .inout = {from, to},
          .padding = window / 2,
          .stride = stride,
          .binit = nullptr};
}
struct Block {
  Conv conv1, conv2;
  BatchNorm bn1, bn2;
  std::optional<Conv> down;
  std::optional<BatchNorm> bn_down;
  Block(std::int64_t from, std::int64_t to, std::int64_t stride)
      : conv1(three(from, to, stride)),
        conv2(three(to, to)),
        bn1{.channels = to, .activation = relu},
        bn2{.channels = to} {
    stir(bn1), stir(bn2);
    if (stride == 1 && from == to) return;
    down = three(from, to, stride, 1);
    bn_down = BatchNorm{.channels = to};
    stir(*bn_down);
  }
  Tensor operator()(const Tensor& x) const {
    return relu(bn2(conv2(bn1(conv1(x)))) + (down ? (*bn_down)((*down)(x)) : x));
  }
};
struct ResNet {
  Conv conv1 = three(3, 16, 2, 7);
  BatchNorm bn1{.channels = 16, .activation = relu};
  Pool maxpool{.window = 3, .stride = 2, .padding = 1};
  std::vector<Block> blocks;
  Linear fc{.input = 32, .output = 10};
  ResNet() {
    stir(bn1);
    blocks.emplace_back(16, 16, 1);
    blocks.emplace_back(16, 32, 2);
    blocks.emplace_back(32, 32, 1);
  }
  Tensor operator()(const Tensor& x) const {
    Tensor h = maxpool(bn1(conv1(x)));
    for (const Block& b : blocks) h = b(h);
    return fc(mat(GlobalPool{}(h)));
  }
};

TEST(Compile, MultilayerPerceptron) {
  MLP model{{784, 100, 50, 10}};
  const Plan plan = expect_same(model, zeros({100, 784}));
  EXPECT_EQ(plan.calls(), (std::vector<std::string>{"matmul", "matmul", "matmul"}));
  expect_same(model, rand({1, 784}));
  // Activations that layers apply on their own become part of the product.
  const MLP smooth{.sizes = {20, 30, 5}, .activation = gelu};
  EXPECT_EQ(expect_same(smooth, randn({7, 20})).calls(), (std::vector<std::string>{"matmul", "matmul"}));
}
TEST(Compile, DigitsNetwork) { expect_same(Digits{}, rand({3, 1, 28, 28})); }
TEST(Compile, DoublesAndOtherRanks) {
  expect_same(Linear{.input = 4, .output = 3, .dtype = f64}, randn({2, 5, 4}, f64));
  expect_same(Linear{.input = 4, .output = 3}, randn({4}));
}

TEST(Compile, ResidualNetworkFoldsBatchNorm) {
  const ResNet model;
  const Plan plan = expect_same(model, randn({2, 3, 64, 64}));
  EXPECT_EQ(count(plan, "channel_affine"), 0);
  EXPECT_EQ(count(plan, "conv"), 8);
  EXPECT_EQ(count(plan, "binary and unary"), 3);
  EXPECT_EQ(count(plan, "unary"), 0);
  EXPECT_GT(plan.intermediates(), 0u);
  EXPECT_LT(plan.memory(), plan.intermediates());
}
TEST(Compile, ConvolutionAndPoolByImages) {
  const auto joined = [](const auto& model, Shape images, DType t = f32) {
    return count(expect_same(model, randn(images, t)), "conv and max_pool");
  };
  const auto both = [](const Conv& conv) { return Chain{conv, Pool{}}; };
  const Conv few{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu},
      packed{.height = 3, .width = 3, .inout = {32, 32}, .activation = Tanh{}, .padding = 1};
  EXPECT_EQ(joined(both(few), {37, 1, 28, 28}), 1);
  EXPECT_EQ(joined(both(packed), {21, 32, 16, 16}), 1);
  EXPECT_EQ(joined(both(Conv{.height = 5, .width = 5, .inout = {1, 12}, .dtype = f64}), {30, 1, 20, 22}, f64),
            1);
  EXPECT_EQ(joined(both(few), {7, 1, 28, 28}), 0);    // little
  EXPECT_EQ(joined(both(few), {20, 1, 100, 90}), 0);  // one image is enough for the cache
  const auto twice = [&few](const Tensor& x) {
    const Tensor h = few(x);
    return pool(h) + mean(h);
  };
  EXPECT_EQ(joined(twice, {37, 1, 28, 28}), 0);
}
TEST(Compile, BatchNormThatCannotBeFolded) {
  // Before the convolution, and where its input is read twice.
  struct Before {
    BatchNorm bn{.channels = 3};
    Conv conv = three(3, 4);
    Tensor operator()(const Tensor& x) const { return conv(bn(x)); }
  } before;
  stir(before.bn);
  EXPECT_EQ(count(expect_same(before, randn({2, 3, 8, 8})), "channel_affine"), 1);
  struct Twice {
    BatchNorm bn{.channels = 4};
    Conv conv = three(3, 4);
    Tensor operator()(const Tensor& x) const {
      const Tensor h = conv(x);
      return bn(h) * h;
    }
  } twice;
  stir(twice.bn);
  EXPECT_EQ(count(expect_same(twice, randn({2, 3, 8, 8})), "channel_affine"), 1);
}
TEST(Compile, BatchNormWithAResidual) {
  struct Model {
    Conv conv = three(4, 4);
    BatchNorm bn{.channels = 4};
    Tensor operator()(const Tensor& x) const { return bn(conv(x), x); }
  } model;
  stir(model.bn);
  const Tensor x = randn({2, 4, 8, 8}), last = randn({2, 8, 8, 4}).permute({0, 3, 1, 2});
  EXPECT_EQ(count(expect_same(model, last), "channel_affine"), 0);
  model.bn.activation = relu;
  const Plan joined = expect_same(model, last);
  EXPECT_EQ(count(joined, "channel_affine"), 0);
  EXPECT_EQ(count(joined, "binary and unary"), 1);
  const auto itself = [&](const Tensor& h) {
    const Tensor y = model.conv(h);
    return model.bn(y, y);
  };
  EXPECT_EQ(count(expect_same(itself, last), "channel_affine"), 1);
  const auto alone = [&](const Tensor& h) { return model.bn(h, 2 * h); };
  EXPECT_EQ(count(expect_same(alone, x), "channel_affine"), 1);
}
TEST(Compile, BatchNormAfterALinearLayer) {
  struct Model {
    Linear fc{.input = 6, .output = 5};
    BatchNorm bn{.channels = 5, .activation = Tanh{}};
    Tensor operator()(const Tensor& x) const { return bn(fc(x)); }
  } model;
  stir(model.bn);
  EXPECT_EQ(expect_same(model, randn({7, 6})).calls(), std::vector<std::string>{"matmul"});
}

TEST(Compile, RecurrentLayers) {
  const LSTM lstm{.input = 5, .hidden = 8, .layers = 2, .bidirectional = true};
  EXPECT_EQ(expect_same(lstm, randn({3, 7, 5})).outputs().size(), 3u);
  expect_same([&](const Tensor& x) { return lstm(x, {7, 4, 2}).y; }, randn({3, 7, 5}));
  expect_same(GRU{.input = 5, .hidden = 8}, randn({2, 6, 5}));
  expect_same(SRNN{.input = 5, .hidden = 8}, randn({2, 6, 5}));
}
TEST(Compile, StateGoesInAndOut) {
  const LSTM lstm{.input = 5, .hidden = 8, .layers = 2};
  const auto step = [&](const Tensor& x, const Tensor& h, const Tensor& c) {
    const RNNOutput r = lstm(x, {.hidden = h, .memory = c});
    return std::tuple(r.y, r.hidden, r.memory);
  };
  const Tensor none = zeros({2, 1, 8});
  const Plan plan = expect_same(step, randn({1, 1, 5}), none, none);
  // A stream: the states of one step are those that the next starts from.
  const Tensor x = randn({1, 20, 5});
  std::fill_n(plan.input<float>(1).data(), 16, 0.f), std::fill_n(plan.input<float>(2).data(), 16, 0.f);
  const Tensor expected = lstm(x).y;
  for (std::int64_t t = 0; t < 20; ++t) {
    std::ranges::copy(x.span<float>().subspan(static_cast<std::size_t>(5 * t), 5),
                      plan.input<float>(0).begin());
    plan.run();
    for (std::size_t k = 1; k < 3; ++k)
      std::ranges::copy(plan.output<float>(k), plan.input<float>(k).begin());
    for (std::size_t i = 0; i < 8; ++i)
      ASSERT_NEAR(plan.output<float>()[i], expected(0, t, static_cast<std::int64_t>(i)).item(), 1e-5);
  }
}

TEST(Compile, TransformerAndEmbeddings) {
  const Transformer layer{.size = 16, .heads = 4, .hidden = 32, .causal = true};
  expect_same(layer, randn({2, 6, 16}));
  expect_same([&](const Tensor& x, const Tensor& seen) { return layer(x, {.padding = seen}); },
              randn({2, 6, 16}), zeros({2, 6}) < ones({2, 6}));
  struct Model {
    Embed words{.input = 50, .output = 16};
    Transformer layer{.size = 16, .heads = 2, .hidden = 32, .rotary = true};
    Tensor operator()(const Tensor& ids) const { return layer(words(ids)); }
  } model;
  const Plan plan = expect_same(model, randint(0, 50, {2, 6}));
  const Tensor other = randint(0, 50, {2, 6});
  EXPECT_LE(distance(model(other), plan(other)), 1e-5);
  Tensor wrong = other;
  wrong.ref(1, 2) = 50.0;
  EXPECT_THROW(plan(wrong), ValueError);
  EXPECT_LE(distance(model(other), plan(other)), 1e-5);  // and goes on
}

TEST(Compile, OperatorsOfAllKinds) {
  expect_same(
      [](const Tensor& x) {
        const Tensor mask = x > 0.1, sorted = sort(x, 1);
        return std::tuple(where(mask, x, -x), softmax(x, 1), cumsum(x, 1), sorted, x.argmax(1),
                          cat({x, x * 2, ones({3, 4})}, 1), x.T(), x.sum(), mean(square(x)), x);
      },
      randn({3, 4}));
  // The result may be the input, a part of a result, twice the same, or constant.
  expect_same(
      [](const Tensor& x) {
        const Tensor y = exp(x);
        return std::tuple(y.narrow(1, 1, 2), y, y, ones({2}), x);
      },
      randn({3, 4}));
  // Adds up in place.
  expect_same(
      [](const Tensor& x) {
        Tensor sum = zeros({3});
        for (std::int64_t i = 0; i < 4; ++i) sum += x(_, i) * static_cast<double>(i);
        sum.ref(1) = x(0, 0);
        return sum;
      },
      randn({3, 4}));
}

TEST(Compile, IsASnapshot) {
  MLP model{{6, 5, 4}};
  const Tensor x = randn({2, 6}), before = model(x);  // which keeps packed weights
  const Plan plan = compile(model, x);
  for (auto& p : params(model)) p *= 2;
  EXPECT_LE(distance(before, plan(x)), 1e-5);
}
TEST(Compile, InTrainingItIsInferenceAllTheSame) {
  Chain model{Linear{.input = 6, .output = 6}, Dropout{.p = 0.5}};
  const Tensor x = randn({2, 6}), expected = model(x);
  diff([&] {
    EXPECT_LE(distance(expected, compile(model, x)(x)), 1e-5);
    return sum(model(x));
  });
}

TEST(Compile, SpansAndThreads) {
  const Digits model;
  const Plan plan = compile(model, rand({1, 1, 28, 28}));
  const Tensor x = rand({1, 1, 28, 28}), expected = model(x);
  std::vector<float> y(10);
  std::thread([&] { plan.run(x.span<float>(), std::span<float>(y)); }).join();
  EXPECT_LE(distance(expected, Tensor(y, {1, 10})), 1e-5);
  // A copy for each thread.
  std::vector<Plan> copies(4, plan);
  std::vector<double> worst(copies.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        std::vector<float> mine(10);
        copies[i].run(x.span<float>(), std::span<float>(mine));
        for (std::size_t k = 0; k < 10; ++k)
          worst[i] = std::max(worst[i], static_cast<double>(std::abs(mine[k] - y[k])));
      }
    });
  }
  for (auto& t : threads) t.join();
  for (const double w : worst) EXPECT_EQ(w, 0);
}
TEST(Compile, CopiesAreIndependent) {
  Plan a = compile([](const Tensor& x) { return x * 2; }, ones({3}));
  std::ranges::fill(a.input<float>(), 5.f);
  const Plan b = a;
  std::ranges::fill(a.input<float>(), 7.f);
  b.run();
  EXPECT_EQ(b.output<float>()[2], 10.f);
  a = Plan();
  EXPECT_FALSE(a);
  EXPECT_THROW(a.run(), ValueError);
  b.run();
  EXPECT_EQ(b(ones({3}))(1).item(), 2);
}

template <class E, class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  ADD_FAILURE() << "it did not throw";
  return "";
}
#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Compile, RefusesWhatItCannotRepeat) {
  const Tensor x{-1.0, 0.5, 1.0, -0.7};
  const auto refused = [&](auto f) { return message<ValueError>([&] { compile(f, x); }); };
  EXPECT_SAYS(refused([](const Tensor& t) { return t + randn({4}); }), "kernel random");
  EXPECT_SAYS(refused([](const Tensor& t) {
                const Mode training(true);
                return dropout(t, 0.5);
              }),
              "kernel dropout");
  EXPECT_SAYS(refused([](const Tensor& t) { return t * t(0).item(); }), "item()");
  EXPECT_SAYS(refused([](const Tensor& t) { return sum(t).item() > 0 ? t : -t * 3; }), "item()");
  EXPECT_SAYS(refused([n = 0](const Tensor& t) mutable { return t * ++n; }), "state");
  EXPECT_SAYS(refused([](const Tensor&) { return Tensor(); }), "no tensor");
  EXPECT_SAYS(refused([](const Tensor& t) { return t(t > 0.0); }), "output 0");
  EXPECT_SAYS(message<ShapeError>([&] { compile([](const Tensor& t) { return t; }, zeros({0})); }), "empty");
  EXPECT_THROW(compile([](const Tensor& t) { return t; }, Tensor()), ValueError);
  // What the model throws comes through, and nothing is left behind.
  EXPECT_THROW(compile(Linear{.input = 3, .output = 2}, x), ShapeError);
  expect_same(Linear{.input = 4, .output = 2}, x);
}
TEST(Compile, ChecksItsInputs) {
  const Plan plan = compile(Linear{.input = 4, .output = 2}, zeros({3, 4}));
  EXPECT_SAYS(message<ShapeError>([&] { plan(zeros({2, 4})); }), "[2, 4], expected [3, 4]");
  EXPECT_SAYS(message<DTypeError>([&] { plan(zeros({3, 4}, f64)); }), "f64, expected f32");
  EXPECT_SAYS(message<ShapeError>([&] { plan(zeros({3, 4}), zeros({3, 4})); }), "1 inputs, not 2");
  EXPECT_THROW(plan(Tensor()), ValueError);
  EXPECT_THROW(plan.input<double>(), DTypeError);
  EXPECT_THROW(plan.output<float>(1), ValueError);
  std::vector<float> in(12), out(5);
  EXPECT_SAYS(message<ShapeError>([&] { plan.run(std::span<const float>(in), std::span<float>(out)); }),
              "12 values into 5");
  // Any strides will do.
  const Tensor x = randn({4, 3});
  EXPECT_TRUE(equal(plan(x.T()), plan(x.T().contiguous())));
}

}  // namespace
