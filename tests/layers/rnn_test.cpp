// Recurrent layers: every way to call them, properties, and what wrong input gets. rnn_golden_test.cpp
// compares them with others.
#include <gtest/gtest.h>

#include <cmath>

#include "knet/knet.hpp"
#include "knet/ops/rnn.hpp"
#include "tests/layers/refusal.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

template <class F>
void for_kinds(const F& f) {
  for (const bool both : {false, true}) {
    f(LSTM{.input = 5, .hidden = 4, .layers = 2, .bidirectional = both, .binit = gaussian(0, 0.3)});
    f(GRU{.input = 5, .hidden = 4, .layers = 2, .bidirectional = both, .binit = gaussian(0, 0.3)});
    f(SRNN{.input = 5, .hidden = 4, .layers = 2, .bidirectional = both, .binit = gaussian(0, 0.3)});
  }
}

TEST(RNN, FusedEqualsStepByStep) {
  for (const RNNKind kind : {RNNKind::relu, RNNKind::tanh, RNNKind::lstm, RNNKind::gru}) {
    for (const auto& batch :
         std::vector<std::vector<std::int64_t>>{{1}, {4}, {7, 7, 7}, {5, 4, 4, 1, 1}, {40, 33, 20, 2}}) {
      for (const bool reverse : {false, true}) {
        std::int64_t rows = 0, g = gate_count(kind), h = 37;
        for (const auto n : batch) rows += n;
        const RNNInputs in{.x = randn({rows, 9}),
                           .wi = randn({g * h, 9}) * 0.3,
                           .wh = randn({g * h, h}) * 0.1,
                           .bi = randn({g * h}) * 0.3,
                           .bh = randn({g * h}) * 0.3,
                           .h0 = randn({batch[0], h}),
                           .c0 = kind == RNNKind::lstm ? randn({batch[0], h}) : Tensor()};
        const auto sizes = std::make_shared<const std::vector<std::int64_t>>(batch);
        const RNNResults a = rnn_layer("rnn", kind, in, sizes, reverse),
                         b = rnn_layer_by_steps(kind, in, sizes, reverse);
        expect_close(a.y, b.y, "y", 1e-5);
        expect_close(a.hy, b.hy, "hy", 1e-5);
        if (b.cy) expect_close(a.cy, b.cy, "cy", 1e-5);
      }
    }
  }
}
TEST(RNN, PiecesWithCarriedStateEqualTheWhole) {
  for_kinds([](const auto& l) {
    if (l.bidirectional) return;
    const Tensor x = randn({3, 6, 5});
    const RNNOutput all = l(x), a = l(x.narrow(1, 0, 2)), b = l(x.narrow(1, 2, 4), {a.hidden, a.memory});
    expect_close(cat({a.y, b.y}, 1), all.y, "y", 1e-5);
    expect_close(b.hidden, all.hidden, "hidden", 1e-5);
    // One step at a time.
    RNNState s;
    for (std::int64_t t = 0; t < 6; ++t) {
      const RNNOutput o = l(x.select(1, t), s);
      EXPECT_EQ(o.y.shape(), Shape({3, 4}));
      expect_close(o.y, all.y.select(1, t), "step", 1e-5);
      s = {o.hidden, o.memory};
    }
  });
}
TEST(RNN, BothDirectionsAreTwoRuns) {
  const LSTM both{.input = 5, .hidden = 4, .bidirectional = true};
  LSTM one{.input = 5, .hidden = 4};
  const Tensor x = randn({3, 6, 5});
  const Tensor y = both(x).y;
  one.weights[0] = both.weights[0];
  expect_close(y.narrow(2, 0, 4), one(x).y, "forward", 1e-5);
  one.weights[0] = both.weights[1];
  expect_close(y.narrow(2, 4, 4), flip(one(flip(x, 1)).y, 1), "backward", 1e-5);
}
TEST(RNN, UnequalLengthsEqualOneByOne) {
  const Sequences batch{{1, 2}, {3, 0, 4, 1, 2}, {4}, {2, 2, 3, 0, 1}, {1, 0, 3}};
  for_kinds([&](auto l) {
    l.embedding = Embed{.input = 5, .output = 5};
    const RNNState start{randn({l.bidirectional ? 4 : 2, 5, 4}), std::is_same_v<decltype(l), LSTM>
                                                                     ? randn({l.bidirectional ? 4 : 2, 5, 4})
                                                                     : Tensor()};
    const RNNOutput all = l(batch, start);
    EXPECT_EQ(all.y.shape(), Shape({5, 5, l.bidirectional ? 8 : 4}));
    EXPECT_EQ(all.lengths, batch.lengths());
    const Tensor mask = all.mask();
    for (std::int64_t i = 0; i < 5; ++i) {
      const auto n = batch.lengths()[static_cast<std::size_t>(i)];
      const auto own = [&](const Tensor& s) { return s ? s.narrow(1, i, 1) : Tensor(); };
      const RNNOutput alone =
          l(Tensor(batch.items[static_cast<std::size_t>(i)]), {own(start.hidden), own(start.memory)});
      expect_close(all.y.narrow(0, i, 1).narrow(1, 0, n), alone.y, "y", 1e-5);
      expect_close(own(all.hidden), alone.hidden, "hidden", 1e-5);
      if (all.memory) expect_close(own(all.memory), alone.memory, "memory", 1e-5);
      EXPECT_EQ(mask(i).to(i64).sum().item(), static_cast<double>(n));
      EXPECT_EQ(all.y(i, slice(n, end)).numel() ? all.y(i, slice(n, end)).to(f64).max().item() : 0, 0);
    }
    // The same padded, and the same packed after sorting.
    const RNNOutput padded = l(pad_sequence(batch), batch.lengths(), start);
    expect_close(padded.y, all.y, "padded", 1e-6);
    const Sequences sorted{{3, 0, 4, 1, 2}, {2, 2, 3, 0, 1}, {1, 0, 3}, {1, 2}, {4}};
    const RNNOutput packed = l(pack_sequence(sorted)), listed = l(sorted);
    EXPECT_EQ(packed.y.shape(), Shape({16, l.bidirectional ? 8 : 4}));
    const RNNOutput unpacked = pad_rnn_output(packed);
    expect_close(unpacked.y, listed.y, "packed", 1e-6);
    EXPECT_TRUE(equal(unpacked.mask(), listed.mask()));
    expect_close(packed.hidden, listed.hidden, "hidden", 1e-6);
  });
}
TEST(RNN, FusedGradientsEqualStepByStep) {
  for (const RNNKind kind : {RNNKind::relu, RNNKind::tanh, RNNKind::lstm, RNNKind::gru}) {
    const std::vector<std::int64_t> batch{6, 5, 5, 2};
    const std::int64_t rows = 18, g = gate_count(kind), h = 19;
    for (const bool reverse : {false, true}) {
      const Param x = randn({rows, 7}), wi = randn({g * h, 7}) * 0.3, wh = randn({g * h, h}) * 0.2,
                  bi = randn({g * h}) * 0.3, bh = randn({g * h}) * 0.3, h0 = randn({6, h}),
                  c0 = randn({6, h});
      const bool lstm = kind == RNNKind::lstm;
      const Tensor wy = randn({rows, h}), wl = randn({6, h});
      const auto sizes = std::make_shared<const std::vector<std::int64_t>>(batch);
      const auto loss = [&](const auto& f) {
        const RNNInputs in{
            .x = x, .wi = wi, .wh = wh, .bi = bi, .bh = bh, .h0 = h0, .c0 = lstm ? Tensor(c0) : Tensor()};
        const RNNResults r = f(in);
        const Tensor l = sum(r.y * wy) + sum(r.hy * wl);
        return lstm ? l + sum(square(r.cy)) : l;
      };
      const Tape a = diff([&] {
        return loss([&](const RNNInputs& in) { return rnn_layer("rnn", kind, in, sizes, reverse); });
      });
      const Tape b = diff([&] {
        return loss([&](const RNNInputs& in) { return rnn_layer_by_steps(kind, in, sizes, reverse); });
      });
      for (const Param* p : {&x, &wi, &wh, &bi, &bh, &h0})
        expect_close(a.grad(*p), b.grad(*p), "gradient in f32", 2e-5);
      if (lstm) expect_close(a.grad(c0), b.grad(c0), "gradient of the cells", 2e-5);
    }
  }
}
TEST(RNN, SkippedInputIsAnIdentityMatrix) {
  const auto check = [](auto plain, auto skipping, std::int64_t gates) {
    for (std::size_t i = 0; i < plain.weights.size(); ++i) {
      const RNNWeights& w = skipping.weights[i];
      if (w.wi)
        plain.weights[i].wi = w.wi.value();
      else
        plain.weights[i].wi = cat(std::vector<Tensor>(static_cast<std::size_t>(gates), eye(4, 4, f64)));
      plain.weights[i].wh = w.wh.value();
      plain.weights[i].b = w.b.value();
      plain.weights[i].bh = w.bh.value();
    }
    struct {
      Param x = randn({3, 5, 4}, f64);
    } in;
    expect_close(skipping(in.x).y, plain(in.x).y, "y");
    const Tensor w = randn(plain(in.x).y.shape(), f64);
    const auto loss = [&] { return sum(skipping(in.x).y * w); };
    expect_close(diff(loss).grad(in.x), diff([&] { return sum(plain(in.x).y * w); }).grad(in.x), "gradient");
    auto model = std::tie(skipping, in);
    const auto report = gradcheck(model, loss);
    EXPECT_TRUE(report) << report.worst;
    const auto second =
        gradcheck(model, [&] { return sum(sin(diff(loss).grad(in.x))); }, {.rtol = 1e-4, .atol = 1e-5});
    EXPECT_TRUE(second) << second.worst;
  };
  for (const bool both : {false, true}) {
    for (const std::int64_t layers : {1, 2}) {
      const auto make = [&]<class L>(const L&, bool skip) {
        return L{.input = 4,
                 .hidden = 4,
                 .layers = layers,
                 .bidirectional = both,
                 .skip_input = skip,
                 .binit = gaussian(0, 0.3),
                 .dtype = f64};
      };
      const LSTM lstm{.input = 1, .hidden = 1};
      const GRU gru{.input = 1, .hidden = 1};
      const SRNN srnn{.input = 1, .hidden = 1};
      check(make(lstm, false), make(lstm, true), 4);
      check(make(gru, false), make(gru, true), 3);
      check(make(srnn, false), make(srnn, true), 1);
    }
  }
}
TEST(RNN, PackedBatchesTakeStates) {
  const Sequences sorted{{3, 0, 4, 1, 2}, {2, 2, 3, 0}, {1, 0, 3}, {1}};
  for_kinds([&](const auto& l) {
    const std::int64_t states = l.bidirectional ? 4 : 2;
    const bool cells = std::is_same_v<std::remove_cvref_t<decltype(l)>, LSTM>;
    const Param h = randn({states, 4, 4}), c = randn({states, 4, 4});
    const auto run = [&](const auto& x) { return l(x, {h, cells ? Tensor(c) : Tensor()}); };
    const Tape packed = diff([&] {
      const RNNOutput r = run(pack_sequence(sorted));
      return sum(square(r.y)) + sum(sin(r.hidden));
    });
    const Tape listed = diff([&] {
      const RNNOutput r = run(sorted);
      return sum(square(r.y)) + sum(sin(r.hidden));
    });
    expect_close(packed.value(), listed.value(), "loss", 1e-5);
    expect_close(packed.grad(h), listed.grad(h), "gradient of the states", 1e-4);
    if (cells) expect_close(packed.grad(c), listed.grad(c), "gradient of the cells", 1e-4);
    expect_close(packed.grad(l.weights[0].wh), listed.grad(l.weights[0].wh), "gradient of a weight", 1e-4);
  });
}
TEST(RNN, TakesAnyActivation) {
  for (const Activation& f : {Activation(elu), Activation([](const Tensor& x) { return sin(x); }),
                              Activation(LeakyReLU{.alpha = 0.3})}) {
    SRNN l{.input = 4,
           .hidden = 3,
           .activation = f,
           .layers = 2,
           .bidirectional = true,
           .binit = gaussian(0, 0.3),
           .dtype = f64};
    const Tensor x = randn({2, 5, 4}, f64);
    const RNNWeights& w = l.weights[0];
    Tensor h = zeros({2, 3}, f64);
    SRNN one{.input = 4, .hidden = 3, .activation = f, .dtype = f64};
    one.weights[0] = w;
    const Tensor y = one(x).y;
    for (std::int64_t t = 0; t < 5; ++t) {
      h = f(matmul(x.select(1, t), w.wi.T()) + Tensor(w.b) + matmul(h, w.wh.T()) + Tensor(w.bh));
      expect_close(y.select(1, t), h, "step by step");
    }
    const auto report = gradcheck(l, [&] { return sum(square(l(x, {5, 3}).y)); });
    EXPECT_TRUE(report) << report.worst;
  }
  const SRNN l{.input = 4, .hidden = 3, .activation = elu};
  EXPECT_NE(show(l).find("activation=elu"), std::string::npos) << show(l);
}
TEST(RNN, ATableCanBeShared) {
  LSTM a{.input = 6, .hidden = 3, .embed = 4}, b{.input = 6, .hidden = 3, .embed = 4};
  tie(b.embedding->weight, a.embedding->weight);
  auto both = std::tie(a, b);
  EXPECT_EQ(named_params(both).size(), 9u);  // one table, two times four weights
  const Tensor ids = Tensor{{1, 2, 5}};
  const Tape t = diff([&] { return sum(square(a(ids).y)) + sum(square(b(ids).y)); }),
             of_a = diff([&] { return sum(square(a(ids).y)); }),
             of_b = diff([&] { return sum(square(b(ids).y)); });
  const auto dense = [](const Tape& tape, const LSTM& l) { return tape.grad(l.embedding->weight) + 0.0; };
  expect_close(dense(t, a), dense(of_a, a) + dense(of_b, b), "gradients add up", 1e-5);
  // A table that is handed over keeps its identity.
  Embed words{.input = 6, .output = 4};
  const auto id = words.weight.id();
  const LSTM c{.input = 6, .hidden = 3, .embed = std::move(words)};
  EXPECT_EQ(c.embedding->weight.id(), id);
}
TEST(RNN, TakesIdsAndWeightsOfIds) {
  const LSTM plain{.input = 5, .hidden = 3}, embedded{.input = 5, .hidden = 3, .embed = 2};
  const Tensor ids = randint(0, 5, {2, 4});
  expect_close(plain(ids).y, plain(one_hot(ids, 5)).y, "one-hot", 1e-6);
  expect_close(embedded(ids).y, embedded(one_hot(ids, 5)).y, "embedded", 1e-6);
  const LSTM readme{.input = 100, .hidden = 100, .embed = 50};
  const RNNOutput r = readme(Tensor{3, 2, 1, 4, 5});
  EXPECT_EQ(r.y.shape(), Shape({1, 5, 100}));
  EXPECT_EQ(r.hidden.shape(), Shape({1, 1, 100}));
  EXPECT_EQ(r.memory.shape(), Shape({1, 1, 100}));
  EXPECT_EQ(plain(randn({5})).y.shape(), Shape({3}));
}
TEST(RNN, DropoutActsBetweenLayersAndHasASeed) {
  const Tensor x = randn({3, 6, 5});
  const auto make = [](std::uint64_t s) {
    seed(1);
    return LSTM{.input = 5, .hidden = 4, .layers = 2, .dropout = 0.5, .seed = s};
  };
  const LSTM a = make(7), b = make(7), c = make(8);
  EXPECT_TRUE(equal(a(x).y, b(x).y));
  const Mode mode(true);
  const Tensor first = a(x).y;
  EXPECT_TRUE(equal(first, b(x).y));
  EXPECT_FALSE(equal(first, a(x).y));  // other zeros at the next call
  EXPECT_FALSE(equal(first, c(x).y));
}
TEST(RNN, GatesAreLive) {
  LSTM l{.input = 4, .hidden = 2, .layers = 2, .bidirectional = true};
  EXPECT_EQ(l.gates().size(), 64u);
  EXPECT_EQ(l.gates()[0], "wii1");
  EXPECT_EQ(l.gates()[16], "wii1r");
  for (const auto& name : l.gates()) EXPECT_NO_THROW(l.gate(name).value()) << name;
  l.gate("wif2r") = 0.25;
  EXPECT_TRUE(equal(l.weights[3].wi(slice(2, 4)), full({2, 4}, 0.25)));
  EXPECT_TRUE(equal(Tensor(l.gate("bf1")), ones({2})));  // the forget gate's bias
  EXPECT_TRUE(equal(Tensor(l.gate("bhf1")), zeros({2})));
  GRU g{.input = 4, .hidden = 2};
  g.gate("bhn1") = 3.0;
  EXPECT_TRUE(equal(g.weights[0].bh.value(), Tensor{0., 0., 0., 0., 3., 3.}));
  SRNN s{.input = 2, .hidden = 2, .skip_input = true};
  EXPECT_EQ(s.gates(), (std::vector<std::string>{"whh1", "bih1", "bhh1"}));
  EXPECT_THROW(s.gate("wih1"), ValueError);
  for (const char* name :
       {"", "w", "wif", "wif0", "wif3", "wif1x", "xif1", "bq1", "wf1", "wif999999999999999999"})
    EXPECT_THROW(l.gate(name), ValueError) << name;
  EXPECT_THROW(g.gate("wir1r"), ValueError);
}
TEST(RNN, RefusesWhatHasNoMeaning) {
  const LSTM l{.input = 5, .hidden = 3, .embed = 2};
  const GRU g{.input = 5, .hidden = 3};
  const Tensor ids = randint(0, 5, {2, 4});
  expect_refusal([&] { g(zeros({2, 4, 6})); }, {"GRU", "[2, 4, 6]", "5"});
  expect_refusal([&] { g(zeros({2, 4})); }, {"GRU", "[2, 4]", "5"});
  expect_refusal([&] { g(zeros({2, 0, 5})); }, {"GRU", "[2, 0, 5]", "step"});
  expect_refusal([&] { g(zeros({1, 2, 4, 5})); }, {"GRU", "[1, 2, 4, 5]"});
  expect_refusal([&] { g(zeros({2, 4, 5}, f64)); }, {"GRU", "f64", "f32"});
  expect_refusal(
      [&] {
        g(zeros({2, 4, 5}), {zeros({1, 3, 3})});
      },
      {"GRU", "hidden", "[1, 3, 3]", "[1, 2, 3]"});
  expect_refusal([&] { g(zeros({2, 4, 5}), {{}, zeros({1, 2, 3})}); }, {"GRU", "memory", "LSTM"});
  expect_refusal([&] { l(Tensor{{1, 5}}); }, {"Embed", "id 5", "0 to 4"});
  expect_refusal([&] { l(Tensor{{1, -1}}); }, {"Embed", "id -1", "0 to 4"});
  expect_refusal([&] { l(Sequences{{1, 5}, {2}}); }, {"Embed", "id 5", "0 to 4"});
  expect_refusal([&] { g(Tensor{{1, 5}}); }, {"GRU", "id 5", "0 to 4"});
  expect_refusal([&] { g(Tensor{{1, -1}}); }, {"GRU", "id -1", "0 to 4"});
  expect_refusal(
      [&] {
        g(zeros({2, 4, 5}), {zeros({1, 2, 3}, f64)});
      },
      {"GRU", "start.hidden", "f64", "f32"});
  expect_refusal(
      [&] {
        l(Sequences{{1}, {2, 3}}, {zeros({1, 3, 3})});
      },
      {"LSTM", "hidden", "[1, 3, 3]", "2, 3]"});
  expect_refusal(
      [&] {
        l(ids, {zeros({1, 2, 3}), zeros({1, 2, 4})});
      },
      {"LSTM", "memory", "[1, 2, 4]", "[1, 2, 3]"});
  expect_refusal([&] { l(PackedSequence{Tensor{1, 2}, {2, 0}}); }, {"LSTM", "batch size 0 after 2"});
  expect_refusal([&] { l(PackedSequence{Tensor{1, 2}, {}}); }, {"LSTM", "add up to 0", "[2]"});
  expect_refusal([&] { g(PackedSequence{zeros({2, 4}), {2}}); }, {"GRU", "[2, 4]", "5"});
  expect_refusal([&] { l(ids, std::vector<std::int64_t>{0, 1}); }, {"LSTM", "sequence 0", "length 0"});
  expect_refusal([&] { (void)LSTM{.input = 5, .hidden = 0}; }, {"hidden = 0"});
  expect_refusal([&] { (void)l(pack_sequence(Sequences{{1}})).mask(); }, {"packed", "pad_rnn_output"});
  expect_refusal([&] { (void)l(ids).indices(); }, {"packed"});
  expect_refusal([&] { l(Sequences{{1, 2}, {}}); }, {"LSTM", "sequence 1", "length 0"});
  expect_refusal([&] { l(Sequences{}); }, {"LSTM", "no sequences"});
  expect_refusal([&] { l(ids, std::vector<std::int64_t>{4}); }, {"LSTM", "1 lengths", "[2, 4]"});
  expect_refusal(
      [&] {
        l(ids, std::vector<std::int64_t>{4, 5});
      },
      {"LSTM", "sequence 1", "length 5", "[2, 4]"});
  expect_refusal([&] { l(PackedSequence{Tensor{1, 2, 3}, {1, 2}}); }, {"LSTM", "batch size 2 after 1"});
  expect_refusal([&] { l(PackedSequence{Tensor{1, 2, 3}, {2}}); }, {"LSTM", "add up to 2", "[3]"});
  expect_refusal([&] { (void)LSTM{.input = 5, .hidden = 3, .layers = 0}; }, {"LSTM", "layers = 0"});
  expect_refusal([&] { (void)LSTM{.input = 5, .hidden = 3, .dropout = 1}; }, {"LSTM", "dropout = 1"});
  expect_refusal([&] { (void)LSTM{.input = 5, .hidden = 3, .skip_input = true}; },
                 {"LSTM", "skip_input", "5", "3"});
  expect_refusal([&] { (void)LSTM{.input = 5, .hidden = 3, .embed = Embed{.input = 4, .output = 2}}; },
                 {"embed", "4", "5"});
}

}  // namespace
