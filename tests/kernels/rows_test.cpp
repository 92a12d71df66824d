// Reductions, softmax, losses, normalisation, random numbers, optimisers and rows by number against the plain
// loops.
#include <limits>
#include <memory>

#include "knet/base/threads.hpp"
#include "tests/kernels/kernels_test.hpp"

namespace {
using namespace knet;
using namespace knet::test;

TEST(Reduce, EveryKindOverEveryDimension) {
  for (DType t : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8}) {
    for (const std::vector<std::int64_t>& s : std::vector<std::vector<std::int64_t>>{
             {1}, {5}, {300}, {4, 33}, {40, 3}, {3, 50, 7}, {2, 3, 4, 5}, {2000, 3}}) {
      for (Layout l : {Layout::dense, Layout::reversed_dims, Layout::stepped, Layout::broadcast}) {
        const bool whole = t != DType::f32 && t != DType::f64;
        const Block x = random_block(t, s, whole ? 0 : -1, whole ? 4 : 1, l);
        for (unsigned mask = 1; mask < 1u << s.size(); ++mask) {
          auto reduced = s;
          for (std::size_t i = 0; i < s.size(); ++i) {
            if (mask >> i & 1) reduced[i] = 1;
          }
          for (Reduce op : {Reduce::sum, Reduce::prod, Reduce::max, Reduce::min, Reduce::any, Reduce::all,
                            Reduce::sum_squares}) {
            const DType r = op == Reduce::any || op == Reduce::all ? boolean : t;
            Block y = block(r, reduced), z = block(r, reduced);
            cpu_kernels().reduce(op, x.a, y.a);
            reference_kernels().reduce(op, x.a, z.a);
            expect_near(y.a, z.a, ulps(t, t == DType::f64 ? 256 : 64), op == Reduce::sum ? ulps(t, 64) : 0);
          }
        }
        if (HasFailure()) FAIL() << t << " " << s.size() << " layout " << static_cast<int>(l);
      }
    }
  }
}
TEST(Reduce, NaNWins) {
  Block x = random_block(DType::f32, {100}, -1, 1), y = block(DType::f32, {1});
  x.a.as<float>()[57] = NAN;
  for (Reduce op : {Reduce::max, Reduce::min, Reduce::sum}) {
    cpu_kernels().reduce(op, x.a, y.a);
    EXPECT_TRUE(std::isnan(*y.a.as<float>()));
  }
}
TEST(Reduce, LongSumsStayExact) {
  Block x = block(DType::f32, {3'000'000}), y = block(DType::f32, {1});
  cpu_kernels().fill(0.1, x.a);
  cpu_kernels().reduce(Reduce::sum, x.a, y.a);
  EXPECT_NEAR(*y.a.as<float>(), 3'000'000 * 0.1, 1);  // one after the other they would miss by thousands
}
TEST(Reduce, SameBitsForAnyNumberOfThreads) {
  const Block x = random_block(DType::f32, {700, 513}, -1, 1);
  for (const std::vector<std::int64_t>& s :
       std::vector<std::vector<std::int64_t>>{{1, 1}, {700, 1}, {1, 513}}) {
    Block y = block(DType::f32, s), z = block(DType::f32, s);
    const int before = threads();
    set_threads(1);
    cpu_kernels().reduce(Reduce::sum, x.a, y.a);
    set_threads(4);
    cpu_kernels().reduce(Reduce::sum, x.a, z.a);
    set_threads(before);
    EXPECT_TRUE(y.bytes == z.bytes);
  }
}

