#include <algorithm>
#include <cmath>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
namespace {
/// log(sum(exp(x))) of n numbers `step` apart, in double.
template <class T>
double log_sum_exp(const T* p, std::int64_t n, std::int64_t step) {
  double m = -INFINITY, sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double v = p[i * step];
    if (std::isnan(v)) return NAN;
    m = std::max(m, v);
  }
  if (std::isinf(m)) return m;
  for (std::int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(p[i * step]) - m);
  return m + std::log(sum);
}
}  // namespace

void softmax(SoftmaxKind kind, const Array& x, int dim, const Array& y) {
  dispatch_float("softmax", x.dtype, [&]<class T>(type<T>) {
    lines(
        dim,
        [&](const auto& at) {
          const T* p = x.as<const T>() + at[0];
          const double l = log_sum_exp(p, x.size[dim], x.stride[dim]);
          for (std::int64_t i = 0; i < x.size[dim]; ++i) {
            const double v = static_cast<double>(p[i * x.stride[dim]]) - l;
            y.as<T>()[at[1] + i * y.stride[dim]] =
                static_cast<T>(kind == SoftmaxKind::softmax ? std::exp(v) : v);
          }
        },
        x, y);
  });
}

void softmax_grad(SoftmaxKind kind, const Array& y, const Array& dy, int dim, const Array& dx) {
  dispatch_float("softmax_grad", y.dtype, [&]<class T>(type<T>) {
    lines(
        dim,
        [&](const auto& at) {
          const auto value = [&](const Array& a, std::size_t k, std::int64_t i) {
            return static_cast<double>(a.as<const T>()[at[k] + i * a.stride[dim]]);
          };
          const bool plain = kind == SoftmaxKind::softmax;
          double sum = 0;
          for (std::int64_t i = 0; i < y.size[dim]; ++i)
            sum += value(dy, 1, i) * (plain ? value(y, 0, i) : 1);
          for (std::int64_t i = 0; i < y.size[dim]; ++i) {
            const double v = value(y, 0, i), d = value(dy, 1, i);
            dx.as<T>()[at[2] + i * dx.stride[dim]] =
                static_cast<T>(plain ? v * (d - sum) : d - std::exp(v) * sum);
          }
        },
        y, dy, dx);
  });
}

void nll(const Array& scores, const Array& labels, std::int64_t ignore, bool average, double* loss,
         std::int64_t* count, const Array* dscores) {
  const std::int64_t rows = scores.size[0], classes = scores.size[1];
  *loss = 0;
  *count = 0;
  dispatch_index("nll", labels.dtype, [&]<class I>(type<I>) {
    const I* label = labels.as<const I>();
    for (std::int64_t r = 0; r < rows; ++r) *count += static_cast<std::int64_t>(label[r]) != ignore;
    const double scale = average ? 1.0 / static_cast<double>(std::max<std::int64_t>(*count, 1)) : 1.0;
    dispatch_float("nll", scores.dtype, [&]<class T>(type<T>) {
      for (std::int64_t r = 0; r < rows; ++r) {
        const T* p = scores.as<const T>() + r * scores.stride[0];
        const auto c = static_cast<std::int64_t>(label[r]);
        const double l = log_sum_exp(p, classes, scores.stride[1]);
        if (c != ignore) *loss += l - static_cast<double>(p[c * scores.stride[1]]);
        for (std::int64_t i = 0; dscores && i < classes; ++i) {
          const double soft = std::exp(static_cast<double>(p[i * scores.stride[1]]) - l);
          dscores->as<T>()[r * dscores->stride[0] + i * dscores->stride[1]] =
              static_cast<T>(c == ignore ? 0 : scale * (soft - (i == c)));
        }
      }
    });
  });
}

}  // namespace knet::reference
