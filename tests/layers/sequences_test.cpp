// Sequences of unequal lengths: padded, packed, and the gradient through both.
#include <gtest/gtest.h>

#include "knet/knet.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using knet::test::expect_close;

Tensor numbers(const Shape& s, const std::vector<double>& v) { return Tensor(v, s); }

TEST(Sequences, OfIds) {
  const Sequences s{{1, 2, 3}, {1, 2}, {1}};
  EXPECT_TRUE(equal(pad_sequence(s), Tensor{{1, 2, 3}, {1, 2, 0}, {1, 0, 0}}));
  EXPECT_TRUE(equal(pad_sequence(s, 0, PadSide::left), Tensor{{1, 2, 3}, {0, 1, 2}, {0, 0, 1}}));
  const PackedSequence p = pack_sequence(Sequences{{1, 2, 3, 4}, {7, 6}, {8, 5}, {9, 10}});
  EXPECT_TRUE(equal(p.data, Tensor{1, 7, 8, 9, 2, 6, 5, 10, 3, 4}));
  EXPECT_EQ(p.batch_sizes, (std::vector<std::int64_t>{4, 4, 1, 1}));
  EXPECT_EQ(batch_sizes_to_indices(p.batch_sizes),
            (std::vector<std::vector<std::int64_t>>{{0, 4, 8, 9}, {1, 5}, {2, 6}, {3, 7}}));
  EXPECT_THROW(pad_sequence(Sequences{}), ValueError);
  EXPECT_THROW(pack_sequence(Sequences{{1}, {1, 2}}), ValueError);
  EXPECT_THROW(pack_sequence(Sequences{{1}, {}}), ValueError);
}
TEST(Sequences, OfVectors) {
  const Tensor a = numbers({3, 2}, {1, 2, 3, 4, 5, 6}), b = numbers({1, 2}, {7, 8});
  const std::vector<Tensor> items{a, b};
  EXPECT_TRUE(equal(pad_sequence(items), numbers({2, 3, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0})));
  EXPECT_TRUE(equal(pad_sequence(items, -1, PadSide::left),
                    numbers({2, 3, 2}, {1, 2, 3, 4, 5, 6, -1, -1, -1, -1, 7, 8})));
  const PackedSequence p = pack_sequence(items);
  EXPECT_EQ(p.batch_sizes, (std::vector<std::int64_t>{2, 1, 1}));
  EXPECT_TRUE(equal(p.data, numbers({4, 2}, {1, 2, 7, 8, 3, 4, 5, 6})));

  const LSTM l{.input = 2, .hidden = 3, .dtype = f64};
  const Param x = a;
  const Tape tape = diff([&] {
    return sum(l(pack_sequence(std::vector<Tensor>{x, b})).y) +
           sum(pad_sequence(std::vector<Tensor>{x, b}) * 2.0);
  });
  const Tape alone = diff([&] { return sum(l(Tensor(x).unsqueeze(0)).y) + sum(x * 2.0); });
  expect_close(tape.grad(x), alone.grad(x), "gradient through packing");

  EXPECT_THROW(pack_sequence(std::vector<Tensor>{b, a}), ValueError);
  EXPECT_THROW(pack_sequence(std::vector<Tensor>{a, numbers({1, 1}, {1})}), ShapeError);
  EXPECT_THROW(pad_sequence(std::vector<Tensor>{}), ValueError);
  EXPECT_THROW(pack_sequence(std::vector<Tensor>{zeros({0, 2})}), ValueError);
}
// Threads share the sequences of a batch between them, so that each has fewer rows than one alone.
TEST(Sequences, TheSameBitsForAnyNumberOfThreads) {
  const auto run = []<class Layer>(Layer layer, int n) {
    const int before = threads();
    set_threads(n);
    seed(3);
    std::vector<Tensor> items;
    for (std::int64_t i = 0; i < 37; ++i) items.push_back(randn({40 - i, 24}));
    Tensor y, hidden;
    const Tape tape = diff([&] {
      const RNNOutput o = layer(pack_sequence(items));
      y = o.y, hidden = o.hidden;
      return sum(o.y * o.y) + sum(o.hidden);
    });
    std::vector<Tensor> all{y, hidden};
    for (Param& p : params(layer)) all.push_back(tape.grad(p));
    set_threads(before);
    return all;
  };
  const auto check = [&](const auto& layer) {
    const std::vector<Tensor> one = run(layer, 1);
    ASSERT_GE(one.size(), 5u);
    for (const int n : {2, 3, 5}) {
      const std::vector<Tensor> other = run(layer, n);
      for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(equal(one[i], other[i])) << n << ", " << i;
    }
  };
  check(LSTM{.input = 24, .hidden = 48, .bidirectional = true});
  check(GRU{.input = 24, .hidden = 48});
  check(SRNN{.input = 24, .hidden = 48});
}

}  // namespace
