// 3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3) as in Lavin and Gray 2015
// (arXiv:1509.09308). Tiles of 6x6 inputs, that overlap by two, and the kernels are transformed to 36
// coefficients; there a convolution is 36 independent matrix products, [tiles, in] x [in, out]; the results
// are transformed back to tiles of 4x4 outputs. The gradient of the input is the same with the kernel turned
// around, that of the weights is the adjoint: products of transformed inputs and transformed gradients.
// Compiled for each instruction set.
#include <algorithm>

#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/cpu/targets.hpp"

#ifndef KNET_WINOGRAD_LINES  // once, not for every target
#define KNET_WINOGRAD_LINES
namespace knet::cpu_impl::winograd {

using Int = std::int64_t;

constexpr Int points = 36;  // coefficients of a tile

/// One tile, channels last: element (i, j) of it at i * line + j * step, its coefficients a `plane` apart.
struct Tile {
  const float* from;
  Int line, step;
  float* to;
  Int plane, channels;
};
struct Loops {
  void (*input)(const Tile&);            ///< 6x6 inputs to coefficients
  void (*output_gradient)(const Tile&);  ///< 4x4 gradients of outputs to coefficients
  /// Coefficients at `from`, a `plane` apart, to 4x4 outputs at `to`, plus bias (or null), then relu if so.
  void (*output)(const Tile&, const float* bias, bool relu);
  /// 3x3 kernels [9][n] to coefficients, n whole vectors; `turned`: the kernel by half a turn.
  void (*kernel)(const float* from, bool turned, float* to, Int plane, Int n);
  /// The adjoint: coefficients of n kernels to [n][9].
  void (*kernel_gradient)(const float* from, Int plane, float* to, Int n);
};

}  // namespace knet::cpu_impl::winograd
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/winograd.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::winograd::HWY_NAMESPACE {
namespace {

using V = simd::HWY_NAMESPACE::Vec<float>;
constexpr Int L = V::lanes;

HWY_INLINE V load(const float* p, Int n) { return n >= L ? V::load(p) : V::load_some(p, n); }
HWY_INLINE void store(V v, float* p, Int n) {
  if (n >= L)
    v.store(p);
  else
    v.store_some(p, n);
}

// The transforms of one line, of constant length: inputs 6 to 6, outputs 6 to 4, their adjoint 4 to 6,
// kernels 3 to 6 and their adjoint 6 to 3. They interpolate at 0, +-p, +-q and infinity. With p = 2/3 and q =
// 3/2 the error is a quarter of that at the usual points 1 and 2 (measured), 1.3 times that of the direct
// sum.
constexpr double p = 2.0 / 3, q = 1.5, p2 = p * p, q2 = q * q;
constexpr double of_p = 1 / (2 * p2 * (p2 - q2)), of_q = 1 / (2 * q2 * (q2 - p2));  // p q = 1 is used below

HWY_INLINE void input_line(const V* d, V* r) {
  const V a = fnma(d[2], V::set(q2), d[4]), b = fnma(d[1], V::set(q), d[3] * p);
  const V c = fnma(d[2], V::set(p2), d[4]), e = fnma(d[1], V::set(p), d[3] * q);
  r[0] = fnma(d[2], V::set(p2 + q2), d[0] + d[4]);
  r[1] = a + b, r[2] = a - b, r[3] = c + e, r[4] = c - e;
  r[5] = fnma(d[3], V::set(p2 + q2), d[1] + d[5]);
}
HWY_INLINE void output_line(const V* m, V* r) {
  const V a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
  r[0] = m[0] + a + c;
  r[1] = fma(e, V::set(q), b * p);
  r[2] = fma(c, V::set(q2), a * p2);
  r[3] = fma(e, V::set(q * q2), fma(b, V::set(p * p2), m[5]));
}
HWY_INLINE void output_gradient_line(const V* y, V* r) {
  const V a = fma(y[2], V::set(p2), y[0]), b = fma(y[3], V::set(p2), y[1]) * p;
  const V c = fma(y[2], V::set(q2), y[0]), e = fma(y[3], V::set(q2), y[1]) * q;
  r[0] = y[0], r[1] = a + b, r[2] = a - b, r[3] = c + e, r[4] = c - e, r[5] = y[3];
}
HWY_INLINE void kernel_line(const V* g, V* r) {
  const V a = fma(g[2], V::set(p2), g[0]) * of_p, b = g[1] * (p * of_p);
  const V c = fma(g[2], V::set(q2), g[0]) * of_q, e = g[1] * (q * of_q);
  r[0] = g[0], r[1] = a + b, r[2] = a - b, r[3] = c + e, r[4] = c - e, r[5] = g[2];
}
HWY_INLINE void kernel_gradient_line(const V* u, V* r) {
  const V a = (u[1] + u[2]) * of_p, b = u[1] - u[2], c = (u[3] + u[4]) * of_q, e = u[3] - u[4];
  r[0] = u[0] + a + c;
  r[1] = fma(e, V::set(q * of_q), b * (p * of_p));
  r[2] = fma(c, V::set(q2), fma(a, V::set(p2), u[5]));
}

/// A square of FxF vectors through `line` along both dimensions, to TxT: at(i, j) gives, put(i, j, v) takes.
template <int F, int T, class Line, class At, class Put>
HWY_INLINE void both_ways(const Line& line, const At& at, const Put& put) {
  V half[T][F];
  for (int j = 0; j < F; ++j) {
    V column[F], r[T];
    for (int i = 0; i < F; ++i) column[i] = at(i, j);
    line(column, r);
    for (int i = 0; i < T; ++i) half[i][j] = r[i];
  }
  for (int i = 0; i < T; ++i) {
    V r[T];
    line(half[i], r);
    for (int j = 0; j < T; ++j) put(i, j, r[j]);
  }
}

void input(const Tile& t) {
  for (Int c = 0; c < t.channels; c += L) {
    const Int n = t.channels - c;
    both_ways<6, 6>(
        input_line, [&](int i, int j) { return load(t.from + i * t.line + j * t.step + c, n); },
        [&](int i, int j, V v) { store(v, t.to + (i * 6 + j) * t.plane + c, n); });
  }
}
void output_gradient(const Tile& t) {
  for (Int c = 0; c < t.channels; c += L) {
    const Int n = t.channels - c;
    both_ways<4, 6>(
        output_gradient_line, [&](int i, int j) { return load(t.from + i * t.line + j * t.step + c, n); },
        [&](int i, int j, V v) { store(v, t.to + (i * 6 + j) * t.plane + c, n); });
  }
}
void output(const Tile& t, const float* bias, bool relu) {
  for (Int c = 0; c < t.channels; c += L) {
    const Int n = t.channels - c;
    const V add = bias ? load(bias + c, n) : V::zero();
    both_ways<6, 4>(
        output_line, [&](int i, int j) { return load(t.from + (i * 6 + j) * t.plane + c, n); },
        [&](int i, int j, V v) {
          v = v + add;
          if (relu) v = max(v, V::zero());
          store(v, t.to + i * t.line + j * t.step + c, n);
        });
  }
}
void kernel(const float* from, bool turned, float* to, Int plane, Int n) {
  for (Int c = 0; c < n; c += L) {
    both_ways<3, 6>(
        kernel_line,
        [&](int i, int j) { return V::load(from + (turned ? 8 - i * 3 - j : i * 3 + j) * n + c); },
        [&](int i, int j, V v) { v.store(to + (i * 6 + j) * plane + c); });
  }
}
void kernel_gradient(const float* from, Int plane, float* to, Int n) {
  for (Int c = 0; c < n; c += L) {
    HWY_ALIGN float taps[9 * L];
    const Int some = std::min(L, n - c);
    both_ways<6, 3>(
        kernel_gradient_line, [&](int i, int j) { return load(from + (i * 6 + j) * plane + c, n - c); },
        [&](int i, int j, V v) { v.store(taps + (i * 3 + j) * L); });
    for (Int k = 0; k < some; ++k) {
      for (Int tap = 0; tap < 9; ++tap) *to++ = taps[tap * L + k];
    }
  }
}

Loops loops() { return {input, output_gradient, output, kernel, kernel_gradient}; }

}  // namespace
}  // namespace knet::cpu_impl::winograd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace winograd {
HWY_EXPORT(loops);
const Loops& best() {
  static const Loops l = HWY_DYNAMIC_DISPATCH(loops)();
  return l;
}

