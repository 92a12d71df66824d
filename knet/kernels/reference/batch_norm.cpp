#include <cmath>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"

namespace knet::reference {
namespace {

/// f(offset) for every value of channel c.
template <class F>
void channel(const Array& x, std::int64_t c, const F& f) {
  for (std::int64_t n = 0; n < x.size[0]; ++n) {
    for (std::int64_t l = 0; l < x.size[2]; ++l) f(n * x.stride[0] + c * x.stride[1] + l * x.stride[2]);
  }
}

}  // namespace

void channel_moments(const Array& x, void* mean, void* var) {
  dispatch_float("batch_norm", x.dtype, [&]<class T>(type<T>) {
    const T* p = x.as<const T>();
    const auto count = static_cast<double>(x.size[0] * x.size[2]);
    for (std::int64_t c = 0; c < x.size[1]; ++c) {
      double sum = 0, squares = 0;
      channel(x, c, [&](std::int64_t i) { sum += p[i]; });
      const double m = sum / count;
      channel(x, c, [&](std::int64_t i) { squares += (p[i] - m) * (p[i] - m); });
      static_cast<T*>(mean)[c] = static_cast<T>(m);
      static_cast<T*>(var)[c] = static_cast<T>(squares / count);
    }
  });
}

void channel_affine(bool relu, const Array& x, const void* scale, const void* shift, const Array& other,
                    const Array& y) {
  dispatch_float("batch_norm", x.dtype, [&]<class T>(type<T>) {
    for (std::int64_t c = 0; c < x.size[1]; ++c) {
      const T a = static_cast<const T*>(scale)[c], b = static_cast<const T*>(shift)[c];
      channel(x, c, [&](std::int64_t i) {
        const T v = x.as<const T>()[i] * a + b + (other.data ? other.as<const T>()[i] : T(0));
        y.as<T>()[i] = relu && v < T(0) ? T(0) : v;
      });
    }
  });
}

void batch_norm_grad(bool relu, bool constant, const Array& x, const Array& y, const Array& dy,
                     const void* mean, const void* rstd, const void* gamma, const Array& dx, void* dgamma,
                     void* dbeta) {
  dispatch_float("batch_norm", x.dtype, [&]<class T>(type<T>) {
    const auto count = static_cast<double>(x.size[0] * x.size[2]);
    for (std::int64_t c = 0; c < x.size[1]; ++c) {
      const double m = static_cast<const T*>(mean)[c], r = static_cast<const T*>(rstd)[c],
                   g = gamma ? static_cast<const T*>(gamma)[c] : 1;
      const auto dz = [&](std::int64_t i) {
        return relu && !(y.as<const T>()[i] > T(0)) ? 0.0 : double{dy.as<const T>()[i]};
      };
      const auto h = [&](std::int64_t i) { return (x.as<const T>()[i] - m) * r; };
      double db = 0, dg = 0;
      channel(x, c, [&](std::int64_t i) { db += dz(i), dg += dz(i) * h(i); });
      channel(x, c, [&](std::int64_t i) {
        dx.as<T>()[i] = static_cast<T>(g * r * (constant ? dz(i) : dz(i) - (db + h(i) * dg) / count));
      });
      static_cast<T*>(dgamma)[c] = static_cast<T>(dg);
      static_cast<T*>(dbeta)[c] = static_cast<T>(db);
    }
  });
}

}  // namespace knet::reference
