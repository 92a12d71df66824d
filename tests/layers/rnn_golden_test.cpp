// Recurrent layers: PyTorch's values and gradients with weights loaded by name, and the Julia system's golden
// numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "knet/knet.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

const test::Reference& reference() {
  static const test::Reference all = test::load_reference("rnn");
  return all;
}
Tensor at(const std::string& key) {
  const auto it = reference().find(key);
  return it == reference().end() ? Tensor() : it->second;
}
const std::vector<std::int64_t> lengths{3, 5, 2};

template <class L>
void compare(const std::string& name, L layer) {
  SCOPED_TRACE(name);
  const auto ps = named_params(layer);
  for (const Named& p : ps) {
    const Tensor v = at(name + ".p." + p.name);
    ASSERT_TRUE(v) << p.name;
    *p.param = v;
  }
  struct {
    Param x, h, c;
  } start{at(name + ".x"), at(name + ".h0"), at(name + ".c0")};
  const auto run = [&] {
    const RNNState s{start.h, start.c ? Tensor(start.c) : Tensor()};
    return name.ends_with("unequal") ? layer(start.x, lengths, s) : layer(start.x, s);
  };
  const auto loss = [&] {
    const RNNOutput r = run();
    Tensor l = sum(r.y * at(name + ".wy")) + sum(r.hidden * at(name + ".wh"));
    return r.memory ? l + sum(r.memory * at(name + ".wc")) : l;
  };
  const RNNOutput r = run();
  expect_close(r.y, at(name + ".y"), "y");
  expect_close(r.hidden, at(name + ".h"), "hidden");
  if (at(name + ".c")) expect_close(r.memory, at(name + ".c"), "memory");
  const Tape t = diff(loss);
  for (const Named& p : ps) expect_close(t.grad(*p.param), at(name + ".g." + p.name), p.name);
  expect_close(t.grad(start.x), at(name + ".gx"), "gradient of x");
  expect_close(t.grad(start.h), at(name + ".gh"), "gradient of h0");
  if (start.c) expect_close(t.grad(start.c), at(name + ".gc"), "gradient of c0");
  const auto report = gradcheck(layer, loss);
  EXPECT_TRUE(report) << report.worst;
  // The gradient of the gradient, by differences.
  const auto slope = [&] {
    const Tape inner = diff(loss);
    return sum(sin(inner.grad(start.x))) + sum(square(inner.grad(layer.weights[0].wh)));
  };
  if (layer.layers == 1 || name.starts_with("gru1") || name.starts_with("lstm2_") || name == "tanh1") {
    const auto second = gradcheck(layer, slope, {.eps = 1e-5, .rtol = 1e-4, .atol = 1e-5});
    EXPECT_TRUE(second) << second.worst;
  }
}

TEST(RNN, MatchesPyTorch) {
  for (const bool both : {false, true}) {
    for (const std::string end : {"", "_unequal"}) {
      const std::string n = (both ? "2" : "1") + end;
      compare("lstm" + n, LSTM{.input = 4, .hidden = 3, .layers = 2, .bidirectional = both, .dtype = f64});
      compare("gru" + n, GRU{.input = 4, .hidden = 3, .layers = 2, .bidirectional = both, .dtype = f64});
      compare(
          "tanh" + n,
          SRNN{
              .input = 4, .hidden = 3, .activation = tanh, .layers = 2, .bidirectional = both, .dtype = f64});
      compare("relu" + n, SRNN{.input = 4, .hidden = 3, .layers = 2, .bidirectional = both, .dtype = f64});
    }
  }
  compare("lstm_plain", LSTM{.input = 4, .hidden = 3, .binit = nullptr, .dtype = f64});
  compare("gru_plain", GRU{.input = 4, .hidden = 3, .binit = nullptr, .dtype = f64});
}

// ---- golden numbers ----

/// All parameters in Knet's order are 0.5 sin(k), inputs 0.5 cos(j).
template <class L>
RNNOutput golden(L& l, std::int64_t features, std::int64_t steps) {
  std::int64_t k = 0;
  const auto fill = [&](Param& p) {
    if (!p) return;
    std::vector<double> v;
    for (std::int64_t i = 0; i < p.numel(); ++i) v.push_back(0.5 * std::sin(static_cast<double>(++k)));
    p = Tensor(v, p.shape());
  };
  for (auto& w : l.weights) fill(w.wi), fill(w.wh);
  for (auto& w : l.weights) fill(w.b), fill(w.bh);
  EXPECT_EQ(k, count_params(l));
  std::vector<double> x;
  for (std::int64_t j = 1; j <= features * steps; ++j) x.push_back(0.5 * std::cos(static_cast<double>(j)));
  return l(Tensor(x, {1, steps, features}));
}
Tensor numbers(const Shape& s, const std::vector<double>& v) { return Tensor(v, s); }

