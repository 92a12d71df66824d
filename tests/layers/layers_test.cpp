// Layers against torch.nn (tests/reference/layers_reference.py) and the Julia system's golden numbers;
// integer inputs as one-hot vectors; what wrong input gets.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "knet/knet.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;

using knet::test::expect_close;

const test::Reference& reference() {
  static const test::Reference all = test::load_reference("layers");
  return all;
}
/// Gives the layer PyTorch's parameters; compares the output and every gradient, then checks them by
/// differences. `order`: PyTorch's names in the order of ours.
template <class L>
void compare(const std::string& name, L layer, std::vector<std::string> order, bool train = true) {
  SCOPED_TRACE(name);
  const auto at = [&](const std::string& key) {
    const auto it = reference().find(name + "." + key);
    return it == reference().end() ? Tensor() : it->second;
  };
  const auto ps = named_params(layer);
  ASSERT_EQ(ps.size(), order.size());
  for (std::size_t i = 0; i < order.size(); ++i) *ps[i].param = at("p." + order[i]);
  const Tensor x0 = at("x");
  const Param x = x0.floating() ? Param(x0) : Param();
  const auto input = [&] { return x ? Tensor(x) : x0; };
  const L start = layer;
  {
    const Mode mode(train);
    const Tape t = diff([&] { return sum(layer(input()) * at("w")); });
    for (std::size_t i = 0; i < order.size(); ++i)
      expect_close(t.grad(*ps[i].param), at("g." + order[i]), order[i]);
    if (x) expect_close(t.grad(x), at("gx"), "gradient of x");
  }
  {
    L again = start;
    const Mode mode(train);
    expect_close(again(x0), at("y"), "output");
  }
  if (train && name.starts_with("batch_norm")) return;  // gradcheck runs without training mode
  const auto report = gradcheck(layer, [&] { return sum(layer(input()) * at("w")); });
  EXPECT_TRUE(report) << report.worst;
}

