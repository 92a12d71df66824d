// The tuned kernels of one and two elements against the plain ones, for every function, dtype and layout.
#include "tests/kernels/kernels_test.hpp"

namespace {
using namespace knet;
using namespace knet::test;

constexpr int dtype_count = static_cast<int>(DType::bf16) + 1;
constexpr Layout layouts[] = {Layout::dense, Layout::reversed_dims, Layout::stepped, Layout::broadcast};
const std::vector<std::vector<std::int64_t>> sizes{{}, {1}, {7}, {67}, {3, 21}, {5, 1, 300}, {4, 3, 2, 5}};

// Where a function is defined and well conditioned.
struct Domain {
  double low, high;
};
Domain domain(Unary op) {
  switch (op) {
    case Unary::sqrt:
    case Unary::rsqrt:
    case Unary::log:
    case Unary::log2:
    case Unary::log10:
    case Unary::lgamma:
    case Unary::digamma:
    case Unary::pow:
    case Unary::reciprocal: return {0.1, 8};
    case Unary::acosh: return {1.1, 9};
    case Unary::log1p: return {-0.9, 3};
    case Unary::asin:
    case Unary::acos:
    case Unary::atanh:
    case Unary::erfinv: return {-0.95, 0.95};
    case Unary::tan: return {-1.4, 1.4};
    default: return {-6, 6};
  }
}

class EveryUnary : public testing::TestWithParam<int> {};
TEST_P(EveryUnary, MatchesReference) {
  const auto op = static_cast<Unary>(GetParam());
  const auto [low, high] = domain(op);
  SCOPED_TRACE(fn::name_of(op));
  for (DType t : {DType::f32, DType::f64}) {
    for (const auto& s : sizes) {
      for (Layout in : layouts) {
        for (Layout out : {Layout::dense, Layout::stepped, Layout::reversed_dims}) {
          const Block x = random_block(t, s, low, high, in);
          const DType result = gives_boolean(op) ? boolean : t;
          Block y = block(result, s, out), z = block(result, s);
          cpu_kernels().unary(op, 1.7, 2.5, x.a, y.a);
          reference_kernels().unary(op, 1.7, 2.5, x.a, z.a);
          expect_near(y.a, z.a, ulps(t, 8), ulps(t, 4));
          if (gives_boolean(op)) continue;
          const Block dy = random_block(t, s, -1, 1, Layout::dense, 2);
          Block dx = block(t, s, out), dz = block(t, s);
          cpu_kernels().unary_grad(op, 1.7, 2.5, x.a, z.a, dy.a, dx.a);
          reference_kernels().unary_grad(op, 1.7, 2.5, x.a, z.a, dy.a, dz.a);
          expect_near(dx.a, dz.a, ulps(t, 16), ulps(t, 8));
          if (HasFailure()) FAIL() << "layouts " << static_cast<int>(in) << " " << static_cast<int>(out);
        }
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Functions, EveryUnary, testing::Range(0, static_cast<int>(Unary::count)),
                         [](const auto& i) { return std::to_string(i.param); });

class EveryBinary : public testing::TestWithParam<int> {};
TEST_P(EveryBinary, MatchesReference) {
  const auto op = static_cast<Binary>(GetParam());
  SCOPED_TRACE(fn::name_of(op));
  for (DType t : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8}) {
    const bool whole = t != DType::f32 && t != DType::f64;
    if (whole && (op == Binary::pow || op == Binary::atan2 || op == Binary::hypot)) continue;
    for (const auto& s : sizes) {
      for (Layout la : layouts) {
        for (Layout lb : layouts) {
          const Block a = random_block(t, s, 0.2, 5, la), b = random_block(t, s, 0.2, 5, lb, 2);
          const DType result = gives_boolean(op) ? boolean : t;
          for (Layout out : {Layout::dense, Layout::stepped}) {
            Block y = block(result, s, out), z = block(result, s);
            cpu_kernels().binary(op, a.a, b.a, y.a);
            reference_kernels().binary(op, a.a, b.a, z.a);
            expect_near(y.a, z.a, ulps(t, 4), op == Binary::remainder ? ulps(t, 8) : 0);
          }
          for (bool first : {false, true}) {
            Block y = block(result, s), z = block(result, s);
            cpu_kernels().binary_scalar(op, a.a, 2, first, y.a);
            reference_kernels().binary_scalar(op, a.a, 2, first, z.a);
            expect_near(y.a, z.a, ulps(t, 4), op == Binary::remainder ? ulps(t, 8) : 0);
          }
          if (HasFailure()) FAIL() << "layouts " << static_cast<int>(la) << " " << static_cast<int>(lb);
        }
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Functions, EveryBinary, testing::Range(0, static_cast<int>(Binary::count)),
                         [](const auto& i) { return std::to_string(i.param); });

// Zeros, infinities, NaN, huge and tiny arguments.
TEST(Elementwise, SpecialValues) {
  const double inf = INFINITY;
  for (DType t : {DType::f32, DType::f64}) {
    Block x = block(t, {19});
    const double v[] = {0.0,   -0.0,  inf,    -inf, NAN,  1e-30, -1e-30, 1e30,  -1e30, 88.5,
                        -88.5, 700.0, -700.0, 1.0,  -1.0, 0.5,   20.0,   -20.0, 1e-40};
    for (int i = 0; i < 19; ++i)
      dispatch_float("test", t, [&]<class T>(type<T>) { x.a.as<T>()[i] = static_cast<T>(v[i]); });
    for (Unary op :
         {Unary::exp,  Unary::exp2,     Unary::expm1, Unary::log,  Unary::log2,  Unary::log10, Unary::log1p,
          Unary::tanh, Unary::sinh,     Unary::cosh,  Unary::sigm, Unary::relu,  Unary::elu,   Unary::gelu,
          Unary::silu, Unary::softplus, Unary::sqrt,  Unary::sign, Unary::clamp, Unary::abs}) {
      SCOPED_TRACE(fn::name_of(op));
      Block y = block(t, {19}), z = block(t, {19});
      cpu_kernels().unary(op, 1, 2, x.a, y.a);
      reference_kernels().unary(op, 1, 2, x.a, z.a);
      // What would be below the smallest normal number may be 0 (silu multiplies it).
      expect_near(y.a, z.a, ulps(t, 8), t == DType::f32 ? 1.2e-36 : 2.3e-305);
    }
  }
}
// Accuracy over the whole range of arguments, in units of the last place of the double result.
TEST(Elementwise, AccuracyOfTheVectorFunctions) {
  constexpr std::int64_t n = 200'000;
  struct Case {
    Unary op;
    double low, high, bound;
  };
  for (const Case c :
       {Case{Unary::exp, -87, 88, 2}, Case{Unary::expm1, -10, 10, 3}, Case{Unary::log, 1e-6, 1e4, 2},
        Case{Unary::log1p, -0.99, 5, 3}, Case{Unary::tanh, -10, 10, 5}, Case{Unary::sigm, -30, 30, 4},
        Case{Unary::exp2, -100, 100, 2}, Case{Unary::log2, 1e-6, 1e4, 3}}) {
    const Block x = random_block(DType::f32, {n}, c.low, c.high);
    Block y = block(DType::f32, {n}), wide = block(DType::f64, {n}), exact = block(DType::f64, {n});
    cpu_kernels().unary(c.op, 0, 0, x.a, y.a);
    reference_kernels().copy(x.a, wide.a);
    reference_kernels().unary(c.op, 0, 0, wide.a, exact.a);
    double worst = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double e = exact.a.as<double>()[i];
      worst = std::max(
          worst, std::fabs(y.a.as<float>()[i] - e) / std::max(std::ldexp(1.0, std::ilogb(e) - 23), 1e-38));
    }
    EXPECT_LE(worst, c.bound) << fn::name_of(c.op);
  }
}

TEST(Elementwise, ComparisonsByTheirTruthTables) {
  // Both tables share the function: here it is held against literals. Of 0 0, 0 1, 1 0, 1 1, lowest bit
  // first.
  const std::pair<Binary, unsigned> tables[] = {
      {Binary::lt, 0b0010},          {Binary::gt, 0b0100},         {Binary::le, 0b1011},
      {Binary::ge, 0b1101},          {Binary::eq, 0b1001},         {Binary::ne, 0b0110},
      {Binary::logical_and, 0b1000}, {Binary::logical_or, 0b1110}, {Binary::logical_xor, 0b0110}};
  for (const auto& [op, bits] : tables) {
    for (DType t : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8, boolean}) {
      Block a = block(t, {4}), b = block(t, {4}), y = block(boolean, {4});
      dispatch_any("test", t, [&]<class T>(type<T>) {
        for (int i = 0; i < 4; ++i)
          a.a.as<T>()[i] = static_cast<T>(i / 2), b.a.as<T>()[i] = static_cast<T>(i % 2);
      });
      for (const Kernels* k : {&cpu_kernels(), &reference_kernels()}) {
        k->binary(op, a.a, b.a, y.a);
        for (unsigned i = 0; i < 4; ++i)
          EXPECT_EQ(y.a.as<bool>()[i], (bits >> i & 1) != 0) << fn::name_of(op) << i;
      }
    }
  }
}

TEST(Elementwise, WritesExactlyOverItsInput) {
  Block x = random_block(DType::f32, {1000}, -2, 2), z = block(DType::f32, {1000});
  reference_kernels().unary(Unary::tanh, 0, 0, x.a, z.a);
  cpu_kernels().unary(Unary::tanh, 0, 0, x.a, x.a);
  expect_near(x.a, z.a, ulps(DType::f32, 8), 0);
}

TEST(Copy, EveryDTypeToEveryOther) {
  for (int from = 0; from < dtype_count; ++from) {
    for (int to = 0; to < dtype_count; ++to) {
      Block x = block(DType::f64, {5, 70});
      randomize(x, 0, 250);
      for (Layout in : {Layout::dense, Layout::reversed_dims, Layout::stepped}) {
        Block a = block(static_cast<DType>(from), {5, 70}, in), y = block(static_cast<DType>(to), {5, 70}),
              z = block(static_cast<DType>(to), {5, 70});
        reference_kernels().copy(x.a, a.a);
        cpu_kernels().copy(a.a, y.a);
        reference_kernels().copy(a.a, z.a);
        ASSERT_EQ(std::memcmp(y.a.data, z.a.data, 350 * size_of(y.a.dtype)), 0) << from << " to " << to;
      }
    }
  }
}
TEST(Copy, DividedIsRoundedOnce) {
  for (DType from : {DType::u8, DType::i32, DType::f32}) {
    for (DType to : {DType::f32, DType::f64}) {
      for (Layout in : {Layout::dense, Layout::reversed_dims, Layout::stepped}) {
        Block x = random_block(DType::f64, {9, 70}, 0, 256), a = block(from, {9, 70}, in),
              y = block(to, {9, 70}), z = block(to, {9, 70});
        reference_kernels().copy(x.a, a.a);
        cpu_kernels().copy_divided(a.a, 255, y.a);
        reference_kernels().copy_divided(a.a, 255, z.a);
        ASSERT_TRUE(y.bytes == z.bytes);
      }
    }
  }
  Block bytes = block(DType::u8, {256}), y = block(DType::f32, {256});
  for (int i = 0; i < 256; ++i) bytes.a.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
  for (float divisor : {1.0f, 255.0f, 127.5f, 0.3f, -7.0f, 1e-39f, 3e38f}) {
    cpu_kernels().copy_divided(bytes.a, static_cast<double>(divisor), y.a);
    for (int i = 0; i < 256; ++i) EXPECT_EQ(y.a.as<float>()[i], static_cast<float>(i) / divisor);
  }
}
TEST(Copy, TransposesLargeMatrices) {
  const Block x = random_block(DType::f32, {3, 130, 75}, 0, 1, Layout::reversed_dims);
  Block y = block(DType::f32, {3, 130, 75}), z = block(DType::f32, {3, 130, 75});
  cpu_kernels().copy(x.a, y.a);
  reference_kernels().copy(x.a, z.a);
  EXPECT_TRUE(y.bytes == z.bytes);
}
TEST(Copy, FillAndWhere) {
  for (Layout l : layouts) {
    if (l == Layout::broadcast) continue;
    Block y = block(DType::f32, {9, 33}, l), z = block(DType::f32, {9, 33}, l);
    cpu_kernels().fill(2.5, y.a);
    reference_kernels().fill(2.5, z.a);
    EXPECT_TRUE(y.bytes == z.bytes);
    const Block m = random_block(boolean, {9, 33}, 0, 1.9), a = random_block(DType::f32, {9, 33}, 0, 1, l),
                b = random_block(DType::f32, {9, 33}, 2, 3, Layout::broadcast);
    cpu_kernels().where(m.a, a.a, b.a, y.a);
    reference_kernels().where(m.a, a.a, b.a, z.a);
    EXPECT_TRUE(y.bytes == z.bytes);
  }
}
}  // namespace
