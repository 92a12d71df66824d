#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
namespace {

struct Site {
  std::int64_t x, w, y;  // offsets
};

/// f(offsets) for every product that the convolution adds up.
template <class F>
void products(const ConvShape& s, const Array& x, const Array& w, const Array& y, const F& f) {
  const std::int64_t in_group = s.in_channels / s.groups, out_group = s.out_channels / s.groups;
  walk(
      [&](const auto& at, std::int64_t i) {
        std::int64_t p[3], rest = i;
        for (int d = 2; d >= 0; --d) p[d] = rest % s.out[d], rest /= s.out[d];
        const std::int64_t o = rest % s.out_channels, n = rest / s.out_channels, group = o / out_group;
        for (std::int64_t c = 0; c < in_group; ++c) {
          for (std::int64_t kd = 0; kd < s.kernel[0]; ++kd) {
            for (std::int64_t kh = 0; kh < s.kernel[1]; ++kh) {
              for (std::int64_t kw = 0; kw < s.kernel[2]; ++kw) {
                const std::int64_t k[3] = {kd, kh, kw};
                Site site{n * x.stride[0] + (group * in_group + c) * x.stride[1],
                          o * w.stride[0] + c * w.stride[1], at[0]};
                bool inside = true;
                for (int d = 0; d < 3; ++d) {
                  const std::int64_t q = p[d] * s.stride[d] + k[d] * s.dilation[d] - s.pad[d];
                  inside = inside && q >= 0 && q < s.in[d];
                  site.x += q * x.stride[d + 2];
                  site.w += k[d] * w.stride[d + 2];
                }
                if (inside) f(site);
              }
            }
          }
        }
      },
      y);
}

template <class T>
void clear(const Array& y) {
  walk([&](const auto& at, std::int64_t) { y.as<T>()[at[0]] = T(0); }, y);
}

}  // namespace

void conv(const ConvShape& s, const Array& x, const Array& w, const Array& y, const Epilogue& e) {
  dispatch_float("conv", x.dtype, [&]<class T>(type<T>) {
    clear<T>(y);
    products(s, x, w, y,
             [&](const Site& i) { y.as<T>()[i.y] += x.as<const T>()[i.x] * w.as<const T>()[i.w]; });
    if (!e.bias) return;
    const std::int64_t area = s.out[0] * s.out[1] * s.out[2];
    walk(
        [&](const auto& at, std::int64_t i) {
          y.as<T>()[at[0]] += static_cast<const T*>(e.bias)[i / area % s.out_channels];
        },
        y);
  });
  if (e.activation != Unary::identity) unary(e.activation, e.alpha, 0, y, y);
}

void conv_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    clear<T>(dx);
    products(s, dx, w, dy,
             [&](const Site& i) { dx.as<T>()[i.x] += dy.as<const T>()[i.y] * w.as<const T>()[i.w]; });
  });
}

void conv_grad_weight(const ConvShape& s, const Array& x, const Array& dy, const Array& dw) {
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    clear<T>(dw);
    products(s, x, dw, dy,
             [&](const Site& i) { dw.as<T>()[i.w] += dy.as<const T>()[i.y] * x.as<const T>()[i.x]; });
  });
}

}  // namespace knet::reference
