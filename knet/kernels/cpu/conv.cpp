// Convolutions as matrix products that are never written down: a block of output positions at a time, the
// inputs under the kernel are gathered into the rows of a matrix, which the packed weights multiply into
// place. The gradient of the input is the same with the roles of input and output exchanged; a stride splits
// it into phases, each of which has its own part of the kernel. A depthwise convolution multiplies lines of
// channels instead.
#include <algorithm>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"

namespace knet::cpu_impl {
namespace {

using Int = std::int64_t;

constexpr Int block_elements = 40'000;        // of gathered inputs: they stay in the second cache
constexpr Int min_rows = 24, max_rows = 512;  // of one block

/// Which input a row of the product reads: position p of dimension d and tap t of the kernel read p * step +
/// shift[t].
struct Taps {
  Int out[3], step[3];
  std::vector<Int> shift[3];
  std::vector<Int> kernel[3];  ///< the tap's place in the kernel

  Int rows() const { return out[0] * out[1] * out[2]; }
  Int count() const { return static_cast<Int>(shift[0].size() * shift[1].size() * shift[2].size()); }
};
Taps forward_taps(const ConvShape& s) {
  Taps t;
  for (int d = 0; d < 3; ++d) {
    t.out[d] = s.out[d], t.step[d] = s.stride[d];
    for (Int k = 0; k < s.kernel[d]; ++k) {
      t.shift[d].push_back(k * s.dilation[d] - s.pad[d]);
      t.kernel[d].push_back(k);
    }
  }
  return t;
}
/// Inputs phase, phase + stride, ... get their gradient from output position + shift.
Taps backward_taps(const ConvShape& s, const Int (&phase)[3]) {
  Taps t;
  for (int d = 0; d < 3; ++d) {
    t.out[d] = (s.in[d] - phase[d] + s.stride[d] - 1) / s.stride[d], t.step[d] = 1;
    for (Int k = 0; k < s.kernel[d]; ++k) {
      const Int from = phase[d] + s.pad[d] - k * s.dilation[d];
      if (from % s.stride[d] != 0) continue;
      t.shift[d].push_back(from / s.stride[d]);
      t.kernel[d].push_back(k);
    }
  }
  return t;
}

/// Row `row` of all images as image and position.
struct Place {
  Int n, p[3];
  Place(const Taps& t, Int row) {
    for (int d = 2; d >= 0; --d) p[d] = row % t.out[d], row /= t.out[d];
    n = row;
  }
  void next(const Taps& t) {
    for (int d = 2; d >= 0; --d) {
      if (++p[d] < t.out[d]) return;
      p[d] = 0;
    }
    ++n;
  }
};

/// Rows [r0, r1) of the matrix of inputs: for every tap the channels from c0.
template <class T>
void gather(const Image<const T>& x, const Taps& t, Int c0, Int channels, Int r0, Int r1, T* out) {
  const Int taps = static_cast<Int>(t.shift[2].size());
  const Int *shift = t.shift[2].data(), first = shift[0];
  bool line = x.channel == 1 && x.at[2] == channels;  // the taps of a line lie side by side
  for (Int k = 1; k < taps; ++k) line = line && shift[k] == first + k;
  Place at(t, r0);
  for (Int r = r0; r < r1; ++r, at.next(t)) {
    for (const Int sd : t.shift[0]) {
      const Int d = at.p[0] * t.step[0] + sd;
      for (const Int sh : t.shift[1]) {
        const Int h = at.p[1] * t.step[1] + sh, w0 = at.p[2] * t.step[2];
        if (d < 0 || d >= x.size[0] || h < 0 || h >= x.size[1]) {
          out = std::fill_n(out, taps * channels, T(0));
          continue;
        }
        const T* from = x.data + at.n * x.image + d * x.at[0] + h * x.at[1] + c0 * x.channel;
        if (line) {
          const Int w = w0 + first, low = std::clamp<Int>(-w, 0, taps),
                    high = std::clamp<Int>(x.size[2] - w, low, taps);
          out = std::fill_n(out, low * channels, T(0));
          out = std::copy_n(from + (w + low) * channels, (high - low) * channels, out);
          out = std::fill_n(out, (taps - high) * channels, T(0));
          continue;
        }
        for (Int k = 0; k < taps; ++k, out += channels) {
          const Int w = w0 + shift[k];
          if (w < 0 || w >= x.size[2]) {
            std::fill_n(out, channels, T(0));
          } else if (const T* p = from + w * x.at[2]; x.channel == 1) {
            std::copy_n(p, channels, out);
          } else {
            for (Int c = 0; c < channels; ++c) out[c] = p[c * x.channel];
          }
        }
      }
    }
  }
}

/// f(tap's number, offset in w) for every tap.
template <class F>
void for_taps(const Taps& t, const Array& w, const F& f) {
  Int i = 0;
  for (const Int d : t.kernel[0]) {
    for (const Int h : t.kernel[1]) {
      for (const Int v : t.kernel[2]) f(i++, d * w.stride[2] + h * w.stride[3] + v * w.stride[4]);
    }
  }
}

/// The weights of a group as the right side of the product, packed: rows (tap, from-channel), columns
/// to-channel.
template <class T>
void pack_weights(const Array& w, const Taps& t, Int group, Int from, Int to, bool forward, T* scratch,
                  T* packed) {
  const Int so = w.stride[0], sc = w.stride[1], k = t.count() * from;
  const T* base = w.as<const T>() + group * (forward ? to : from) * so;
  const Int step_from = forward ? sc : so, step_to = forward ? so : sc;
  parallel_for(to, std::max<Int>(1, 16384 / std::max<Int>(1, k)), [&](Int b, Int e) {
    for (Int j = b; j < e; ++j) {
      for_taps(t, w, [&](Int i, Int offset) {
        const T* p = base + offset + j * step_to;
        T* q = scratch + j * k + i * from;
        for (Int c = 0; c < from; ++c) q[c] = p[c * step_from];
      });
    }
  });
  gemm_pack(scratch, 1, k, k, to, packed);
}

/// Where the rows of a product go: position p of the taps is p * step + start of the image.
template <class T>
struct Target {
  Image<T> y;
  Int start[3], step[3];
  bool dense;  ///< rows follow each other
  T* at(const Place& p) const {
    T* q = y.data + p.n * y.image;
    for (int d = 0; d < 3; ++d) q += (p.p[d] * step[d] + start[d]) * y.at[d];
    return q;
  }
};

Int rows_of_block(Int rows, Int k) {
  const Int fit = std::clamp<Int>(block_elements / std::max<Int>(1, k), min_rows, max_rows);
  return std::max<Int>(1, std::min(fit, (rows + threads() - 1) / threads()));
}

/// For all n images: to-channels of y = taps of x times weights. `all_from`, `all_to`: channels of all
/// groups.
template <class T>
void product(const Image<const T>& x, const Taps& t, const Array& w, bool forward, Int n, Int groups,
             Int all_from, Int all_to, const Target<T>& target, const Epilogue& e) {
  const Int from = all_from / groups, to = all_to / groups, k = t.count() * from, rows = n * t.rows();
  if (rows == 0) return;
  bool unit = t.count() == 1;
  for (int d = 0; d < 3; ++d) unit = unit && t.step[d] == 1 && t.shift[d][0] == 0 && t.out[d] == x.size[d];
  const bool direct = unit && x.channels_last(all_from);  // the input is the matrix
  const PoolBuffer<T> scratch(k * to), packed(static_cast<Int>(gemm_packed_size<T>(k, to)));
  const Int block = rows_of_block(rows, k);
  for (Int group = 0; group < groups; ++group) {
    pack_weights(w, t, group, from, to, forward, scratch.get(), packed.get());
    const auto some = [&](Int r0, Int r1, T* gathered, T* apart) {
      Gemm<T> g;
      g.m = r1 - r0, g.n = to, g.k = k;
      if (direct) {
        g.a = x.data + r0 * all_from + group * from, g.am = all_from, g.ak = 1;
      } else {
        gather(x, t, group * from, from, r0, r1, gathered);
        g.a = gathered, g.am = k, g.ak = 1;
      }
      g.packed = packed.get();
      g.bias = e.bias ? static_cast<const T*>(e.bias) + group * to : nullptr;
      g.act = e.activation, g.alpha = e.alpha;
      if (target.dense) {
        g.c = target.y.data + r0 * all_to + group * to, g.cm = all_to;
        return gemm(g);
      }
      g.c = apart, g.cm = to;
      gemm(g);
      Place p(t, r0);
      for (Int r = r0; r < r1; ++r, p.next(t), apart += to) std::copy_n(apart, to, target.at(p) + group * to);
    };
    if (direct && target.dense) {  // one product, which splits itself
      some(0, rows, nullptr, nullptr);
      continue;
    }
    parallel_for((rows + block - 1) / block, rows * k * to < gemm_thread_work ? rows : 1,
                 [&](Int b, Int end) {
                   const PoolBuffer<T> gathered(direct ? 0 : block * k), apart(target.dense ? 0 : block * to);
                   for (; b < end; ++b)
                     some(b * block, std::min(rows, (b + 1) * block), gathered.get(), apart.get());
                 });
  }
}

// ---- depthwise: one input and one output channel in a group; lines of channels ----

/// f(line of x, tap's number) for the taps inside x at a place.
template <class T, class F>
void lines_at(const Image<const T>& x, const Taps& t, const Place& p, const F& f) {
  Int i = 0;
  for (const Int sd : t.shift[0]) {
    const Int d = p.p[0] * t.step[0] + sd;
    for (const Int sh : t.shift[1]) {
      const Int h = p.p[1] * t.step[1] + sh;
      for (const Int sw : t.shift[2]) {
        const Int v = p.p[2] * t.step[2] + sw;
        if (d >= 0 && d < x.size[0] && h >= 0 && h < x.size[1] && v >= 0 && v < x.size[2])
          f(x.data + p.n * x.image + d * x.at[0] + h * x.at[1] + v * x.at[2], i);
        ++i;
      }
    }
  }
}
template <class T>
void depthwise(const Image<const T>& x, const Taps& t, const Array& w, Int n, Int channels,
               const Target<T>& target, const Epilogue& e) {
  const PoolBuffer<T> weights(t.count() * channels);
  for_taps(t, w, [&](Int i, Int offset) {
    for (Int c = 0; c < channels; ++c)
      weights.get()[i * channels + c] = w.as<const T>()[offset + c * w.stride[0]];
  });
  const Int rows = n * t.rows(), work = std::max<Int>(1, t.count() * channels);
  parallel_for(rows, std::max<Int>(1, 32768 / work), [&](Int b, Int end) {
    Place p(t, b);
    for (Int r = b; r < end; ++r, p.next(t)) {
      T* y = target.at(p);
      if (e.bias)
        std::copy_n(static_cast<const T*>(e.bias), channels, y);
      else
        std::fill_n(y, channels, T(0));
      lines_at(x, t, p, [&](const T* line, Int i) {
        const T* v = weights.get() + i * channels;
        for (Int c = 0; c < channels; ++c) y[c] += line[c] * v[c];
      });
      if (e.activation != Unary::identity) apply_activation(e.activation, e.alpha, y, 1, channels, channels);
    }
  });
}
template <class T>
void depthwise_weights(const Image<const T>& x, const Image<const T>& dy, const Taps& t, Int n, Int channels,
                       T* sums) {
  Place p(t, 0);
  for (Int r = 0; r < n * t.rows(); ++r, p.next(t)) {
    const T* grad = dy.data + p.n * dy.image;
    for (int d = 0; d < 3; ++d) grad += p.p[d] * dy.at[d];
    lines_at(x, t, p, [&](const T* line, Int i) {
      T* s = sums + i * channels;
      for (Int c = 0; c < channels; ++c) s[c] += line[c] * grad[c];
    });
  }
}
bool is_depthwise(const ConvShape& s) {
  return s.groups > 1 && s.in_channels == s.groups && s.out_channels == s.groups;
}

template <class T>
void run_grad_weight(const ConvShape& s, const Array& ax, const Array& ady, const Array& dw) {
  const Taps t = forward_taps(s);
  const Int from = s.in_channels / s.groups, to = s.out_channels / s.groups, k = t.count() * from;
  const Int rows = s.n * t.rows();
  const Image<const T> x = image<const T>(ax);
  PoolBuffer<T> copy_of(copy_size<T>(ady));
  const Image<const T> dy = channels_last<T>(ady, copy_of);
  const Int size = s.groups * to * k;  // sums [groups][to][taps][from] of every thread
  const Int block = rows_of_block(rows, k), blocks = rows == 0 ? 0 : (rows + block - 1) / block;
  const Int parts = rows * k * s.out_channels < gemm_thread_work ? 1 : std::min<Int>(threads(), blocks);
  const PoolBuffer<T> sums(size * std::max<Int>(1, parts));
  std::fill_n(sums.get(), size * std::max<Int>(1, parts), T(0));
  if (is_depthwise(s) && x.channel == 1) {
    depthwise_weights(x, dy, t, s.n, s.groups, sums.get());
    for_taps(t, dw, [&](Int i, Int offset) {
      for (Int c = 0; c < s.groups; ++c) dw.as<T>()[offset + c * dw.stride[0]] = sums.get()[i * s.groups + c];
    });
    return;
  }
  if (blocks > 0) {
    parallel_for(parts, 1, [&](Int p0, Int p1) {
      const PoolBuffer<T> gathered(block * k);
      for (Int p = p0; p < p1; ++p) {
        for (Int b = blocks * p / parts; b < blocks * (p + 1) / parts; ++b) {
          const Int r0 = b * block, r1 = std::min(rows, r0 + block);
          for (Int group = 0; group < s.groups; ++group) {
            gather(x, t, group * from, from, r0, r1, gathered.get());
            Gemm<T> g;
            g.m = to, g.n = k, g.k = r1 - r0;
            g.a = dy.data + r0 * s.out_channels + group * to, g.am = 1, g.ak = s.out_channels;
            g.b = gathered.get(), g.bk = k, g.bn = 1;
            g.c = sums.get() + p * size + group * to * k, g.cm = k;
            g.accumulate = true;
            gemm(g);
          }
        }
      }
    });
  }
  for (Int p = 1; p < parts; ++p) {
    for (Int i = 0; i < size; ++i) sums.get()[i] += sums.get()[p * size + i];
  }
  parallel_for(s.out_channels, std::max<Int>(1, 16384 / std::max<Int>(1, k)), [&](Int b, Int e) {
    for (Int o = b; o < e; ++o) {
      for_taps(t, dw, [&](Int i, Int offset) {
        for (Int c = 0; c < from; ++c)
          dw.as<T>()[o * dw.stride[0] + c * dw.stride[1] + offset] = sums.get()[o * k + i * from + c];
      });
    }
  });
}

template <class T>
void run_grad_input(const ConvShape& s, const Array& ady, const Array& w, const Array& dx) {
  const Image<const T> dy = image<const T>(ady);
  const Image<T> to = image<T>(dx);
  const bool whole = s.stride[0] * s.stride[1] * s.stride[2] == 1;
  bool every = true;  // phase has taps
  for (int d = 0; d < 3; ++d) every = every && (s.kernel[d] >= s.stride[d] && s.dilation[d] == 1);
  if (!every) fill(0, dx);
  for (Int d = 0; d < s.stride[0]; ++d) {
    for (Int h = 0; h < s.stride[1]; ++h) {
      for (Int v = 0; v < s.stride[2]; ++v) {
        const Int phase[3] = {d, h, v};
        if (d >= s.in[0] || h >= s.in[1] || v >= s.in[2]) continue;
        const Taps t = backward_taps(s, phase);
        if (t.count() == 0) continue;
        Target<T> target{to, {d, h, v}, {s.stride[0], s.stride[1], s.stride[2]}, whole};
        if (is_depthwise(s) && dy.channel == 1)
          depthwise(dy, t, w, s.n, s.groups, target, {});
        else
          product(dy, t, w, false, s.n, s.groups, s.out_channels, s.in_channels, target, {});
      }
    }
  }
}

}  // namespace

void conv(const ConvShape& s, const Array& ax, const Array& w, const Array& ay, const Epilogue& e) {
  dispatch_float("conv", ax.dtype, [&]<class T>(type<T>) {
    const Image<const T> x = image<const T>(ax);
    const Taps t = forward_taps(s);
    const Target<T> target{image<T>(ay), {0, 0, 0}, {1, 1, 1}, true};
    if (is_depthwise(s) && x.channel == 1)
      depthwise(x, t, w, s.n, s.groups, target, e);
    else
      product(x, t, w, true, s.n, s.groups, s.in_channels, s.out_channels, target, e);
  });
}

void conv_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) { run_grad_input<T>(s, dy, w, dx); });
}

void conv_grad_weight(const ConvShape& s, const Array& x, const Array& dy, const Array& dw) {
  dispatch_float("conv", x.dtype, [&]<class T>(type<T>) { run_grad_weight<T>(s, x, dy, dw); });
}

}  // namespace knet::cpu_impl
