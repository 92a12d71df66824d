// Softmax along any dimension, the loss over rows of scores, and layer_norm, from the kernels of one row.
// Lines that are not dense are gathered into a buffer first.
#include <algorithm>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/cpu_reduce.hpp"
#include "knet/kernels/cpu/lines.hpp"
#include "knet/kernels/cpu/rows.hpp"
#include "knet/kernels/cpu/scratch.hpp"

namespace knet::cpu_impl {
namespace {

using Int = std::int64_t;

// Rows from which a second thread pays.
Int row_grain(Int n) { return std::max<Int>(1, 2048 / std::max<Int>(n, 1)); }

template <class T>
const T* near(const T* p, Int n, Int step, T* buffer) {
  if (step == 1) return p;
  for (Int i = 0; i < n; ++i) buffer[i] = p[i * step];
  return buffer;
}
template <class T>
void spread(const T* from, Int n, Int step, T* to) {
  if (from == to) return;
  for (Int i = 0; i < n; ++i) to[i * step] = from[i];
}

}  // namespace

void softmax(SoftmaxKind kind, const Array& x, int dim, const Array& y) {
  const bool logarithm = kind == SoftmaxKind::log_softmax;
  const Int n = x.size[dim], xs = n == 1 ? 1 : x.stride[dim], ys = n == 1 ? 1 : y.stride[dim];
  dispatch_float("softmax", x.dtype, [&]<class T>(type<T>) {
    const auto row = row_kernels<T>().softmax;
    const Lines<2> lines(dim, y, x);
    parallel_for(lines.count, row_grain(n), [&](Int b, Int e) {
      const PoolBuffer<T> from(xs == 1 ? 0 : n), to(ys == 1 ? 0 : n);
      lines.run(b, e, [&](const Int* at) {
        T* const r = y.as<T>() + at[0];
        T* const out = ys == 1 ? r : to.get();
        row(logarithm, n, near(x.as<const T>() + at[1], n, xs, from.get()), out);
        spread(out, n, ys, r);
      });
    });
  });
}

void softmax_grad(SoftmaxKind kind, const Array& y, const Array& dy, int dim, const Array& dx) {
  const bool logarithm = kind == SoftmaxKind::log_softmax;
  const Int n = y.size[dim], ys = n == 1 ? 1 : y.stride[dim], ds = n == 1 ? 1 : dy.stride[dim],
            xs = n == 1 ? 1 : dx.stride[dim];
  dispatch_float("softmax_grad", y.dtype, [&]<class T>(type<T>) {
    const auto row = row_kernels<T>().softmax_grad;
    const Lines<3> lines(dim, dx, y, dy);
    parallel_for(lines.count, row_grain(n), [&](Int b, Int e) {
      const PoolBuffer<T> p(ys == 1 ? 0 : n), q(ds == 1 ? 0 : n), to(xs == 1 ? 0 : n);
      lines.run(b, e, [&](const Int* at) {
        T* const r = dx.as<T>() + at[0];
        T* const out = xs == 1 ? r : to.get();
        row(logarithm, n, near(y.as<const T>() + at[1], n, ys, p.get()),
            near(dy.as<const T>() + at[2], n, ds, q.get()), out);
        spread(out, n, xs, r);
      });
    });
  });
}

void nll(const Array& scores, const Array& labels, Int ignore, bool average, double* loss, Int* count,
         const Array* dscores) {
  const Int rows = scores.size[0], n = scores.size[1];
  dispatch_index("nll", labels.dtype, [&]<class I>(type<I>) {
    const I* label = labels.as<const I>();
    *count = 0;
    for (Int r = 0; r < rows; ++r) *count += static_cast<Int>(label[r]) != ignore;
    const double scale = average ? 1.0 / static_cast<double>(std::max<Int>(*count, 1)) : 1.0;
    dispatch_float("nll", scores.dtype, [&]<class T>(type<T>) {
      const auto row = row_kernels<T>().nll;
      const Int step = dscores && n > 1 ? dscores->stride[1] : 1;
      const auto part = [&](Int b, Int e, double* losses) {
        const PoolBuffer<T> buffer(step == 1 ? 0 : n);
        for (Int r = b; r < e; ++r) {
          T* const d = dscores ? dscores->as<T>() + r * dscores->stride[0] : nullptr;
          T* const out = d && step != 1 ? buffer.get() : d;
          const auto c = static_cast<Int>(label[r]);
          losses[r] = 0;
          if (c != ignore)
            losses[r] = row(n, scores.as<const T>() + r * scores.stride[0], c, scale, out);
          else if (out)
            std::fill(out, out + n, T(0));
          if (out != d) spread(out, n, step, d);
        }
      };
      const PoolBuffer<double> losses(rows);
      parallel_for(rows, row_grain(n), [&](Int b, Int e) { part(b, e, losses.get()); });
      *loss = 0;
      for (Int r = 0; r < rows; ++r) *loss += losses.get()[r];
    });
  });
}

void layer_norm(const Array& x, const void* gamma, const void* beta, double eps, const Array& y, void* mean,
                void* rstd) {
  const Int rows = x.size[0], n = x.size[1];
  dispatch_float("layer_norm", x.dtype, [&]<class T>(type<T>) {
    const auto row = row_kernels<T>().layer_norm;
    parallel_for(rows, std::max<Int>(1, 16384 / std::max<Int>(n, 1)), [&](Int b, Int e) {
      for (Int r = b; r < e; ++r) {
        row(n, x.as<const T>() + r * n, static_cast<const T*>(gamma), static_cast<const T*>(beta), eps,
            y.as<T>() + r * n, static_cast<T*>(mean) + r, static_cast<T*>(rstd) + r);
      }
    });
  });
}

void layer_norm_grad(const Array& x, const void* gamma, const void* mean, const void* rstd, const Array& dy,
                     const Array& dx, void* dgamma, void* dbeta) {
  const Int rows = x.size[0], n = x.size[1];
  // Sums over rows are taken in blocks that depend on the sizes alone, then together.
  const Int block = std::max<Int>(16, 16384 / std::max<Int>(n, 1)), blocks = (rows + block - 1) / block;
  dispatch_float("layer_norm", x.dtype, [&]<class T>(type<T>) {
    const auto row = row_kernels<T>().layer_norm_grad;
    const PoolBuffer<T> sums(2 * n * blocks);
    parallel_for(blocks, 1, [&](Int b0, Int b1) {
      for (Int b = b0; b < b1; ++b) {
        T *const dg = sums.get() + 2 * n * b, *const db = dg + n;
        std::fill(dg, dg + 2 * n, T(0));
        for (Int r = b * block; r < std::min(rows, (b + 1) * block); ++r) {
          row(n, x.as<const T>() + r * n, static_cast<const T*>(gamma), static_cast<const T*>(mean)[r],
              static_cast<const T*>(rstd)[r], dy.as<const T>() + r * n, dx.as<T>() + r * n,
              dgamma ? dg : nullptr, dbeta ? db : nullptr);
        }
      }
    });
    if (dgamma) column_sums(sums.get(), blocks, 2 * n, n, static_cast<T*>(dgamma));
    if (dbeta) column_sums(sums.get() + n, blocks, 2 * n, n, static_cast<T*>(dbeta));
  });
}

}  // namespace knet::cpu_impl