TEST(RNN, GoldenScalarCells) {
  const auto column = [](const std::vector<double>& v) {
    return numbers({static_cast<std::int64_t>(v.size()), 1}, v);
  };
  const Tensor x = numbers({1, 1}, {0.5}), h = numbers({1, 1, 1}, {0.1}), c = numbers({1, 1, 1}, {0.2});
  LSTM lstm{.input = 1, .hidden = 1, .dtype = f64};
  lstm.weights[0].wi = column({.1, .2, .3, .4});
  lstm.weights[0].wh = column({.5, .6, .7, .8});
  lstm.weights[0].b = Tensor(std::vector<double>{.01, 1, .03, .04});
  lstm.weights[0].bh = Tensor(std::vector<double>{.05, 1, .07, .08});
  const RNNOutput l = lstm(x, {h, c});
  EXPECT_NEAR(l.y.item(), 0.19948470052318537, 1e-14);
  EXPECT_NEAR(l.memory.item(), 0.3464273033440204, 1e-14);
  GRU gru{.input = 1, .hidden = 1, .dtype = f64};
  gru.weights[0].wi = column({.1, .2, .3});
  gru.weights[0].wh = column({.5, .6, .7});
  gru.weights[0].b = Tensor(std::vector<double>{.01, .02, .03});
  gru.weights[0].bh = Tensor(std::vector<double>{.05, .06, .07});
  EXPECT_NEAR(gru(x, {.hidden = h}).y.item(), 0.16611529617300358, 1e-14);
  for (const auto& [act, y] : {std::pair<Activation, double>(relu, 0.25),
                               std::pair<Activation, double>(tanh, 0.24491866240370913)}) {
    SRNN srnn{.input = 1, .hidden = 1, .activation = act, .dtype = f64};
    srnn.weights[0] = {column({.3}), column({.7}), Tensor(std::vector<double>{.01}),
                       Tensor(std::vector<double>{.02})};
    EXPECT_NEAR(srnn(x, {.hidden = h}).y.item(), y, 1e-14);
  }
}
TEST(RNN, GoldenLayouts) {
  LSTM small{.input = 2, .hidden = 2, .dtype = f64};
  const RNNOutput a = golden(small, 2, 3);
  expect_close(a.y,
               numbers({1, 3, 2}, {0.079979417025, 0.117680831788, 0.064759919983, 0.193804953016,
                                   0.056312271398, 0.176717270691}),
               "LSTM", 1e-11);
  expect_close(a.memory, numbers({1, 1, 2}, {0.084644928604, 0.368198238689}), "cell", 1e-11);
  GRU gru{.input = 2, .hidden = 2, .layers = 2, .bidirectional = true, .dtype = f64};
  const RNNOutput b = golden(gru, 2, 3);
  expect_close(b.y,
               numbers({1, 3, 4}, {-0.175235797720, -0.411497903648, -0.300194004474, -0.559851768200,
                                   -0.341325728026, -0.560986461897, -0.214313994843, -0.448414234468,
                                   -0.465616409634, -0.656639513641, -0.140304433208, -0.252182398790}),
               "GRU", 1e-11);
  expect_close(b.hidden,
               numbers({4, 1, 2}, {-0.592470572297, 0.140126627856, -0.579268682118, -0.176791235352,
                                   -0.465616409634, -0.656639513641, -0.300194004474, -0.559851768200}),
               "hidden", 1e-11);
  SRNN srnn{.input = 2, .hidden = 2, .activation = tanh, .layers = 2, .skip_input = true, .dtype = f64};
  const RNNOutput c = golden(srnn, 2, 3);
  expect_close(c.y,
               numbers({1, 3, 2}, {-0.632431717811, 0.354420883588, -0.670243469011, 0.406672490180,
                                   -0.793141297481, 0.703533210896}),
               "SRNN", 1e-11);
  expect_close(c.hidden,
               numbers({2, 1, 2}, {0.685683624651, 0.691411949040, -0.793141297481, 0.703533210896}),
               "hidden", 1e-11);
  LSTM deep{.input = 3, .hidden = 2, .layers = 2, .bidirectional = true, .dtype = f64};
  const RNNOutput d = golden(deep, 3, 2);
  expect_close(d.y,
               numbers({1, 2, 4}, {0.027850530917, 0.120130268189, -0.079832104270, -0.316832727678,
                                   0.074662615316, 0.157610936370, -0.052938546854, -0.188000354634}),
               "deep", 1e-11);
  expect_close(d.hidden,
               numbers({4, 1, 2}, {-0.117778616289, 0.086483328071, 0.048311931144, -0.139387241610,
                                   0.074662615316, 0.157610936370, -0.079832104270, -0.316832727678}),
               "hidden", 1e-11);
  expect_close(d.memory,
               numbers({4, 1, 2}, {-0.163833529879, 0.171690135526, 0.112725003385, -0.373091531858,
                                   0.119359514841, 0.329040119437, -0.191305381260, -0.604641135419}),
               "memory", 1e-11);
  EXPECT_EQ(count_params(LSTM{.input = 128, .hidden = 256}), 395264);
}
TEST(RNN, PublishedWeightsLoadByName) {
  struct {
    Embed words{.input = 7, .output = 4};
    LSTM lstm{.input = 4, .hidden = 3, .layers = 2, .bidirectional = true};
    GRU gru{.input = 6, .hidden = 3};
    SRNN rnn{.input = 3, .hidden = 3};
    Linear out{.input = 3, .output = 2};
  } model;
  load(KNET_SOURCE_DIR "/tests/data/pytorch_model.safetensors", model);
  const Tensor y = model.out(model.rnn(model.gru(model.lstm(model.words(at("model.x"))).y).y).y);
  expect_close(y, at("model.y"), "the scores of PyTorch's model", 1e-5);
}

}  // namespace
