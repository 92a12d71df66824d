// Element types: sizes, names, the C++ types they stand for, and the dispatch from one to the other.
#include "knet/base/dtype.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "knet/base/dispatch.hpp"

using namespace knet;

namespace {

constexpr DType all_dtypes[] = {f32, f64, i32, i64, u8, boolean, f16, bf16};

static_assert(dtype_of<float> == f32 && dtype_of<double> == f64 && dtype_of<const float> == f32);
static_assert(dtype_of<int> == i32 && dtype_of<unsigned> == i32 && dtype_of<long> == i64);
static_assert(dtype_of<long long> == i64 && dtype_of<std::size_t> == i64);
static_assert(dtype_of<unsigned char> == u8 && dtype_of<char> == u8 && dtype_of<bool> == boolean);
static_assert(dtype_of<Half> == f16 && dtype_of<BFloat16> == bf16);

TEST(DType, Sizes) {
  EXPECT_EQ(size_of(f32), sizeof(float));
  EXPECT_EQ(size_of(f64), sizeof(double));
  EXPECT_EQ(size_of(i32), 4u);
  EXPECT_EQ(size_of(i64), 8u);
  EXPECT_EQ(size_of(u8), 1u);
  EXPECT_EQ(size_of(boolean), sizeof(bool));
  EXPECT_EQ(size_of(f16), sizeof(Half));
  EXPECT_EQ(size_of(bf16), sizeof(BFloat16));
}

TEST(DType, Families) {
  for (DType t : all_dtypes) {
    EXPECT_EQ(is_floating(t), t == f32 || t == f64 || t == f16 || t == bf16) << t;
    EXPECT_EQ(is_integer(t), t == i32 || t == i64 || t == u8) << t;
  }
}

TEST(DType, Names) {
  const char* names[] = {"f32", "f64", "i32", "i64", "u8", "bool", "f16", "bf16"};
  for (std::size_t i = 0; i < std::size(all_dtypes); ++i) {
    EXPECT_EQ(to_string(all_dtypes[i]), names[i]);
    EXPECT_EQ(text(all_dtypes[i]), names[i]);
  }
}

// The dtypes a dispatcher takes, each of which must come back as the type that stores it.
template <class Dispatch>
std::vector<DType> taken(const Dispatch& dispatch) {
  std::vector<DType> r;
  for (DType t : all_dtypes) {
    try {
      dispatch(t, [&]<class T>(type<T>) {
        EXPECT_EQ(dtype_of<T>, t);
        EXPECT_EQ(sizeof(T), size_of(t));
      });
      r.push_back(t);
    } catch (const DTypeError& e) {
      const std::string m = e.what();
      EXPECT_EQ(m.rfind("someone:", 0), 0u) << m;
      EXPECT_NE(m.find(to_string(t)), std::string::npos) << m;
    }
  }
  return r;
}

TEST(Dispatch, TakesItsFamilyAndNamesTheCaller) {
  using V = std::vector<DType>;
  EXPECT_EQ(taken([](DType t, auto f) { dispatch_float("someone", t, f); }), (V{f32, f64}));
  EXPECT_EQ(taken([](DType t, auto f) { dispatch_number("someone", t, f); }), (V{f32, f64, i32, i64, u8}));
  EXPECT_EQ(taken([](DType t, auto f) { dispatch_any("someone", t, f); }),
            (V{f32, f64, i32, i64, u8, boolean}));
  EXPECT_EQ(taken([](DType t, auto f) { dispatch_index("someone", t, f); }), (V{i32, i64, u8}));
}

TEST(Dispatch, GivesBackWhatTheFunctionReturns) {
  EXPECT_EQ(dispatch_number("t", i64, []<class T>(type<T>) { return sizeof(T); }), 8u);
}

}  // namespace