constexpr Int least_channels = 32, least_tiles = 24;  // below, the direct product is faster (measured)
constexpr Int near_weights = 4 << 20;    // bytes of coefficients that every thread may read for itself
constexpr Int block_bytes = 640 * 1024;  // of coefficients of a thread's tiles: they stay in the second cache
constexpr Int chunk_bytes = 8 << 20;     // of coefficients that all threads share
/// Elements from one of the 36 coefficients of all tiles (or weights) to the next. Channels and tiles are
/// often powers of two: without the line between, what is read or written together would lie in a single set
/// of the caches.
Int plane_of(Int elements) { return elements + 16; }

/// The tiles of the output of all images.
struct Grid {
  Int out[2], tiles[2], count;
  explicit Grid(const ConvShape& s) : out{s.out[1], s.out[2]} {
    for (int d = 0; d < 2; ++d) tiles[d] = (out[d] + 3) / 4;
    count = s.n * tiles[0] * tiles[1];
  }
  Int image(Int t) const { return t / (tiles[0] * tiles[1]); }
  Int row(Int t) const { return t / tiles[1] % tiles[0] * 4; }
  Int column(Int t) const { return t % tiles[1] * 4; }
};

/// f(pointer, line, step) for the window [h0, h0 + size) x [w0, w0 + size) of image n; what lies outside the
/// image reads as 0 (from `copy`, [size][size][channels]).
template <class F>
void window(const Image<const float>& x, Int channels, Int n, Int h0, Int w0, Int size, float* copy,
            const F& f) {
  const float* from = x.data + n * x.image + h0 * x.at[1] + w0 * x.at[2];
  if (h0 >= 0 && w0 >= 0 && h0 + size <= x.size[1] && w0 + size <= x.size[2])
    return f(from, x.at[1], x.at[2]);
  for (Int i = 0; i < size; ++i) {
    for (Int j = 0; j < size; ++j) {
      float* to = copy + (i * size + j) * channels;
      if (h0 + i >= 0 && h0 + i < x.size[1] && w0 + j >= 0 && w0 + j < x.size[2])
        std::copy_n(from + i * x.at[1] + j * x.at[2], channels, to);
      else
        std::fill_n(to, channels, 0.f);
    }
  }
  f(copy, size * channels, channels);
}