TEST(Softmax, AlongEveryDimension) {
  for (DType t : {DType::f32, DType::f64}) {
    for (Layout l : {Layout::dense, Layout::reversed_dims, Layout::stepped}) {
      for (const std::vector<std::int64_t>& s :
           std::vector<std::vector<std::int64_t>>{{3}, {1, 1}, {20, 10}, {4, 100, 3}}) {
        for (int dim = 0; dim < static_cast<int>(s.size()); ++dim) {
          for (auto kind : {SoftmaxKind::softmax, SoftmaxKind::log_softmax}) {
            const Block x = random_block(t, s, -5, 5, l), dy = random_block(t, s, -1, 1, l, 2);
            Block y = block(t, s, l), z = block(t, s), dx = block(t, s, l), dz = block(t, s);
            cpu_kernels().softmax(kind, x.a, dim, y.a);
            reference_kernels().softmax(kind, x.a, dim, z.a);
            expect_near(y.a, z.a, ulps(t, 16), ulps(t, 16));
            cpu_kernels().softmax_grad(kind, z.a, dy.a, dim, dx.a);
            reference_kernels().softmax_grad(kind, z.a, dy.a, dim, dz.a);
            expect_near(dx.a, dz.a, ulps(t, 32), ulps(t, 32));
          }
        }
      }
    }
  }
}
TEST(Softmax, LargeScoresDoNotOverflow) {
  Block x = block(DType::f32, {1, 3}), y = block(DType::f32, {1, 3});
  x.a.as<float>()[0] = 1e4f, x.a.as<float>()[1] = 1e4f, x.a.as<float>()[2] = -1e4f;
  cpu_kernels().softmax(SoftmaxKind::softmax, x.a, 1, y.a);
  EXPECT_FLOAT_EQ(y.a.as<float>()[0], 0.5f);
  EXPECT_EQ(y.a.as<float>()[2], 0.0f);
}
TEST(Nll, LossAndGradient) {
  for (DType t : {DType::f32, DType::f64}) {
    for (std::int64_t classes : {1, 2, 10, 100, 1003}) {
      for (bool average : {false, true}) {
        const Block s = random_block(t, {33, classes}, -4, 4);
        Block labels = block(DType::i64, {33}), d = block(t, {33, classes}), e = block(t, {33, classes});
        randomize(labels, 0, static_cast<double>(classes), 3);
        labels.a.as<std::int64_t>()[5] = -100;
        double loss[2];
        std::int64_t count[2];
        cpu_kernels().nll(s.a, labels.a, -100, average, &loss[0], &count[0], &d.a);
        reference_kernels().nll(s.a, labels.a, -100, average, &loss[1], &count[1], &e.a);
        EXPECT_NEAR(loss[0], loss[1], ulps(t, 200) * (1 + loss[1]));
        EXPECT_EQ(count[0], count[1]);
        expect_near(d.a, e.a, ulps(t, 32), ulps(t, 8));
        cpu_kernels().nll(s.a, labels.a, -100, average, &loss[0], &count[0], nullptr);
        EXPECT_NEAR(loss[0], loss[1], ulps(t, 200) * (1 + loss[1]));
      }
    }
  }
}
TEST(LayerNorm, ValueAndGradients) {
  for (DType t : {DType::f32, DType::f64}) {
    for (std::int64_t n : {1, 5, 64, 301, 2000}) {
      const Block x = random_block(t, {37, n}, -3, 5), g = random_block(t, {n}, 0.5, 2, Layout::dense, 2),
                  b = random_block(t, {n}, -1, 1, Layout::dense, 3),
                  dy = random_block(t, {37, n}, -1, 1, Layout::dense, 4);
      Block y[2], m[2], r[2], dx[2], dg[2], db[2];
      const Kernels* k[2] = {&cpu_kernels(), &reference_kernels()};
      for (int i = 0; i < 2; ++i) {
        y[i] = block(t, {37, n}), dx[i] = block(t, {37, n}), m[i] = block(t, {37}), r[i] = block(t, {37});
        dg[i] = block(t, {n}), db[i] = block(t, {n});
        k[i]->layer_norm(x.a, g.a.data, b.a.data, 1e-5, y[i].a, m[i].a.data, r[i].a.data);
        k[i]->layer_norm_grad(x.a, g.a.data, m[i].a.data, r[i].a.data, dy.a, dx[i].a, dg[i].a.data,
                              db[i].a.data);
      }
      expect_near(y[0].a, y[1].a, ulps(t, 64), ulps(t, 64));
      if (n > 1) expect_near(dx[0].a, dx[1].a, ulps(t, 256), ulps(t, 256));
      expect_near(dg[0].a, dg[1].a, ulps(t, 256), ulps(t, 256));
      expect_near(db[0].a, db[1].a, ulps(t, 256), ulps(t, 256));
    }
  }
}
TEST(BiasActGrad, EveryActivation) {
  for (DType t : {DType::f32, DType::f64}) {
    for (Unary act : {Unary::identity, Unary::relu, Unary::sigm, Unary::tanh, Unary::elu, Unary::selu,
                      Unary::leaky_relu}) {
      for (std::int64_t m : {1, 10, 100, 129}) {
        for (std::int64_t n : {1, 33, 2000}) {
          const Block y = random_block(t, {n, m}, -0.9, 0.9),
                      dy = random_block(t, {n, m}, -1, 1, Layout::dense, 2);
          Block dx = block(t, {n, m}), dz = block(t, {n, m}), db = block(t, {m}), dc = block(t, {m});
          cpu_kernels().bias_act_grad(act, 0.3, y.a, dy.a, dx.a, &db.a);
          reference_kernels().bias_act_grad(act, 0.3, y.a, dy.a, dz.a, &dc.a);
          expect_near(dx.a, dz.a, ulps(t, 4), ulps(t, 2));
          expect_near(db.a, dc.a, ulps(t, 64), ulps(t, 512));
        }
      }
    }
  }
}

