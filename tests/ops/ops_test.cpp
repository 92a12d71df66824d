// Every operator of the table: PyTorch's values and gradients in f64, the values in f32, a gradient check by
// differences, and the gradient of the gradient by differences.
#include <gtest/gtest.h>

#include <set>

#include "tests/ops/op_table.hpp"
#include "tests/reference/reference.hpp"

namespace {
using namespace knet;
using namespace knet::test;

const Reference& reference() {
  static const Reference all = load_reference("ops");
  return all;
}
struct Case {
  Inputs x;
  Tensor y, w;            // w is empty where there is no gradient
  std::vector<Tensor> g;  // one for each input; empty for integers
};
Case reference_case(const std::string& name) {
  const auto find = [&](const std::string& key) {
    const auto it = reference().find(name + "." + key);
    return it == reference().end() ? Tensor() : it->second;
  };
  Case c{.x = {}, .y = find("y"), .w = find("w"), .g = {}};
  for (int i = 0; find("x" + std::to_string(i)); ++i) {
    c.x.push_back(find("x" + std::to_string(i)));
    c.g.push_back(find("g" + std::to_string(i)));
  }
  return c;
}
/// Inputs with a gradient as parameters, the others as they are.
struct Variables {
  std::vector<Param> params;
  Inputs inputs(const Case& c) const {
    Inputs r = c.x;
    for (std::size_t i = 0, k = 0; i < r.size(); ++i) {
      if (c.g[i]) r[i] = params[k++];
    }
    return r;
  }
  explicit Variables(const Case& c) {
    for (std::size_t i = 0; i < c.x.size(); ++i) {
      if (c.g[i]) params.emplace_back(c.x[i]);
    }
  }
};
TEST(OperatorTable, HasExactlyTheCasesOfTheReference) {
  std::set<std::string> here, there;
  for (const Op& op : op_table()) here.insert(op.name);
  for (const auto& [key, t] : reference()) there.insert(key.substr(0, key.find('.')));
  EXPECT_EQ(here, there);
  EXPECT_EQ(here.size(), op_table().size());
}

class Operator : public testing::TestWithParam<std::size_t> {
 protected:
  const Op& op = op_table()[GetParam()];
  const Case c = reference_case(op.name);
};

TEST_P(Operator, ValueAndGradient) {
  ASSERT_TRUE(c.y);
  expect_close(op.f(c.x), c.y, "value", 1e-10);
  Inputs single;
  for (const Tensor& x : c.x) single.push_back(x.floating() ? x.to(f32) : x);
  const Tensor y = op.f(single);
  if (c.y.floating() && c.w) {
    EXPECT_EQ(y.dtype(), op.name == "one_hot" ? f64 : f32);
  }
  if (op.name != "cholesky" && op.name != "binary_cross_entropy" && op.name != "logistic_loss" &&
      !op.name.starts_with("argsort"))
    expect_close(y, c.y, "value in f32", 2e-4);
  if (!c.w) return;
  const Variables v(c);
  const Tape t = diff([&] { return sum(op.f(v.inputs(c)) * c.w); });
  for (std::size_t i = 0, k = 0; i < c.x.size(); ++i) {
    if (c.g[i]) expect_close(t.grad(v.params[k++]), c.g[i], "gradient " + std::to_string(i), 1e-9);
  }
}

TEST_P(Operator, GradientCheck) {
  if (!c.w) GTEST_SKIP() << "no gradient";
  Variables v(c);
  const auto report = gradcheck(v.params, [&] { return sum(op.f(v.inputs(c)) * c.w); });
  EXPECT_TRUE(report) << report.worst;
}

TEST_P(Operator, SecondDerivative) {
  if (!c.w) GTEST_SKIP() << "no gradient";
  if (!op.twice) GTEST_SKIP() << "no second derivative";
  Variables v(c);
  const auto slope = [&] {
    // Not linear in the result, so that operators which are linear have a second derivative to be checked.
    const Tape t = diff([&] {
      const Tensor y = op.f(v.inputs(c));
      return sum((y + 0.1 * square(y)) * c.w);
    });
    Tensor s = zeros({}, f64);
    for (const Param& p : v.params) {
      if (const Tensor g = t.grad(p)) s = s + sum(0.1 * square(g) + g);
    }
    return s;
  };
  const auto report = gradcheck(v.params, slope, {.eps = 1e-5, .rtol = 1e-4, .atol = 1e-6});
  EXPECT_TRUE(report) << report.worst;
}

INSTANTIATE_TEST_SUITE_P(Table, Operator, testing::Range(std::size_t{0}, op_table().size()),
                         [](const auto& i) { return op_table()[i.param].name; });
}  // namespace
