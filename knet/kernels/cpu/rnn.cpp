// Recurrent layers: every thread takes some sequences through all steps alone, so that no step waits for
// another thread. A step is a product of the states with the packed recurrent weights, added to what the
// inputs gave, and one pass over the gates.
#include <algorithm>
#include <cstdint>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_sequence.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/scratch.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/rnn.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {
namespace {

/// Loads and stores vectors of a line from element j on: whole ones, or the rest of the line.
template <class T>
struct Whole {
  Int j;
  HWY_INLINE Vec<T> operator()(const T* p) const { return Vec<T>::load(p + j); }
  HWY_INLINE void put(T* p, Vec<T> v) const { v.store(p + j); }
};
template <class T>
struct Rest {
  Int j, some;
  HWY_INLINE Vec<T> operator()(const T* p) const { return Vec<T>::load_some(p + j, some); }
  HWY_INLINE void put(T* p, Vec<T> v) const { v.store_some(p + j, some); }
};
template <class T, class F>
HWY_INLINE void along(Int n, const F& f) {
  Int j = 0;
  for (; j + Vec<T>::lanes <= n; j += Vec<T>::lanes) f(Whole<T>{j});
  if (j < n) f(Rest<T>{j, n - j});
}

// ---- one step of some rows; row i of everything is i lines further ----

template <class T>
void lstm_step(Int rows, Int h, T* gates, T* extra, T* c, T* state, T* y) {
  for (Int i = 0; i < rows; ++i, gates += 4 * h, extra += h, c += h, state += h, y += h) {
    along<T>(h, [&](const auto& at) {
      using V = Vec<T>;
      const V in = sigmoid(at(gates)), forget = sigmoid(at(gates + h)), fresh = tanh(at(gates + 2 * h)),
              out = sigmoid(at(gates + 3 * h));
      const V cell = fma(forget, at(c), in * fresh), v = out * tanh(cell);
      at.put(gates, in), at.put(gates + h, forget), at.put(gates + 2 * h, fresh), at.put(gates + 3 * h, out);
      at.put(c, cell), at.put(extra, cell), at.put(state, v), at.put(y, v);
    });
  }
}
template <class T>
void lstm_back(Int rows, Int h, const T* gates, const T* extra, const T* before, const T* dy, const T* dh,
               T* dc, T* out) {
  for (Int i = 0; i < rows; ++i) {
    along<T>(h, [&](const auto& at) {
      using V = Vec<T>;
      const V in = at(gates), forget = at(gates + h), fresh = at(gates + 2 * h), o = at(gates + 3 * h),
              tc = tanh(at(extra)), d = dy ? at(dh) + at(dy) : at(dh);
      const V all = fma(d * o, 1.0 - tc * tc, at(dc));
      at.put(out, all * fresh * in * (1.0 - in));
      at.put(out + h, before ? all * at(before) * forget * (1.0 - forget) : V::zero());
      at.put(out + 2 * h, all * in * (1.0 - fresh * fresh));
      at.put(out + 3 * h, d * tc * o * (1.0 - o));
      at.put(dc, all * forget);
    });
    gates += 4 * h, out += 4 * h, extra += h, dh += h, dc += h;
    if (before) before += h;
    if (dy) dy += h;
  }
}

template <class T>
void gru_step(Int rows, Int h, T* gates, const T* extra, T* state, T* y) {
  for (Int i = 0; i < rows; ++i, gates += 3 * h, extra += h, state += h, y += h) {
    along<T>(h, [&](const auto& at) {
      using V = Vec<T>;
      const V reset = sigmoid(at(gates)), update = sigmoid(at(gates + h)),
              fresh = tanh(fma(reset, at(extra), at(gates + 2 * h)));
      const V v = fma(update, at(state) - fresh, fresh);
      at.put(gates, reset), at.put(gates + h, update), at.put(gates + 2 * h, fresh);
      at.put(state, v), at.put(y, v);
    });
  }
}
/// dh becomes the part that goes straight to the state before.
template <class T>
void gru_back(Int rows, Int h, const T* gates, const T* extra, const T* before, const T* dy, T* dh, T* out,
              T* out_h) {
  for (Int i = 0; i < rows; ++i) {
    along<T>(h, [&](const auto& at) {
      using V = Vec<T>;
      const V reset = at(gates), update = at(gates + h), fresh = at(gates + 2 * h),
              d = dy ? at(dh) + at(dy) : at(dh);
      const V dn = d * (1.0 - update) * (1.0 - fresh * fresh), dr = dn * at(extra) * reset * (1.0 - reset),
              du = d * (at(before) - fresh) * update * (1.0 - update);
      at.put(out, dr), at.put(out + h, du), at.put(out + 2 * h, dn);
      at.put(out_h, dr), at.put(out_h + h, du), at.put(out_h + 2 * h, dn * reset);
      at.put(dh, d * update);
    });
    gates += 3 * h, out += 3 * h, out_h += 3 * h, extra += h, before += h, dh += h;
    if (dy) dy += h;
  }
}

template <class T>
void plain_step(bool is_tanh, Int rows, Int h, T* gates, T* state, T* y) {
  along<T>(rows * h, [&](const auto& at) {
    const Vec<T> z = at(gates), v = is_tanh ? tanh(z) : max(z, Vec<T>::zero());
    at.put(gates, v), at.put(state, v), at.put(y, v);
  });
}
template <class T>
void plain_back(bool is_tanh, Int rows, Int h, const T* gates, const T* dy, const T* dh, T* out) {
  along<T>(rows * h, [&](const auto& at) {
    using V = Vec<T>;
    const V y = at(gates), d = dy ? at(dh) + at(dy) : at(dh);
    at.put(out, is_tanh ? d * (1.0 - y * y) : select(y > 0.0, d, V::zero()));
  });
}

// ---- whole sequences [b0, b1) of the batch ----

/// The steps in the order of the recurrence, or against it: f(step, first of our rows, how many).
template <class F>
void steps(const RNNShape& s, bool against, Int b0, Int b1, const F& f) {
  const bool down = s.reverse != against;
  Int row = down ? s.rows : 0;
  for (Int i = 0; i < s.steps; ++i) {
    const Int t = down ? s.steps - 1 - i : i, n = s.batch[t];
    if (down) row -= n;
    if (n > b0) f(t, row + b0, std::min(n, b1) - b0);
    if (!down) row += n;
  }
}
template <class T>
const T* part(const void* p, Int offset) {
  return p ? static_cast<const T*>(p) + offset : nullptr;
}
template <class T>
void start(const void* from, Int b0, Int b1, Int h, T* to) {
  if (from)
    std::copy_n(part<T>(from, b0 * h), (b1 - b0) * h, to);
  else
    std::fill_n(to, (b1 - b0) * h, T(0));
}

template <class T>
struct Weights {
  const T *packed, *packed_n;  // of all gates, or of GRU's first two and its last; null: as they are
};
// A step or two of few sequences (a stream) reads the weights once: packing them would cost more.
bool reads_once(const RNNShape& s) { return s.steps <= 2 && s.batch[0] <= 4; }

template <class T>
void forward_rows(const RNNShape& s, const RNNForward& a, const Weights<T>& w, Int b0, Int b1) {
  const Int h = s.hidden, g = gate_count(s.kind);
  T* state = static_cast<T*>(a.hy) + b0 * h;
  T* cell = s.kind == RNNKind::lstm ? static_cast<T*>(a.cy) + b0 * h : nullptr;
  start(a.h0, b0, b1, h, state);
  if (cell) start(a.c0, b0, b1, h, cell);
  Gemm<T> p;
  p.k = h, p.a = state, p.am = h, p.ak = 1;
  p.bk = 1, p.bn = h;
  // Beside packed weights the plain ones stay away: with them the product of few rows takes other sums than
  // that of many, and the number of rows depends on the threads.
  const T* wh = w.packed ? nullptr : static_cast<const T*>(a.wh);
  steps(s, false, b0, b1, [&](Int, Int row, Int n) {
    T *gates = static_cast<T*>(a.gates) + row * g * h, *y = static_cast<T*>(a.y) + row * h;
    T* extra = a.extra ? static_cast<T*>(a.extra) + row * h : nullptr;
    p.m = n;
    p.n = s.kind == RNNKind::gru ? 2 * h : g * h;
    p.packed = w.packed, p.b = wh;
    p.c = gates, p.cm = g * h;
    p.bias = nullptr, p.accumulate = true;
    gemm(p);
    if (s.kind == RNNKind::gru) {
      p.n = h, p.packed = w.packed_n, p.b = wh ? wh + 2 * h * h : nullptr, p.c = extra, p.cm = h;
      p.bias = static_cast<const T*>(a.bias_n), p.accumulate = false;
      gemm(p);
      gru_step(n, h, gates, extra, state, y);
    } else if (s.kind == RNNKind::lstm) {
      lstm_step(n, h, gates, extra, cell, state, y);
    } else {
      plain_step(s.kind == RNNKind::tanh, n, h, gates, state, y);
    }
  });
}

template <class T>
void backward_rows(const RNNShape& s, const RNNBackward& a, const Weights<T>& w, Int b0, Int b1) {
  const Int h = s.hidden, g = gate_count(s.kind), mine = b1 - b0;
  // What every row started from.
  const PoolBuffer<T> before(mine * h);
  start(a.h0, b0, b1, h, before.get());
  steps(s, false, b0, b1, [&](Int, Int row, Int n) {
    std::copy_n(before.get(), n * h, static_cast<T*>(a.h_before) + row * h);
    std::copy_n(part<T>(a.y, row * h), n * h, before.get());
  });
  T* dh = static_cast<T*>(a.dh0) + b0 * h;
  T* dc = s.kind == RNNKind::lstm ? static_cast<T*>(a.dc0) + b0 * h : nullptr;
  start(a.dhy, b0, b1, h, dh);
  if (dc) start(a.dcy, b0, b1, h, dc);
  Gemm<T> p;
  p.n = h, p.k = g * h, p.packed = w.packed;
  p.am = g * h, p.ak = 1, p.c = dh, p.cm = h;
  p.accumulate = s.kind == RNNKind::gru;
  steps(s, true, b0, b1, [&](Int t, Int row, Int n) {
    const T *gates = part<T>(a.gates, row * g * h), *dy = part<T>(a.dy, row * h),
            *extra = part<T>(a.extra, row * h);
    T* out = static_cast<T*>(a.dgates) + row * g * h;
    if (s.kind == RNNKind::lstm) {
      // The cells before: of the step before for the rows that it has, the initial ones for the others.
      const Int from = s.reverse ? t + 1 : t - 1;
      const bool exists = from >= 0 && from < s.steps;
      const Int has = exists ? std::clamp<Int>(s.batch[from] - b0, 0, n) : 0;
      const Int shift = s.reverse ? s.batch[t] : exists ? -s.batch[from] : 0;
      lstm_back(has, h, gates, extra, part<T>(a.extra, (row + shift) * h), dy, dh, dc, out);
      lstm_back(n - has, h, gates + has * 4 * h, extra + has * h, part<T>(a.c0, (b0 + has) * h),
                dy ? dy + has * h : nullptr, dh + has * h, dc + has * h, out + has * 4 * h);
      p.a = out;
    } else if (s.kind == RNNKind::gru) {
      T* out_h = static_cast<T*>(a.dgates_h) + row * g * h;
      gru_back(n, h, gates, extra, part<T>(a.h_before, row * h), dy, dh, out, out_h);
      p.a = out_h;
    } else {
      plain_back(s.kind == RNNKind::tanh, n, h, gates, dy, dh, out);
      p.a = out;
    }
    p.m = n;
    gemm(p);
  });
}

/// f(first sequence, last sequence) on all threads, each with about as many rows.
template <class F>
void split(const RNNShape& s, const F& f) {
  const Int batch = s.batch[0], work = s.rows * s.hidden * s.hidden * gate_count(s.kind);
  const Int parts = work < 2 * gemm_thread_work ? 1 : std::min<Int>(threads(), batch);
  if (parts == 1) return f(Int{0}, batch);
  const PoolBuffer<Int> bounds(parts + 1);
  Int *cut = bounds.get(), b = 0, rows = 0, t = s.steps;  // t steps have more than b rows
  cut[0] = 0;
  for (Int p = 1; p <= parts; ++p) {
    for (; b < batch && rows < s.rows * p / parts; ++b) {
      while (t > 0 && s.batch[t - 1] <= b) --t;
      rows += t;
    }
    cut[p] = p == parts ? batch : b;
  }
  parallel_for(parts, 1, [&](Int p0, Int p1) {
    for (Int p = p0; p < p1; ++p) {
      if (cut[p] < cut[p + 1]) f(cut[p], cut[p + 1]);
    }
  });
}

template <class T>
void forward(const RNNShape& s, const RNNForward& a) {
  const Int h = s.hidden, g = gate_count(s.kind), first = s.kind == RNNKind::gru ? 2 * h : g * h;
  const T* wh = static_cast<const T*>(a.wh);
  if (reads_once(s)) return forward_rows<T>(s, a, {nullptr, nullptr}, 0, s.batch[0]);
  const PoolBuffer<T> packed(static_cast<Int>(gemm_packed_size<T>(h, first))),
      packed_n(s.kind == RNNKind::gru ? static_cast<Int>(gemm_packed_size<T>(h, h)) : 0);
  gemm_pack(wh, 1, h, h, first, packed.get());
  if (s.kind == RNNKind::gru) gemm_pack(wh + first * h, 1, h, h, h, packed_n.get());
  split(s, [&](Int b0, Int b1) { forward_rows<T>(s, a, {packed.get(), packed_n.get()}, b0, b1); });
}
template <class T>
void backward(const RNNShape& s, const RNNBackward& a) {
  const Int h = s.hidden, g = gate_count(s.kind);
  const PoolBuffer<T> packed(static_cast<Int>(gemm_packed_size<T>(g * h, h)));
  gemm_pack(static_cast<const T*>(a.wh), h, 1, g * h, h, packed.get());
  split(s, [&](Int b0, Int b1) { backward_rows<T>(s, a, {packed.get(), nullptr}, b0, b1); });
}

void forward_f32(const RNNShape& s, const RNNForward& a) { forward<float>(s, a); }
void forward_f64(const RNNShape& s, const RNNForward& a) { forward<double>(s, a); }
void backward_f32(const RNNShape& s, const RNNBackward& a) { backward<float>(s, a); }
void backward_f64(const RNNShape& s, const RNNBackward& a) { backward<double>(s, a); }

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
auto best_forward(DType t) {
  return t == f32 ? HWY_DYNAMIC_DISPATCH(forward_f32) : HWY_DYNAMIC_DISPATCH(forward_f64);
}
auto best_backward(DType t) {
  return t == f32 ? HWY_DYNAMIC_DISPATCH(backward_f32) : HWY_DYNAMIC_DISPATCH(backward_f64);
}

}  // namespace
}  // namespace simd

void rnn(const RNNShape& s, const RNNForward& a) { simd::best_forward(s.dtype)(s, a); }
void rnn_grad(const RNNShape& s, const RNNBackward& a) { simd::best_backward(s.dtype)(s, a); }

}  // namespace knet::cpu_impl
#endif
