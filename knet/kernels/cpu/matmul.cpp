// The table's matmul: from arrays, batches and dtypes to single products.
#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/cpu_matmul.hpp"
#include "knet/kernels/cpu/gemm.hpp"

namespace knet::cpu_impl {
namespace {

using Int = std::int64_t;

template <class T>
Gemm<T> describe(const Array& a, const Array& b, const Array& c, const Epilogue& e) {
  const int da = a.ndim - 2, db = b.ndim - 2, dc = c.ndim - 2;
  Gemm<T> g;
  g.m = c.size[dc], g.n = c.size[dc + 1], g.k = a.size[da + 1];
  g.a = a.as<T>(), g.am = a.stride[da], g.ak = a.stride[da + 1];
  g.b = b.as<T>(), g.bk = b.stride[db], g.bn = b.stride[db + 1];
  g.packed = static_cast<const T*>(e.packed_b);
  g.c = c.as<T>(), g.cm = c.stride[dc];
  g.bias = static_cast<const T*>(e.bias);
  g.act = e.activation, g.alpha = e.alpha, g.accumulate = e.accumulate;
  return g;
}

/// k = 0: the product is zero.
template <class T>
void without_product(const Gemm<T>& g) {
  for (Int i = 0; i < g.m; ++i) {
    T* c = g.c + i * g.cm;
    for (Int j = 0; j < g.n; ++j) {
      if (!g.accumulate) c[j] = T(0);
      if (g.bias) c[j] += g.bias[j];
    }
  }
  if (g.act != Unary::identity) apply_activation(g.act, g.alpha, g.c, g.m, g.n, g.cm);
}

template <class T>
void one(const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) return without_product(g);
  gemm(g);
}

template <class T>
void run(const Array& a, const Array& b, const Array& c, const Epilogue& e) {
  Gemm<T> g = describe<T>(a, b, c, e);
  if (c.ndim == 2) return one(g);
  const Int batch = c.size[0];
  Int sa = a.ndim == 3 ? a.stride[0] : 0, sb = b.ndim == 3 ? b.stride[0] : 0, sc = c.stride[0];
  if (a.ndim == 3 && a.size[0] == 1) sa = 0;
  if (b.ndim == 3 && b.size[0] == 1) sb = 0;
  // One b for all and rows that follow each other: a single product of batch * m rows.
  if (batch > 1 && sb == 0 && sa == g.m * g.am && sc == g.m * g.cm) {
    g.m *= batch;
    return one(g);
  }
  const Int work = std::max<Int>(1, g.m * g.n * g.k);
  const auto some = [&](Int i0, Int i1) {
    for (Int i = i0; i < i1; ++i) {
      Gemm<T> h = g;
      h.a += i * sa;
      if (h.b) h.b += i * sb;
      h.c += i * sc;
      one(h);
    }
  };
  // Large products are split themselves, small ones go to the threads whole.
  if (batch < threads() || (batch < 4 * threads() && work >= 64 * gemm_thread_work)) return some(0, batch);
  parallel_for(batch, (gemm_thread_work / 2 + work - 1) / work, some);
}

}  // namespace

template <class T>
void apply_activation(Unary act, double alpha, T* y, Int rows, Int cols, Int stride) {
  Array v;
  v.data = y;
  v.dtype = dtype_of<T>;
  v.ndim = 2;
  v.size[0] = rows, v.size[1] = cols;
  v.stride[0] = stride, v.stride[1] = 1;
  unary(act, alpha, 0, v, v);
}
template void apply_activation(Unary, double, float*, Int, Int, Int);
template void apply_activation(Unary, double, double*, Int, Int, Int);

void matmul(const Array& a, const Array& b, const Array& c, const Epilogue& e) {
  if (c.dtype == f32) return run<float>(a, b, c, e);
  if (c.dtype == f64) return run<double>(a, b, c, e);
  reference_kernels().matmul(a, b, c, e);
}

// A batched b has no packed form: each of its matrices would need its own.
std::size_t packed_bytes(Int rows, const Array& b) {
  if (b.ndim != 2 || gemm_reads_plain(b.dtype, rows, b.size[1], b.size[0], b.stride[0])) return 0;
  if (b.dtype == f32) return gemm_packed_size<float>(b.size[0], b.size[1]) * sizeof(float);
  if (b.dtype == f64) return gemm_packed_size<double>(b.size[0], b.size[1]) * sizeof(double);
  return 0;
}

void pack_b(const Array& b, void* packed) {
  if (b.size[0] == 0 || b.size[1] == 0) return;
  if (b.dtype == f32) {
    gemm_pack(b.as<float>(), b.stride[0], b.stride[1], b.size[0], b.size[1], static_cast<float*>(packed));
  } else if (b.dtype == f64) {
    gemm_pack(b.as<double>(), b.stride[0], b.stride[1], b.size[0], b.size[1], static_cast<double*>(packed));
  }
}

}  // namespace knet::cpu_impl
