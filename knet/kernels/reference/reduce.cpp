#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/device/pool.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
namespace {
template <class T>
bool nan(T v) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(v);
  return false;
}
/// Does b come before a when the largest (or smallest) is looked for? NaN beats everything.
template <class T>
bool better(bool largest, T a, T b) {
  if (nan(a)) return false;
  return nan(b) || (largest ? b > a : b < a);
}
}  // namespace

void reduce(Reduce op, const Array& x, const Array& y) {
  Array to = y;  // y seen from every element of x
  for (int i = 0; i < x.ndim; ++i) {
    to.size[i] = x.size[i];
    if (y.size[i] == 1) to.stride[i] = 0;
  }
  if (op == Reduce::any || op == Reduce::all) {
    const bool any = op == Reduce::any;
    fill(any ? 0 : 1, y);
    dispatch_any("reduce", x.dtype, [&]<class T>(type<T>) {
      walk(
          [&](const auto& at, std::int64_t) {
            const bool v = x.as<const T>()[at[0]] != T(0);
            bool& r = to.as<bool>()[at[1]];
            r = any ? r || v : r && v;
          },
          x, to);
    });
    return;
  }
  dispatch_number("reduce", x.dtype, [&]<class T>(type<T>) {
    if (op == Reduce::max || op == Reduce::min) {
      Array first = x;
      for (int i = 0; i < x.ndim; ++i) first.size[i] = y.size[i];
      copy(first, y);
      walk(
          [&](const auto& at, std::int64_t) {
            T& r = to.as<T>()[at[1]];
            const T v = x.as<const T>()[at[0]];
            if (better(op == Reduce::max, r, v)) r = v;
          },
          x, to);
      return;
    }
    // Floats in double, in row-major order; integers wrap.
    using A = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
    std::vector<A, memory::Allocator<A>> sums(static_cast<std::size_t>(y.numel()),
                                              op == Reduce::prod ? A(1) : A(0));
    Array index = to;
    std::int64_t step = 1;
    for (int i = y.ndim - 1; i >= 0; --i) {
      index.stride[i] = y.size[i] == 1 ? 0 : step;
      step *= y.size[i];
    }
    walk(
        [&](const auto& at, std::int64_t) {
          const A v = static_cast<A>(x.as<const T>()[at[0]]);
          A& r = sums[static_cast<std::size_t>(at[1])];
          r = op == Reduce::sum ? r + v : op == Reduce::prod ? r * v : r + v * v;
        },
        x, index);
    walk([&](const auto& at,
             std::int64_t i) { y.as<T>()[at[0]] = static_cast<T>(sums[static_cast<std::size_t>(i)]); },
         y);
  });
}

void arg_reduce(bool largest, const Array& x, int dim, const Array& y) {
  dispatch_number("arg_reduce", x.dtype, [&]<class T>(type<T>) {
    lines(
        dim,
        [&](const auto& at) {
          const T* p = x.as<const T>() + at[0];
          std::int64_t best = 0;
          for (std::int64_t i = 1; i < x.size[dim]; ++i) {
            if (better(largest, p[best * x.stride[dim]], p[i * x.stride[dim]])) best = i;
          }
          y.as<std::int64_t>()[at[1]] = best;
        },
        x, y);
  });
}

void cumsum(const Array& x, int dim, bool reverse, const Array& y) {
  dispatch_number("cumsum", x.dtype, [&]<class T>(type<T>) {
    lines(
        dim,
        [&](const auto& at) {
          using A = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
          A sum = 0;
          for (std::int64_t k = 0, n = x.size[dim]; k < n; ++k) {
            const std::int64_t i = reverse ? n - 1 - k : k;
            sum += static_cast<A>(x.as<const T>()[at[0] + i * x.stride[dim]]);
            y.as<T>()[at[1] + i * y.stride[dim]] = static_cast<T>(sum);
          }
        },
        x, y);
  });
}

void sort(const Array& x, int dim, bool descending, const Array& values, const Array& indices) {
  dispatch_number("sort", x.dtype, [&]<class T>(type<T>) {
    std::vector<std::int64_t, memory::Allocator<std::int64_t>> order(static_cast<std::size_t>(x.size[dim]));
    std::vector<T> line(order.size());
    lines(
        dim,
        [&](const auto& at) {
          for (std::size_t i = 0; i < line.size(); ++i)
            line[i] = x.as<const T>()[at[0] + static_cast<std::int64_t>(i) * x.stride[dim]];
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
            const T p = line[static_cast<std::size_t>(a)], q = line[static_cast<std::size_t>(b)];
            if (nan(p) || nan(q)) return descending ? nan(p) && !nan(q) : !nan(p) && nan(q);
            return descending ? p > q : p < q;
          });
          for (std::size_t i = 0; i < line.size(); ++i) {
            const auto k = static_cast<std::int64_t>(i);
            values.as<T>()[at[1] + k * values.stride[dim]] = line[static_cast<std::size_t>(order[i])];
            indices.as<std::int64_t>()[at[2] + k * indices.stride[dim]] = order[i];
          }
        },
        x, values, indices);
  });
}

}  // namespace knet::reference