/// Coefficients of the inputs of tiles [t0, t1) to v [points][plane] and within [tile][channels].
void inputs(const ConvShape& s, const Grid& g, const Image<const float>& x, Int t0, Int t1, float* v,
            Int plane) {
  const Int channels = s.in_channels;
  const PoolBuffer<float> copy(36 * channels);
  for (Int t = t0; t < t1; ++t, v += channels) {
    window(x, channels, g.image(t), g.row(t) - s.pad[1], g.column(t) - s.pad[2], 6, copy.get(),
           [&](const float* from, Int line, Int step) {
             best().input({from, line, step, v, plane, channels});
           });
  }
}

/// Outputs of tiles [t0, t1) from their coefficients m.
void outputs(const ConvShape& s, const Grid& g, const float* m, Int plane, Int t0, Int t1,
             const Image<float>& y, const Epilogue& e) {
  const Int channels = s.out_channels;
  const PoolBuffer<float> copy(16 * channels);
  const bool relu = e.activation == Unary::relu;
  const float* bias = static_cast<const float*>(e.bias);
  for (Int t = t0; t < t1; ++t, m += channels) {
    const Int h = g.row(t), w = g.column(t), rows = std::min<Int>(4, g.out[0] - h),
              columns = std::min<Int>(4, g.out[1] - w);
    float* to = y.data + g.image(t) * y.image + h * y.at[1] + w * y.at[2];
    if (rows == 4 && columns == 4) {
      best().output({m, y.at[1], y.at[2], to, plane, channels}, bias, relu);
      continue;
    }
    best().output({m, 4 * channels, channels, copy.get(), plane, channels}, bias, relu);
    for (Int i = 0; i < rows; ++i) {
      for (Int j = 0; j < columns; ++j)
        std::copy_n(copy.get() + (i * 4 + j) * channels, channels, to + i * y.at[1] + j * y.at[2]);
    }
  }
}

