// Backward of act(z + bias) over rows: the gradient of z and its column sums in one pass over memory.
#include <algorithm>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/cpu_matmul.hpp"
#include "knet/kernels/cpu/scratch.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/bias_act_grad.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

#define KNET_FN_INLINE HWY_INLINE
#include "knet/kernels/functors.inc"
#undef KNET_FN_INLINE

/// V vectors of columns, or the `some` last columns when V is 0. dx and sums may be null.
template <class T, class F, int kVectors>
HWY_INLINE void strip(Params p, Int rows, Int m, Int some, const T* y, const T* dy, T* dx, T* sums) {
  using V = Vec<T>;
  constexpr int count = kVectors == 0 ? 1 : kVectors;
  V acc[count];
  for (int k = 0; k < count; ++k) acc[k] = V::zero();
  for (Int i = 0; i < rows; ++i, y += m, dy += m, dx = dx ? dx + m : nullptr) {
    for (int k = 0; k < count; ++k) {
      V d = kVectors == 0 ? V::load_some(dy, some) : V::load(dy + k * V::lanes);
      if constexpr (!std::is_same_v<F, Identity>) {
        const V r = kVectors == 0 ? V::load_some(y, some) : V::load(y + k * V::lanes);
        d = d * F::grad(r, r, p);
      }
      if (dx) {
        if constexpr (kVectors == 0)
          d.store_some(dx, some);
        else
          d.store(dx + k * V::lanes);
      }
      acc[k] = acc[k] + d;
    }
  }
  if (!sums) return;
  for (int k = 0; k < count; ++k) {
    if constexpr (kVectors == 0)
      acc[k].store_some(sums, some);
    else
      acc[k].store(sums + k * V::lanes);
  }
}
template <class T, class F>
void rows_grad(Params p, Int rows, Int m, const T* y, const T* dy, T* dx, T* sums) {
  constexpr Int L = Vec<T>::lanes;
  const auto at = [](T* q, Int j) { return q ? q + j : nullptr; };
  Int j = 0;
  for (; j + 4 * L <= m; j += 4 * L) strip<T, F, 4>(p, rows, m, 0, y + j, dy + j, at(dx, j), at(sums, j));
  for (; j + L <= m; j += L) strip<T, F, 1>(p, rows, m, 0, y + j, dy + j, at(dx, j), at(sums, j));
  if (j < m) strip<T, F, 0>(p, rows, m, m - j, y + j, dy + j, at(dx, j), at(sums, j));
}
template <class T>
void dispatch_rows(Unary act, double alpha, Int rows, Int m, const T* y, const T* dy, T* dx, T* sums) {
  const Params p{alpha, 0};
  switch (act) {  // those of grad_needs_only_result
    case Unary::relu: return rows_grad<T, Relu>(p, rows, m, y, dy, dx, sums);
    case Unary::sigm: return rows_grad<T, Sigm>(p, rows, m, y, dy, dx, sums);
    case Unary::tanh: return rows_grad<T, Tanh>(p, rows, m, y, dy, dx, sums);
    case Unary::elu: return rows_grad<T, Elu>(p, rows, m, y, dy, dx, sums);
    case Unary::selu: return rows_grad<T, Selu>(p, rows, m, y, dy, dx, sums);
    case Unary::leaky_relu: return rows_grad<T, LeakyRelu>(p, rows, m, y, dy, dx, sums);
    default: return rows_grad<T, Identity>(p, rows, m, y, dy, dx, sums);
  }
}
void rows_f32(Unary act, double alpha, Int rows, Int m, const float* y, const float* dy, float* dx,
              float* sums) {
  dispatch_rows(act, alpha, rows, m, y, dy, dx, sums);
}
void rows_f64(Unary act, double alpha, Int rows, Int m, const double* y, const double* dy, double* dx,
              double* sums) {
  dispatch_rows(act, alpha, rows, m, y, dy, dx, sums);
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(rows_f32);
auto best_rows_f32() { return HWY_DYNAMIC_DISPATCH(rows_f32); }
HWY_EXPORT(rows_f64);
auto best_rows_f64() { return HWY_DYNAMIC_DISPATCH(rows_f64); }
}  // namespace simd

namespace {
using Int = std::int64_t;

// Blocks of rows, cut by the sizes alone so that sums do not depend on the number of threads.
constexpr Int block_elements = 32768, most_blocks = 64;

template <class T, class F>
void run(const F& rows_grad, Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
         const Array* dbias) {
  const Int n = dy.size[0], m = dy.size[1];
  if (m == 0) return;
  const T *py = y.data ? y.as<const T>() : dy.as<const T>(), *pdy = dy.as<const T>();
  T *pdx = dx.as<T>(), *sums = dbias ? dbias->as<T>() : nullptr;
  const Int block = std::max({Int{1}, block_elements / m, (n + most_blocks - 1) / most_blocks}),
            blocks = (n + block - 1) / block;
  if (blocks <= 1) return rows_grad(act, alpha, n, m, py, pdy, pdx, sums);
  const PoolBuffer<T> parts(sums ? blocks * m : 0);
  parallel_for(blocks, 1, [&](Int b0, Int b1) {
    for (Int b = b0; b < b1; ++b) {
      const Int first = b * block, rows = std::min(block, n - first);
      rows_grad(act, alpha, rows, m, py + first * m, pdy + first * m, pdx ? pdx + first * m : nullptr,
                sums ? parts.get() + b * m : nullptr);
    }
  });
  if (sums) column_sums(parts.get(), blocks, m, m, sums);
}
}  // namespace

void bias_act_grad(Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
                   const Array* dbias) {
  if (dy.dtype == DType::f32) return run<float>(simd::best_rows_f32(), act, alpha, y, dy, dx, dbias);
  if (dy.dtype == DType::f64) return run<double>(simd::best_rows_f64(), act, alpha, y, dy, dx, dbias);
  reference_kernels().bias_act_grad(act, alpha, y, dy, dx, dbias);  // the error
}

}  // namespace knet::cpu_impl
#endif
