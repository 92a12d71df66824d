// Messages put together from parts, and the family of exceptions that carries them.
#include "knet/base/text.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <type_traits>

#include "knet/base/dtype.hpp"
#include "knet/base/shape.hpp"

using namespace knet;

namespace {

TEST(Text, PrintsPartsOneAfterTheOther) {
  EXPECT_EQ(text("matmul: ", Shape{2, 3}, " x ", Shape{4}, " of ", f32, ' ', 7),
            "matmul: [2, 3] x [4] of f32 7");
  EXPECT_EQ(text(std::string("one")), "one");
}

template <class E>
class Errors : public testing::Test {};
using Types = testing::Types<Error, ShapeError, DTypeError, DeviceError, ValueError, IoError>;
TYPED_TEST_SUITE(Errors, Types);

TYPED_TEST(Errors, AreThrownByFailAndCaughtAsError) {
  static_assert(std::is_base_of_v<Error, TypeParam> && std::is_base_of_v<std::runtime_error, TypeParam>);
  try {
    fail<TypeParam>("who: ", 1, " of ", 2);
  } catch (const Error& e) {
    EXPECT_EQ(typeid(e), typeid(TypeParam));
    EXPECT_STREQ(e.what(), "who: 1 of 2");
  }
}

TEST(Errors, OneKindIsNotAnother) {
  static_assert(!std::is_base_of_v<ShapeError, ValueError> && !std::is_base_of_v<ValueError, ShapeError>);
  EXPECT_THROW(
      {
        try {
          fail<ShapeError>("a");
        } catch (const DTypeError&) {
        }
      },
      ShapeError);
}

}  // namespace
