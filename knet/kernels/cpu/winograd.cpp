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

constexpr Int block_channels = 64;  // of coefficients that lie together

/// One tile, channels last: element (i, j) of it at i * line + j * step, its coefficients a `plane` apart and
/// those of every `block_channels` channels a `block`.
struct Tile {
  const float* from;
  Int line, step;
  float* to;
  Int plane, block, channels;
};
struct Loops {
  void (*input)(const Tile&);            ///< 6x6 inputs to coefficients
  void (*output_gradient)(const Tile&);  ///< 4x4 gradients of outputs to coefficients
  /// Coefficients at `from`, a `plane` apart, to 4x4 outputs at `to`, plus bias (or null), then relu if so;
  /// channels lie together.
  void (*output)(const Tile&, const float* bias, bool relu);
  /// 3x3 kernels [9][n] to coefficients, n whole vectors; `turned`: the kernel by half a turn.
  void (*kernel)(const float* from, bool turned, float* to, Int plane, Int n);
  /// The adjoint: coefficients of n kernels to [n][9], or added to it.
  void (*kernel_gradient)(const float* from, Int plane, float* to, Int n, bool add);
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
    float* const to = t.to + c / block_channels * t.block + c % block_channels;
    both_ways<6, 6>(
        input_line, [&](int i, int j) { return load(t.from + i * t.line + j * t.step + c, n); },
        [&](int i, int j, V v) { store(v, to + (i * 6 + j) * t.plane, n); });
  }
}
void output_gradient(const Tile& t) {
  for (Int c = 0; c < t.channels; c += L) {
    const Int n = t.channels - c;
    float* const to = t.to + c / block_channels * t.block + c % block_channels;
    both_ways<4, 6>(
        output_gradient_line, [&](int i, int j) { return load(t.from + i * t.line + j * t.step + c, n); },
        [&](int i, int j, V v) { store(v, to + (i * 6 + j) * t.plane, n); });
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
void kernel_gradient(const float* from, Int plane, float* to, Int n, bool add) {
  for (Int c = 0; c < n; c += L) {
    HWY_ALIGN float taps[9 * L];
    const Int some = std::min(L, n - c);
    both_ways<6, 3>(
        kernel_gradient_line, [&](int i, int j) { return load(from + (i * 6 + j) * plane + c, n - c); },
        [&](int i, int j, V v) { v.store(taps + (i * 3 + j) * L); });
    for (Int k = 0; k < some; ++k) {
      for (Int tap = 0; tap < 9; ++tap, ++to) *to = add ? *to + taps[tap * L + k] : taps[tap * L + k];
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

constexpr Int least_channels = 32, least_tiles = 4;  // below, the direct product is faster (measured)
constexpr Int block_tiles = 24;                      // at least, that one thread takes
constexpr Int few_tiles = 8;             // likewise, where several threads share the weights of a group
constexpr Int near_weights = 4 << 20;    // bytes of coefficients that a core may read again and again
constexpr Int group_channels = 32;       // of outputs at a time
constexpr Int block_bytes = 320 * 1024;  // of coefficients of a thread's tiles: they stay in the second cache
constexpr Int chunk_bytes = 8 << 20;     // of coefficients that all threads share
/// Elements from one of the 36 coefficients of all tiles (or weights) to the next. Channels and tiles are
/// often powers of two: without the line between, what is read or written together would lie in a single set
/// of the caches.
Int plane_of(Int elements) { return elements + 16; }

/// Tiles of `tile` bytes of coefficients at a time: even chunks of about chunk_bytes.
Int tiles_at_once(Int count, Int tile) {
  const Int most = std::max(chunk_bytes / tile, block_tiles), chunks = (count + most - 1) / most;
  return (count + chunks - 1) / chunks;
}

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

Int blocks_of(Int channels) { return (channels + block_channels - 1) / block_channels; }

/// Coefficients of channels at tiles: [points][blocks][tiles][block_channels].
struct Coefficients {
  Int block, plane;
  Coefficients(Int channels, Int tiles)
      : block(tiles * block_channels), plane(plane_of(blocks_of(channels) * block)) {}
  Int size() const { return points * plane; }
};

/// Coefficients of the inputs of tiles [t0, t1) to v.
void inputs(const ConvShape& s, const Grid& g, const Image<const float>& x, Int t0, Int t1, float* v,
            const Coefficients& of) {
  const Int channels = s.in_channels;
  const PoolBuffer<float> copy(36 * channels);
  for (Int t = t0; t < t1; ++t, v += block_channels) {
    window(x, channels, g.image(t), g.row(t) - s.pad[1], g.column(t) - s.pad[2], 6, copy.get(),
           [&](const float* from, Int line, Int step) {
             best().input({from, line, step, v, of.plane, of.block, channels});
           });
  }
}

/// Channels [c0, c1) of the outputs of tiles [t0, t1) from their coefficients m [points][plane], within
/// [tiles][c1 - c0].
void outputs(const Grid& g, const float* m, Int plane, Int t0, Int t1, Int c0, Int c1, const Image<float>& y,
             const Epilogue& e) {
  const Int channels = c1 - c0;
  const PoolBuffer<float> copy(16 * channels);
  const bool relu = e.activation == Unary::relu;
  const float* bias = e.bias ? static_cast<const float*>(e.bias) + c0 : nullptr;
  for (Int t = t0; t < t1; ++t, m += channels) {
    const Int h = g.row(t), w = g.column(t), rows = std::min<Int>(4, g.out[0] - h),
              columns = std::min<Int>(4, g.out[1] - w);
    float* to = y.data + g.image(t) * y.image + h * y.at[1] + w * y.at[2] + c0;
    if (rows == 4 && columns == 4) {
      best().output({m, y.at[1], y.at[2], to, plane, 0, channels}, bias, relu);
      continue;
    }
    best().output({m, 4 * channels, channels, copy.get(), plane, 0, channels}, bias, relu);
    for (Int i = 0; i < rows; ++i) {
      for (Int j = 0; j < columns; ++j)
        std::copy_n(copy.get() + (i * 4 + j) * channels, channels, to + i * y.at[1] + j * y.at[2]);
    }
  }
}

/// The weights w [out][in][3][3] of a convolution, or (`turned`) of the one that gives its input's gradient,
/// in chunks of block_channels of its inputs and `group` of its outputs: as many as stay in the second cache
/// as coefficients [points][plane], each plane in the product's panels. The chunks of a group lie together.
struct Weights {
  const float* w;
  Int in;
  bool turned;
  Int from, to, width, group, plane;
  Weights(const float* data, Int out_, Int in_, bool turned_)
      : w(data),
        in(in_),
        turned(turned_),
        from(turned ? out_ : in_),
        to(turned ? in_ : out_),
        width(gemm_width<float>()),
        group((group_channels + width - 1) / width * width),
        plane(plane_of(std::min(from, block_channels) * group)) {}
  Int blocks() const { return blocks_of(from); }
  Int groups() const { return (to + group - 1) / group; }
  Int chunk() const { return points * plane; }
  Int size() const { return groups() * blocks() * chunk(); }
  Int taps() const { return 9 * plane; }
  /// May every thread read all of them? Larger ones are made where they are used, which takes no longer than
  /// reading them.
  bool near() const { return size() * static_cast<Int>(sizeof(float)) <= near_weights; }

  /// The coefficients of a chunk to u.
  void transform(Int g, Int block, float* taps, float* u) const {
    const Int f0 = block * block_channels, count = std::min(block_channels, from - f0), t0 = g * group,
              n = std::min(group, to - t0), panels = (n + width - 1) / width;
    // In panels of outputs first: taps[..][9][width].
    Int of_panel = 9 * count * width, of_from = 9 * width;
    if (!turned) {
      gemm_pack(w + (t0 * in + f0) * 9, 1, 9 * in, 9 * count, n, taps);
    } else {
      of_panel = 9 * width, of_from = panels * 9 * width;
      for (Int f = 0; f < count; ++f) gemm_pack(w + ((f0 + f) * in + t0) * 9, 1, 9, 9, n, taps + f * of_from);
    }
    for (Int p = 0; p < panels; ++p) {
      for (Int f = 0; f < count; ++f) {
        best().kernel(taps + p * of_panel + f * of_from, turned, u + (p * count + f) * width, plane, width);
      }
    }
  }
  void transform_all(float* u) const {
    parallel_for(groups() * blocks(), 1, [&](Int b, Int end) {
      const PoolBuffer<float> room(taps());
      for (; b < end; ++b) transform(b / blocks(), b % blocks(), room.get(), u + b * chunk());
    });
  }
};

/// A group of output channels at tiles [t0, t0 + n), whose inputs have the coefficients v. `u`: coefficients
/// of all weights; or null, then they are made here.
void group_outputs(const Weights& w, Int group, const Grid& grid, Int t0, Int n, const float* v,
                   const Coefficients& of_v, const float* u, const Image<float>& y, const Epilogue& e) {
  const Int c0 = group * w.group, channels = std::min(w.group, w.to - c0), m_plane = plane_of(n * channels);
  const PoolBuffer<float> m(points * m_plane), own(u ? 0 : w.chunk()), taps(u ? 0 : w.taps());
  for (Int q = 0; q < w.blocks(); ++q) {
    if (!u) w.transform(group, q, taps.get(), own.get());
    const float* chunk = u ? u + (group * w.blocks() + q) * w.chunk() : own.get();
    for (Int i = 0; i < points; ++i) {
      RunGemm<float> g;
      g.m = n, g.n = channels;
      g.k = std::min(block_channels, w.from - q * block_channels);
      g.a = v + i * of_v.plane + q * of_v.block, g.am = block_channels, g.ak = 1;
      g.packed = chunk + i * w.plane, g.panel = g.k * w.width;
      g.c = m.get() + i * m_plane, g.cm = channels;
      g.accumulate = q > 0;
      gemm_runs(g);
    }
  }
  outputs(grid, m.get(), m_plane, t0, t0 + n, c0, c0 + channels, y, e);
}

void forward(const ConvShape& s, const Image<const float>& x, const Weights& w, const Image<float>& y,
             const Epilogue& e) {
  const Grid g(s);
  const float* u = static_cast<const float*>(e.packed_b);
  const Int tile = Coefficients(w.from, 1).size() * static_cast<Int>(sizeof(float));
  const Int each = (g.count + threads() - 1) / threads();
  if (w.near() && each >= block_tiles) {
    // Every thread reads all weights for its own tiles.
    const PoolBuffer<float> all(u ? 0 : w.size());
    if (!u) w.transform_all(all.get()), u = all.get();
    const Int most = std::max(block_bytes / tile, block_tiles), blocks = (each + most - 1) / most * threads();
    parallel_for(blocks, 1, [&](Int b, Int end) {
      const PoolBuffer<float> v(Coefficients(w.from, (g.count + blocks - 1) / blocks).size());
      for (; b < end; ++b) {
        const Int t0 = g.count * b / blocks, t1 = g.count * (b + 1) / blocks;
        const Coefficients of(w.from, t1 - t0);
        inputs(s, g, x, t0, t1, v.get(), of);
        for (Int group = 0; group < w.groups(); ++group)
          group_outputs(w, group, g, t0, t1 - t0, v.get(), of, u, y, e);
      }
    });
    return;
  }
  // The weights would not stay in a core's cache: each core takes some of the outputs of all tiles.
  const Int size = tiles_at_once(g.count, tile);
  const PoolBuffer<float> v(Coefficients(w.from, size).size());
  for (Int t0 = 0; t0 < g.count; t0 += size) {
    const Int n = std::min(size, g.count - t0);
    const Coefficients of(w.from, n);
    parallel_for(
        n, 2, [&](Int b, Int end) { inputs(s, g, x, t0 + b, t0 + end, v.get() + b * block_channels, of); });
    // More cores than groups share the tiles of each, and transform its weights once more.
    const Int parts = std::clamp<Int>(threads() / w.groups(), 1, (n + few_tiles - 1) / few_tiles);
    parallel_for(w.groups() * parts, 1, [&](Int b, Int end) {
      for (; b < end; ++b) {
        const Int first = n * (b % parts) / parts, last = n * (b % parts + 1) / parts;
        group_outputs(w, b / parts, g, t0 + first, last - first, v.get() + first * block_channels, of, u, y,
                      e);
      }
    });
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
  const winograd::Weights w(nullptr, s.out_channels, s.in_channels, false);
  return w.near() ? w.size() : 0;
}
void winograd_pack(const Array& w, float* u) {
  winograd::Weights(w.as<const float>(), w.size[0], w.size[1], false).transform_all(u);
}
void winograd_conv(const ConvShape& s, const Array& x, const Array& w, bool turned, const Array& y,
                   const Epilogue& e) {
  using namespace winograd;
  PoolBuffer<float> copy_of(copy_size<float>(x));
  forward(s, channels_last<float>(x, copy_of), Weights(w.as<const float>(), w.size[0], w.size[1], turned),
          image<float>(y), e);
  if (e.activation != Unary::identity && e.activation != Unary::relu) {
    const Int rows = s.n * s.out[1] * s.out[2];
    apply_activation(e.activation, e.alpha, y.as<float>(), rows, s.out_channels, s.out_channels);
  }
}

// Tiles are cut into chunks by sizes alone and their products added in order: the same bits for any number of
// threads.
void winograd_grad_weight(const ConvShape& s, const Array& ax, const Array& ady, const Array& adw) {
  using namespace winograd;
  const Grid g(s);
  const Int in = s.in_channels, out = s.out_channels;
  PoolBuffer<float> copy_of_x(copy_size<float>(ax)), copy_of_dy(copy_size<float>(ady));
  const Image<const float> x = channels_last<float>(ax, copy_of_x),
                           dy = channels_last<float>(ady, copy_of_dy);
  float* const dw = adw.as<float>();
  const Int tile =
      (Coefficients(in, 1).size() + Coefficients(out, 1).size()) * static_cast<Int>(sizeof(float));
  const Int size = tiles_at_once(g.count, tile);
  const PoolBuffer<float> v(Coefficients(in, size).size()), m(Coefficients(out, size).size());
  const Int in_blocks = blocks_of(in),
            piece = out * in_blocks < 4 * group_channels ? group_channels / 2 : group_channels,
            pieces = (out + piece - 1) / piece;
  for (Int t0 = 0; t0 < g.count; t0 += size) {
    const Int n = std::min(size, g.count - t0);
    const Coefficients of_v(in, n), of_m(out, n);
    parallel_for(n, 2, [&](Int b, Int end) {
      inputs(s, g, x, t0 + b, t0 + end, v.get() + b * block_channels, of_v);
      const PoolBuffer<float> copy(16 * out);
      for (; b < end; ++b) {
        const Int t = t0 + b;
        window(dy, out, g.image(t), g.row(t), g.column(t), 4, copy.get(),
               [&](const float* from, Int line, Int step) {
                 best().output_gradient(
                     {from, line, step, m.get() + b * block_channels, of_m.plane, of_m.block, out});
               });
      }
    });
    parallel_for(pieces * in_blocks, 1, [&](Int b, Int end) {
      constexpr Int plane = group_channels * block_channels + 16;
      const PoolBuffer<float> du(points * plane);
      for (; b < end; ++b) {
        const Int o = b / in_blocks * piece, block = b % in_blocks, i0 = block * block_channels;
        Gemm<float> p;
        p.m = std::min(piece, out - o), p.n = std::min(block_channels, in - i0), p.k = n;
        p.am = 1, p.ak = block_channels, p.bk = block_channels, p.bn = 1, p.cm = p.n;
        for (Int i = 0; i < points; ++i) {
          p.a = m.get() + i * of_m.plane + o / block_channels * of_m.block + o % block_channels;
          p.b = v.get() + i * of_v.plane + block * of_v.block;
          p.c = du.get() + i * plane;
          gemm(p);
        }
        for (Int j = 0; j < p.m; ++j)
          best().kernel_gradient(du.get() + j * p.n, plane, dw + ((o + j) * in + i0) * 9, p.n, t0 > 0);
      }
    });
  }
}

}  // namespace knet::cpu_impl
#endif
