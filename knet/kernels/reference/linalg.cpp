#include <cmath>
#include <utility>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"

namespace knet::reference {

int lu(const Array& a, std::int64_t* pivots) {
  const std::int64_t n = a.size[0];
  int singular = 0;
  dispatch_float("lu", a.dtype, [&]<class T>(type<T>) {
    T* p = a.as<T>();
    for (std::int64_t k = 0; k < n; ++k) {
      std::int64_t best = k;
      for (std::int64_t i = k + 1; i < n; ++i) {
        if (std::abs(p[i * n + k]) > std::abs(p[best * n + k])) best = i;
      }
      pivots[k] = best;
      if (best != k) {
        for (std::int64_t j = 0; j < n; ++j) std::swap(p[k * n + j], p[best * n + j]);
      }
      if (p[k * n + k] == T(0)) {
        if (singular == 0) singular = static_cast<int>(k) + 1;
        continue;
      }
      for (std::int64_t i = k + 1; i < n; ++i) {
        const T l = p[i * n + k] /= p[k * n + k];
        for (std::int64_t j = k + 1; j < n; ++j) p[i * n + j] -= l * p[k * n + j];
      }
    }
  });
  return singular;
}

void lu_solve(const Array& lu, const std::int64_t* pivots, const Array& b) {
  const std::int64_t n = lu.size[0], m = b.size[1];
  dispatch_float("lu_solve", lu.dtype, [&]<class T>(type<T>) {
    const T* p = lu.as<const T>();
    T* x = b.as<T>();
    const auto subtract = [&](std::int64_t i, std::int64_t j) {  // row i -= factor * row j
      const T l = p[i * n + j];
      for (std::int64_t c = 0; c < m; ++c) x[i * m + c] -= l * x[j * m + c];
    };
    for (std::int64_t k = 0; k < n; ++k) {
      if (pivots[k] == k) continue;
      for (std::int64_t c = 0; c < m; ++c) std::swap(x[k * m + c], x[pivots[k] * m + c]);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < i; ++j) subtract(i, j);
    }
    for (std::int64_t i = n - 1; i >= 0; --i) {
      for (std::int64_t j = i + 1; j < n; ++j) subtract(i, j);
      for (std::int64_t c = 0; c < m; ++c) x[i * m + c] /= p[i * n + i];
    }
  });
}

int cholesky(const Array& a) {
  const std::int64_t n = a.size[0];
  int bad = 0;
  dispatch_float("cholesky", a.dtype, [&]<class T>(type<T>) {
    T* p = a.as<T>();
    for (std::int64_t i = 0; i < n && bad == 0; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        T sum = p[i * n + j];
        for (std::int64_t k = 0; k < j; ++k) sum -= p[i * n + k] * p[j * n + k];
        if (i != j) {
          p[i * n + j] = sum / p[j * n + j];
        } else if (sum > T(0)) {
          p[i * n + i] = std::sqrt(sum);
        } else {
          bad = static_cast<int>(i) + 1;
          break;
        }
      }
      for (std::int64_t j = i + 1; j < n; ++j) p[i * n + j] = T(0);
    }
  });
  return bad;
}

}  // namespace knet::reference
