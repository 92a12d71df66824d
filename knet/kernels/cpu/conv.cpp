// Convolutions as matrix products that are never written down: a block of output positions at a time, the
// inputs under the kernel are gathered into the rows of a matrix, which the packed weights multiply into
// place. The gradient of the input is the same with the roles of input and output exchanged; a stride splits
// it into phases, each of which has its own part of the kernel.
#include <algorithm>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/conv_taps.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"

namespace knet::cpu_impl {
namespace {

constexpr Int block_elements = 40'000;  // of gathered inputs: they stay in the second cache
// Up to so many input channels reading them in place beats gathering them (measured), in the gradient of the
// weights as well.
constexpr Int few_inputs = 24, few_inputs_of_weight = 4, few_inputs_of_group = 32;
constexpr Int min_rows = 24, max_rows = 512;  // of one block

/// Does conv_few take it? A group is always few beside gathering its channels from among those of all groups.
bool reads_in_place(const ConvShape& s, Int most_inputs) {
  return !is_depthwise(s) && has_few_channels(s, s.groups > 1 ? few_inputs_of_group : most_inputs);
}

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

/// The weights of a group as the right side of the product, packed: rows (tap, from-channel), columns
/// to-channel.
template <class T>
void pack_weights(const Array& w, const Taps& t, Int group, Int from, Int to, bool forward, T* packed) {
  const Int so = w.stride[0], sc = w.stride[1], k = t.count() * from;
  const T* base = w.as<const T>() + group * (forward ? to : from) * so;
  const Int step_from = forward ? sc : so, step_to = forward ? so : sc;
  // A panel at a time, which stays in the second cache; some from-channels at a time: where they are far
  // apart in memory their lines are in the first cache until all taps and the next to-channels have been
  // read.
  constexpr Int some = 16;
  const Int width = static_cast<Int>(gemm_packed_size<T>(1, 1));
  parallel_for((to + width - 1) / width, std::max<Int>(1, 16384 / std::max<Int>(1, k * width)),
               [&](Int p, Int end) {
                 const PoolBuffer<T> lines(width * k);
                 for (; p < end; ++p) {
                   const Int j0 = p * width, n = std::min(width, to - j0);
                   for (Int c0 = 0; c0 < from; c0 += some) {
                     const Int count = std::min(some, from - c0);
                     for (Int j = 0; j < n; ++j) {
                       for_taps(t, w, [&](Int i, Int offset) {
                         const T* x = base + offset + (j0 + j) * step_to + c0 * step_from;
                         T* q = lines.get() + j * k + i * from + c0;
                         for (Int c = 0; c < count; ++c) q[c] = x[c * step_from];
                       });
                     }
                   }
                   gemm_pack(lines.get(), 1, k, k, n, packed + j0 * k);
                 }
               });
}

/// Blocks of rows, as many for every thread as for the others.
Int row_blocks(Int rows, Int k) {
  const Int fit = std::clamp<Int>(block_elements / std::max<Int>(1, k), min_rows, max_rows) * threads();
  return std::clamp<Int>((rows + fit / 2) / fit, 1, rows) * std::min<Int>(threads(), rows);
}

/// Is the input itself what would be gathered?
template <class T>
bool is_matrix(const Image<const T>& x, const Taps& t, Int channels) {
  bool unit = t.count() == 1;
  for (int d = 0; d < 3; ++d) unit = unit && t.step[d] == 1 && t.shift[d][0] == 0 && t.out[d] == x.size[d];
  return unit && x.channels_last(channels);
}

/// For all n images: to-channels of y = taps of x times weights. `all_from`, `all_to`: channels of all
/// groups.
template <class T>
void product(const Image<const T>& x, const Taps& t, const Array& w, bool forward, Int n, Int groups,
             Int all_from, Int all_to, const Target<T>& target, const Epilogue& e) {
  const Int from = all_from / groups, to = all_to / groups, k = t.count() * from, rows = n * t.rows();
  if (rows == 0) return;
  const bool direct = is_matrix(x, t, all_from);
  const Int size = e.packed_b ? 0 : static_cast<Int>(gemm_packed_size<T>(k, to));
  const PoolBuffer<T> packed(groups * size);
  if (size > 0) {
    parallel_for(groups, std::max<Int>(1, 16384 / (k * to)), [&](Int group, Int end) {
      for (; group < end; ++group) pack_weights(w, t, group, from, to, forward, packed.get() + group * size);
    });
  }
  const auto some = [&](Int group, Int r0, Int r1, T* gathered, T* apart) {
    Gemm<T> g;
    g.m = r1 - r0, g.n = to, g.k = k;
    if (direct) {
      g.a = x.data + r0 * all_from + group * from, g.am = all_from, g.ak = 1;
    } else {
      gather(x, t, group * from, from, r0, r1, gathered);
      g.a = gathered, g.am = k, g.ak = 1;
    }
    g.packed = e.packed_b ? static_cast<const T*>(e.packed_b) : packed.get() + group * size;
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
  if (direct && target.dense && groups == 1) return some(0, 0, rows, nullptr, nullptr);  // it splits itself
  const Int blocks = row_blocks(rows, k), block = (rows + blocks - 1) / blocks, tasks = groups * blocks;
  parallel_for(tasks, rows * k * all_to < gemm_thread_work ? tasks : 1, [&](Int i, Int end) {
    const PoolBuffer<T> gathered(direct ? 0 : block * k), apart(target.dense ? 0 : block * to);
    for (; i < end; ++i) {
      const Int b = i / groups;
      some(i % groups, rows * b / blocks, rows * (b + 1) / blocks, gathered.get(), apart.get());
    }
  });
}

/// sums [to][taps][channels] += dy^T gathered, for the input channels [c0, c0 + channels) of a group and the
/// rows [r0, r1).
template <class T>
void add_products(const Image<const T>& x, const Taps& t, Int c0, Int channels, const T* dy, Int to,
                  Int all_to, Int r0, Int r1, Int block, T* sums) {
  const Int k = t.count() * channels;
  const PoolBuffer<T> gathered(std::min(block, r1 - r0) * k);
  for (; r0 < r1; r0 += block) {
    const Int end = std::min(r1, r0 + block);
    gather(x, t, c0, channels, r0, end, gathered.get());
    Gemm<T> g;
    g.m = to, g.n = k, g.k = end - r0;
    g.a = dy + r0 * all_to, g.am = 1, g.ak = all_to;
    g.b = gathered.get(), g.bk = k, g.bn = 1;
    g.c = sums, g.cm = k;
    g.accumulate = true;
    gemm(g);
  }
}

// The work is cut by sizes alone, so that the sums are the same bits for any number of threads: many input
// channels into ranges, which share nothing; few into ranges of rows, whose sums are added in order.
template <class T>
void run_grad_weight(const ConvShape& s, const Array& ax, const Array& ady, const Array& dw) {
  constexpr Int range = 32, most_parts = 16;
  constexpr Int few_weights = 32768, least_parts = 8, rows_of_product = 2048;  // of 1 x 1 kernels
  const Taps t = forward_taps(s);
  const Int from = s.in_channels / s.groups, to = s.out_channels / s.groups;
  const Int rows = s.n * t.rows();
  const Image<const T> x = image<const T>(ax);
  PoolBuffer<T> copy_of(copy_size<T>(ady));
  const Image<const T> dy = channels_last<T>(ady, copy_of);
  if (reads_in_place(s, few_inputs_of_weight)) return conv_few_grad_weight(s, ax, dy.data, dw);
  if (is_depthwise(s) && x.channel == 1) return depthwise_weights(x, dy, t, s.n, s.groups, dw);
  if (s.groups == 1 && rows > 0 && is_matrix(x, t, from)) {
    // The wider side takes whole rows.
    const bool turn = to > from;
    // Few sums over many rows: parts of the rows give more cores something to do.
    const Int size = to * from, most = std::min(rows / rows_of_product, most_parts),
              parts = size <= few_weights && most >= least_parts ? most : 1;
    const PoolBuffer<T> sums(turn || parts > 1 ? parts * size : 0);
    parallel_for(parts, 1, [&](Int p, Int end) {
      for (; p < end; ++p) {
        const Int r0 = rows * p / parts;
        Gemm<T> g;
        g.m = std::min(to, from), g.n = std::max(to, from), g.k = rows * (p + 1) / parts - r0;
        g.a = (turn ? x.data : dy.data) + r0 * g.m, g.am = 1, g.ak = g.m;
        g.b = (turn ? dy.data : x.data) + r0 * g.n, g.bk = g.n, g.bn = 1;
        g.c = sums.get() ? sums.get() + p * size : dw.as<T>(), g.cm = g.n;
        gemm(g);
      }
    });
    if (parts > 1) column_sums(sums.get(), parts, size, size, turn ? sums.get() : dw.as<T>());
    for (Int o = 0; turn && o < to; ++o) {
      for (Int c = 0; c < from; ++c) dw.as<T>()[o * from + c] = sums.get()[c * to + o];
    }
    return;
  }
  const Int ranges = from < 2 * range ? 1 : from / range, tasks = s.groups * ranges;
  const Int block =
      std::clamp<Int>(block_elements * ranges / std::max<Int>(1, t.count() * from), min_rows, max_rows);
  const Int parts = std::clamp<Int>(tasks >= 4 ? 1 : rows / (4 * block), 1, most_parts);  // of the rows
  const Int size = s.out_channels * t.count() * from;  // [groups][to][taps][from]
  const PoolBuffer<T> sums(size * parts);
  std::fill_n(sums.get(), size * parts, T(0));
  const auto channels_of = [&](Int i) { return from * (i + 1) / ranges - from * i / ranges; };
  const auto place_of = [&](Int group, Int i) { return (group * from + from * i / ranges) * to * t.count(); };
  parallel_for(tasks * parts, rows * t.count() * from * s.out_channels < gemm_thread_work ? tasks * parts : 1,
               [&](Int b, Int e) {
                 for (; b < e; ++b) {
                   const Int part = b / tasks, group = b % tasks / ranges, i = b % ranges;
                   add_products(x, t, group * from + from * i / ranges, channels_of(i), dy.data + group * to,
                                to, s.out_channels, rows * part / parts, rows * (part + 1) / parts, block,
                                sums.get() + part * size + place_of(group, i));
                 }
               });
  if (parts > 1) column_sums(sums.get(), parts, size, size, sums.get());
  parallel_for(s.out_channels, std::max<Int>(1, 16384 / std::max<Int>(1, t.count() * from)),
               [&](Int b, Int e) {
                 for (Int o = b; o < e; ++o) {
                   for (Int i = 0; i < ranges; ++i) {
                     const Int channels = channels_of(i);
                     const T* line = sums.get() + place_of(o / to, i) + o % to * t.count() * channels;
                     T* out = dw.as<T>() + o * dw.stride[0] + from * i / ranges * dw.stride[1];
                     for_taps(t, dw, [&](Int tap, Int offset) {
                       for (Int c = 0; c < channels; ++c)
                         out[c * dw.stride[1] + offset] = line[tap * channels + c];
                     });
                   }
                 }
               });
}

/// Without strides the gradient of the input is itself a convolution, of dy with the kernel turned around.
ConvShape reversed(const ConvShape& s) {
  ConvShape r = s;
  std::swap(r.in_channels, r.out_channels);
  for (int d = 0; d < 3; ++d) {
    r.in[d] = s.out[d], r.out[d] = s.in[d];
    r.pad[d] = (s.kernel[d] - 1) * s.dilation[d] - s.pad[d];
  }
  return r;
}
template <class T>
Array turned(const Array& w) {
  Array r = w;
  std::swap(r.size[0], r.size[1]), std::swap(r.stride[0], r.stride[1]);
  T* last = w.as<T>();
  for (int d = 2; d < 5; ++d) {
    last += (w.size[d] - 1) * w.stride[d];
    r.stride[d] = -w.stride[d];
  }
  r.data = last;
  return r;
}

// ---- the gradient of few inputs ----

/// Does it pay? Few channels fill no vector of the plain product; and outputs without padding are fewer than
/// the inputs.
bool pays_spread(const ConvShape& s) {
  constexpr Int lanes = 16, adding = 24;  // an addition costs as much as so many multiply-adds of a product
  const Int in = s.in_channels, filled = in <= lanes / 2 ? lanes / 2 : (in + lanes - 1) / lanes * lanes;
  const bool flat = s.groups == 1 && s.in[0] == 1 && s.kernel[0] == 1 && s.stride[0] == 1 && s.pad[0] == 0 &&
                    s.dilation[1] == 1 && s.dilation[2] == 1;
  return flat && s.n > 0 &&
         s.in[1] * s.in[2] / (s.stride[1] * s.stride[2]) * filled * s.out_channels >
             s.out[1] * s.out[2] * in * (s.out_channels + adding);
}

/// Every output's gradient times all weights, spread over the inputs under the kernel. A thread makes whole
/// lines of dx, from all outputs that reach them in order.
template <class T>
void spread(const ConvShape& s, const Image<const T>& dy, const Array& w, const Image<T>& dx) {
  const Int in = s.in_channels, out = s.out_channels, width = s.kernel[2] * in, n = s.kernel[1] * width;
  const PoolBuffer<T> by_taps(out * n), packed(static_cast<Int>(gemm_packed_size<T>(out, n)));
  for (Int o = 0; o < out; ++o) {
    T* to = by_taps.get() + o * n;
    for_taps(forward_taps(s), w, [&](Int tap, Int offset) {
      for (Int c = 0; c < in; ++c)
        to[tap * in + c] = w.as<const T>()[o * w.stride[0] + c * w.stride[1] + offset];
    });
  }
  gemm_pack(by_taps.get(), n, 1, out, n, packed.get());
  // Bands of lines: what reaches beyond a band is computed twice.
  constexpr Int at_once = 65536;  // elements of products
  const Int high = s.in[1], bands = std::clamp<Int>(4 * threads() / s.n, 1, (high + 15) / 16),
            lines = std::clamp<Int>(at_once / (n * s.out[2]), 1, s.out[1]);
  parallel_for(s.n * bands, 1, [&](Int b, Int end) {
    const PoolBuffer<T> products(lines * s.out[2] * n);
    for (; b < end; ++b) {
      const Int image = b / bands, h0 = high * (b % bands) / bands, h1 = high * (b % bands + 1) / bands;
      T* const to = dx.data + image * dx.image;
      std::fill_n(to + h0 * dx.at[1], (h1 - h0) * dx.at[1], T(0));
      // Outputs that reach the band.
      const Int q0 = std::max((h0 + s.pad[1] - s.kernel[1]) / s.stride[1], Int{0}),
                q1 = std::min((h1 - 1 + s.pad[1]) / s.stride[1] + 1, s.out[1]);
      for (Int q = q0; q < q1; q += lines) {
        const Int some = std::min(lines, q1 - q);
        Gemm<T> g;
        g.m = some * s.out[2], g.n = n, g.k = out;
        g.a = dy.data + image * dy.image + q * dy.at[1], g.am = dy.at[2], g.ak = 1;
        g.packed = packed.get();
        g.c = products.get(), g.cm = n;
        gemm(g);
        for (Int i = 0; i < some; ++i) {
          const Int first = (q + i) * s.stride[1] - s.pad[1];
          for (Int k = std::max(h0 - first, Int{0}); k < std::min(s.kernel[1], h1 - first); ++k) {
            T* const line = to + (first + k) * dx.at[1];
            const T* from = products.get() + i * s.out[2] * n + k * width;
            for (Int p = 0; p < s.out[2]; ++p, from += n) {
              const Int v = p * s.stride[2] - s.pad[2], low = std::max(-v, Int{0}) * in,
                        last = std::min(s.kernel[2], s.in[2] - v) * in;
              for (Int c = low; c < last; ++c) line[v * in + c] += from[c];
            }
          }
        }
      }
    }
  });
}

template <class T>
void run_grad_input(const ConvShape& s, const Array& ady, const Array& w, const Array& dx) {
  const Image<const T> dy = image<const T>(ady);
  const Image<T> to = image<T>(dx);
  const bool whole = s.stride[0] * s.stride[1] * s.stride[2] == 1;
  if constexpr (std::is_same_v<T, float>) {
    if (const ConvShape r = reversed(s); has_winograd(s, w) && has_winograd(r, w))
      return winograd_conv(r, ady, w, true, dx, {});
  }
  if (pays_spread(s) && dy.channels_last(s.out_channels)) return spread(s, dy, w, to);
  if (const ConvShape r = reversed(s);
      whole && reads_in_place(r, few_inputs) && r.pad[0] >= 0 && r.pad[1] >= 0 && r.pad[2] >= 0)
    return conv_few(r, ady, turned<T>(w), dx, {});
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
  if (reads_in_place(s, few_inputs)) return conv_few(s, ax, w, ay, e);
  if (has_winograd(s, w)) return winograd_conv(s, ax, w, false, ay, e);
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

PackedForm conv_form(const ConvShape& s, const Array& w) {
  if (s.groups > 1 || reads_in_place(s, few_inputs)) return {};
  const std::size_t size = size_of(w.dtype);
  if (has_winograd(s, w)) {
    const Int n = winograd_size(s);
    return {n ? 2 : 0, static_cast<std::size_t>(n) * size};
  }
  const Int k = s.kernel[0] * s.kernel[1] * s.kernel[2] * s.in_channels;
  return {1, (w.dtype == f64 ? gemm_packed_size<double>(k, s.out_channels)
                             : gemm_packed_size<float>(k, s.out_channels)) *
                 size};
}
void conv_pack(const ConvShape& s, const Array& w, void* packed) {
  if (conv_form(s, w).number == 2) return winograd_pack(w, static_cast<float*>(packed));
  dispatch_float("conv", w.dtype, [&]<class T>(type<T>) {
    pack_weights(w, forward_taps(s), 0, s.in_channels, s.out_channels, true, static_cast<T*>(packed));
  });
}

void conv_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  if (!has_winograd(s, w) && pays_sparse(s, dy)) return sparse_grad_input(s, dy, w, dx);
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) { run_grad_input<T>(s, dy, w, dx); });
}

void conv_grad_weight(const ConvShape& s, const Array& x, const Array& dy, const Array& dw) {
  if (has_winograd(s, dw)) return winograd_grad_weight(s, x, dy, dw);
  if (pays_sparse(s, dy)) return sparse_grad_weight(s, x, dy, dw);
  dispatch_float("conv", x.dtype, [&]<class T>(type<T>) { run_grad_weight<T>(s, x, dy, dw); });
}

}  // namespace knet::cpu_impl
