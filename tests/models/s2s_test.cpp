// Sequence to sequence against PyTorch, decoding, and learning.
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

Seq2Seq filled(bool attention) {
  Seq2Seq m{.tokens = 11, .hidden = 12, .embed = 5, .attention = attention};
  fill_by_name(m);
  return m;
}

TEST(Seq2Seq, ScoresArePyTorchs) {
  const Reference r = load_reference("programs");
  const auto lengths = r.at("s2s.lengths").to_vector<std::int64_t>();
  const Tensor &x = r.at("s2s.x"), &before = r.at("s2s.before");
  expect_close(filled(false)(x, before, lengths), r.at("s2s.plain"), "plain", 1e-5);
  const Seq2Seq m = filled(true);
  expect_close(m(x, before, lengths), r.at("s2s.attention"), "attention", 1e-5);
  const Seq2SeqState s = m.encode(x, lengths);
  const Tensor states = m.decoder(before, s.rnn).y, p = m.look->probabilities(states, s.memory, s.mask);
  expect_close(p, r.at("s2s.probabilities"), "probabilities", 1e-5);
}

TEST(Seq2Seq, PaddingIsNotSeen) {
  const Seq2Seq m = filled(true);
  const Tensor before{{0, 3, 4}};
  expect_close(m(Tensor{{5, 6, 7, 1, 2}}, before, {3}), m(Tensor{{5, 6, 7}}, before), "padded", 1e-6);
}

TEST(Seq2Seq, StepByStepIsTheSame) {
  for (const bool attention : {false, true}) {
    const Seq2Seq m = filled(attention);
    const Tensor x{{5, 6, 7}, {1, 1, 2}}, before{{0, 3, 4}, {0, 9, 9}};
    Seq2SeqState s = m.encode(x);
    std::vector<Tensor> parts;
    for (std::int64_t i = 0; i < 3; ++i) parts.push_back(m.step(before.narrow(1, i, 1), s));
    expect_close(cat(parts, 1), m(x, before), "steps", 1e-5);
  }
}

TEST(Seq2Seq, Decoding) {
  const Seq2Seq m = filled(true);
  const Tensor x{{5, 6, 7}, {1, 1, 2}};
  const DecodeOptions o{.start = 0, .stop = 10, .longest = 7, .beam = 1};
  const auto both = decode_greedy(m, x, o);
  ASSERT_EQ(both.size(), 2u);
  for (std::int64_t i = 0; i < 2; ++i) {
    const Tensor one = x.narrow(0, i, 1);
    EXPECT_EQ(both[static_cast<std::size_t>(i)], decode_greedy(m, one, o)[0]);
    EXPECT_EQ(both[static_cast<std::size_t>(i)], decode_beam(m, one, o)) << "one path is the greedy one";
  }
  // Of all answers of at most two tokens a wide beam finds the most probable.
  const Tensor one = x.narrow(0, 0, 1);
  const auto found = decode_beam(m, one, {.start = 0, .stop = 10, .longest = 2, .beam = 200});
  double best = -1e9;
  std::vector<std::int64_t> answer;
  const auto consider = [&](std::vector<std::int64_t> t, bool stopped) {
    std::vector<std::int64_t> before{0}, next = t;
    before.insert(before.end(), t.begin(), t.end());
    if (stopped)
      next.push_back(10);
    else
      before.pop_back();
    const auto n = static_cast<std::int64_t>(next.size());
    const Tensor scores = m(one, Tensor(before).reshape({1, n}));
    const double score = -cross_entropy(scores, Tensor(next).reshape({1, n}), {.average = false}).item();
    if (score > best) best = score, answer = std::move(t);
  };
  consider({}, true);
  for (std::int64_t a = 0; a < 10; ++a) {
    consider({a}, true);
    for (std::int64_t b = 0; b < 10; ++b) consider({a, b}, false);
  }
  EXPECT_EQ(found, answer);
  expect_error<ValueError>([&] { decode_greedy(m, x, {.start = 11}); }, {".start", "11", "10"});
  expect_error<ValueError>([&] { decode_beam(m, one, {.beam = 0}); }, {".beam"});
  expect_error<ShapeError>([&] { decode_beam(m, x, o); }, {"[2, 3]"});
  expect_error<ShapeError>([&] { decode_greedy(m, Tensor{1, 2}, o); }, {"[2]"});
}

TEST(Seq2Seq, BadInput) {
  const Seq2Seq m = filled(true);
  const Tensor h = zeros({2, 3, 12}), memory = zeros({2, 4, 12});
  expect_error<ShapeError>([&] { (*m.look)(h, zeros({1, 4, 12})); }, {"LuongAttention", "[1, 4, 12]"});
  expect_error<ShapeError>([&] { (*m.look)(zeros({2, 3, 11}), memory); }, {"[2, 3, 11]", "12"});
  expect_error<ShapeError>([&] { (*m.look)(h, memory, zeros({2, 5}, boolean)); }, {"[2, 5]", "[2, 4]"});
  expect_error<ValueError>([] { (void)Seq2Seq{}; }, {".tokens"});
}

TEST(Seq2Seq, GradientsAreRight) {
  Seq2Seq m{.tokens = 4, .hidden = 3, .embed = 2, .attention = true, .dtype = f64};
  const Tensor x{{1, 2, 3}, {3, 0, 0}}, before{{0, 1}, {0, 2}}, next{{1, 2}, {2, 3}};
  EXPECT_TRUE(gradcheck(m, [&] { return nll(m(x, before, {3, 1}), next); }));
}

// Reversing a list is what the last state alone is bad at.
TEST(Seq2Seq, AttentionLearnsToReverse) {
  seed(1);
  Seq2Seq m{.tokens = 10, .hidden = 32, .embed = 8, .attention = true};
  Optimizer opt(m, Adam{.lr = 0.01, .gclip = 1});
  Generator g(5);
  const auto reversed = [](const Tensor& x) {
    std::vector<Tensor> columns;
    for (std::int64_t i = x.size(1); i-- > 0;) columns.push_back(x.narrow(1, i, 1));
    return cat(columns, 1);
  };
  for (int i = 0; i < 300; ++i) {
    const Tensor x = randint(1, 9, {32, 2 + i % 5}, g), y = reversed(x);
    const Tensor before = cat({zeros({32, 1}, i64), y}, 1), next = cat({y, full({32, 1}, 9, i64)}, 1);
    opt.step(diff([&] { return nll(m(x, before), next); }));
  }
  const Tensor x = randint(1, 9, {50, 6}, g);
  const auto answers = decode_greedy(m, x, {.start = 0, .stop = 9});
  const Tensor right = reversed(x);
  int exact = 0;
  for (std::int64_t i = 0; i < 50; ++i)
    exact += answers[static_cast<std::size_t>(i)] == right(i).to_vector<std::int64_t>();
  EXPECT_GE(exact, 45);
}

}  // namespace
