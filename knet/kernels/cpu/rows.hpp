// What the row kernels (softmax, nll, layer_norm) compute on one row of n neighbouring numbers, for the
// machine's instruction set.
#pragma once
#include <cstdint>

namespace knet::cpu_impl {

/// One member for each element type; T is float or double.
template <class T>
struct RowKernels {
  using Int = std::int64_t;
  /// y = softmax(x), or its logarithm
  void (*softmax)(bool logarithm, Int n, const T* x, T* y);
  void (*softmax_grad)(bool logarithm, Int n, const T* y, const T* dy, T* dx);
  /// log(sum(exp x)) - x[label]; where d is not null it gets scale * (softmax - onehot)
  double (*nll)(Int n, const T* x, Int label, double scale, T* d);
  void (*layer_norm)(Int n, const T* x, const T* gamma, const T* beta, double eps, T* y, T* mean, T* rstd);
  /// dgamma and dbeta are added to; each may be null
  void (*layer_norm_grad)(Int n, const T* x, const T* gamma, T mean, T rstd, const T* dy, T* dx, T* dgamma,
                          T* dbeta);
};
template <class T>
const RowKernels<T>& row_kernels();

}  // namespace knet::cpu_impl