TEST(Layers, OfMatricesMatchPyTorch) {
  compare("linear", Linear{.input = 4, .output = 3, .dtype = f64}, {"weight", "bias"});
  compare("linear_3d", Linear{.input = 4, .output = 3, .dtype = f64}, {"weight", "bias"});
  compare("multiply", Multiply{.input = 4, .output = 3, .dtype = f64}, {"weight"});
  compare("embed", Embed{.input = 7, .output = 3, .dtype = f64}, {"weight"});
  const std::pair<std::string, Activation> acts[] = {{"relu", relu},        {"sigm", sigm},
                                                     {"tanh", tanh},        {"elu", elu},
                                                     {"selu", selu},        {"leaky_relu", leaky_relu},
                                                     {"gelu", gelu},        {"gelu_exact", gelu_exact},
                                                     {"silu", silu},        {"identity", identity},
                                                     {"log_sigm", log_sigm}};
  for (const auto& [name, act] : acts) {
    compare("dense_" + name, Dense{.input = 4, .output = 3, .activation = act, .dtype = f64},
            {"weight", "bias"});
  }
  compare("mlp", MLP{.sizes = {6, 5, 4, 3}, .dtype = f64},
          {"0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"});
}
TEST(Layers, OfNormalisationMatchPyTorch) {
  compare("layer_norm", LayerNorm{.size = 6, .dtype = f64}, {"weight", "bias"});
  compare("batch_norm_2d", BatchNorm{.channels = 3, .dtype = f64}, {"weight", "bias"});
  compare("batch_norm_4d", BatchNorm{.channels = 3, .dtype = f64}, {"weight", "bias"});
  BatchNorm trained{.channels = 3, .dtype = f64};
  trained.running_mean = reference().at("batch_norm_eval.s.running_mean");
  trained.running_var = reference().at("batch_norm_eval.s.running_var");
  compare("batch_norm_eval", trained, {"weight", "bias"}, false);
}
TEST(Layers, BatchNormKeepsRunningMoments) {
  for (const std::string name : {"batch_norm_2d", "batch_norm_4d"}) {
    const BatchNorm layer{.channels = 3, .dtype = f64};
    const Mode mode(true);
    layer(reference().at(name + ".x"));
    expect_close(layer.running_mean, reference().at(name + ".s.running_mean"), "mean");
    expect_close(layer.running_var, reference().at(name + ".s.running_var"), "variance");
  }
}
TEST(Layers, GoldenNormalisation) {
  const LayerNorm n{.size = 4, .eps = 0, .dtype = f64};
  const Tensor y = n(Tensor(std::vector<double>{1, 2, 3, 4}));
  expect_close(y,
               Tensor(std::vector<double>{-1.3416407864998738, -0.4472135954999579, 0.4472135954999579,
                                          1.3416407864998738}),
               "norm", 1e-12);
  const BatchNorm b{.channels = 1, .dtype = f64};
  const Mode mode(true);
  expect_close(b(Tensor(std::vector<double>{1, 2, 3, 4}, {4, 1})),
               Tensor(std::vector<double>{-1.3416354199689269, -0.447211806656309, 0.447211806656309,
                                          1.3416354199689269},
                      {4, 1}),
               "batch", 1e-12);
  EXPECT_NEAR(b.running_mean.item(), 0.25, 1e-12);
  EXPECT_NEAR(b.running_var.item(), 1.0666666666666667, 1e-12);
}
TEST(Layers, BatchNormInEveryModeAndRank) {
  for (const Shape& shape : {Shape{12, 3}, Shape{4, 3, 5}, Shape{3, 3, 4, 5}, Shape{2, 3, 3, 4, 2}}) {
    seed(5);
    const Tensor x = rand(shape, f64) * 5.0;
    Dims others{0};
    for (int i = 2; i < x.ndim(); ++i) others.d[others.n++] = static_cast<std::int8_t>(i);
    BatchNorm layer{.channels = 3, .momentum = 0.3, .dtype = f64};
    {
      const Mode mode(true);
      const Tensor y = layer(x);
      EXPECT_LT(max(abs(y.mean(others))).item(), 1e-3);
      EXPECT_TRUE(allclose(var(y, others, false, false), ones({3}, f64), 1e-2));
    }
    // Training moves the moments by .momentum, inference leaves them.
    expect_close(layer.running_mean, 0.3 * x.mean(others), "mean", 1e-12);
    expect_close(layer.running_var, 0.7 + 0.3 * var(x, others), "variance", 1e-12);
    const Tensor mean = layer.running_mean, variance = layer.running_var;
    const Tensor y = layer(x);
    EXPECT_TRUE(equal(layer.running_mean, mean) && equal(layer.running_var, variance));
    // Frozen, they stay in training too, and gradients flow as in inference.
    BatchNorm frozen = layer;
    frozen.frozen = true;
    struct {
      Param x;
    } in{x};
    const auto loss = [&] { return sum(sin(frozen(in.x))); };
    {
      const Mode mode(true);
      expect_close(frozen(x), y, "frozen", 1e-12);
      EXPECT_TRUE(equal(frozen.running_mean, mean));
    }
    auto model = std::tie(frozen, in);
    const auto report = gradcheck(model, loss);
    EXPECT_TRUE(report) << report.worst;
    const auto second =
        gradcheck(model, [&] { return sum(sin(diff(loss).grad(in.x))); }, {.rtol = 1e-4, .atol = 1e-5});
    EXPECT_TRUE(second) << second.worst;
    // Not affine: no parameters, the same as weights of 1 and biases of 0.
    const BatchNorm bare{.channels = 3, .affine = false, .dtype = f64};
    EXPECT_EQ(count_params(bare), 0);
    const Mode mode(true);
    expect_close(bare(x), BatchNorm{.channels = 3, .dtype = f64}(x), "not affine", 1e-12);
  }
  const BatchNorm saved{.channels = 3};
  EXPECT_EQ(count_params(saved), 6);
}
TEST(Layers, BatchNormTakesAnActivation) {
  const Tensor x = randn({4, 3, 5, 2}, f64);
  for (const Activation& f : {Activation(relu), Activation(elu), Activation(tanh)}) {
    struct {
      Param x;
    } in{x};
    BatchNorm fused{.channels = 3, .activation = f, .dtype = f64}, apart{.channels = 3, .dtype = f64};
    fused.weight = apart.weight = randn({3}, f64), fused.bias = apart.bias = randn({3}, f64);
    const Tensor w = randn(x.shape(), f64);
    const Tape a = diff([&] { return sum(fused(in.x) * w); }),
               b = diff([&] { return sum(f(apart(in.x)) * w); });
    expect_close(a.value(), b.value(), f.name());
    expect_close(a.grad(in.x), b.grad(in.x), f.name());
    expect_close(a.grad(fused.weight), b.grad(apart.weight), f.name());
  }
}
TEST(Layers, BatchNormTakesAResidual) {
  for (const bool training : {false, true}) {
    const Mode mode(training);
    for (const bool last : {false, true}) {
      for (const Activation& f : {Activation(nullptr), Activation(relu), Activation(tanh)}) {
        struct {
          Param x, other;
        } in{randn({4, 3, 5, 2}, f64), randn({4, 3, 5, 2}, f64)};
        if (last) in.x = Tensor(in.x).permute({0, 2, 3, 1}).contiguous().permute({0, 3, 1, 2});
        BatchNorm one{.channels = 3, .activation = f, .dtype = f64}, apart{.channels = 3, .dtype = f64};
        one.weight = apart.weight = randn({3}, f64), one.bias = apart.bias = randn({3}, f64);
        const Tensor w = randn(in.x.shape(), f64);
        const Tape a = diff([&] { return sum(one(in.x, in.other) * w); }),
                   b = diff([&] { return sum(f(apart(in.x) + in.other) * w); });
        expect_close(a.value(), b.value(), f.name());
        expect_close(a.grad(in.x), b.grad(in.x), f.name());
        expect_close(a.grad(in.other), b.grad(in.other), f.name());
        expect_close(a.grad(one.weight), b.grad(apart.weight), f.name());
        expect_close(one(in.x, in.other), f(apart(in.x) + in.other), f.name());
      }
    }
  }
}
TEST(Layers, ResultsTakeOverValuesThatNobodyKeeps) {
  const Tensor x = randn({4, 3, 5, 2}), last = x.permute({0, 2, 3, 1}).contiguous().permute({0, 3, 1, 2});
  BatchNorm bn{.channels = 3, .activation = relu};
  bn.running_mean = randn({3}), bn.running_var = rand({3}) + 0.5;
  for (const Tensor& given : {x, last}) {
    const Tensor expected = bn(given), copy = given;
    EXPECT_TRUE(equal(bn(copy), expected));
    EXPECT_TRUE(equal(bn(Tensor(given)), expected));  // shared
    EXPECT_TRUE(equal(bn(copy, copy), bn(given, given)));
    EXPECT_TRUE(equal(given, x));
    Tensor own = given * 1.0;
    const float* memory = own.data<float>();
    const Tensor y = bn(std::move(own));
    EXPECT_TRUE(equal(y, expected));
    EXPECT_EQ(y.data<float>(), memory);
    own = given * 1.0, memory = own.data<float>();
    const Tensor z = relu(std::move(own));
    EXPECT_TRUE(equal(z, relu(given)));
    EXPECT_EQ(z.data<float>(), memory);
  }
  // Where a gradient needs the value it stays.
  struct {
    Param x;
  } in{x};
  for (const Activation& f : {Activation(relu), Activation(gelu), Activation(elu), Activation(sigm),
                              Activation(nullptr), Activation([](const Tensor& h) { return h * h; })}) {
    bn.activation = f;
    const auto with = [&](auto call) {
      const Tape t = diff([&] { return sum(call()); });
      return std::pair(t.value(), t.grad(in.x));
    };
    const auto [value, gradient] = with([&] {
      const Tensor h = in.x * in.x, n = bn(h), y = f(n);
      return y * h;
    });
    const auto [value2, gradient2] = with([&] { return f(bn(in.x * in.x)) * (in.x * in.x); });
    expect_close(value, value2, f.name(), 1e-5);
    expect_close(gradient, gradient2, f.name(), 1e-5);
  }
}
TEST(Layers, NormalisationsOfAConstantAreZeros) {
  // KnetLayers' LayerNorm gave 0 / 0.
  struct {
    Param x = full({2, 4}, 3.0);
  } in;
  const LayerNorm n{.size = 4};
  const Tape t = diff([&] { return sum(n(in.x) * randn({2, 4})); });
  EXPECT_TRUE(equal(n(in.x), zeros({2, 4})));
  EXPECT_TRUE(all(isfinite(t.grad(in.x))).item() == 1);
  const Mode mode(true);
  EXPECT_TRUE(equal(BatchNorm{4}(in.x), zeros({2, 4})));
  EXPECT_TRUE(equal(GroupNorm{.groups = 2, .channels = 4}(in.x), zeros({2, 4})));
}
TEST(Layers, GroupsBetweenLayerAndInstance) {
  const Tensor x = randn({2, 4, 3, 5}, f64),
               last = x.permute({0, 2, 3, 1}).contiguous().permute({0, 3, 1, 2});
  InstanceNorm instance{.channels = 4, .affine = true, .dtype = f64};
  GroupNorm each{.groups = 4, .channels = 4, .dtype = f64}, two{.groups = 2, .channels = 4, .dtype = f64},
      one{.groups = 1, .channels = 4, .affine = false, .dtype = f64};
  instance.weight = each.weight = two.weight = randn({4}, f64);
  instance.bias = each.bias = two.bias = randn({4}, f64);
  expect_close(instance(x), each(x), "a group for every channel");
  expect_close(one(x).flatten(1), layer_norm(x.flatten(1), {}, {}), "one group");
  EXPECT_TRUE(two(last).is_channels_last());
  expect_close(two(last), two(x), "any order of memory");
  EXPECT_EQ(count_params(one), 0);
  EXPECT_EQ(count_params(InstanceNorm{.channels = 4}), 0);
}
TEST(Layers, IntegersAreOneHotVectors) {
  const Tensor ids = randint(0, 5, {2, 3});
  const Tensor hot = one_hot(ids, 5);
  const Multiply m{.input = 5, .output = 4};
  expect_close(m(ids), m(hot), "Multiply", 1e-6);
  const Linear l{.input = 5, .output = 4, .binit = gaussian(0, 1)};
  expect_close(l(ids), l(hot), "Linear", 1e-6);
  const Dense d{.input = 5, .output = 4, .activation = tanh};
  expect_close(d(ids), d(hot), "Dense", 1e-6);
}
// A weight is packed for its second use without a tape, and again after it was written to.
TEST(Layers, PackedWeightsFollowTheirValues) {
  Linear l{.input = 70, .output = 40};
  for (const std::int64_t rows : {1, 20, 200}) {
    const Tensor x = randn({rows, 70});
    for (int version = 0; version < 3; ++version) {
      const Tensor first = l(x);
      expect_close(first, matmul(x, l.weight.value().T()) + l.bias.value(), "Linear", 1e-5);
      for (int use = 0; use < 3; ++use) EXPECT_TRUE(equal(l(x), first)) << rows << " rows";
      l.weight *= 1.5;
    }
    l.weight = randn({40, 70});
  }
  // What takes over a former weight's memory does not take over its packed form.
  BatchNorm bn{70};
  bn.running_mean = randn({70});
  const Tensor x = randn({200, 70});
  const std::vector<std::function<Tensor(Tensor)>> forms{
      [](Tensor w) { return relu(std::move(w)); }, [](Tensor w) { return knet::tanh(std::move(w)); },
      [](Tensor w) { return std::move(w) * 0.5; }, [&](Tensor w) { return bn(std::move(w)); }};
  for (const auto& form : forms) {
    auto former = std::make_unique<Linear>(Linear{.input = 70, .output = 40});
    for (int use = 0; use < 3; ++use) (*former)(x);
    Tensor w = former->weight.value();
    former.reset();
    const Tensor expected = form(w);
    l.weight = form(std::move(w));
    for (int use = 0; use < 3; ++use) expect_close(l(x), matmul(x, expected.T()) + l.bias.value(), "", 1e-5);
  }
}
TEST(Layers, DiagonalAndBias) {
  const Tensor x = randn({3, 4});
  const Diagonal d{.size = 4, .winit = gaussian(0, 1), .binit = gaussian(0, 1)};
  expect_close(d(x), x * Tensor(d.weight) + Tensor(d.bias), "Diagonal", 1e-6);
  const Bias b{.shape = {4}, .winit = gaussian(0, 1)};
  expect_close(b(x), x + Tensor(b.bias), "Bias", 1e-6);
}
TEST(Layers, DropoutOnlyInTraining) {
  const Dropout d{.p = 0.4};
  const Tensor x = ones({100, 100});
  EXPECT_TRUE(equal(d(x), x));
  const Mode mode(true);
  const Tensor y = d(x);
  const double zeros_share = double((y == 0).to(f32).mean().item());
  EXPECT_NEAR(zeros_share, 0.4, 0.02);
  EXPECT_NEAR(y.mean().item(), 1, 0.03);
  EXPECT_THROW(dropout(x, 1.5), ValueError);
  EXPECT_THROW(dropout(x, NAN), ValueError);
}