/// The products of coefficients [first, last): m = v u, for `tiles` tiles.
void products(Int first, Int last, Int tiles, Int from, Int to, const float* v, Int v_plane, const float* u,
              Int u_plane, float* m, Int m_plane) {
  for (Int i = first; i < last; ++i) {
    Gemm<float> g;
    g.m = tiles, g.n = to, g.k = from;
    g.a = v + i * v_plane, g.am = from, g.ak = 1;
    g.packed = u + i * u_plane;
    g.c = m + i * m_plane, g.cm = to;
    gemm(g);
  }
}

Int panel_width() { return static_cast<Int>(gemm_packed_size<float>(1, 1)); }
Int plane_of_weights(Int from, Int to) {
  return plane_of(static_cast<Int>(gemm_packed_size<float>(from, to)));
}

/// Coefficients of the weights w [out][in][3][3], in the product's panels: [points][plane], within
/// [panels][from][width].
void weights(const float* w, Int out, Int in, bool turned, float* u) {
  const Int from = turned ? out : in, to = turned ? in : out, width = panel_width(),
            panels = (to + width - 1) / width;
  const Int plane = plane_of_weights(from, to);
  // In panels of `to` first: taps[..][9][width].
  const PoolBuffer<float> taps(9 * plane);
  Int of_panel = 9 * from * width, of_from = 9 * width;
  if (!turned) {
    gemm_pack(w, 1, 9 * in, 9 * in, out, taps.get());
  } else {
    of_panel = 9 * width, of_from = panels * 9 * width;
    parallel_for(from, std::max<Int>(1, 4096 / to), [&](Int b, Int e) {
      for (; b < e; ++b) gemm_pack(w + b * 9 * in, 1, 9, 9, to, taps.get() + b * of_from);
    });
  }
  parallel_for(panels * from, std::max<Int>(1, 8192 / width), [&](Int b, Int e) {
    for (; b < e; ++b) {
      best().kernel(taps.get() + b / from * of_panel + b % from * of_from, turned, u + b * width, plane,
                    width);
    }
  });
}

void forward(const ConvShape& s, const Image<const float>& x, const float* u, const Image<float>& y,
             const Epilogue& e) {
  const Grid g(s);
  const Int from = s.in_channels, to = s.out_channels, u_plane = plane_of_weights(from, to);
  const Int tile = points * (from + to) * static_cast<Int>(sizeof(float));
  const Int each = (g.count + threads() - 1) / threads();
  if (points * u_plane * static_cast<Int>(sizeof(float)) <= near_weights && each >= least_tiles) {
    const Int most = std::max(block_bytes / tile, least_tiles), blocks = (each + most - 1) / most * threads();
    parallel_for(blocks, 1, [&](Int b, Int end) {
      const Int size = (g.count + blocks - 1) / blocks;
      const PoolBuffer<float> v(points * plane_of(size * from)), m(points * plane_of(size * to));
      for (; b < end; ++b) {
        const Int t0 = g.count * b / blocks, t1 = g.count * (b + 1) / blocks, n = t1 - t0;
        const Int v_plane = plane_of(n * from), m_plane = plane_of(n * to);
        inputs(s, g, x, t0, t1, v.get(), v_plane);
        products(0, points, n, from, to, v.get(), v_plane, u, u_plane, m.get(), m_plane);
        outputs(s, g, m.get(), m_plane, t0, t1, y, e);
      }
    });
    return;
  }
  // The weights would not stay in a core's cache: each core takes some of the coefficients of all tiles.
  const Int size = std::clamp<Int>(chunk_bytes / tile, least_tiles, g.count);
  const PoolBuffer<float> v(points * plane_of(size * from)), m(points * plane_of(size * to));
  for (Int t0 = 0; t0 < g.count; t0 += size) {
    const Int n = std::min(size, g.count - t0), v_plane = plane_of(n * from), m_plane = plane_of(n * to);
    parallel_for(n, 2,
                 [&](Int b, Int end) { inputs(s, g, x, t0 + b, t0 + end, v.get() + b * from, v_plane); });
    parallel_for(points, 1, [&](Int b, Int end) {
      products(b, end, n, from, to, v.get(), v_plane, u, u_plane, m.get(), m_plane);
    });
    parallel_for(n, 2,
                 [&](Int b, Int end) { outputs(s, g, m.get() + b * to, m_plane, t0 + b, t0 + end, y, e); });
  }
}

}  // namespace winograd

