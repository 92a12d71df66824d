// Tensors: factories, views that share memory until written, indexing, conversions, printing, errors.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "knet/knet.hpp"

namespace {
using namespace knet;

std::string printed(const Tensor& t) {
  std::ostringstream s;
  s << t;
  return s.str();
}
Tensor count(const Shape& s) { return arange(0, s.numel()).to(f32).reshape(s); }

TEST(Factories, Values) {
  EXPECT_EQ(zeros({2, 3}).to_vector<float>(), std::vector<float>(6, 0.0f));
  EXPECT_EQ(ones({3}, i64).to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 1, 1}));
  EXPECT_EQ(full({2}, 2.5).to_vector<float>(), (std::vector<float>{2.5f, 2.5f}));
  EXPECT_EQ(arange(2, 5).to_vector<std::int64_t>(), (std::vector<std::int64_t>{2, 3, 4}));
  EXPECT_EQ(linspace(0, 1, 5).to_vector<double>(), (std::vector<double>{0, .25, .5, .75, 1}));
  EXPECT_EQ(eye(2).to_vector<float>(), (std::vector<float>{1, 0, 0, 1}));
  const Tensor nested{{1., 2.}, {3., 4.}};
  EXPECT_EQ(nested.shape(), Shape({2, 2}));
  EXPECT_THROW((Tensor{{1., 2.}, {3.}}), ShapeError);
  const std::vector<float> v{1, 2, 3, 4};
  EXPECT_EQ(Tensor(std::span<const float>(v), {2, 2})(1, 0).item(), 3);
  EXPECT_THROW(Tensor(v, {3, 3}), ShapeError);
}
TEST(Factories, RandomNumbersFollowTheSeed) {
  seed(5);
  const Tensor a = randn({1000});
  seed(5);
  const Tensor b = randn({1000});
  EXPECT_TRUE(equal(a, b));
  EXPECT_NEAR(a.mean().item(), 0, 0.15);
  const Tensor u = rand({1000});
  EXPECT_GE(min(u).item(), 0);
  EXPECT_LT(max(u).item(), 1);
  const Tensor i = randint(3, 7, {1000});
  EXPECT_EQ(min(i).item(), 3);
  EXPECT_EQ(max(i).item(), 6);
  EXPECT_TRUE(equal(sort(randperm(50)), arange(0, 50).to(i64)));
  const int before = threads();
  seed(9);
  set_threads(1);
  const Tensor one = rand({100'000});
  seed(9);
  set_threads(4);
  const Tensor four = rand({100'000});
  set_threads(before);
  EXPECT_TRUE(equal(one, four));
}
TEST(Random, EveryOrderIsAsLikely) {
  Generator g(5);
  std::map<std::vector<std::int64_t>, int> seen;
  constexpr int n = 24'000;
  for (int i = 0; i < n; ++i) ++seen[randperm(4, g).to_vector<std::int64_t>()];
  EXPECT_EQ(seen.size(), 24u);
  double chi2 = 0;
  for (const auto& [order, count] : seen) chi2 += std::pow(count - n / 24.0, 2) / (n / 24.0);
  EXPECT_LT(chi2, 60);  // 23 degrees of freedom: beyond that once in 30,000 generators
}
TEST(Views, ShareMemoryUntilWritten) {
  const Tensor x = count({2, 3, 4});
  EXPECT_EQ(x(1, 2, 3).item(), 23);
  EXPECT_EQ(x(-1, -1, -1).item(), 23);
  EXPECT_EQ(x.transpose(0, 2).shape(), Shape({4, 3, 2}));
  EXPECT_EQ(x.transpose(0, 2)(3, 2, 1).item(), 23);
  EXPECT_EQ(x.permute({2, 0, 1})(1, 1, 2).item(), x(1, 2, 1).item());
  EXPECT_EQ(x.reshape({6, -1}).shape(), Shape({6, 4}));
  EXPECT_EQ(x.narrow(1, 1, 2).shape(), Shape({2, 2, 4}));
  EXPECT_EQ(x.select(1, 2).shape(), Shape({2, 4}));
  EXPECT_EQ(x.flatten().shape(), Shape({24}));
  EXPECT_EQ(x.unsqueeze(0).squeeze(0).shape(), x.shape());
  EXPECT_EQ(count({3, 1}).expand({2, 3, 4})(1, 2, 3).item(), 2);
  EXPECT_FALSE(x.transpose(0, 1).is_contiguous());
  EXPECT_TRUE(x.transpose(0, 1).contiguous().is_contiguous());
  Tensor a = count({4}), b = a;
  b.ref(0) = 9.0;
  EXPECT_EQ(a(0).item(), 0);
  EXPECT_EQ(b(0).item(), 9);
  Tensor whole = count({2, 2}), row = whole(0);
  row += 10.0;
  EXPECT_EQ(whole(0, 0).item(), 0);
}
TEST(Indexing, AllForms) {
  const Tensor x = count({4, 3});
  EXPECT_EQ(x(_, 1).to_vector<float>(), (std::vector<float>{1, 4, 7, 10}));
  EXPECT_EQ(x(slice(1, 3)).shape(), Shape({2, 3}));
  EXPECT_EQ(x(slice(0, end, 2), 0).to_vector<float>(), (std::vector<float>{0, 6}));
  EXPECT_EQ(x(Tensor(std::vector<std::int64_t>{3, 0}), 2).to_vector<float>(), (std::vector<float>{11, 2}));
  EXPECT_EQ(x(x > 9).to_vector<float>(), (std::vector<float>{10, 11}));
  Tensor y = x;
  y.ref(_, 0) = 0.0;
  EXPECT_EQ(y(_, 0).sum().item(), 0);
  EXPECT_EQ(x(_, 0).sum().item(), 18);
  EXPECT_THROW(x(4), ShapeError);
  EXPECT_THROW(x(0, 0, 0), ShapeError);
  EXPECT_THROW(x(Tensor(std::vector<std::int64_t>{4})), ShapeError);
}
TEST(Conversion, BetweenDTypes) {
  const Tensor x = Tensor(std::vector<double>{-1.5, 0, 2.7});
  EXPECT_EQ(x.to(i64).to_vector<std::int64_t>(), (std::vector<std::int64_t>{-1, 0, 2}));
  EXPECT_EQ(x.to(boolean).to(f32).to_vector<float>(), (std::vector<float>{1, 0, 1}));
  EXPECT_TRUE(allclose(x.to(bf16).to(f64), x, 1e-2, 0));
  EXPECT_TRUE(allclose(x.to(f16).to(f64), x, 1e-3, 0));
  EXPECT_THROW(x.item(), ShapeError);
  EXPECT_THROW(x.data<float>(), DTypeError);
}
TEST(Equality, AndCloseness) {
  const Tensor x = Tensor(std::vector<double>{1, 2});
  EXPECT_TRUE(equal(x, x + 0.0));
  EXPECT_FALSE(equal(x, x + 1e-12));
  EXPECT_TRUE(allclose(x, x + 1e-12));
  EXPECT_FALSE(allclose(x, Tensor(std::vector<double>{1, NAN})));
}
TEST(Printing, ShapeDtypeAndEllipsis) {
  const std::string small = printed(Tensor{{1., 2.5}, {-3., 4.}});
  EXPECT_NE(small.find("[2, 2]"), std::string::npos) << small;
  EXPECT_NE(small.find("2.5"), std::string::npos) << small;
  const std::string large = printed(zeros({1000, 1000}));
  EXPECT_NE(large.find("..."), std::string::npos);
  EXPECT_LT(large.size(), 2000u);
  EXPECT_FALSE(printed(Tensor()).empty());
}
TEST(Errors, NameTheFunctionAndTheShapes) {
  try {
    count({2, 3}).reshape({4, 2});
    FAIL();
  } catch (const ShapeError& e) {
    EXPECT_NE(std::string(e.what()).find("reshape"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("[2, 3]"), std::string::npos);
  }
  EXPECT_THROW(zeros({-1}), ShapeError);
  EXPECT_THROW(zeros({std::int64_t{1} << 40, std::int64_t{1} << 40}), Error);
  EXPECT_THROW(zeros({2}).sum(3), ShapeError);
  EXPECT_THROW(zeros({2}) + zeros({2}, f64), DTypeError);
  EXPECT_THROW(exp(Tensor()), Error);
}
TEST(Memory, ThePoolGivesBackAndCounts) {
  const auto before = memory_stats(cpu);
  {
    const Tensor t = zeros({1000, 1000});
    EXPECT_GE(memory_stats(cpu).in_use, before.in_use + 4'000'000);
  }
  EXPECT_EQ(memory_stats(cpu).in_use, before.in_use);
}
}  // namespace
