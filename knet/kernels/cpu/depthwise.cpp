// Convolutions with one input and one output channel in a group: lines of positions that all have the same
// taps inside the image, channels side by side. Four positions of a vector of channels share the weights;
// the gradient of the weights keeps the sums of some taps while a line goes by. Kernels 3 and 5 wide, of
// which neighbouring taps read neighbouring positions, take a line of the kernel at a time, and the edges of
// the image in the same pass. Compiled for each instruction set.
#include <algorithm>

#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/conv_taps.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/targets.hpp"
#include "knet/kernels/cpu/unroll.hpp"

#ifndef KNET_DEPTHWISE_LINE  // once, not for every target
#define KNET_DEPTHWISE_LINE
namespace knet::cpu_impl::depth {

/// Positions of a line, and what their taps read.
template <class T>
struct Line {
  const T** x;  ///< of every tap at the first position
  T** w;        ///< of every tap: weights, or sums, of all channels
  Int taps, positions, channels;
  Int x_step, y_step;  ///< from one position to the next
};
/// Lines of a kernel, and what they read: those inside the image. Kernels are as wide as their padding makes
/// whole.
struct Rows {
  const float** x;  ///< of every line, at the first position
  float** w;        ///< of its first tap: weights, or sums, of all channels
  Int rows, positions, channels;
  Int x_step, y_step;
};
template <class T>
struct Loops {
  /// y = bias (or null) + the products, then relu if so
  void (*forward)(const Line<T>&, const T* bias, bool relu, T* y);
  /// w += x dy
  void (*weights)(const Line<T>&, const T* dy);
  /// The same of whole vectors, kernels 3 and 5 wide.
  void (*forward_rows[2])(const Rows&, const float* bias, bool relu, float* y);
  void (*weight_rows[2])(const Rows&, const float* dy);
};

}  // namespace knet::cpu_impl::depth
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/depthwise.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::depth::HWY_NAMESPACE {
namespace {

template <class T>
using Vec = simd::HWY_NAMESPACE::Vec<T>;

/// A vector of channels, or (kPart) only its first `some`.
template <class T, bool kPart>
struct Lanes {
  Int some;
  HWY_INLINE Vec<T> load(const T* p) const { return kPart ? Vec<T>::load_some(p, some) : Vec<T>::load(p); }
  HWY_INLINE void store(Vec<T> v, T* p) const { kPart ? v.store_some(p, some) : v.store(p); }
};

/// N positions of the channels from c on.
template <class T, int N, bool kPart>
HWY_NOINLINE void positions(const Line<T>& l, Int first, Int c, const T* bias, bool relu, T* y) {
  using V = Vec<T>;
  const Lanes<T, kPart> lanes{l.channels - c};
  V sum[N];
  const V start = bias ? lanes.load(bias + c) : V::zero();
  KNET_UNROLL_ALL
  for (int i = 0; i < N; ++i) sum[i] = start;
  for (Int t = 0; t < l.taps; ++t) {
    const V w = lanes.load(l.w[t] + c);
    const T* x = l.x[t] + first * l.x_step + c;
    KNET_UNROLL_ALL
    for (int i = 0; i < N; ++i) sum[i] = fma(lanes.load(x + i * l.x_step), w, sum[i]);
  }
  y += first * l.y_step + c;
  KNET_UNROLL_ALL
  for (int i = 0; i < N; ++i) lanes.store(relu ? max(sum[i], V::zero()) : sum[i], y + i * l.y_step);
}
template <class T>
void forward(const Line<T>& l, const T* bias, bool relu, T* y) {
  constexpr Int L = Vec<T>::lanes;
  const Int whole = l.channels / L * L;
  Int p = 0;
  for (; p + 4 <= l.positions; p += 4) {
    for (Int c = 0; c < whole; c += L) positions<T, 4, false>(l, p, c, bias, relu, y);
  }
  for (; p < l.positions; ++p) {
    for (Int c = 0; c < whole; c += L) positions<T, 1, false>(l, p, c, bias, relu, y);
  }
  for (p = 0; whole < l.channels && p < l.positions; ++p) positions<T, 1, true>(l, p, whole, bias, relu, y);
}

/// The sums of N taps from t on, over some positions.
template <class T, int N, bool kPart>
HWY_NOINLINE void sums(const Line<T>& l, Int t, Int first, Int last, Int c, const T* dy) {
  const Lanes<T, kPart> lanes{l.channels - c};
  Vec<T> sum[N];
  const T* x[N];
  KNET_UNROLL_ALL
  for (int i = 0; i < N; ++i) {
    sum[i] = lanes.load(l.w[t + i] + c);
    x[i] = l.x[t + i] + first * l.x_step + c;
  }
  dy += first * l.y_step + c;
  for (Int p = first; p < last; ++p, dy += l.y_step) {
    const Vec<T> d = lanes.load(dy);
    KNET_UNROLL_ALL
    for (int i = 0; i < N; ++i) {
      sum[i] = fma(lanes.load(x[i]), d, sum[i]);
      x[i] += l.x_step;
    }
  }
  KNET_UNROLL_ALL
  for (int i = 0; i < N; ++i) lanes.store(sum[i], l.w[t + i] + c);
}
template <class T>
void weights(const Line<T>& l, const T* dy) {
  constexpr Int L = Vec<T>::lanes, at_once = 16;  // positions: their lines stay in the first cache
  const Int whole = l.channels / L * L;
  for (Int p = 0; p < l.positions; p += at_once) {
    const Int last = std::min(l.positions, p + at_once);
    Int t = 0;
    for (; t + 3 <= l.taps; t += 3) {
      for (Int c = 0; c < whole; c += L) sums<T, 3, false>(l, t, p, last, c, dy);
    }
    for (; t < l.taps; ++t) {
      for (Int c = 0; c < whole; c += L) sums<T, 1, false>(l, t, p, last, c, dy);
    }
    for (t = 0; whole < l.channels && t < l.taps; ++t) sums<T, 1, true>(l, t, p, last, whole, dy);
  }
}

#if HWY_TARGET != HWY_SSE4  // the library stays small

// ---- lines of kernels K wide ----

using V = Vec<float>;

/// Reads a vector once: compilers would have every product that needs it read it anew.
HWY_INLINE V load_once(const float* p) {
  V v = V::load(p);
#if HWY_ARCH_X86
  asm("" : "+v"(v.v.raw));
#endif
  return v;
}
/// N positions from `first` on, of whose inputs `kLeft` lie before the image and `kRight` behind.
template <int N, int K, int kLeft, int kRight>
HWY_NOINLINE void slide(const Rows& l, Int first, const float* bias, bool relu, float* y) {
  const Int step = l.x_step, from = (first + kLeft - K / 2) * step;
  y += first * l.y_step;
  for (Int c = 0; c + V::lanes <= l.channels; c += V::lanes) {
    V sum[N];
    KNET_UNROLL_ALL
    for (int p = 0; p < N; ++p) sum[p] = bias ? V::load(bias + c) : V::zero();
    for (Int r = 0; r < l.rows; ++r) {
      const float *x = l.x[r] + from + c, *w = l.w[r] + c;
      V weight[K];
      KNET_UNROLL_ALL
      for (int k = 0; k < K; ++k, w += l.channels) weight[k] = V::load(w);
      KNET_UNROLL_ALL
      for (int i = kLeft; i < N + K - 1 - kRight; ++i, x += step) {
        const V input = load_once(x);
        KNET_UNROLL_ALL
        for (int k = 0; k < K; ++k) {
          if (i - k >= 0 && i - k < N) sum[i - k] = fma(input, weight[k], sum[i - k]);
        }
      }
    }
    float* to = y + c;
    KNET_UNROLL_ALL
    for (int p = 0; p < N; ++p, to += l.y_step) (relu ? max(sum[p], V::zero()) : sum[p]).store(to);
  }
}
template <int N, int K>
void slide_along(const Rows& l, const float* bias, bool relu, float* y) {
  constexpr int pad = K / 2;
  const Int last = l.positions - N;
  slide<N, K, pad, 0>(l, 0, bias, relu, y);
  for (Int p = N; p < last; p += N) {
    p = std::min(p, last - pad);  // some positions may be done once more
    slide<N, K, 0, 0>(l, p, bias, relu, y);
  }
  slide<N, K, 0, pad>(l, last, bias, relu, y);
}
template <int K>
void forward_rows(const Rows& l, const float* bias, bool relu, float* y) {
  if (K > 3 || l.positions >= 8 + K / 2) return slide_along<8, K>(l, bias, relu, y);
  if constexpr (K == 3) slide_along<4, K>(l, bias, relu, y);
}

/// The sums of R lines of the kernel from `first` on.
template <int K, int R>
HWY_NOINLINE void sum_rows(const Rows& l, Int first, const float* dy) {
  constexpr int pad = K / 2;
  for (Int c = 0; c + V::lanes <= l.channels; c += V::lanes) {
    V sum[R][K];
    KNET_UNROLL_ALL
    for (int r = 0; r < R; ++r) {
      KNET_UNROLL_ALL
      for (int k = 0; k < K; ++k) sum[r][k] = V::load(l.w[first + r] + k * l.channels + c);
    }
    const auto add = [&](Int p, auto inside) {
      const V d = V::load(dy + p * l.y_step + c);
      KNET_UNROLL_ALL
      for (int r = 0; r < R; ++r) {
        KNET_UNROLL_ALL
        for (int k = 0; k < K; ++k) {
          if (inside(k))
            sum[r][k] = fma(V::load(l.x[first + r] + (p + k - pad) * l.x_step + c), d, sum[r][k]);
        }
      }
    };
    for (Int p = 0; p < pad; ++p) add(p, [&](int k) { return p + k >= pad; });
    for (Int p = pad; p < l.positions - pad; ++p) add(p, [](int) { return true; });
    for (Int p = l.positions - pad; p < l.positions; ++p)
      add(p, [&](int k) { return p + k - pad < l.positions; });
    KNET_UNROLL_ALL
    for (int r = 0; r < R; ++r) {
      KNET_UNROLL_ALL
      for (int k = 0; k < K; ++k) sum[r][k].store(l.w[first + r] + k * l.channels + c);
    }
  }
}
template <int K>
void weight_rows(const Rows& l, const float* dy) {
  constexpr int most = K == 3 ? 3 : 2;
  Int r = 0;
  for (; r + most <= l.rows; r += most) sum_rows<K, most>(l, r, dy);
  if (most == 3 && l.rows - r == 2)
    sum_rows<K, 2>(l, r, dy);
  else if (r < l.rows)
    sum_rows<K, 1>(l, r, dy);
}

Loops<float> loops_f32() {
  return {
      forward<float>, weights<float>, {forward_rows<3>, forward_rows<5>}, {weight_rows<3>, weight_rows<5>}};
}

#else

Loops<float> loops_f32() { return {forward<float>, weights<float>, {}, {}}; }

#endif

Loops<double> loops_f64() { return {forward<double>, weights<double>, {}, {}}; }

}  // namespace
}  // namespace knet::cpu_impl::depth::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace depth {
HWY_EXPORT(loops_f32);
HWY_EXPORT(loops_f64);
const Loops<float>& best(float) {
  static const Loops<float> l = HWY_DYNAMIC_DISPATCH(loops_f32)();
  return l;
}
const Loops<double>& best(double) {
  static const Loops<double> l = HWY_DYNAMIC_DISPATCH(loops_f64)();
  return l;
}

