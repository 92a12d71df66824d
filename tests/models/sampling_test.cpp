#include <cmath>
#include <map>

#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

/// Shares of 20,000 draws.
std::map<std::int64_t, double> shares(const Tensor& scores, const SamplingOptions& o,
                                      std::vector<std::int64_t> before = {}) {
  Generator g(5);
  std::map<std::int64_t, double> m;
  for (int i = 0; i < 20000; ++i) m[sample_token(scores, o, g, before)] += 1.0 / 20000;
  return m;
}
const Tensor scores = Tensor{{0.5, 0.25, 0.125, 0.125}};
Tensor logs() { return log(scores); }

TEST(Sampling, Softmax) {
  auto p = shares(logs(), {});
  EXPECT_NEAR(p[0], 0.5, 0.015);
  EXPECT_NEAR(p[1], 0.25, 0.015);
  EXPECT_NEAR(p[2], 0.125, 0.01);
  EXPECT_NEAR(p[3], 0.125, 0.01);
}
TEST(Sampling, Temperature) {
  auto p = shares(logs(), {.temperature = 0.5});  // squares: 16, 4, 1, 1 of 22
  EXPECT_NEAR(p[0], 16.0 / 22, 0.015);
  EXPECT_NEAR(p[1], 4.0 / 22, 0.015);
  EXPECT_EQ(shares(logs(), {.temperature = 0}).size(), 1u);
  EXPECT_EQ(shares(Tensor{{1000.0, 999.0, -1000.0}}, {.temperature = 1e-3}).size(), 1u) << "no overflow";
}
TEST(Sampling, TopK) {
  auto p = shares(logs(), {.top_k = 2});
  EXPECT_EQ(p.size(), 2u);
  EXPECT_NEAR(p[0], 2.0 / 3, 0.015);
  EXPECT_EQ(shares(logs(), {.top_k = 1}).size(), 1u);
  EXPECT_EQ(shares(logs(), {.top_k = 100}).size(), 4u);
  // The k best of many, wherever they are, and what equals the last of them.
  Tensor many = zeros({1000});
  for (const int i : {3, 500, 501, 999}) many.ref(i) = 5.0 + i % 2;
  EXPECT_EQ(shares(many, {.top_k = 3}).size(), 3u);
  EXPECT_EQ(shares(many, {.top_k = 2}).size(), 3u) << "6, 6 and 6";
  EXPECT_EQ(shares(many, {.top_k = 4}).size(), 4u);
}
TEST(Sampling, TopP) {
  EXPECT_EQ(shares(logs(), {.top_p = 0.5 - 1e-6}).size(), 1u);
  auto p = shares(logs(), {.top_p = 0.7});
  EXPECT_EQ(p.size(), 2u);
  EXPECT_NEAR(p[1], 1.0 / 3, 0.015);
  EXPECT_EQ(shares(logs(), {.top_p = 1e-9}).size(), 1u) << "the best one is always there";
}
TEST(Sampling, Repetition) {
  // 2 becomes 1 and -1 becomes -2.
  auto p = shares(Tensor{{2.0, -1.0, 0.0}}, {.repetition_penalty = 2}, {0, 1, 0});
  const double sum = std::exp(1) + std::exp(-2) + 1;
  EXPECT_NEAR(p[0], std::exp(1) / sum, 0.015);
  EXPECT_NEAR(p[1], std::exp(-2) / sum, 0.01);
}
TEST(Sampling, BadInput) {
  Generator g(1);
  const auto with = [&](const SamplingOptions& o) { return [&g, o] { sample_token(logs(), o, g); }; };
  expect_error<ValueError>(with({.temperature = -1}), {"temperature"});
  expect_error<ValueError>(with({.temperature = NAN}), {"temperature"});
  expect_error<ValueError>(with({.top_k = -1}), {"top_k"});
  expect_error<ValueError>(with({.top_p = 0}), {"top_p"});
  expect_error<ValueError>(with({.top_p = 1.5}), {"top_p"});
  expect_error<ValueError>(with({.repetition_penalty = 0}), {"repetition_penalty"});
  expect_error<ValueError>([&] { sample_token(Tensor{1.0, NAN}, {}, g); }, {"NaN"});
  expect_error<ValueError>([&] { sample_token(Tensor{-INFINITY, -INFINITY}, {}, g); }, {"-inf"});
  expect_error<ShapeError>([&] { sample_token(zeros({2, 3}), {}, g); }, {"[2, 3]"});
  expect_error<ShapeError>([&] { sample_token({}, {}, g); }, {"empty"});
  const std::vector<std::int64_t> before{9};
  expect_error<ValueError>([&] { sample_token(logs(), {.repetition_penalty = 2}, g, before); }, {"9"});
}

}  // namespace