TEST(Layers, DropoutOfNothingAndOfAll) {
  const Mode mode(true);
  const Param x = randn({20, 20});
  EXPECT_TRUE(equal(dropout(x, 0), x.value()));
  const Tape all = diff([&] { return sum(dropout(x, 1) + x * 2.0); });
  EXPECT_TRUE(equal(all.grad(x), full({20, 20}, 2.0)));
  // What is 0 already has the gradient of its neighbours.
  const Param zero = zeros({100, 10});
  const Tape t = diff([&] { return sum(dropout(zero, 0.5)); });
  EXPECT_NEAR(t.grad(zero).mean().item(), 1, 0.15);
}
TEST(Layers, MlpMaySpareItsInput) {
  const Tensor x = ones({50, 30});
  MLP model{.sizes = {30, 40}, .dropout = 0.5};
  const Mode mode(true);
  EXPECT_FALSE(allclose(model(x), model(x)));
  model.drop_input = false;
  EXPECT_TRUE(equal(model(x), model(x)));  // one layer, whose input is spared
}
TEST(Layers, SoftmaxOverSeveralDimensions) {
  const Tensor x = randn({2, 3, 4}, f64);
  expect_close(Softmax{.dim = {1, 2}}(x), softmax(x.flatten(1), 1).reshape(x.shape()), "two", 1e-12);
  expect_close(exp(LogSoftmax{.dim = Dims{}}(x)), softmax(x.flatten(), 0).reshape(x.shape()), "all", 1e-12);
  expect_close(LogSumExp{.dim = Dims{}}(x), log(sum(exp(x))), "sum of all", 1e-12);
  expect_close(LogSumExp{}(x), logsumexp(x, -1), "last", 1e-12);
  EXPECT_TRUE(equal(Softmax{}(x), softmax(x)));
}
TEST(Layers, Cat1dJoinsAll) {
  const Param a = Tensor{{1., 2.}, {3., 4.}}, b = Tensor{5.};
  EXPECT_TRUE(equal(cat1d(a, b, 2 * Tensor(b)), Tensor{1., 2., 3., 4., 5., 10.}));
  const Tape t = diff([&] { return sum(cat1d(a, b) * Tensor{1., 2., 3., 4., 5.}); });
  EXPECT_TRUE(equal(t.grad(a), Tensor{{1., 2.}, {3., 4.}}));
}
TEST(Layers, BilinearEnlarges) {
  const Tensor two = Tensor{.25, .75, .75, .25}, three = Tensor{1. / 3, 2. / 3, 1., 2. / 3, 1. / 3};
  expect_close(bilinear({1, 1, 4, 4}, f32)(0, 0), outer(two, two), "factor 2", 1e-6);
  expect_close(bilinear({1, 1, 5, 5}, f32)(0, 0), outer(three, three), "factor 3", 1e-6);
}
TEST(Layers, GoldenActivations) {
  const Tensor x = Tensor(std::vector<double>{-2, -0.5, 0, 0.5, 2});
  const auto expect = [&](const Activation& f, const std::vector<double>& y) {
    expect_close(f(x), Tensor(y), f.name(), 1e-12);
  };
  expect(relu, {0, 0, 0, 0.5, 2});
  expect(sigm, {0.11920292202211755, 0.37754066879814546, 0.5, 0.6224593312018546, 0.8807970779778823});
  expect(tanh, {-0.9640275800758169, -0.46211715726000974, 0, 0.46211715726000974, 0.9640275800758169});
  expect(elu, {-0.8646647167633873, -0.3934693402873666, 0, 0.5, 2});
  expect(leaky_relu, {-0.4, -0.1, 0, 0.5, 2});
  expect(gelu, {-0.04540230591222494, -0.15428599017485606, 0, 0.34571400982514394, 1.954597694087775});
  expect(selu, {-1.5201664685956955, -0.6917581878028716, 0, 0.5253504936777402, 2.101401974710961});
}

