// Convolutions of images with few channels (grey, colours), where gathering the inputs under the kernel would
// cost more than multiplying them. Neighbouring positions of an output line lie at a fixed step in the input,
// so the inputs are read where they are: a block of positions times a few vectors of output channels stays in
// registers while the taps go by. The gradient of the weights keeps a block of taps in registers instead,
// while the positions go by. Padding is copied around the image first. Compiled for each instruction set.
#include <algorithm>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/cpu/targets.hpp"
#include "knet/kernels/cpu/unroll.hpp"

#ifndef KNET_CONV_FEW_LINES  // once, not for every target
#define KNET_CONV_FEW_LINES
namespace knet::cpu_impl::few {

using Int = std::int64_t;

/// Positions of an output line and a panel of output channels.
template <class T>
struct Line {
  const T* x;         ///< what the first tap of the first position reads
  Int step;           ///< from there to the next position's
  const Int* offset;  ///< of every tap and channel from its first
  Int taps, positions;
  T* y;               ///< of the first position, or its gradient
  Int all, channels;  ///< of all panels: from one position to the next; of this one
  T* weight;          ///< [taps][vectors of the panel], or the sums of their gradients
  const T* bias;      ///< [vectors of the panel]
  bool relu = false;
};
struct Loops {
  Int lanes_f32, lanes_f64;  ///< of a vector
  Int vectors;               ///< of a panel at most
  void (*forward_f32)(const Line<float>&, Int vectors);
  void (*forward_f64)(const Line<double>&, Int vectors);
  void (*weight_f32)(const Line<float>&, Int vectors);
  void (*weight_f64)(const Line<double>&, Int vectors);
};

}  // namespace knet::cpu_impl::few
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/conv_few.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::few::HWY_NAMESPACE {
namespace {

template <class T>
using Vec = simd::HWY_NAMESPACE::Vec<T>;

// Registers for sums; the others hold a weight or gradient of every vector and an input.
constexpr int sums = HWY_TARGET == HWY_AVX3 ? 25 : 12;
constexpr int most_vectors = HWY_TARGET == HWY_AVX3 ? 2 : 3;

/// Vector v of a panel with so many channels: the last panel may have vectors without any.
template <class T>
HWY_INLINE Vec<T> load_channels(const T* p, int v, Int channels) {
  constexpr Int L = Vec<T>::lanes;
  return channels >= (v + 1) * L ? Vec<T>::load(p + v * L)
                                 : Vec<T>::load_some(p + v * L, std::max<Int>(0, channels - v * L));
}

template <class T, int R, int V>
HWY_NOINLINE void block(const Line<T>& l, Int first) {
  constexpr Int L = Vec<T>::lanes;
  const T* const x = l.x + first * l.step;
  Vec<T> sum[R][V];
  KNET_UNROLL_ALL
  for (int r = 0; r < R; ++r) {
    KNET_UNROLL_ALL
    for (int v = 0; v < V; ++v) sum[r][v] = Vec<T>::load(l.bias + v * L);
  }
  const T* w = l.weight;
  for (Int k = 0; k < l.taps; ++k, w += V * L) {
    const T* const at = x + l.offset[k];
    Vec<T> weight[V];
    KNET_UNROLL_ALL
    for (int v = 0; v < V; ++v) weight[v] = Vec<T>::load(w + v * L);
    KNET_UNROLL_ALL
    for (int r = 0; r < R; ++r) {
      const auto input = Vec<T>::set(at[r * l.step]);
      KNET_UNROLL_ALL
      for (int v = 0; v < V; ++v) sum[r][v] = fma(input, weight[v], sum[r][v]);
    }
  }
  T* y = l.y + first * l.all;
  if (l.relu) {
    KNET_UNROLL_ALL
    for (int r = 0; r < R; ++r) {
      KNET_UNROLL_ALL
      for (int v = 0; v < V; ++v) sum[r][v] = select(sum[r][v] < 0.0, Vec<T>::zero(), sum[r][v]);
    }
  }
  KNET_UNROLL_ALL
  for (int r = 0; r < R; ++r, y += l.all) {
    KNET_UNROLL_ALL
    for (int v = 0; v < V; ++v) {
      if (const Int n = l.channels - v * L; n >= L)
        sum[r][v].store(y + v * L);
      else if (n > 0)
        sum[r][v].store_some(y + v * L, n);
    }
  }
}
/// All positions in blocks of the least of the sizes R, Smaller... that has `least` of them and is not more
/// than there are; the last block may take some once more.
template <class T, int V, int R, int... Smaller>
void blocks(const Line<T>& l, Int least) {
  if constexpr (sizeof...(Smaller) > 0) {
    if (R * V > sums || R > l.positions || std::max({Smaller...}) >= least)
      return blocks<T, V, Smaller...>(l, least);
  }
  if constexpr (R * V <= sums) {
    Int first = 0;
    for (; first + R < l.positions; first += R) block<T, R, V>(l, first);
    block<T, R, V>(l, l.positions - R);
  }
}
/// Blocks of nearly equal size: few sums at a time would wait for each other.
template <class T, int V, int... Sizes>
void forward_of(const Line<T>& l) {
  const Int most = std::max({(Sizes * V <= sums && Sizes <= l.positions ? Sizes : 1)...});
  const Int count = (l.positions + most - 1) / most;
  blocks<T, V, Sizes...>(l, (l.positions + count - 1) / count);
}
template <class T>
void forward(const Line<T>& l, Int vectors) {
  if constexpr (sizeof(T) == 8) {  // the library stays small
    return vectors == 1   ? forward_of<T, 1, 8, 1>(l)
           : vectors == 2 ? forward_of<T, 2, 6, 1>(l)
                          : forward_of<T, 3, 4, 1>(l);
  } else if constexpr (HWY_TARGET == HWY_AVX3) {  // outputs of one vector: others go elsewhere (reads_few)
    forward_of<T, 1, 25, 12, 8, 4, 1>(l);
  } else {
    vectors == 1   ? forward_of<T, 1, 12, 8, 4, 1>(l)
    : vectors == 2 ? forward_of<T, 2, 6, 4, 1>(l)
                   : forward_of<T, 3, 4, 1>(l);
  }
}

template <class T, int K, int V>
HWY_NOINLINE void add_taps(const Line<T>& l, Int first) {
  constexpr Int L = Vec<T>::lanes;
  const Int* const offset = l.offset + first;
  T* const w = l.weight + first * V * L;
  Vec<T> sum[K][V];
  KNET_UNROLL_ALL
  for (int k = 0; k < K; ++k) {
    KNET_UNROLL_ALL
    for (int v = 0; v < V; ++v) sum[k][v] = Vec<T>::load(w + (k * V + v) * L);
  }
  const T *x = l.x, *y = l.y;
  for (Int p = 0; p < l.positions; ++p, x += l.step, y += l.all) {
    Vec<T> gradient[V];
    KNET_UNROLL_ALL
    for (int v = 0; v < V; ++v) gradient[v] = load_channels(y, v, l.channels);
    KNET_UNROLL_ALL
    for (int k = 0; k < K; ++k) {
      const auto input = Vec<T>::set(x[offset[k]]);
      KNET_UNROLL_ALL
      for (int v = 0; v < V; ++v) sum[k][v] = fma(input, gradient[v], sum[k][v]);
    }
  }
  KNET_UNROLL_ALL
  for (int k = 0; k < K; ++k) {
    KNET_UNROLL_ALL
    for (int v = 0; v < V; ++v) sum[k][v].store(w + (k * V + v) * L);
  }
}
/// The largest block first; `first` taps are done.
template <class T, int V, int K, int... Smaller>
void weight_of(const Line<T>& l, Int first) {
  if constexpr (K * V <= sums) {
    for (; first + K <= l.taps; first += K) add_taps<T, K, V>(l, first);
  }
  if constexpr (sizeof...(Smaller) > 0) weight_of<T, V, Smaller...>(l, first);
}
template <class T>
void weight(const Line<T>& l, Int vectors) {
  if constexpr (sizeof(T) == 8) {
    return vectors == 1   ? weight_of<T, 1, 8, 1>(l, 0)
           : vectors == 2 ? weight_of<T, 2, 5, 1>(l, 0)
                          : weight_of<T, 3, 4, 1>(l, 0);
  } else if (vectors == 1)
    weight_of<T, 1, 25, 12, 9, 5, 3, 1>(l, 0);
  else if (vectors == 2 || HWY_TARGET == HWY_AVX3)
    // Kernels of 5 x 5 are whole numbers of the first, of 3 x 3 of the second.
    l.taps % 5 == 0 ? weight_of<T, 2, 12, 5, 3, 1>(l, 0) : weight_of<T, 2, 12, 6, 3, 1>(l, 0);
  else
    weight_of<T, 3, 8, 4, 1>(l, 0);
}

Loops loops() {
  return {Vec<float>::lanes, Vec<double>::lanes, most_vectors,  forward<float>,
          forward<double>,   weight<float>,      weight<double>};
}

}  // namespace
}  // namespace knet::cpu_impl::few::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace few {
HWY_EXPORT(loops);
const Loops& best() {
  static const Loops l = HWY_DYNAMIC_DISPATCH(loops)();
  return l;
}

