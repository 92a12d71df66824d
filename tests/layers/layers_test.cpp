// Layers against torch.nn (tests/reference/layers_reference.py) and the Julia system's golden numbers;
// integer inputs as one-hot vectors; what wrong input gets.
#include <gtest/gtest.h>

#include <cmath>

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
  expect_error<ShapeError>([&] { LayerNorm{.size = 4}(zeros({2, 5})); }, "LayerNorm");
  expect_error<ShapeError>([&] { BatchNorm{.channels = 4}(zeros({2, 5})); }, "BatchNorm");
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
  EXPECT_NEAR(variance(gaussian(0, 0.5)(s)), 0.25, 0.01);
  const Tensor q = orthogonal({20, 30}).to(f64);
  EXPECT_TRUE(allclose(matmul(q, q.T()), eye(20, 20, f64), 1e-4, 1e-4));
  const Tensor t = truncated_normal(0, 1)(s);
  EXPECT_LE(double(max(abs(t)).item()), 2.0);
  EXPECT_TRUE(equal(constant(3)({2, 2}), full({2, 2}, 3.0)));
}
}  // namespace