// So many columns that blocks of rows are bounded in number and their sums taken in pieces; and the same bits
// for any number of threads.
TEST(BiasActGrad, LongRows) {
  const std::int64_t n = 200, m = 20'030;
  const Block y = random_block(DType::f32, {n, m}, -0.9, 0.9),
              dy = random_block(DType::f32, {n, m}, -1, 1, Layout::dense, 2);
  Block dx = block(DType::f32, {n, m}), dz = block(DType::f32, {n, m}), db = block(DType::f32, {m}),
        dc = block(DType::f32, {m}), one = block(DType::f32, {m});
  cpu_kernels().bias_act_grad(Unary::relu, 0, y.a, dy.a, dx.a, &db.a);
  reference_kernels().bias_act_grad(Unary::relu, 0, y.a, dy.a, dz.a, &dc.a);
  expect_near(dx.a, dz.a, 0, 0);
  expect_near(db.a, dc.a, ulps(DType::f32, 64), ulps(DType::f32, 512));
  const int before = threads();
  set_threads(before == 1 ? 3 : 1);
  cpu_kernels().bias_act_grad(Unary::relu, 0, y.a, dy.a, dx.a, &one.a);
  set_threads(before);
  expect_near(one.a, db.a, 0, 0);
}

TEST(Random, TheRecipeBitForBit) {
  for (DType t : {DType::f32, DType::f64}) {
    for (std::int64_t n : {1, 5, 1024, 5003}) {
      Block y = block(t, {n}), z = block(t, {n});
      for (RandomKey key : {RandomKey{1, 2}, RandomKey{0xFFFFFFFFFFull, 77}}) {
        cpu_kernels().random(Distribution::uniform, key, -2, 3, y.a);
        reference_kernels().random(Distribution::uniform, key, -2, 3, z.a);
        EXPECT_TRUE(y.bytes == z.bytes);
        cpu_kernels().random(Distribution::normal, key, 1, 2, y.a);
        reference_kernels().random(Distribution::normal, key, 1, 2, z.a);
        expect_near(y.a, z.a, ulps(t, 8), ulps(t, 16));
        const Block x = random_block(t, {n}, -1, 1);
        cpu_kernels().dropout(key, 0.3, x.a, y.a);
        reference_kernels().dropout(key, 0.3, x.a, z.a);
        EXPECT_TRUE(y.bytes == z.bytes);
      }
    }
  }
}
TEST(Optimize, EveryRule) {
  for (DType t : {DType::f32, DType::f64}) {
    for (int rule = 0; rule <= static_cast<int>(OptimRule::adam); ++rule) {
      for (std::int64_t n : {1, 16, 1003}) {
        OptimStep o{
            .rule = static_cast<OptimRule>(rule), .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6};
        o.correction1 = 0.1, o.correction2 = 0.01, o.decay = 0.01, o.l2 = 0.02, o.scale = 0.5;
        Block w[2], s[2], u[2];
        const Block g = random_block(t, {n}, -1, 1, Layout::dense, 2);
        const Kernels* k[2] = {&cpu_kernels(), &reference_kernels()};
        for (int i = 0; i < 2; ++i) {
          w[i] = random_block(t, {n}, -1, 1), s[i] = random_block(t, {n}, 0, 1),
          u[i] = random_block(t, {n}, 0, 1);
          k[i]->optimize(o, t, n, w[i].a.data, g.a.data, s[i].a.data, u[i].a.data);
        }
        expect_near(w[0].a, w[1].a, ulps(t, 8), ulps(t, 8));
        expect_near(s[0].a, s[1].a, ulps(t, 8), ulps(t, 8));
        expect_near(u[0].a, u[1].a, ulps(t, 8), ulps(t, 8));
      }
    }
  }
}
TEST(Rows, SelectAndAdd) {
  for (DType t : {DType::f32, DType::i64, DType::u8}) {
    for (int dim = 0; dim < 3; ++dim) {
      for (Layout l : {Layout::dense, Layout::reversed_dims}) {
        const std::vector<std::int64_t> s{6, 5, 4};
        auto taken = s;
        taken[static_cast<std::size_t>(dim)] = 9;
        const Block x = random_block(t, s, 0, 9, l), src = random_block(t, taken, 0, 9, l, 2),
                    ids = random_block(DType::i32, {9}, 0, 4, Layout::dense, 3);
        Block y = block(t, taken), z = block(t, taken), p = random_block(t, s, 0, 9, l), q = p;
        q.a.data = q.bytes.data();
        cpu_kernels().index_select(x.a, dim, ids.a, y.a);
        reference_kernels().index_select(x.a, dim, ids.a, z.a);
        EXPECT_TRUE(y.bytes == z.bytes);
        cpu_kernels().index_add(src.a, dim, ids.a, p.a);
        reference_kernels().index_add(src.a, dim, ids.a, q.a);
        EXPECT_TRUE(p.bytes == q.bytes);
      }
    }
  }
}
TEST(Matmul, EveryLayoutAndEpilogue) {
  for (DType t : {DType::f32, DType::f64}) {
    for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{{1, 1, 1},
                                                                          {1, 100, 784},
                                                                          {3, 10, 50},
                                                                          {100, 50, 100},
                                                                          {33, 129, 65},
                                                                          {257, 64, 300},
                                                                          {5, 9, 1100},
                                                                          {30, 39, 400},
                                                                          {20, 22, 1100},
                                                                          {100, 203, 400},
                                                                          {901, 70, 40}}) {
      for (Layout la : {Layout::dense, Layout::transposed}) {
        for (Layout lb : {Layout::dense, Layout::transposed, Layout::stepped}) {
          const Block a = random_block(t, {m, k}, -1, 1, la), b = random_block(t, {k, n}, -1, 1, lb, 2),
                      bias = random_block(t, {n}, -1, 1, Layout::dense, 3);
          for (int form = 0; form < 4; ++form) {
            Epilogue e;
            if (form & 1)
              e.bias = bias.a.data, e.activation = form & 2 ? Unary::tanh : Unary::relu;
            else
              e.accumulate = form & 2;
            Block c = random_block(t, {m, n}, -1, 1, Layout::dense, 4),
                  d = random_block(t, {m, n}, -1, 1, Layout::dense, 4);
            cpu_kernels().matmul(a.a, b.a, c.a, e);
            reference_kernels().matmul(a.a, b.a, d.a, e);
            const double tolerance = ulps(t, 4 * std::sqrt(static_cast<double>(k)) + 8);
            expect_near(c.a, d.a, tolerance, tolerance);
            if (const auto bytes = cpu_kernels().packed_bytes(1 << 20, b.a); bytes > 0) {
              std::vector<std::byte> memory(bytes + 64);
              void* at = memory.data();
              std::size_t space = memory.size();
              e.packed_b = std::align(64, bytes, at, space);
              cpu_kernels().pack_b(b.a, at);
              randomize(c, -1, 1, 4);
              cpu_kernels().matmul(a.a, b.a, c.a, e);
              expect_near(c.a, d.a, tolerance, tolerance);
            }
          }
          if (HasFailure()) FAIL() << m << " " << n << " " << k;
        }
      }
    }
  }
}
// Rows that several threads share, down to a single one, are the sums of one thread, and relu keeps a NaN.
TEST(Matmul, SameBitsWithAnyThreads) {
  const int before = threads();
  for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{
           {9, 8, 2100}, {33, 20, 400}, {100, 101, 784}, {300, 64, 300}, {256, 203, 90}}) {
    for (const bool along : {true, false}) {  // b along k, or a and b across
      Block a = random_block(DType::f32, {m, k}, -1, 1, along ? Layout::dense : Layout::transposed);
      const Block b = random_block(DType::f32, {k, n}, -1, 1, along ? Layout::transposed : Layout::dense, 2),
                  bias = random_block(DType::f32, {n}, -1, 1, Layout::dense, 3);
      a.a.as<float>()[a.a.stride[0] + a.a.stride[1]] = std::numeric_limits<float>::quiet_NaN();
      Epilogue e;
      e.bias = bias.a.data, e.activation = Unary::relu;
      std::vector<std::byte> memory(cpu_kernels().packed_bytes(1 << 20, b.a) + 64);
      void* at = memory.data();
      std::size_t space = memory.size();
      void* packed = std::align(64, memory.size() - 64, at, space);
      cpu_kernels().pack_b(b.a, packed);
      for (const bool use_packed : {false, true}) {
        e.packed_b = use_packed ? packed : nullptr;
        Block c = block(DType::f32, {m, n}), d = block(DType::f32, {m, n});
        set_threads(1);
        cpu_kernels().matmul(a.a, b.a, c.a, e);
        set_threads(3);
        cpu_kernels().matmul(a.a, b.a, d.a, e);
        EXPECT_TRUE(c.bytes == d.bytes) << m << " " << n << " " << k << " " << use_packed;
        for (std::int64_t j = 0; j < n; ++j) {
          EXPECT_TRUE(std::isnan(c.a.as<float>()[n + j]));
          EXPECT_GE(c.a.as<float>()[j], 0);
        }
      }
    }
  }
  set_threads(before);
}
}  // namespace