/// f(first position, line) for the pieces of output line `number` (of all images) whose positions have the
/// same taps inside x. `w`: [taps][channels]; `xs` and `ws` have room for all taps.
template <class T, class F>
void pieces(const Image<const T>& x, const Taps& t, Int number, Int channels, T* w, const T** xs, T** ws,
            const F& f) {
  const Int h0 = number % t.out[1], d0 = number / t.out[1] % t.out[0], n = number / t.out[1] / t.out[0],
            step = t.step[2], out = t.out[2];
  const auto piece = [&](Int begin, Int end) {
    Int count = 0, i = 0;
    for (Int a = 0; a < t.shift[0].count; ++a) {
      const Int d = d0 * t.step[0] + t.shift[0][a];
      for (Int j = 0; j < t.shift[1].count; ++j) {
        const Int h = h0 * t.step[1] + t.shift[1][j];
        for (Int k = 0; k < t.shift[2].count; ++k) {
          const Int v = begin * step + t.shift[2][k];
          if (d >= 0 && d < x.size[0] && h >= 0 && h < x.size[1] && v >= 0 && v < x.size[2]) {
            xs[count] = x.data + n * x.image + d * x.at[0] + h * x.at[1] + v * x.at[2];
            ws[count++] = w + i * channels;
          }
          ++i;
        }
      }
    }
    f(begin, Line<T>{xs, ws, count, end - begin, channels, step * x.at[2], 0});
  };
  // Where all taps of the line are inside.
  Int low = 0, high = out;
  for (Int k = 0; k < t.shift[2].count; ++k) {
    const Int sw = t.shift[2][k];
    low = std::max(low, sw < 0 ? (step - 1 - sw) / step : 0);
    high = std::min(high, sw < x.size[2] ? (x.size[2] - 1 - sw) / step + 1 : 0);
  }
  low = std::min(low, out), high = std::max(low, high);
  for (Int i = 0; i < low; ++i) piece(i, i + 1);
  if (low < high) piece(low, high);
  for (Int i = high; i < out; ++i) piece(i, i + 1);
}

