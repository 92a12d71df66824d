#include "knet/base/dispatch.hpp"
#include "knet/kernels/functors.hpp"
#include "knet/kernels/functors_scalar.hpp"
#include "knet/kernels/reference/reference.hpp"

namespace knet::reference {

void matmul(const Array& a, const Array& b, const Array& c, const Epilogue& e) {
  const bool batched = c.ndim == 3;
  const int r = batched ? 1 : 0;  // the row dimension
  const std::int64_t batch = batched ? c.size[0] : 1, m = c.size[r], n = c.size[r + 1], k = a.size[r + 1];
  dispatch_number("matmul", a.dtype, [&]<class T>(type<T>) {
    using A = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
    for (std::int64_t t = 0; t < batch; ++t) {
      const T* pa = a.as<const T>() + (batched ? t * a.stride[0] : 0);
      const T* pb = b.as<const T>() + (batched ? t * b.stride[0] : 0);
      T* pc = c.as<T>() + (batched ? t * c.stride[0] : 0);
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          T& out = pc[i * c.stride[r] + j * c.stride[r + 1]];
          A sum = e.accumulate ? static_cast<A>(out) : A(0);
          for (std::int64_t l = 0; l < k; ++l) {
            sum += static_cast<A>(pa[i * a.stride[r] + l * a.stride[r + 1]]) *
                   static_cast<A>(pb[l * b.stride[r] + j * b.stride[r + 1]]);
          }
          if (e.bias) sum += static_cast<A>(static_cast<const T*>(e.bias)[j]);
          out = static_cast<T>(sum);
          if constexpr (std::is_floating_point_v<T>) {
            if (e.activation != Unary::identity) {
              fn::dispatch_unary(e.activation, [&]<class F>(F) {
                out = static_cast<T>(F::value(fn::Scalar<double>(sum), fn::Params{e.alpha, 0}).v);
              });
            }
          }
        }
      }
    }
  });
}
std::size_t packed_bytes(std::int64_t, const Array&) { return 0; }
void pack_b(const Array&, void*) {}

void bias_act_grad(Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
                   const Array* dbias) {
  const std::int64_t n = dy.size[0], m = dy.size[1];
  dispatch_float("bias_act_grad", dy.dtype, [&]<class T>(type<T>) {
    for (std::int64_t j = 0; j < m; ++j) {
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        T d = dy.as<const T>()[i * m + j];
        if (act != Unary::identity) {
          fn::dispatch_unary(act, [&]<class F>(F) {
            const fn::Scalar<T> v(y.as<const T>()[i * m + j]);
            d = (fn::Scalar<T>(d) * F::grad(v, v, fn::Params{alpha, 0})).v;
          });
        }
        if (dx.data) dx.as<T>()[i * m + j] = d;
        sum += d;
      }
      if (dbias) dbias->as<T>()[j] = static_cast<T>(sum);
    }
  });
}

}  // namespace knet::reference
