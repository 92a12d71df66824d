// What a call of a model costs, against sums done by hand.
#include <gtest/gtest.h>

#include <sstream>

#include "knet/knet.hpp"

namespace {
using namespace knet;

const LayerSummary& row(const ModelSummary& s, const std::string& name) {
  for (const LayerSummary& r : s.rows) {
    if (r.name == name) return r;
  }
  ADD_FAILURE() << "no row " << name << " in\n" << s;
  return s.total;
}

TEST(Summary, Perceptron) {
  const MLP model{.sizes = {784, 100, 50, 10}};
  const ModelSummary s = summarize(model, zeros({32, 784}));
  ASSERT_EQ(s.rows.size(), 3u) << s;
  EXPECT_EQ(s.rows[0].flops, 2.0 * 32 * 784 * 100);
  EXPECT_EQ(s.rows[1].flops, 2.0 * 32 * 100 * 50);
  EXPECT_EQ(s.rows[2].flops, 2.0 * 32 * 50 * 10);
  EXPECT_EQ(s.rows[0].params, 784 * 100 + 100);
  EXPECT_EQ(s.rows[0].output, (Shape{32, 100}));
  EXPECT_EQ(s.rows[0].result_bytes, 32 * 100 * 4);
  EXPECT_EQ(s.rows[0].name, "layers.0");
  EXPECT_EQ(s.total.params, count_params(model));
  EXPECT_EQ(s.total.param_bytes, 4 * count_params(model));
  EXPECT_EQ(s.total.output, (Shape{32, 10}));
}

TEST(Summary, ConvolutionalNetwork) {
  auto model = Chain{Conv{.height = 5, .width = 5, .inout = {1, 20}, .activation = relu},
                     Pool{.window = 2},
                     Conv{.height = 5, .width = 5, .inout = {20, 50}, .activation = relu},
                     Pool{.window = 2},
                     mat,
                     Dense{.input = 800, .output = 500, .activation = relu},
                     Linear{.input = 500, .output = 10}};
  const ModelSummary s = summarize(model, zeros({2, 1, 28, 28}));
  EXPECT_EQ(row(s, "0").flops, 2.0 * 2 * 20 * 24 * 24 * 25);
  EXPECT_EQ(row(s, "0").output, (Shape{2, 20, 24, 24}));
  EXPECT_EQ(row(s, "2").flops, 2.0 * 2 * 50 * 8 * 8 * 20 * 25);
  EXPECT_EQ(row(s, "5").flops, 2.0 * 2 * 800 * 500);
  EXPECT_EQ(row(s, "6").flops, 2.0 * 2 * 500 * 10);
  EXPECT_EQ(s.total.flops, 2.0 * 2 * (288000.0 + 1600000 + 400000 + 5000));
  EXPECT_EQ(s.rows.size(), 7u) << s;
  EXPECT_EQ(s.rows[1].name, "1");
  EXPECT_EQ(s.rows[1].description, Pool{}.describe());
  EXPECT_EQ(s.rows[1].output, (Shape{2, 20, 12, 12}));
  EXPECT_EQ(s.rows[4].name, "4");  // mat
  EXPECT_EQ(s.rows[4].output, (Shape{2, 800}));
  const std::string table = summary(model, zeros({2, 1, 28, 28}));
  EXPECT_NE(table.find("431,080 parameters"), std::string::npos) << table;
  EXPECT_NE(table.find("Conv"), std::string::npos) << table;
}

// He et al. 2015: 1.8e9 multiply-adds and 11.7e6 parameters.
struct Block {
  std::int64_t in, out, stride = 1;
  Conv conv1{.height = 3, .width = 3, .inout = {in, out}, .padding = 1, .stride = stride, .binit = nullptr};
  BatchNorm bn1{.channels = out};
  Conv conv2{.height = 3, .width = 3, .inout = {out, out}, .padding = 1, .binit = nullptr};
  BatchNorm bn2{.channels = out};
  std::vector<Conv> shortcut{};
  Tensor operator()(const Tensor& x) const {
    const Tensor y = bn2(conv2(relu(bn1(conv1(x)))));
    return relu(y + (shortcut.empty() ? x : shortcut[0](x)));
  }
};
struct ResNet18 {
  Conv stem{.height = 7, .width = 7, .inout = {3, 64}, .padding = 3, .stride = 2, .binit = nullptr};
  BatchNorm bn{.channels = 64};
  Pool pool{.window = 3, .stride = 2, .padding = 1};
  std::vector<Block> blocks = [] {
    std::vector<Block> b;
    std::int64_t in = 64;
    for (std::int64_t out : {64, 128, 256, 512}) {
      for (int i = 0; i < 2; ++i) {
        b.push_back(Block{.in = in, .out = out, .stride = in == out ? 1 : 2});
        if (in != out)
          b.back().shortcut.push_back(
              Conv{.height = 1, .width = 1, .inout = {in, out}, .stride = 2, .binit = nullptr});
        in = out;
      }
    }
    return b;
  }();
  Linear head{.input = 512, .output = 1000};
  Tensor operator()(Tensor x) const {
    x = pool(relu(bn(stem(x))));
    for (const Block& b : blocks) x = b(x);
    return head(x.mean(Dims{2, 3}));
  }
};
TEST(Summary, ResidualNetwork) {
  const ResNet18 model;
  const ModelSummary s = summarize(model, zeros({1, 3, 224, 224}));
  const double macs = 112. * 112 * 64 * 147 + 4 * 56. * 56 * 64 * 576 +  // stem, first stage
                      28. * 28 * 128 * (576 + 64 + 3 * 1152) + 14. * 14 * 256 * (1152 + 128 + 3 * 2304) +  //
                      7. * 7 * 512 * (2304 + 256 + 3 * 4608) + 512 * 1000;
  EXPECT_EQ(s.total.flops, 2 * macs) << s;
  EXPECT_NEAR(macs, 1.814e9, 0.001e9);
  EXPECT_EQ(s.total.params, count_params(model));
  EXPECT_NEAR(static_cast<double>(s.total.params), 11.69e6, 0.02e6);
  EXPECT_EQ(row(s, "stem").output, (Shape{1, 64, 112, 112}));
  EXPECT_EQ(row(s, "blocks.7.conv2").output, (Shape{1, 512, 7, 7}));
}

TEST(Summary, RecurrentAndAttention) {
  const std::int64_t b = 3, t = 7, in = 5, h = 11;
  const LSTM lstm{.input = in, .hidden = h};
  const ModelSummary s = summarize(lstm, zeros({b, t, in}));
  EXPECT_EQ(s.total.flops, 2.0 * b * t * 4 * h * (in + h)) << s;
  EXPECT_EQ(s.total.output, (Shape{b, t, h})) << s;
  const GRU gru{.input = in, .hidden = h};
  EXPECT_EQ(summarize(gru, zeros({b, t, in})).total.flops, 2.0 * b * t * 3 * h * (in + h));

  const MultiheadAttention attention{.size = 16, .heads = 4};
  const ModelSummary a = summarize(attention, zeros({b, t, 16}));
  EXPECT_EQ(a.total.flops, 2.0 * b * t * (4 * 16 * 16 + 2 * t * 16)) << a;
  EXPECT_EQ(a.total.output, (Shape{b, t, 16})) << a;
}

struct Handmade {  // no layer of ours, and a parameter used twice
  Param w = randn({4, 4});
  Linear head{.input = 4, .output = 2}, unused{.input = 4, .output = 3};
  Tensor operator()(const Tensor& x) const { return head(tanh(matmul(matmul(x, w), w.T()))); }
};
TEST(Summary, UserStructsFrozenAndUncalledLayers) {
  Handmade m;
  freeze(m);
  const ModelSummary s = summarize(m, zeros({5, 4}));
  EXPECT_EQ(row(s, "").flops, 2.0 * 2 * 5 * 4 * 4) << s;
  EXPECT_EQ(row(s, "").params, 16) << s;
  EXPECT_EQ(row(s, "head").flops, 2.0 * 5 * 4 * 2) << s;
  EXPECT_EQ(row(s, "unused").calls, 0) << s;
  EXPECT_EQ(s.total.params, count_params(m));
  std::ostringstream out;
  out << s;
  EXPECT_NE(out.str().find("not called"), std::string::npos) << out.str();
  EXPECT_FALSE(recording());
}
TEST(Summary, SharedLayerIsOneRow) {
  struct Twice {
    Dense d{.input = 4, .output = 4, .activation = relu};
    Linear e{.input = 4, .output = 4};
    Tensor operator()(const Tensor& x) const { return d(e(d(x))); }
  };
  const Twice m;
  const ModelSummary s = summarize(m, zeros({1, 4}));
  ASSERT_EQ(s.rows.size(), 2u) << s;
  EXPECT_EQ(s.rows[0].calls, 2);
  EXPECT_EQ(s.rows[0].flops, 2.0 * 2 * 16);
}

// Layers without parameters: the library's own wherever they are called, anybody's where a Chain or Sequence
// does.
struct Halve {  // of the user's
  double by = 2;
  Tensor operator()(const Tensor& x) const { return x / by; }
};
struct Mixed {
  Pool pool{.window = 2};
  Pool again{.window = 2};
  Halve halve;
  Sequence rest{Halve{}, Softmax{}, [](const Tensor& x) { return tanh(x + 1.0); }, Dropout{}};
  Linear head{.input = 4, .output = 2};
  Tensor operator()(const Tensor& x) const { return rest(head(mat(halve(again(pool(x)))))); }
};
TEST(Summary, LayersWithoutParameters) {
  const Mixed m;
  const ModelSummary s = summarize(m, randn({3, 1, 8, 8}));
  EXPECT_EQ(row(s, "pool").description, Pool{}.describe());
  EXPECT_EQ(row(s, "pool").output, (Shape{3, 1, 4, 4}));
  EXPECT_EQ(row(s, "again").output, (Shape{3, 1, 2, 2}));
  EXPECT_EQ(row(s, "rest.0").description, "Halve");
  EXPECT_EQ(row(s, "rest.1").description, "Softmax");
  EXPECT_EQ(row(s, "rest.2").name, "rest.2");
  EXPECT_EQ(row(s, "rest.2").description, "operator +, tanh");  // a lambda has no name
  EXPECT_EQ(row(s, "head").params, 10);
  EXPECT_EQ(s.total.params, 10);
  std::string names;
  for (const LayerSummary& r : s.rows) names += r.name + "|";
  // `halve` is called by a struct: its division is an operator between layers. Dropout does nothing.
  EXPECT_EQ(names, "pool|again||head|rest.0|rest.1|rest.2|") << s;
  for (const LayerSummary& r : s.rows) EXPECT_EQ(r.calls, 1) << r.name;
  // The same layer twice is one row; nobody watching, nothing is told.
  auto twice = Chain{Pool{.window = 2}, relu};
  const auto both = [&](const Tensor& x) { return twice(twice(x)); };
  EXPECT_EQ(both(randn({1, 1, 8, 8})).shape(), (Shape{1, 1, 2, 2}));
  struct Twice {
    Chain<Pool, ReLU> c{Pool{.window = 2}, relu};
    Tensor operator()(const Tensor& x) const { return c(c(x)); }
  };
  const Twice t;
  const ModelSummary two = summarize(t, randn({1, 1, 8, 8}));
  ASSERT_EQ(two.rows.size(), 2u) << two;
  EXPECT_EQ(two.rows[0].calls, 2);
  EXPECT_EQ(two.rows[1].name, "c.1");
  EXPECT_EQ(two.rows[1].description, "ReLU");
}
TEST(Summary, LeavesTheModelAndPassesErrorsOn) {
  BatchNorm bn{.channels = 3};
  const Tensor before = bn.running_mean;
  summarize(bn, randn({4, 3}));
  EXPECT_TRUE(equal(before, bn.running_mean));
  const MLP model{.sizes = {4, 2}};
  EXPECT_THROW(summarize(model, zeros({1, 5})), ShapeError);
  EXPECT_FALSE(recording());
  EXPECT_EQ(summarize(model, zeros({1, 4})).total.flops, 16);
}
TEST(Summary, IdsAndSequences) {
  auto model = Chain{Embed{.input = 100, .output = 8}, [](const Tensor& x) { return x.mean(1); },
                     Linear{.input = 8, .output = 2}};
  const ModelSummary s = summarize(model, Tensor{{1, 2, 3}, {4, 5, 6}});
  EXPECT_EQ(row(s, "0").output, (Shape{2, 3, 8})) << s;
  EXPECT_EQ(s.total.flops, 2.0 * 2 * 8 * 2);
}

}  // namespace
