// Chains, sequences, branches, and models of the user's.
#include <gtest/gtest.h>

#include "knet/knet.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

TEST(Chain, IndexingSlicingAndIteration) {
  auto m = Chain{Linear{.input = 4, .output = 3}, relu, Linear{.input = 3, .output = 2}};
  const Tensor x = randn({5, 4});
  expect_close(m(x), m.last()(m.get<1>()(m.get<0>()(x))), "parts", 1e-6);
  auto body = m.slice<0, 2>();
  expect_close(m(x), m.last()(body(x)), "slice", 1e-6);
  body.get<0>().bias += ones({3});  // shared with the chain
  EXPECT_TRUE(equal(m.get<0>().bias.value(), ones({3})));
  int count = 0;
  m.for_each([&](auto&) { ++count; });
  EXPECT_EQ(count, 3);
  EXPECT_EQ(m.size(), 3u);
  const auto square_then_one = Chain{[](double v) { return v * v; }, [](double v) { return v + 1; }};
  EXPECT_EQ(square_then_one(5.0), 26);
}
TEST(Sequence, IndexingSlicingAndIteration) {
  Sequence m{Linear{.input = 4, .output = 3}, relu, Linear{.input = 3, .output = 2}};
  const Tensor x = randn({5, 4});
  expect_close(m(x), m.last()(m[1](m[0](x))), "parts", 1e-6);
  expect_close(m.slice(0, 2)(x), m[1](m[0](x)), "slice", 1e-6);
  m[0].as<Linear>().bias += ones({3});
  EXPECT_TRUE(equal(named_params(m)[1].param->value(), ones({3})));
  const auto part = m.slice(2, 3);
  EXPECT_EQ(params(part).size(), 2u);
  EXPECT_EQ(params(part)[0].id(), named_params(m)[2].param->id());  // shared
  int count = 0;
  for (const Layer& l : m) count += static_cast<bool>(l);
  EXPECT_EQ(count, 3);
  EXPECT_TRUE(equal(Sequence{}(x), x));
  EXPECT_THROW(static_cast<void>(m[3]), ValueError);
  EXPECT_THROW(static_cast<void>(Sequence{}.last()), ValueError);
  EXPECT_THROW(m.slice(2, 4), ValueError);
}
TEST(Branches, JoinAndAdd) {
  const Conv a{.height = 1, .width = 1, .inout = {3, 2}},
      b{.height = 3, .width = 3, .inout = {3, 4}, .padding = 1};
  const Tensor x = randn({2, 3, 5, 5});
  const Concat joined{{a, Sequence{b, relu}}};
  expect_close(joined(x), cat({a(x), relu(b(x))}, 1), "Concat", 1e-6);
  EXPECT_EQ(named_params(joined).size(), 4u);
  EXPECT_EQ(named_params(joined)[2].name, "branches.1.0.weight");
  const Conv same_size{.height = 3, .width = 3, .inout = {3, 3}, .padding = 1};
  expect_close((Add{{identity, same_size}}(x)), x + same_size(x), "Add", 1e-6);
  EXPECT_THROW((Add{{identity, a}}(x)), ShapeError);
  EXPECT_THROW((Add{{}}(x)), ValueError);
  EXPECT_THROW((Concat{{a, Conv{.height = 3, .width = 3, .inout = {3, 2}}}}(x)), ShapeError);
}

class Private {
 public:
  Tensor operator()(const Tensor& x) const { return inner_(x) * Tensor(scale_); }

 private:
  Linear inner_{.input = 3, .output = 2};
  Param scale_ = ones({2});

 public:
  using fields = knet::fields<&Private::inner_, &Private::scale_>;
};
TEST(Models, PrivateStateNeedsOneLine) {
  const Private p;
  EXPECT_EQ(named_params(p).size(), 3u);
  EXPECT_EQ(p(randn({4, 3})).shape(), Shape({4, 2}));
}

TEST(Models, EveryLayerSurvivesSaving) {
  struct Everything {
    Conv conv{.height = 3, .width = 3, .inout = {2, 4}, .activation = relu, .padding = 1};
    DeConv deconv{.height = 2, .width = 2, .inout = {4, 4}, .stride = 2};
    BatchNorm norm{4};
    GroupNorm group{.groups = 2, .channels = 4};
    LSTM lstm{.input = 16, .hidden = 6, .layers = 2, .bidirectional = true};
    GRU gru{.input = 12, .hidden = 6};
    SRNN srnn{.input = 6, .hidden = 6};
    Transformer block{.size = 6, .heads = 2, .hidden = 8, .norm_first = true};
    RMSNorm rms{6};
    MultiheadAttention attention{.size = 6, .heads = 2, .dropout = 0, .head_size = 2};
    TransformerDecoder decoder{.size = 6, .heads = 2, .hidden = 8};
    PositionEmbedding learned{.size = 6, .max_length = 70},
        fixed{.size = 6, .kind = PositionKind::sinusoidal};
    LayerNorm layer_norm{6};
    InstanceNorm instance{.channels = 2, .affine = true};
    Conv1d line{.width = 3, .inout = {6, 6}, .padding = 1};
    DeConv1d back{.width = 1, .inout = {6, 6}};
    Conv3d solid{.depth = 1, .height = 3, .width = 3, .inout = {1, 1}, .padding = {0, 1, 1}};
    DeConv3d hollow{.depth = 1, .height = 1, .width = 1};
    Diagonal diagonal{6};
    Bias shift{{6}};
    MLP mlp{{6, 7, 6}};
    Embed embed{.input = 3, .output = 6};
    Multiply multiply{.input = 3, .output = 6};
    Concat both{{Linear{.input = 6, .output = 3}, Linear{.input = 6, .output = 2}}, 2};
    Tensor operator()(const Tensor& x) const {
      const Tensor h = group(norm(deconv(conv(instance(hollow(solid(x.unsqueeze(1))).select(1, 0))))))
                           .flatten(2, 3)
                           .transpose(1, 2)
                           .reshape({x.size(0), -1, 16});
      Tensor s = block(srnn(gru(lstm(h).y).y).y);
      s = layer_norm(fixed(learned(decoder(attention(s), s))));
      s = back(line(s.transpose(1, 2))).transpose(1, 2);
      const Tensor ids = Tensor{0, 2, 1};
      s = s + (embed(ids) + multiply(ids)).unsqueeze(1);
      return both(rms(mlp(shift(diagonal(s)))));
    }
  } model;
  const Tensor x = randn({3, 2, 4, 4});
  {
    const Mode mode(true);
    model(x);  // moves the running moments
  }
  const Tensor y = model(x);
  const std::string path = testing::TempDir() + "/everything.safetensors";
  save(path, model);
  Everything other;
  EXPECT_FALSE(allclose(other(x), y));
  load(path, other);
  EXPECT_TRUE(equal(other(x), y));
  std::remove(path.c_str());
  const Everything copy = model;
  EXPECT_TRUE(equal(copy(x), y));
  EXPECT_NE(show(model).find("lstm: LSTM(input=16, hidden=6, layers=2, bidirectional)"), std::string::npos)
      << show(model);
}

}  // namespace