template <class T>
struct Table;
template <>
struct Table<float> {
  static Int lanes() { return best().lanes_f32; }
  static auto forward() { return best().forward_f32; }
  static auto weight() { return best().weight_f32; }
};
template <>
struct Table<double> {
  static Int lanes() { return best().lanes_f64; }
  static auto forward() { return best().forward_f64; }
  static auto weight() { return best().weight_f64; }
};

/// Groups whose outputs fill a vector together are one, with zeros among its weights.
struct Groups {
  Int count, parts;     ///< of the groups that remain; so many given ones in each
  Int inputs, outputs;  ///< channels of one
  Int inputs_of_part, outputs_of_part;
  Groups(const ConvShape& s, Int lanes)
      : parts(1), inputs_of_part(s.in_channels / s.groups), outputs_of_part(s.out_channels / s.groups) {
    while (2 * parts * outputs_of_part <= lanes && s.groups % (2 * parts) == 0) parts *= 2;
    count = s.groups / parts, inputs = inputs_of_part * parts, outputs = outputs_of_part * parts;
  }
};

/// The images with their padding, group by group, channels last, and where the taps are.
template <class T>
class Padded {
 public:
  Padded(const ConvShape& s, const Groups& g, const Array& x) : s_(s), g_(g), copy_(copy_elements(s, x)) {
    for (int d = 0; d < 3; ++d) size_[d] = extent(s, d);
    const Int c = g.inputs;
    for (Int i = 0; i < s.kernel[0]; ++i) {
      for (Int j = 0; j < s.kernel[1]; ++j) {
        for (Int k = 0; k < s.kernel[2]; ++k) {
          for (Int channel = 0; channel < c; ++channel)
            offset.push_back(
                ((i * s.dilation[0] * size_[1] + j * s.dilation[1]) * size_[2] + k * s.dilation[2]) * c +
                channel);
        }
      }
    }
    if (!copy_.get()) {
      data_ = x.as<const T>();
      return;
    }
    data_ = copy_.get();
    const Image<const T> from = image<const T>(x);
    const Int planes = size_[0] * size_[1], line = size_[2] * c;
    parallel_for(s.n * planes, std::max<Int>(1, 16384 / (g.count * line)), [&](Int b, Int e) {
      for (; b < e; ++b) {
        const Int n = b / planes, plane = b % planes;
        for (Int group = 0; group < g.count; ++group) {
          copy_line(from, n, group * c, plane / size_[1], plane % size_[1],
                    copy_.get() + ((n * g.count + group) * planes + plane) * line);
        }
      }
    });
  }
  /// What the first tap of output line (d, h) reads; `image` counts the groups of all images.
  const T* line(Int image, Int d, Int h) const {
    return data_ +
           ((image * size_[0] + d * s_.stride[0]) * size_[1] + h * s_.stride[1]) * size_[2] * g_.inputs;
  }