bool has_winograd(const ConvShape& s, const Array& w) {
  using namespace winograd;
  const auto plain = [&](int d, Int kernel) {
    return s.kernel[d] == kernel && s.stride[d] == 1 && s.dilation[d] == 1 && s.pad[d] < kernel;
  };
  return w.dtype == f32 && s.groups == 1 && s.in[0] == 1 && plain(0, 1) && plain(1, 3) && plain(2, 3) &&
         s.in_channels >= least_channels && s.out_channels >= least_channels &&
         Grid(s).count >= least_tiles && w.stride[4] == 1 && w.stride[3] == 3 && w.stride[1] == 9 &&
         w.stride[0] == 9 * w.size[1];
}

std::int64_t winograd_size(const ConvShape& s) {
  return winograd::points * winograd::plane_of_weights(s.in_channels, s.out_channels);
}
void winograd_pack(const Array& w, bool turned, float* u) {
  winograd::weights(w.as<const float>(), w.size[0], w.size[1], turned, u);
}
void winograd_conv(const ConvShape& s, const Array& x, const float* u, const Array& y, const Epilogue& e) {
  PoolBuffer<float> copy_of(copy_size<float>(x));
  winograd::forward(s, channels_last<float>(x, copy_of), u, image<float>(y), e);
  if (e.activation != Unary::identity && e.activation != Unary::relu) {
    const std::int64_t rows = s.n * s.out[1] * s.out[2];
    apply_activation(e.activation, e.alpha, y.as<float>(), rows, s.out_channels, s.out_channels);
  }
}

// Tiles are cut into chunks by sizes alone and their products added in order: the same bits for any number of
// threads.
void winograd_grad_weight(const ConvShape& s, const Array& ax, const Array& ady, const Array& dw) {
  using namespace winograd;
  const Grid g(s);
  const Int in = s.in_channels, out = s.out_channels;
  PoolBuffer<float> copy_of_x(copy_size<float>(ax)), copy_of_dy(copy_size<float>(ady));
  const Image<const float> x = channels_last<float>(ax, copy_of_x),
                           dy = channels_last<float>(ady, copy_of_dy);
  const Int tile = points * (in + out) * static_cast<Int>(sizeof(float));
  const Int size = std::clamp<Int>(chunk_bytes / tile, least_tiles, g.count);
  const Int du_plane = plane_of(in * out);
  const PoolBuffer<float> v(points * plane_of(size * in)), m(points * plane_of(size * out)),
      du(points * du_plane);
  for (Int t0 = 0; t0 < g.count; t0 += size) {
    const Int n = std::min(size, g.count - t0), v_plane = plane_of(n * in), m_plane = plane_of(n * out);
    parallel_for(n, 2, [&](Int b, Int end) {
      inputs(s, g, x, t0 + b, t0 + end, v.get() + b * in, v_plane);
      const PoolBuffer<float> copy(16 * out);
      for (; b < end; ++b) {
        const Int t = t0 + b;
        window(dy, out, g.image(t), g.row(t), g.column(t), 4, copy.get(),
               [&](const float* from, Int line, Int step) {
                 best().output_gradient({from, line, step, m.get() + b * out, m_plane, out});
               });
      }
    });
    parallel_for(points, 1, [&](Int b, Int end) {
      for (; b < end; ++b) {
        Gemm<float> p;
        p.m = out, p.n = in, p.k = n;
        p.a = m.get() + b * m_plane, p.am = 1, p.ak = out;
        p.b = v.get() + b * v_plane, p.bk = in, p.bn = 1;
        p.c = du.get() + b * du_plane, p.cm = in;
        p.accumulate = t0 > 0;
        gemm(p);
      }
    });
  }
  parallel_for(out, std::max<Int>(1, 4096 / in), [&](Int b, Int end) {
    for (; b < end; ++b) best().kernel_gradient(du.get() + b * in, du_plane, dw.as<float>() + b * in * 9, in);
  });
}

}  // namespace knet::cpu_impl
#endif
