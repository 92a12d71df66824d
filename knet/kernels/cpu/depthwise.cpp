// Convolutions with one input and one output channel in a group: lines of positions that all have the same
// taps inside the image, channels side by side. Four positions of a vector of channels share the weights;
// the gradient of the weights keeps the sums of some taps while a line goes by. Compiled for each
// instruction set.
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
template <class T>
struct Loops {
  /// y = bias (or null) + the products, then relu if so
  void (*forward)(const Line<T>&, const T* bias, bool relu, T* y);
  /// w += x dy
  void (*weights)(const Line<T>&, const T* dy);
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

Loops<float> loops_f32() { return {forward<float>, weights<float>}; }
Loops<double> loops_f64() { return {forward<double>, weights<double>}; }

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
    for (const Int sd : t.shift[0]) {
      const Int d = d0 * t.step[0] + sd;
      for (const Int sh : t.shift[1]) {
        const Int h = h0 * t.step[1] + sh;
        for (const Int sw : t.shift[2]) {
          const Int v = begin * step + sw;
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
  for (const Int sw : t.shift[2]) {
    low = std::max(low, sw < 0 ? (step - 1 - sw) / step : 0);
    high = std::min(high, sw < x.size[2] ? (x.size[2] - 1 - sw) / step + 1 : 0);
  }
  low = std::min(low, out), high = std::max(low, high);
  for (Int i = 0; i < low; ++i) piece(i, i + 1);
  if (low < high) piece(low, high);
  for (Int i = high; i < out; ++i) piece(i, i + 1);
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
  parallel_for(lines, std::max<Int>(1, 65536 / work), [&](Int b, Int end) {
    const PoolBuffer<const T*> xs(taps);
    const PoolBuffer<T*> ws(taps);
    for (; b < end; ++b) {
      Place p(t, b * t.out[2]);
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
  parallel_for(parts, 1, [&](Int part, Int end) {
    const PoolBuffer<const T*> xs(taps);
    const PoolBuffer<T*> ws(taps);
    for (; part < end; ++part) {
      for (Int b = lines * part / parts; b < lines * (part + 1) / parts; ++b) {
        const Place p(t, b * t.out[2]);
        const T* line_of = dy.data + p.n * dy.image + p.p[0] * dy.at[0] + p.p[1] * dy.at[1];
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