  std::vector<Int, memory::Allocator<Int>> offset;

 private:
  // What the outputs read of a dimension.
  static Int extent(const ConvShape& s, int d) {
    return (s.out[d] - 1) * s.stride[d] + (s.kernel[d] - 1) * s.dilation[d] + 1;
  }
  static Int copy_elements(const ConvShape& s, const Array& x) {
    bool same = s.groups == 1 && image<const T>(x).channels_last(s.in_channels);
    Int n = s.n * s.in_channels;
    for (int d = 0; d < 3; ++d) same = same && s.pad[d] == 0 && extent(s, d) == s.in[d], n *= extent(s, d);
    return same ? 0 : n;
  }
  void copy_line(const Image<const T>& x, Int n, Int first, Int d, Int h, T* out) const {
    const Int c = g_.inputs;
    d -= s_.pad[0], h -= s_.pad[1];
    if (d < 0 || d >= x.size[0] || h < 0 || h >= x.size[1]) {
      std::fill_n(out, size_[2] * c, T(0));
      return;
    }
    const T* line = x.data + n * x.image + d * x.at[0] + h * x.at[1] + first * x.channel;
    const Int low = std::min(s_.pad[2], size_[2]),
              high = std::clamp(x.size[2] + s_.pad[2], low, size_[2]);  // between them there are inputs
    out = std::fill_n(out, low * c, T(0));
    for (Int w = low; w < high; ++w, out += c) {
      const T* from = line + (w - s_.pad[2]) * x.at[2];
      if (x.channel == 1 && c >= 8) {
        std::copy_n(from, c, out);
      } else {
        for (Int i = 0; i < c; ++i) out[i] = from[i * x.channel];
      }
    }
    std::fill_n(out, (size_[2] - high) * c, T(0));
  }