/// Do kernel and image suit the loops over lines of the kernel?
template <class T>
bool has_rows(const Image<const T>& x, const Taps& t, Int channels) {
  if (!std::is_same_v<T, float> || !best(float()).forward_rows[0]) return false;
  const Progression& shift = t.shift[2];
  const Int wide = shift.count;
  return (wide == 3 || wide == 5) && shift.first == -(wide / 2) && shift.step == 1 && t.step[2] == 1 &&
         t.out[2] == x.size[2] && t.out[2] >= (wide == 3 ? 5 : 10) &&
         channels % (gemm_width<float>() / 2) == 0;
}
/// The lines of the kernel that output line `number` (of all images) reads inside them. `w`:
/// [taps][channels].
inline Rows rows_of(const Image<const float>& x, const Taps& t, Int number, Int channels, float* w,
                    const float** xs, float** ws) {
  const Int h0 = number % t.out[1] * t.step[1], d0 = number / t.out[1] % t.out[0] * t.step[0],
            n = number / t.out[1] / t.out[0], wide = t.shift[2].count;
  Int count = 0;
  for (Int i = 0; i < t.shift[0].count; ++i) {
    for (Int j = 0; j < t.shift[1].count; ++j) {
      const Int d = d0 + t.shift[0][i], h = h0 + t.shift[1][j];
      if (d >= 0 && d < x.size[0] && h >= 0 && h < x.size[1]) {
        xs[count] = x.data + n * x.image + d * x.at[0] + h * x.at[1];
        ws[count++] = w;
      }
      w += wide * channels;
    }
  }
  return {xs, ws, count, t.out[2], channels, x.at[2], 0};
}

}  // namespace depth