TEST(Losses, Golden) {
  const Tensor s = Tensor(std::vector<double>{12.2, 2.0, 0.0, 0.3, 21.5, -21.0}, {2, 3});
  EXPECT_NEAR(nll(s, Tensor(std::vector<std::int64_t>{0, 1})).item(), 2.1100252335646503e-05, 1e-15);
  const Tensor c = Tensor(std::vector<double>{1, 2, 3, 1, 0, -1}, {2, 3});
  EXPECT_NEAR(CrossEntropyLoss{}(c, Tensor(std::vector<std::int64_t>{2, 0})).item(), 0.4076059644443804,
              1e-14);
  EXPECT_NEAR(CrossEntropyLoss{}(c, Tensor(std::vector<std::int64_t>{2, -1})).item(), 0.4076059644443804,
              1e-14);
  const Tensor b = Tensor(std::vector<double>{0.5, -1, 2});
  EXPECT_NEAR(bce(b, Tensor(std::vector<double>{1, 0, 1})).item(), 0.3047555609137674, 1e-14);
  EXPECT_NEAR(BCELoss{.average = false}(b, Tensor(std::vector<double>{1, 0, 1})).item(), 0.9142666827413021,
              1e-14);
  EXPECT_NEAR(logistic(b, Tensor(std::vector<double>{1, -1, 1})).item(), 0.3047555609137674, 1e-14);
  const Tensor g = Tensor(std::vector<double>{0.5, -1, 2, 0}, {2, 2}),
               t = Tensor(std::vector<double>{1, 0, 1, 1}, {2, 2});
  EXPECT_NEAR(SigmoidCrossEntropyLoss{.average = false}(g, t).item(), 1.6074138633012476, 1e-14);
  EXPECT_NEAR(SigmoidCrossEntropyLoss{}(g, t).item(), 0.8037069316506238, 1e-14);
  EXPECT_NEAR(nll(zeros({4, 10}, f64), zeros({4}, i64)).item(), 2.302585092994046, 1e-14);
}
TEST(Losses, Accuracy) {
  const Tensor s = Tensor(std::vector<double>{1, 2, 3, 5, 1, 0, 0, 9, 1}, {3, 3});
  EXPECT_DOUBLE_EQ(accuracy(s, Tensor(std::vector<std::int64_t>{2, 0, 0})), 2.0 / 3);
  EXPECT_DOUBLE_EQ(zeroone(s, Tensor(std::vector<std::int64_t>{2, 0, 0})), 1.0 / 3);
}