  const ConvShape& s_;
  const Groups& g_;
  Int size_[3];
  PoolBuffer<T> copy_;
  const T* data_;
};

/// The output channels in panels of a few vectors.
template <class T>
struct Panels {
  Int lanes = Table<T>::lanes(), count, vectors, width;
  explicit Panels(Int channels) {
    const Int all = (channels + lanes - 1) / lanes;
    count = (all + best().vectors - 1) / best().vectors;
    vectors = (all + count - 1) / count;
    width = vectors * lanes;
  }
};

/// f(offset in w, tap) for all weights of output `o` of a group; taps count all inputs of the group. In a
/// kernel that is turned around (see conv.cpp) the given groups follow each other along the inputs.
template <class F>
void for_weights(const ConvShape& s, const Groups& g, const Array& w, Int group, Int o, const F& f) {
  const Int in_group = o / g.outputs_of_part, part = group * g.parts + in_group;
  const Int step =
      w.size[0] == s.out_channels ? g.outputs_of_part * w.stride[0] : g.inputs_of_part * w.stride[1];
  const Int base = part * step + o % g.outputs_of_part * w.stride[0];
  Int tap = in_group * g.inputs_of_part;
  for (Int i = 0; i < s.kernel[0]; ++i) {
    for (Int j = 0; j < s.kernel[1]; ++j) {
      for (Int k = 0; k < s.kernel[2]; ++k, tap += g.inputs) {
        const Int at = base + i * w.stride[2] + j * w.stride[3] + k * w.stride[4];
        for (Int c = 0; c < g.inputs_of_part; ++c) f(at + c * w.stride[1], tap + c);
      }
    }
  }
}

template <class T>
void conv(const ConvShape& s, const Array& ax, const Array& w, const Array& ay, const Epilogue& e) {
  const Groups g(s, Table<T>::lanes());
  const Padded<T> x(s, g, ax);
  const Panels<T> panels(g.outputs);
  const Int taps = static_cast<Int>(x.offset.size()), size = panels.count * panels.width;
  const PoolBuffer<T> weights(g.count * taps * size), bias(g.count * size);
  std::fill_n(weights.get(), g.count * taps * size, T(0));
  std::fill_n(bias.get(), g.count * size, T(0));
  for (Int group = 0; group < g.count; ++group) {
    if (e.bias)
      std::copy_n(static_cast<const T*>(e.bias) + group * g.outputs, g.outputs, bias.get() + group * size);
    for (Int o = 0; o < g.outputs; ++o) {
      T* const to =
          weights.get() + group * taps * size + o / panels.width * panels.width * taps + o % panels.width;
      for_weights(s, g, w, group, o,
                  [&](Int offset, Int tap) { to[tap * panels.width] = w.as<const T>()[offset]; });
    }
  }
  const auto forward = Table<T>::forward();
  const Int lines = s.out[0] * s.out[1], work = s.out[2] * taps * g.outputs;
  parallel_for(
      s.n * g.count * lines, std::max<Int>(1, 200'000 / std::max<Int>(1, work)), [&](Int b, Int end) {
        for (; b < end; ++b) {
          const Int image = b / lines, group = image % g.count;
          T* const y = ay.as<T>() + (image / g.count * lines + b % lines) * s.out[2] * s.out_channels +
                       group * g.outputs;
          for (Int p = 0; p < panels.count; ++p) {
            const Int first = p * panels.width;
            forward({x.line(image, b % lines / s.out[1], b % s.out[1]), s.stride[2] * g.inputs,
                     x.offset.data(), taps, s.out[2], y + first, s.out_channels,
                     std::min(panels.width, g.outputs - first), weights.get() + (group * size + first) * taps,
                     bias.get() + group * size + first, e.activation == Unary::relu},
                    panels.vectors);
          }
          if (e.activation != Unary::identity && e.activation != Unary::relu)
            apply_activation(e.activation, e.alpha, y, s.out[2], g.outputs, s.out_channels);
        }
      });
}

