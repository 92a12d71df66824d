// Names of types as models print them, without compiler dress.
#include "knet/base/reflect.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace outer {
template <class... T>
struct Pack {};
struct Plain {};
}  // namespace outer

namespace {

struct Hidden {};

template <class T>
std::string_view name_of(const T&) {
  return knet::reflect::type_name<T>();
}
auto make_lambda(const std::vector<int>&) {
  return [](int x) { return x; };
}

TEST(TypeName, IsTheLastNameWithoutArguments) {
  using outer::Pack, outer::Plain;
  EXPECT_EQ(name_of(Plain{}), "Plain");
  EXPECT_EQ(name_of(Hidden{}), "Hidden");
  EXPECT_EQ((name_of(Pack<Pack<int>, Plain>{})), "Pack");
  EXPECT_EQ(name_of(1.0), "double");
}
TEST(TypeName, OfLambdas) {
  EXPECT_EQ(name_of(make_lambda({})), "lambda");
  EXPECT_EQ(name_of([](auto x) { return x; }), "lambda");
  const auto inside = make_lambda({});
  EXPECT_EQ((name_of(outer::Pack<decltype(inside), int>{})), "Pack");
  struct Local {};
  EXPECT_EQ(name_of(Local{}), "Local");
}

}  // namespace
