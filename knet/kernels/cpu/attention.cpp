// Attention in tiles: a block of queries meets one block of keys after the other, with a running maximum and
// sum of every softmax, so that no more than a tile of the scores ever exists. The backward pass makes the
// probabilities again from the logarithms of the sums. Dao et al. 2022, arXiv:2205.14135; Milakov &
// Gimelshein 2018, arXiv:1805.02867.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/cpu_sequence.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/scratch.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/attention.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {
namespace {

constexpr Int query_block = 64, key_block = 256;  // of a tile; key_block is a multiple of 4
// Lines of a tile do not lie a power of two apart: a column of it would not fit the first cache.
constexpr Int tile_line = key_block + 16;

/// One head of one example.
template <class T>
struct Plane {
  T* data;
  Int step;
  T* row(Int i) const { return data + i * step; }
};
template <class T>
Plane<T> plane(const Array& a, Int b, Int h) {
  return {a.as<T>() + b * a.stride[0] + h * a.stride[1], a.stride[2]};
}

/// The right side of a product, element (i, j) at data[i * down + j * right]; packed when it meets several
/// left sides.
template <class T>
struct Right {
  const T* data;
  Int down, right;
  const T* packed = nullptr;
};
/// c [m, n] (+)= a b, element (i, j) of a at a[i am + j ak].
template <class T>
void multiply(Int m, Int n, Int k, const T* a, Int am, Int ak, const Right<T>& b, T* c, Int cm,
              bool accumulate) {
  Gemm<T> g;
  g.m = m, g.n = n, g.k = k;
  g.a = a, g.am = am, g.ak = ak;
  g.b = b.packed ? nullptr : b.data, g.bk = b.down, g.bn = b.right;
  g.packed = b.packed;
  g.c = c, g.cm = cm;
  g.accumulate = accumulate;
  gemm(g);
}

template <class T>
struct Head {
  const AttentionShape& s;
  const AttentionInputs& in;
  Int b, h;
  Plane<const T> q = plane<const T>(in.q, b, h), k = plane<const T>(in.k, b, h),
                 v = plane<const T>(in.v, b, h);

  /// The keys that queries before `i1` see end here.
  Int last_key(Int i1) const {
    return s.causal ? std::clamp<Int>(i1 + s.keys - s.queries, 0, s.keys) : s.keys;
  }

  Right<T> keys(Int j0) const { return {k.row(j0), k.step, 1}; }
  Right<T> keys_across(Int j0) const { return {k.row(j0), 1, k.step}; }
  Right<T> values(Int j0) const { return {v.row(j0), v.step, 1}; }
  Right<T> values_across(Int j0) const { return {v.row(j0), 1, v.step}; }