// `dy` has its channels last. The images are cut into parts by their number alone: the same bits for any
// number of threads.
template <class T>
void conv_grad_weight(const ConvShape& s, const Array& ax, const T* dy, const Array& dw) {
  const Groups g(s, Table<T>::lanes());
  const Padded<T> x(s, g, ax);
  const Panels<T> panels(g.outputs);
  const Int taps = static_cast<Int>(x.offset.size()), size = taps * panels.count * panels.width,
            all = g.count * size;
  // Groups are work for many threads without parts, whose sums they make large.
  const Int lines = s.n * s.out[0] * s.out[1],
            most = g.count > 1 ? std::clamp<Int>((1 << 20) / all, 1, 32) : 32,
            parts = std::clamp<Int>(lines / 16, 1, most);
  const PoolBuffer<T> sums(all * parts);
  std::fill_n(sums.get(), all * parts, T(0));
  const auto weight = Table<T>::weight();
  const Int work = lines * s.out[2] * taps * g.outputs * g.count, tasks = g.count * parts;
  parallel_for(tasks, work < 400'000 ? tasks : 1, [&](Int b, Int end) {
    for (; b < end; ++b) {
      const Int group = b % g.count, part = b / g.count, plane = s.out[0] * s.out[1];
      for (Int p = 0; p < panels.count; ++p) {
        const Int first = p * panels.width;
        for (Int line = lines * part / parts; line < lines * (part + 1) / parts; ++line) {
          weight({x.line(line / plane * g.count + group, line % plane / s.out[1], line % s.out[1]),
                  s.stride[2] * g.inputs, x.offset.data(), taps, s.out[2],
                  const_cast<T*>(dy) + line * s.out[2] * s.out_channels + group * g.outputs + first,
                  s.out_channels, std::min(panels.width, g.outputs - first),
                  sums.get() + b * size + first * taps, nullptr},
                 panels.vectors);
        }
      }
    }
  });
  if (parts > 1) column_sums(sums.get(), parts, all, all, sums.get());
  for (Int o = 0; o < s.out_channels; ++o) {
    const Int group = o / g.outputs, of_group = o % g.outputs;
    const T* const from =
        sums.get() + group * size + of_group / panels.width * panels.width * taps + of_group % panels.width;
    for_weights(s, g, dw, group, of_group,
                [&](Int offset, Int tap) { dw.as<T>()[offset] = from[tap * panels.width]; });
  }
}

}  // namespace few

bool has_few_channels(const ConvShape& s, std::int64_t most_inputs) {
  std::int64_t taps = s.in_channels / s.groups;
  const bool few = taps <= most_inputs && s.out_channels >= 4;
  for (int d = 0; d < 3; ++d) {
    taps *= s.kernel[d];
    if (s.out[d] == 0) return false;
  }
  return few && taps <= 512 && s.n > 0;
}
void conv_few(const ConvShape& s, const Array& x, const Array& w, const Array& y, const Epilogue& e) {
  const few::Panels<float> panels(s.out_channels);
  if (x.dtype == f32 && s.groups == 1 && has_planar(s, panels.count * panels.width))
    return conv_planar(s, x, w, y, e);
  dispatch_float("conv", x.dtype, [&]<class T>(type<T>) { few::conv<T>(s, x, w, y, e); });
}
void conv_few_grad_weight(const ConvShape& s, const Array& x, const void* dy, const Array& dw) {
  dispatch_float("conv", x.dtype,
                 [&]<class T>(type<T>) { few::conv_grad_weight<T>(s, x, static_cast<const T*>(dy), dw); });
}

}  // namespace knet::cpu_impl
#endif