template <class T>
void depthwise(const Image<const T>& x, const Taps& t, const Array& w, Int n, Int channels,
               const Target<T>& target, const Epilogue& e) {
  const Int taps = t.count(), lines = n * t.out[0] * t.out[1];
  const PoolBuffer<T> weights(taps * channels);
  for_taps(t, w, [&](Int i, Int offset) {
    for (Int c = 0; c < channels; ++c)
      weights.get()[i * channels + c] = w.as<const T>()[offset + c * w.stride[0]];
  });
  const bool relu = e.activation == Unary::relu, plain = relu || e.activation == Unary::identity;
  const Int work = std::max<Int>(1, taps * channels * t.out[2]);
  const bool by_rows = depth::has_rows(x, t, channels), rows_3 = t.shift[2].count == 3;
  parallel_for(lines, std::max<Int>(1, 65536 / work), [&](Int b, Int end) {
    const PoolBuffer<const T*> xs(taps);
    const PoolBuffer<T*> ws(taps);
    for (; b < end; ++b) {
      Place p(t, b * t.out[2]);
      if constexpr (std::is_same_v<T, float>) {
        if (by_rows) {
          depth::Rows rows = depth::rows_of(x, t, b, channels, weights.get(), xs.get(), ws.get());
          rows.y_step = target.step[2] * target.y.at[2];
          T* const y = target.at(p);
          depth::best(T()).forward_rows[rows_3 ? 0 : 1](rows, static_cast<const T*>(e.bias), relu, y);
          if (!plain) apply_activation(e.activation, e.alpha, y, t.out[2], channels, rows.y_step);
          continue;
        }
      }
      depth::pieces(x, t, b, channels, weights.get(), xs.get(), ws.get(),
                    [&](Int first, depth::Line<T> line) {
                      p.p[2] = first;
                      T* y = target.at(p);
                      line.y_step = target.step[2] * target.y.at[2];
                      depth::best(T()).forward(line, static_cast<const T*>(e.bias), relu, y);
                      if (!plain)
                        apply_activation(e.activation, e.alpha, y, line.positions, channels, line.y_step);
                    });
    }
  });
}
// Lines are cut by sizes alone and their sums added in order: the same bits for any number of threads.
template <class T>
void depthwise_weights(const Image<const T>& x, const Image<const T>& dy, const Taps& t, Int n, Int channels,
                       const Array& dw) {
  constexpr Int most_parts = 16, least_work = 65536;
  const Int taps = t.count(), lines = n * t.out[0] * t.out[1], size = taps * channels;
  const Int parts = std::max<Int>(1, std::min({lines * t.out[2] * size / least_work, lines, most_parts}));
  const PoolBuffer<T> sums(size * parts);
  std::fill_n(sums.get(), size * parts, T(0));
  const bool by_rows = depth::has_rows(x, t, channels), rows_3 = t.shift[2].count == 3;
  parallel_for(parts, 1, [&](Int part, Int end) {
    const PoolBuffer<const T*> xs(taps);
    const PoolBuffer<T*> ws(taps);
    for (; part < end; ++part) {
      for (Int b = lines * part / parts; b < lines * (part + 1) / parts; ++b) {
        const Place p(t, b * t.out[2]);
        const T* line_of = dy.data + p.n * dy.image + p.p[0] * dy.at[0] + p.p[1] * dy.at[1];
        if constexpr (std::is_same_v<T, float>) {
          if (by_rows) {
            depth::Rows rows =
                depth::rows_of(x, t, b, channels, sums.get() + part * size, xs.get(), ws.get());
            rows.y_step = dy.at[2];
            depth::best(T()).weight_rows[rows_3 ? 0 : 1](rows, line_of);
            continue;
          }
        }
        depth::pieces(x, t, b, channels, sums.get() + part * size, xs.get(), ws.get(),
                      [&](Int first, depth::Line<T> line) {
                        line.y_step = dy.at[2];
                        depth::best(T()).weights(line, line_of + first * dy.at[2]);
                      });
      }
    }
  });
  if (parts > 1) column_sums(sums.get(), parts, size, size, sums.get());
  for_taps(t, dw, [&](Int i, Int offset) {
    for (Int c = 0; c < channels; ++c) dw.as<T>()[offset + c * dw.stride[0]] = sums.get()[i * channels + c];
  });
}

template void depthwise(const Image<const float>&, const Taps&, const Array&, Int, Int, const Target<float>&,
                        const Epilogue&);
template void depthwise(const Image<const double>&, const Taps&, const Array&, Int, Int,
                        const Target<double>&, const Epilogue&);
template void depthwise_weights(const Image<const float>&, const Image<const float>&, const Taps&, Int, Int,
                                const Array&);
template void depthwise_weights(const Image<const double>&, const Image<const double>&, const Taps&, Int, Int,
                                const Array&);

}  // namespace knet::cpu_impl
#endif
