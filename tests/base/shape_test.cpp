// Shapes, strides, broadcasting and the checks around them.
#include "knet/base/shape.hpp"

#include <gtest/gtest.h>

#include <array>

#include "knet/base/error.hpp"

using namespace knet;

namespace {

template <class E, class F>
std::string message(const F& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing of the expected type was thrown";
  return {};
}

TEST(Shape, ScalarsAndEmptyShapes) {
  EXPECT_EQ(Shape{}.ndim(), 0);
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ((Shape{3, 0, 4}).numel(), 0);
  EXPECT_EQ((Shape{2, 3, 4}).numel(), 24);
}

TEST(Shape, PositionsCountFromBothEnds) {
  Shape s{2, 3, 4};
  EXPECT_EQ(s[0], 2);
  EXPECT_EQ(s[-1], 4);
  s[-3] = 7;
  EXPECT_EQ(s, (Shape{7, 3, 4}));
  EXPECT_EQ(s.at(-2), 3);
  EXPECT_THROW((void)s.at(3), ShapeError);
  EXPECT_THROW((void)s.at(-4), ShapeError);
}

TEST(Shape, EqualityLooksAtEverySize) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 4}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{2, 3}), (Shape{3}));
}

TEST(Shape, EightDimensionsAreTheMost) {
  Shape s{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(s.ndim(), max_dims);
  EXPECT_THROW(s.push(9), ShapeError);
  EXPECT_EQ(s.ndim(), max_dims);
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  const std::array<std::int64_t, 9> nine{1, 1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_THROW(Shape(std::span<const std::int64_t>(nine)), ShapeError);
  EXPECT_EQ(Shape(std::span<const std::int64_t>(nine).first(2)), (Shape{1, 1}));
}

TEST(Shape, Text) {
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(to_string(Shape{5}), "[5]");
  EXPECT_EQ(to_string(Shape{2, 0, 3}), "[2, 0, 3]");
}

TEST(Shape, RowMajorStrides) {
  const Strides s = row_major({2, 3, 4});
  EXPECT_EQ(s[0], 12);
  EXPECT_EQ(s[1], 4);
  EXPECT_EQ(s[2], 1);
  // A size of 0 must not make the strides before it 0: those mean repetition.
  const Strides e = row_major({2, 0, 4});
  EXPECT_EQ(e[0], 4);
  EXPECT_EQ(e[1], 4);
  EXPECT_EQ(e[2], 1);
}

TEST(Broadcast, AlignsAtTheEnd) {
  EXPECT_EQ(broadcast("t", {2, 3}, {3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast("t", {3}, {2, 3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast("t", {2, 1, 4}, {3, 1}), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast("t", {}, {2, 3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast("t", {}, {}), Shape{});
}

TEST(Broadcast, ZeroIsASizeLikeOthers) {
  EXPECT_EQ(broadcast("t", {0}, {1}), Shape{0});
  EXPECT_EQ(broadcast("t", {1, 3}, {0, 1}), (Shape{0, 3}));
  EXPECT_THROW(broadcast("t", {0}, {2}), ShapeError);
}

TEST(Broadcast, TheMessageSaysWhoAndWhat) {
  const auto m = message<ShapeError>([] { broadcast("operator +", {2, 3}, {2, 4}); });
  for (const char* part : {"operator +", "[2, 3]", "[2, 4]", "3", "4"}) {
    EXPECT_NE(m.find(part), std::string::npos) << part << " is not in: " << m;
  }
}

TEST(CheckDim, FromBothEnds) {
  EXPECT_EQ(check_dim("t", 0, 3), 0);
  EXPECT_EQ(check_dim("t", 2, 3), 2);
  EXPECT_EQ(check_dim("t", -1, 3), 2);
  EXPECT_EQ(check_dim("t", -3, 3), 0);
  EXPECT_THROW(check_dim("t", 3, 3), ShapeError);
  EXPECT_THROW(check_dim("t", -4, 3), ShapeError);
  EXPECT_THROW(check_dim("t", 0, 0), ShapeError);
  EXPECT_THROW(check_dim("t", -1, 0), ShapeError);
  EXPECT_NE(message<ShapeError>([] { check_dim("cumsum", 5, 2); }).find("cumsum"), std::string::npos);
}

TEST(CheckSizes, RefusesNegativeAndHugeShapes) {
  EXPECT_NO_THROW(check_sizes("t", {}));
  EXPECT_NO_THROW(check_sizes("t", {0, 5}));
  EXPECT_NO_THROW(check_sizes("t", {std::int64_t{1} << 56}));
  EXPECT_THROW(check_sizes("t", {2, -1}), ShapeError);
  EXPECT_THROW(check_sizes("t", {-1, -1}), ShapeError);
  EXPECT_THROW(check_sizes("t", {(std::int64_t{1} << 56) + 1}), ShapeError);
  EXPECT_THROW(check_sizes("t", {std::int64_t{1} << 32, std::int64_t{1} << 32}), ShapeError);
}

}  // namespace
