// Arrays for the kernel tests: numbers from a seed in every layout a tensor can have.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/functors.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::test {

/// Memory with an Array over it.
struct Block {
  std::vector<std::byte> bytes;
  Array a;
};

enum class Layout { dense, transposed, stepped, reversed_dims, broadcast };

inline Block block(DType t, std::vector<std::int64_t> size, Layout layout = Layout::dense) {
  Block b;
  Array& a = b.a;
  a.dtype = t;
  a.ndim = static_cast<int>(size.size());
  std::int64_t n = 1;
  const auto place = [&](int i) {
    a.size[i] = size[static_cast<std::size_t>(i)];
    if (layout == Layout::broadcast && i == 0) {
      a.stride[i] = 0;
    } else {
      a.stride[i] = n;
      n *= std::max<std::int64_t>(a.size[i], 1) + (layout == Layout::stepped ? 1 : 0);
    }
  };
  if (layout == Layout::stepped) n = 2;
  if (layout == Layout::reversed_dims || layout == Layout::transposed) {
    for (int i = 0; i < a.ndim; ++i) place(i);
  } else {
    for (int i = a.ndim - 1; i >= 0; --i) place(i);
  }
  b.bytes.resize(static_cast<std::size_t>(n * 2 + 64) * size_of(t));
  a.data = b.bytes.data();
  return b;
}

/// Visits all positions: f(offset).
template <class F>
void each(const Array& a, const F& f) {
  std::vector<std::int64_t> index(static_cast<std::size_t>(a.ndim));
  for (std::int64_t i = 0, n = a.numel(); i < n; ++i) {
    std::int64_t at = 0;
    for (int d = 0; d < a.ndim; ++d) at += index[static_cast<std::size_t>(d)] * a.stride[d];
    f(at);
    for (int d = a.ndim - 1; d >= 0; --d) {
      if (++index[static_cast<std::size_t>(d)] < a.size[d]) break;
      index[static_cast<std::size_t>(d)] = 0;
    }
  }
}

/// Numbers in [low, high).
inline void randomize(Block& b, double low, double high, std::uint64_t stream = 1) {
  std::uint64_t i = 0;
  each(b.a, [&](std::int64_t at) {
    const double v = low + (high - low) * philox::to_unit_double(philox::number({7, stream}, i++));
    dispatch_any("test", b.a.dtype, [&]<class T>(type<T>) { b.a.as<T>()[at] = static_cast<T>(v); });
  });
}
inline Block random_block(DType t, std::vector<std::int64_t> size, double low, double high,
                          Layout layout = Layout::dense, std::uint64_t stream = 1) {
  Block b = block(t, std::move(size), layout);
  randomize(b, low, high, stream);
  return b;
}
inline std::vector<double> values(const Array& a) {
  std::vector<double> r;
  dispatch_any("test", a.dtype, [&]<class T>(type<T>) {
    each(a, [&](std::int64_t at) { r.push_back(static_cast<double>(a.as<const T>()[at])); });
  });
  return r;
}
/// Equal up to `relative` of the expected number plus `absolute`; NaN equals NaN.
inline void expect_near(const Array& got, const Array& expected, double relative, double absolute) {
  const auto p = values(got), q = values(expected);
  ASSERT_EQ(p.size(), q.size());
  int bad = 0;
  for (std::size_t i = 0; i < p.size() && bad < 3; ++i) {
    const bool same = p[i] == q[i] || (std::isnan(p[i]) && std::isnan(q[i])) ||
                      std::fabs(p[i] - q[i]) <= relative * std::fabs(q[i]) + absolute;
    if (!same) {
      ++bad;
      ADD_FAILURE() << "element " << i << ": " << p[i] << ", expected " << q[i];
    }
  }
}
/// A few units in the last place.
inline double ulps(DType t, double n) { return n * (t == DType::f64 ? 0x1p-52 : 0x1p-23); }

}  // namespace knet::test