  /// Scores of queries [i0, i1) and keys [j0, j1), masked.
  void scores(Int i0, Int i1, Int j0, Int j1, const Right<T>& keys, T* tile) const {
    constexpr T none = -std::numeric_limits<T>::infinity();
    multiply(i1 - i0, j1 - j0, s.size, q.row(i0), q.step, Int{1}, keys, tile, tile_line, false);
    const T scale = static_cast<T>(s.scale);
    const Array& m = in.mask;
    for (Int i = i0; i < i1; ++i, tile += tile_line) {
      const Int seen = s.causal ? std::clamp<Int>(i + 1 + s.keys - s.queries - j0, 0, j1 - j0) : j1 - j0;
      const Int at = b * m.stride[0] + h * m.stride[1] + i * m.stride[2] + j0 * m.stride[3];
      if (!m.data) {
        for (Int j = 0; j < seen; ++j) tile[j] *= scale;
      } else if (m.dtype == DType::boolean) {
        const bool* may = m.as<const bool>() + at;
        for (Int j = 0; j < seen; ++j) tile[j] = may[j * m.stride[3]] ? tile[j] * scale : none;
      } else {
        const T* add = m.as<const T>() + at;
        for (Int j = 0; j < seen; ++j) tile[j] = tile[j] * scale + add[j * m.stride[3]];
      }
      std::fill(tile + seen, tile + (j1 - j0), none);
    }
  }
  /// Zeroes and scales the probabilities of a query from key j0 on.
  void drop(Int i, Int j0, Int n, T* p) const {
    const Int line = (b * s.heads + h) * s.queries + i;
    dropout_line(s.key, s.dropout, line * ((s.keys + 3) / 4 * 4) + j0, n, p);
  }
};

/// max(x[0 .. n)), -inf where there is none.
template <class T>
T largest(const T* x, Int n) {
  using V = Vec<T>;
  constexpr double none = -std::numeric_limits<double>::infinity();
  V top = V::set(none);
  Int j = 0;
  for (; j + V::lanes <= n; j += V::lanes) top = max(V::load(x + j), top);
  if (j < n) top = max(V::load_some_or(x + j, n - j, none), top);
  HWY_ALIGN T t[V::lanes];
  top.store(t);
  T r = t[0];
  for (const T v : t) r = v > r || v != v ? v : r;
  return r;
}
/// x = exp(x - top); their sum.
template <class T>
T exponentials(T* x, Int n, T top) {
  using V = Vec<T>;
  const V m = V::set(static_cast<double>(top));
  V sum = V::zero();
  Int j = 0;
  for (; j + V::lanes <= n; j += V::lanes) {
    const V e = exp(V::load(x + j) - m);
    e.store(x + j);
    sum = sum + e;
  }
  T total = sum_lanes(sum);
  if (j < n) {
    const V e = exp(V::load_some(x + j, n - j) - m);
    e.store_some(x + j, n - j);
    for (; j < n; ++j) total += x[j];
  }
  return total;
}

/// Keys (turned) and values of one head, packed once for all blocks of queries.
template <class T>
struct Packed {
  Int size, value_size;
  Int of_keys() const { return static_cast<Int>(gemm_packed_size<T>(size, key_block)); }
  Int of_values() const { return static_cast<Int>(gemm_packed_size<T>(key_block, value_size)); }
  Int each() const { return of_keys() + of_values(); }
  void pack(const Head<T>& head, Int j0, Int n, T* to) const {
    const Right<T> k = head.keys_across(j0), v = head.values(j0);
    gemm_pack(k.data, k.down, k.right, size, n, to);
    gemm_pack(v.data, v.down, v.right, n, value_size, to + of_keys());
  }
};

template <class T>
void forward_block(const Head<T>& head, const T* packed, const Plane<T>& y, T* lse, Int i0, Int i1) {
  const AttentionShape& s = head.s;
  constexpr T none = -std::numeric_limits<T>::infinity();
  const Int rows = i1 - i0, keys = head.last_key(i1), dv = s.value_size;
  const PoolBuffer<T> buffer(rows * tile_line + 2 * rows);
  T *tile = buffer.get(), *top = tile + rows * tile_line, *sum = top + rows;
  const Packed<T> sizes{s.size, dv};
  std::fill_n(top, rows, none);
  std::fill_n(sum, rows, T(0));
  for (Int i = i0; i < i1; ++i) std::fill_n(y.row(i), dv, T(0));
  for (Int j0 = 0; j0 < keys; j0 += key_block) {
    const Int n = std::min(key_block, keys - j0);
    // A block that is cut off by the last key seen is not the packed one.
    const bool whole = packed && (n == key_block || j0 + n == s.keys);
    Right<T> across = head.keys_across(j0), values = head.values(j0);
    if (whole) {
      across.packed = packed + j0 / key_block * sizes.each();
      values.packed = across.packed + sizes.of_keys();
    }
    head.scores(i0, i1, j0, j0 + n, across, tile);
    for (Int r = 0; r < rows; ++r) {
      T* p = tile + r * tile_line;
      const T new_top = std::max(largest(p, n), top[r]);
      if (new_top == none) {  // no key yet
        std::fill_n(p, n, T(0));
        continue;
      }
      const T shrink = top[r] == none ? T(0) : std::exp(top[r] - new_top);
      sum[r] = sum[r] * shrink + exponentials(p, n, new_top);
      top[r] = new_top;
      if (j0 > 0 && shrink != T(1)) {
        T* out = y.row(i0 + r);
        for (Int d = 0; d < dv; ++d) out[d] *= shrink;
      }
      if (s.dropout > 0) head.drop(i0 + r, j0, n, p);
    }
    multiply(rows, dv, n, tile, tile_line, Int{1}, values, y.row(i0), y.step, true);
  }
  for (Int r = 0; r < rows; ++r) {
    T* out = y.row(i0 + r);
    const T scale = sum[r] > T(0) || sum[r] != sum[r] ? T(1) / sum[r] : T(0);
    for (Int d = 0; d < dv; ++d) out[d] *= scale;
    lse[i0 + r] = top[r] == none ? none : top[r] + std::log(sum[r]);
  }
}

/// dy . y of every query, which the softmax's gradient subtracts.
template <class T>
T dot(const T* a, const T* b, Int n) {
  using V = Vec<T>;
  V sum = V::zero();
  Int j = 0;
  for (; j + V::lanes <= n; j += V::lanes) sum = fma(V::load(a + j), V::load(b + j), sum);
  T r = sum_lanes(sum);
  for (; j < n; ++j) r += a[j] * b[j];
  return r;
}

template <class T>
void backward_head(const Head<T>& head, const Plane<const T>& y, const T* lse, const Plane<const T>& dy,
                   const Plane<T>& dq, const Plane<T>& dk, const Plane<T>& dv) {
  const AttentionShape& s = head.s;
  constexpr T none = -std::numeric_limits<T>::infinity();
  const Int size = s.size, values = s.value_size, tile_size = query_block * tile_line;
  const PoolBuffer<T> buffer(3 * tile_size + s.queries);
  T *p = buffer.get(), *dp = p + tile_size, *kept = dp + tile_size, *shift = kept + tile_size;
  const bool packs = s.queries > query_block;
  const auto room = [&](Int k, Int n) { return packs ? static_cast<Int>(gemm_packed_size<T>(k, n)) : 0; };
  const PoolBuffer<T> room_k(room(key_block, size)), room_across(room(size, key_block)),
      room_v(room(values, key_block));
  const auto pack = [&](Right<T> b, Int k, Int n, const PoolBuffer<T>& to) {
    if (packs) gemm_pack(b.data, b.down, b.right, k, n, to.get());
    b.packed = to.get();
    return b;
  };
  const T scale = static_cast<T>(s.scale);
  for (Int i = 0; i < s.queries; ++i) {
    shift[i] = dot(dy.row(i), y.row(i), values);
    std::fill_n(dq.row(i), size, T(0));
  }
  for (Int j = 0; j < s.keys; ++j) {
    std::fill_n(dk.row(j), size, T(0));
    std::fill_n(dv.row(j), values, T(0));
  }
  for (Int j0 = 0; j0 < s.keys; j0 += key_block) {
    const Int n = std::min(key_block, s.keys - j0);
    const Right<T> keys = pack(head.keys(j0), n, size, room_k),
                   across = pack(head.keys_across(j0), size, n, room_across),
                   values_across = pack(head.values_across(j0), values, n, room_v);
    for (Int i0 = 0; i0 < s.queries; i0 += query_block) {
      const Int i1 = std::min(s.queries, i0 + query_block), rows = i1 - i0;
      if (head.last_key(i1) <= j0) continue;
      head.scores(i0, i1, j0, j0 + n, across, p);
      multiply(rows, n, values, dy.row(i0), dy.step, Int{1}, values_across, dp, tile_line, false);
      for (Int r = 0; r < rows; ++r) {
        T *pr = p + r * tile_line, *dr = dp + r * tile_line, *kr = kept + r * tile_line;
        if (lse[i0 + r] == none)
          std::fill_n(pr, n, T(0));
        else
          exponentials(pr, n, lse[i0 + r]);
        if (s.dropout > 0) {
          // The same zeros for the probabilities (for dv) and their gradients.
          std::copy_n(pr, n, kr);
          head.drop(i0 + r, j0, n, kr);
          head.drop(i0 + r, j0, n, dr);
        }
        const T m = shift[i0 + r];
        for (Int j = 0; j < n; ++j) dr[j] = pr[j] * (dr[j] - m) * scale;
      }
      const T* seen = s.dropout > 0 ? kept : p;
      multiply(n, values, rows, seen, Int{1}, tile_line, {dy.row(i0), dy.step, 1}, dv.row(j0), dv.step, true);
      multiply(n, size, rows, dp, Int{1}, tile_line, {head.q.row(i0), head.q.step, 1}, dk.row(j0), dk.step,
               true);
      multiply(rows, size, n, dp, tile_line, Int{1}, keys, dq.row(i0), dq.step, true);
    }
  }
}

/// Multiply-adds of one query.
Int work_of(const AttentionShape& s) { return std::max<Int>(1, s.keys * (s.size + s.value_size)); }

template <class T>
void forward(const AttentionShape& s, const AttentionInputs& in, const Array& y, T* lse) {
  const Int blocks = (s.queries + query_block - 1) / query_block, heads = s.batch * s.heads;
  const Int block_work = work_of(s) * std::min(s.queries, query_block);
  const Packed<T> sizes{s.size, s.value_size};
  const Int key_blocks = (s.keys + key_block - 1) / key_block;
  const PoolBuffer<T> packed(blocks > 1 ? heads * key_blocks * sizes.each() : 0);
  const auto head_of = [&](Int at) { return Head<T>{s, in, at / s.heads, at % s.heads}; };
  if (packed.get()) {
    parallel_for(heads * key_blocks, 4, [&](Int u0, Int u1) {
      for (Int u = u0; u < u1; ++u) {
        const Int j0 = u % key_blocks * key_block;
        sizes.pack(head_of(u / key_blocks), j0, std::min(key_block, s.keys - j0),
                   packed.get() + u * sizes.each());
      }
    });
  }
  parallel_for(heads * blocks, std::max<Int>(1, gemm_thread_work / block_work), [&](Int u0, Int u1) {
    for (Int u = u0; u < u1; ++u) {
      const Int at = u / blocks, i0 = u % blocks * query_block;
      const Head<T> head = head_of(at);
      forward_block(head, packed.get() ? packed.get() + at * key_blocks * sizes.each() : nullptr,
                    plane<T>(y, head.b, head.h), lse + at * s.queries, i0,
                    std::min(s.queries, i0 + query_block));
    }
  });
}
template <class T>
void backward(const AttentionShape& s, const AttentionInputs& in, const Array& y, const T* lse,
              const Array& dy, const Array& dq, const Array& dk, const Array& dv) {
  const Int heads = s.batch * s.heads;
  parallel_for(heads, std::max<Int>(1, gemm_thread_work / (2 * work_of(s) * std::max<Int>(1, s.queries))),
               [&](Int u0, Int u1) {
                 for (Int u = u0; u < u1; ++u) {
                   const Head<T> head{s, in, u / s.heads, u % s.heads};
                   const Int b = head.b, h = head.h;
                   backward_head(head, plane<const T>(y, b, h), lse + u * s.queries, plane<const T>(dy, b, h),
                                 plane<T>(dq, b, h), plane<T>(dk, b, h), plane<T>(dv, b, h));
                 }
               });
}

void forward_f32(const AttentionShape& s, const AttentionInputs& in, const Array& y, float* lse) {
  forward(s, in, y, lse);
}
void forward_f64(const AttentionShape& s, const AttentionInputs& in, const Array& y, double* lse) {
  forward(s, in, y, lse);
}
void backward_f32(const AttentionShape& s, const AttentionInputs& in, const Array& y, const float* lse,
                  const Array& dy, const Array& dq, const Array& dk, const Array& dv) {
  backward(s, in, y, lse, dy, dq, dk, dv);
}
void backward_f64(const AttentionShape& s, const AttentionInputs& in, const Array& y, const double* lse,
                  const Array& dy, const Array& dq, const Array& dk, const Array& dv) {
  backward(s, in, y, lse, dy, dq, dk, dv);
}

}  // namespace
}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
namespace {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);
auto best_forward(float) { return HWY_DYNAMIC_DISPATCH(forward_f32); }
auto best_forward(double) { return HWY_DYNAMIC_DISPATCH(forward_f64); }
auto best_backward(float) { return HWY_DYNAMIC_DISPATCH(backward_f32); }
auto best_backward(double) { return HWY_DYNAMIC_DISPATCH(backward_f64); }

}  // namespace
}  // namespace simd

void attention(const AttentionShape& s, const AttentionInputs& in, const Array& y, void* lse) {
  dispatch_float("attention", s.dtype,
                 [&]<class T>(type<T>) { simd::best_forward(T())(s, in, y, static_cast<T*>(lse)); });
}
void attention_grad(const AttentionShape& s, const AttentionInputs& in, const Array& y, const void* lse,
                    const Array& dy, const Array& dq, const Array& dk, const Array& dv) {
  dispatch_float("attention", s.dtype, [&]<class T>(type<T>) {
    simd::best_backward(T())(s, in, y, static_cast<const T*>(lse), dy, dq, dk, dv);
  });
}

}  // namespace knet::cpu_impl
#endif