template <class E, class F>
void expect_error(const F& f, const std::string& part) {
  try {
    f();
    ADD_FAILURE() << "no error; expected one with \"" << part << "\"";
  } catch (const E& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}
TEST(BadInput, NamesTheLayerAndTheShapes) {
  const Dense d{.input = 4, .output = 3};
  expect_error<ShapeError>([&] { d(zeros({2, 5})); }, "Dense");
  expect_error<ShapeError>([&] { d(zeros({2, 5})); }, "[2, 5]");
  expect_error<ShapeError>([&] { Linear{.input = 4, .output = 3}(zeros({7})); }, "Linear");
  expect_error<DTypeError>([&] { d(zeros({2, 4}, f64)); }, "f64");
  expect_error<ValueError>(
      [&] {
        Embed{.input = 4, .output = 3}(Tensor(std::vector<std::int64_t>{1, 4}));
      },
      "4");
  expect_error<ValueError>([&] { Embed{.input = 4, .output = 3}(Tensor(std::vector<std::int64_t>{-1})); },
                           "-1");
  for (const char* part : {"Embed", "id 4", "0 to 3"})
    expect_error<ValueError>([&] { Embed{.input = 4, .output = 3}(Tensor{4}); }, part);
  for (const char* part : {"Linear", "id 4", "0 to 3"})
    expect_error<ValueError>([&] { Linear{.input = 4, .output = 3}(Tensor{4}); }, part);
  for (const char* part : {"Dense", "id -2"})
    expect_error<ValueError>([&] { Dense{.input = 4, .output = 3}(Tensor{-2}); }, part);
  for (const char* part : {"Multiply", "id 4"})
    expect_error<ValueError>([&] { Multiply{.input = 4, .output = 3}(Tensor{4}); }, part);
  for (const char* part : {"GroupNorm", "groups = 2", "channels = 3"})
    expect_error<ValueError>([&] { (void)GroupNorm{.groups = 2, .channels = 3}; }, part);
  expect_error<ValueError>([&] { group_norm(zeros({2, 3}), 2, {}, {}); }, "2 groups");
  for (const char* part : {"BatchNorm", "momentum = -2"})
    expect_error<ValueError>([&] { BatchNorm{.channels = 3, .momentum = -2}(zeros({2, 3})); }, part);
  expect_error<ValueError>([&] { (void)MLP{.sizes = {3, 4}, .dropout = 2}; }, "MLP: .dropout = 2");
  expect_error<ShapeError>([&] { RMSNorm{3}(zeros({2, 4})); }, "RMSNorm");
  expect_error<DTypeError>([&] { RMSNorm{3}(zeros({2, 3}, f64)); }, "rms_norm");
  {
    const Mode mode(true);
    expect_error<ShapeError>([&] { BatchNorm{3}(zeros({1, 3})); }, "1 values per channel");
  }
  expect_error<ShapeError>([&] { LayerNorm{.size = 4}(zeros({2, 5})); }, "LayerNorm");
  expect_error<ShapeError>([&] { BatchNorm{.channels = 4}(zeros({2, 5})); }, "BatchNorm");
  const BatchNorm bn{3};
  for (const char* part : {"BatchNorm", "[2, 1]", "[2, 3]"})
    expect_error<ShapeError>([&] { bn(zeros({2, 3}), zeros({2, 1})); }, part);
  expect_error<DTypeError>([&] { bn(zeros({2, 3}), zeros({2, 3}, f64)); }, "batch_norm");
  expect_error<ValueError>([&] { bn(zeros({2, 3}), Tensor()); }, "BatchNorm");
  expect_error<ShapeError>([&] { batch_norm(zeros({2, 3}), {}, {}, {.residual = zeros({3})}); }, "residual");
  expect_error<ValueError>([&] { static_cast<void>(Dense{.input = -4, .output = 3}); }, "-4");
  expect_error<ValueError>([&] { nll(zeros({2, 3}), Tensor(std::vector<std::int64_t>{0, 3})); }, "3");
  expect_error<ShapeError>([&] { nll(zeros({2, 3}), Tensor(std::vector<std::int64_t>{0})); }, "[2, 3]");
  expect_error<ShapeError>([&] { nll(zeros({2, 3}), zeros({2})); }, "soft labels");
  expect_error<ShapeError>([&] { matmul(zeros({2, 3}), zeros({4, 5})); }, "[4, 5]");
  expect_error<ShapeError>([&] { zeros({2, 3}) + zeros({4}); }, "[4]");
  expect_error<ShapeError>([&] { zeros({2, 3}).reshape({7}); }, "[7]");
}

TEST(Models, ShowPrintsATreeWithCounts) {
  const auto model =
      Chain{Dense{.input = 4, .output = 8}, Dropout{.p = 0.5}, Linear{.input = 8, .output = 2}};
  const std::string text = show(model) + summary(model);
  EXPECT_NE(text.find("Dense"), std::string::npos) << text;
  EXPECT_NE(text.find("58"), std::string::npos) << text;  // 4 * 8 + 8 + 8 * 2 + 2 parameters
}
TEST(Models, CopiesAreIndependent) {
  Dense a{.input = 3, .output = 2};
  Dense b = a;
  EXPECT_TRUE(equal(a.weight.value(), b.weight.value()));
  b.weight *= 2;
  EXPECT_FALSE(equal(a.weight.value(), b.weight.value()));
}

double variance(const Tensor& x) { return var(x).item(); }
TEST(Init, HasTheRightSpread) {
  seed(3);
  const Shape s{200, 300};
  EXPECT_NEAR(variance(xavier_uniform(s)), 2.0 / 500, 2e-4);
  EXPECT_NEAR(variance(xavier_normal(s)), 2.0 / 500, 2e-4);
  EXPECT_NEAR(variance(kaiming_normal(s)), 2.0 / 300, 3e-4);
  EXPECT_NEAR(variance(kaiming_normal_out(s)), 2.0 / 200, 5e-4);
  EXPECT_NEAR(variance(kaiming_normal_out({40, 25, 3, 4})), 2.0 / 480, 2e-4);
  EXPECT_NEAR(variance(gaussian(0, 0.5)(s)), 0.25, 0.01);
  const Tensor q = orthogonal({20, 30}).to(f64);
  EXPECT_TRUE(allclose(matmul(q, q.T()), eye(20, 20, f64), 1e-4, 1e-4));
  const Tensor t = truncated_normal(0, 1)(s);
  EXPECT_LE(double(max(abs(t)).item()), 2.0);
  EXPECT_TRUE(equal(constant(3)({2, 2}), full({2, 2}, 3.0)));
}
}  // namespace
