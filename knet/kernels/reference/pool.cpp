#include <cmath>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
namespace {

/// For every position of y: f(offset in y, channel's offset in x, index's place, its window {begin, end}).
struct Window {
  std::int64_t begin[3], end[3];
  std::int64_t count() const { return (end[0] - begin[0]) * (end[1] - begin[1]) * (end[2] - begin[2]); }
};
template <class F>
void windows(const PoolShape& s, const Array& x, const Array& y, const F& f) {
  const std::int64_t area = s.out[0] * s.out[1] * s.out[2];
  walk(
      [&](const auto& at, std::int64_t i) {
        Window w;
        std::int64_t rest = i;
        for (int d = 2; d >= 0; --d) {
          const std::int64_t p = rest % s.out[d];
          rest /= s.out[d];
          w.begin[d] = s.begin[d][p], w.end[d] = s.end[d][p];
        }
        const std::int64_t c = rest % s.channels, n = rest / s.channels;
        f(at[0], n * x.stride[0] + c * x.stride[1], (n * area + i % area) * s.channels + c, w);
      },
      y);
}
/// f(offset of the position in x, its number) in a window.
template <class F>
void positions(const PoolShape& s, const Array& x, const Window& w, const F& f) {
  for (std::int64_t d = w.begin[0]; d < w.end[0]; ++d) {
    for (std::int64_t h = w.begin[1]; h < w.end[1]; ++h) {
      for (std::int64_t v = w.begin[2]; v < w.end[2]; ++v)
        f(d * x.stride[2] + h * x.stride[3] + v * x.stride[4], (d * s.in[1] + h) * s.in[2] + v);
    }
  }
}
std::int64_t offset(const PoolShape& s, const Array& x, std::int64_t number) {
  return number / (s.in[1] * s.in[2]) * x.stride[2] + number / s.in[2] % s.in[1] * x.stride[3] +
         number % s.in[2] * x.stride[4];
}
template <class T>
void clear(const Array& y) {
  walk([&](const auto& at, std::int64_t) { y.as<T>()[at[0]] = T(0); }, y);
}

}  // namespace

void max_pool(const PoolShape& s, bool propagate_nan, const Array& x, const Array& y, std::int32_t* index) {
  dispatch_float("max_pool", x.dtype, [&]<class T>(type<T>) {
    windows(s, x, y, [&](std::int64_t to, std::int64_t from, std::int64_t place, const Window& w) {
      T best{};
      std::int64_t winner = -1;
      positions(s, x, w, [&](std::int64_t at, std::int64_t number) {
        const T v = x.as<const T>()[from + at];
        const bool over = std::isnan(v) ? propagate_nan && !std::isnan(best)
                                        : v > best || (std::isnan(best) && !propagate_nan);
        if (winner < 0 || over) best = v, winner = number;
      });
      y.as<T>()[to] = best;
      if (index) index[place] = static_cast<std::int32_t>(winner);
    });
  });
}

void max_pool_grad(const PoolShape& s, const Array& dy, const std::int32_t* index, const Array& dx) {
  dispatch_float("max_pool", dy.dtype, [&]<class T>(type<T>) {
    clear<T>(dx);
    windows(s, dx, dy, [&](std::int64_t to, std::int64_t from, std::int64_t place, const Window&) {
      dx.as<T>()[from + offset(s, dx, index[place])] += dy.as<const T>()[to];
    });
  });
}

void pool_gather(const PoolShape& s, const Array& x, const std::int32_t* index, const Array& y) {
  dispatch_float("max_pool", x.dtype, [&]<class T>(type<T>) {
    windows(s, x, y, [&](std::int64_t to, std::int64_t from, std::int64_t place, const Window&) {
      y.as<T>()[to] = x.as<const T>()[from + offset(s, x, index[place])];
    });
  });
}

void avg_pool(const PoolShape& s, const Array& x, const Array& y) {
  dispatch_float("avg_pool", x.dtype, [&]<class T>(type<T>) {
    windows(s, x, y, [&](std::int64_t to, std::int64_t from, std::int64_t, const Window& w) {
      double sum = 0;
      positions(s, x, w, [&](std::int64_t at, std::int64_t) { sum += x.as<const T>()[from + at]; });
      y.as<T>()[to] = static_cast<T>(sum / (s.divisor > 0 ? s.divisor : static_cast<double>(w.count())));
    });
  });
}

void avg_pool_grad(const PoolShape& s, const Array& dy, const Array& dx) {
  dispatch_float("avg_pool", dy.dtype, [&]<class T>(type<T>) {
    clear<T>(dx);
    windows(s, dx, dy, [&](std::int64_t to, std::int64_t from, std::int64_t, const Window& w) {
      const double part = dy.as<const T>()[to] / (s.divisor > 0 ? s.divisor : static_cast<double>(w.count()));
      positions(s, dx, w, [&](std::int64_t at, std::int64_t) {
        dx.as<T>()[from + at] = static_cast<T>(dx.as<T>()[from + at] + part);
      });
    });
  });
}

}  // namespace knet::reference
