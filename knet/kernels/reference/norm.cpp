#include <cmath>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"

namespace knet::reference {

void layer_norm(const Array& x, const void* gamma, const void* beta, double eps, const Array& y, void* mean,
                void* rstd) {
  const std::int64_t n = x.size[0], d = x.size[1];
  dispatch_float("layer_norm", x.dtype, [&]<class T>(type<T>) {
    for (std::int64_t i = 0; i < n; ++i) {
      const T* p = x.as<const T>() + i * d;
      double sum = 0, squares = 0;
      for (std::int64_t j = 0; j < d; ++j) sum += p[j];
      const double m = sum / static_cast<double>(d);
      for (std::int64_t j = 0; j < d; ++j) squares += (p[j] - m) * (p[j] - m);
      const double r = 1 / std::sqrt(squares / static_cast<double>(d) + eps);
      for (std::int64_t j = 0; j < d; ++j) {
        double v = (p[j] - m) * r;
        if (gamma) v *= static_cast<const T*>(gamma)[j];
        if (beta) v += static_cast<const T*>(beta)[j];
        y.as<T>()[i * d + j] = static_cast<T>(v);
      }
      static_cast<T*>(mean)[i] = static_cast<T>(m);
      static_cast<T*>(rstd)[i] = static_cast<T>(r);
    }
  });
}

void layer_norm_grad(const Array& x, const void* gamma, const void* mean, const void* rstd, const Array& dy,
                     const Array& dx, void* dgamma, void* dbeta) {
  const std::int64_t n = x.size[0], d = x.size[1];
  dispatch_float("layer_norm", x.dtype, [&]<class T>(type<T>) {
    std::vector<double> dg(static_cast<std::size_t>(d)), db(dg);
    for (std::int64_t i = 0; i < n; ++i) {
      const double m = static_cast<const T*>(mean)[i], r = static_cast<const T*>(rstd)[i];
      const auto hat = [&](std::int64_t j) { return (x.as<const T>()[i * d + j] - m) * r; };
      const auto grad = [&](std::int64_t j) {
        return static_cast<double>(dy.as<const T>()[i * d + j]) *
               (gamma ? static_cast<const T*>(gamma)[j] : T(1));
      };
      double sum = 0, dot = 0;
      for (std::int64_t j = 0; j < d; ++j) {
        sum += grad(j);
        dot += grad(j) * hat(j);
        dg[static_cast<std::size_t>(j)] += dy.as<const T>()[i * d + j] * hat(j);
        db[static_cast<std::size_t>(j)] += dy.as<const T>()[i * d + j];
      }
      const double inv = 1 / static_cast<double>(d);
      for (std::int64_t j = 0; j < d; ++j)
        dx.as<T>()[i * d + j] = static_cast<T>(r * (grad(j) - inv * sum - hat(j) * inv * dot));
    }
    for (std::size_t j = 0; j < dg.size(); ++j) {
      if (dgamma) static_cast<T*>(dgamma)[j] = static_cast<T>(dg[j]);
      if (dbeta) static_cast<T*>(dbeta)[j] = static_cast<T>(db[j]);
    }
  });
}

}  // namespace knet::reference
