// Gradients of convolutions whose incoming gradient is mostly zero, as it is behind a max pool, where at most
// one position of each window has one: the pool's own numbers and places, or what is found not to be zero in
// a gradient that is written out. Every number adds one kernel to the gradient of the input, or one patch of
// the input to the gradient of the weights. With channels last a line of the kernel is one run of numbers in
// both. Compiled for each instruction set.
#include <algorithm>
#include <bit>
#include <type_traits>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/cpu/targets.hpp"

#ifndef KNET_CONV_SPARSE_LINES  // once, not for every target
#define KNET_CONV_SPARSE_LINES
namespace knet::cpu_impl::sparse {

using Int = std::int64_t;

/// A number that is not zero, and the line of numbers that it multiplies.
template <class T>
struct Term {
  const T* line;
  T factor;
};
template <class T>
using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
struct Loops {
  Int lanes_f32, lanes_f64;  ///< of a vector
  /// to[0..n) += the sum of the terms' lines, from `offset` on, times their factors.
  void (*add_f32)(const Term<float>*, Int terms, Int offset, Int n, float* to);
  void (*add_f64)(const Term<double>*, Int terms, Int offset, Int n, double* to);
  /// The same for `lines` lines of n numbers, at most a vector: the terms' are `step` apart, those of `to` n.
  void (*add_lines_f32)(const Term<float>*, Int terms, Int lines, Int step, Int n, float* to);
  void (*add_lines_f64)(const Term<double>*, Int terms, Int lines, Int step, Int n, double* to);
  /// Writes the indices of the numbers that are not zero; returns how many there are.
  Int (*find_f32)(const float*, Int n, std::int32_t* indices);
  Int (*find_f64)(const double*, Int n, std::int64_t* indices);
};

}  // namespace knet::cpu_impl::sparse
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/conv_sparse.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::sparse::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
template <class T>
using Vec = simd::HWY_NAMESPACE::Vec<T>;

/// K vectors at once, of which the last has `last` elements.
template <class T, int K>
HWY_INLINE void add_vectors(const Term<T>* terms, Int count, Int offset, Int last, T* to) {
  constexpr Int L = Vec<T>::lanes;
  Vec<T> sum[K];
  for (int k = 0; k + 1 < K; ++k) sum[k] = Vec<T>::load(to + k * L);
  sum[K - 1] = last == L ? Vec<T>::load(to + (K - 1) * L) : Vec<T>::load_some(to + (K - 1) * L, last);
  for (Int i = 0; i < count; ++i) {
    const T* line = terms[i].line + offset;
    const auto factor = Vec<T>::set(terms[i].factor);
    for (int k = 0; k + 1 < K; ++k) sum[k] = fma(factor, Vec<T>::load(line + k * L), sum[k]);
    line += (K - 1) * L;
    sum[K - 1] = fma(factor, last == L ? Vec<T>::load(line) : Vec<T>::load_some(line, last), sum[K - 1]);
  }
  for (int k = 0; k + 1 < K; ++k) sum[k].store(to + k * L);
  if (last == L)
    sum[K - 1].store(to + (K - 1) * L);
  else
    sum[K - 1].store_some(to + (K - 1) * L, last);
}
template <class T>
void add(const Term<T>* terms, Int count, Int offset, Int n, T* to) {
  constexpr Int L = Vec<T>::lanes;
  for (Int end = offset + n; offset < end;) {
    const Int vectors = std::min<Int>(8, (end - offset + L - 1) / L),
              last = std::min(L, end - offset - (vectors - 1) * L);
    switch (vectors) {
      case 8: add_vectors<T, 8>(terms, count, offset, last, to); break;
      case 7: add_vectors<T, 7>(terms, count, offset, last, to); break;
      case 6: add_vectors<T, 6>(terms, count, offset, last, to); break;
      case 5: add_vectors<T, 5>(terms, count, offset, last, to); break;
      case 4: add_vectors<T, 4>(terms, count, offset, last, to); break;
      case 3: add_vectors<T, 3>(terms, count, offset, last, to); break;
      case 2: add_vectors<T, 2>(terms, count, offset, last, to); break;
      default: add_vectors<T, 1>(terms, count, offset, last, to);
    }
    offset += vectors * L, to += vectors * L;
  }
}
template <class T, int K>
HWY_INLINE void add_short(const Term<T>* terms, Int count, Int step, Int n, T* to) {
  Vec<T> sum[K];
  for (int k = 0; k < K; ++k) sum[k] = Vec<T>::load_some(to + k * n, n);
  for (Int i = 0; i < count; ++i) {
    const T* line = terms[i].line;
    const auto factor = Vec<T>::set(terms[i].factor);
    for (int k = 0; k < K; ++k, line += step) sum[k] = fma(factor, Vec<T>::load_some(line, n), sum[k]);
  }
  for (int k = 0; k < K; ++k) sum[k].store_some(to + k * n, n);
}
template <class T>
void add_lines(const Term<T>* terms, Int count, Int lines, Int step, Int n, T* to) {
  switch (lines) {
    case 7: return add_short<T, 7>(terms, count, step, n, to);
    case 5: return add_short<T, 5>(terms, count, step, n, to);
    case 3: return add_short<T, 3>(terms, count, step, n, to);
    default:
      for (Int i = 0; i < lines; ++i) add(terms, count, i * step, n, to + i * n);
  }
}
template <class T, class Index>
Int find(const T* p, Int n, Index* indices) {
  constexpr Int L = Vec<T>::lanes;
  const hn::ScalableTag<T> d;
  Index* const first = indices;
  for (Int i = 0; i < n; i += L) {
    const auto v = n - i >= L ? Vec<T>::load(p + i) : Vec<T>::load_some(p + i, n - i);
    // Bit by bit: compressing a vector copies a table every time with some compilers.
    std::uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, hn::Ne(v.v, Vec<T>::zero().v), bytes);
    static_assert(L <= 16);
    for (unsigned bits = bytes[0] | unsigned{bytes[1]} << 8; bits; bits &= bits - 1)
      *indices++ = static_cast<Index>(i + std::countr_zero(bits));
  }
  return indices - first;
}

Loops loops() {
  return {Vec<float>::lanes,
          Vec<double>::lanes,
          add<float>,
          add<double>,
          add_lines<float>,
          add_lines<double>,
          find<float, std::int32_t>,
          find<double, std::int64_t>};
}

}  // namespace
}  // namespace knet::cpu_impl::sparse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace sparse {
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
  static auto add() { return best().add_f32; }
  static auto add_lines() { return best().add_lines_f32; }
  static auto find() { return best().find_f32; }
};
template <>
struct Table<double> {
  static Int lanes() { return best().lanes_f64; }
  static auto add() { return best().add_f64; }
  static auto add_lines() { return best().add_lines_f64; }
  static auto find() { return best().find_f64; }
};

/// A gradient that is written out, channels last.
template <class T>
struct Written {
  static constexpr bool in_order = true;  ///< of places
  const T* dy;
  Int places, channels;

  Int most_of_channel() const { return places; }
  /// f(place, channel, number) for the numbers of image n that are not zero.
  template <class F>
  void each(Int n, const F& f) const {
    const PoolBuffer<Index<T>> found(channels);
    const T* from = dy + n * places * channels;
    for (Int p = 0; p < places; ++p, from += channels) {
      const Int count = Table<T>::find()(from, channels, found.get());
      for (Int i = 0; i < count; ++i) f(p, static_cast<Int>(found.get()[i]), from[found.get()[i]]);
    }
  }
};
/// What a max pool picked.
template <class T>
struct Picked {
  static constexpr bool in_order = false;
  const Picks& picks;
  Int channels;

  Int most_of_channel() const { return picks.rows; }
  /// f(place, channel, number), where numbers may be zero: half of them are behind a relu, which no processor
  /// can guess.
  template <class F>
  void each(Int n, const F& f) const {
    const T* value = static_cast<const T*>(picks.values) + n * picks.rows * channels;
    const std::int32_t* place = picks.index + n * picks.rows * channels;
    for (Int r = 0; r < picks.rows; ++r) {
      for (Int c = 0; c < channels; ++c) f(*place++, c, *value++);
    }
  }
};

constexpr Int least_line = 24;           // elements of a line of the kernel from which it pays
constexpr Int most_weights = 64 * 1024;  // of them that stay in the second cache

/// The taps along a dimension that fall inside the image, and the position of the first.
struct Inside {
  Int first, taps, position;
  Inside(const ConvShape& s, int d, Int output) {
    const Int from = output * s.stride[d] - s.pad[d];
    first = std::max<Int>(0, -from);
    taps = std::min(s.kernel[d], s.in[d] - from) - first;
    position = from + first;
  }
};
/// f(number of the output, taps along the height, along the width) for the outputs of an image.
template <class F>
void outputs(const ConvShape& s, const F& f) {
  for (Int h = 0; h < s.out[1]; ++h) {
    const Inside rows(s, 1, h);
    for (Int w = 0; w < s.out[2]; ++w) {
      const Inside columns(s, 2, w);
      if (rows.taps > 0 && columns.taps > 0) f(h * s.out[2] + w, rows, columns);
    }
  }
}

template <class T, class Source>
void grad_input(const ConvShape& s, const Source& source, const Array& w, T* dx) {
  const Int c = s.in_channels, area = s.kernel[1] * s.kernel[2], size = area * c;
  const Int out = s.out_channels, places = s.out[1] * s.out[2], image = s.in[1] * s.in[2] * c;
  const PoolBuffer<T> weights(out * size);  // [out][kernel][in]
  for (Int o = 0; o < out; ++o) {
    for (Int k = 0; k < area; ++k) {
      const T* from =
          w.as<T>() + o * w.stride[0] + k / s.kernel[2] * w.stride[3] + k % s.kernel[2] * w.stride[4];
      for (Int i = 0; i < c; ++i) weights.get()[o * size + k * c + i] = from[i * w.stride[1]];
    }
  }
  const auto add = Table<T>::add();
  parallel_for(s.n, 1, [&](Int b, Int e) {
    // In the order of their places; the last is for zeros, of which there are none.
    const Int most = out * source.most_of_channel();
    const PoolBuffer<Term<T>> terms(most + 1);
    const PoolBuffer<Int> ends(places + 1);
    for (; b < e; ++b) {
      std::fill_n(ends.get(), places + 1, 0);
      Int all = 0;
      source.each(b, [&](Int place, Int o, T number) {
        ends.get()[place + 1] += number != T(0);
        if constexpr (Source::in_order) terms.get()[all++] = {weights.get() + o * size, number};
      });
      for (Int p = 0; p < places; ++p) ends.get()[p + 1] += ends.get()[p];
      if constexpr (!Source::in_order) {
        source.each(b, [&](Int place, Int o, T number) {
          const Int next = ends.get()[place];
          terms.get()[number != T(0) ? next : most] = {weights.get() + o * size, number};
          ends.get()[place] = next + (number != T(0));
        });
      }
      T* const to = dx + b * image;
      std::fill_n(to, image, T(0));
      outputs(s, [&](Int place, const Inside& rows, const Inside& columns) {
        const Int* const end = ends.get() + place + (Source::in_order ? 1 : 0);
        const Int first = end == ends.get() ? 0 : end[-1], count = *end - first;
        for (Int i = 0; count > 0 && i < rows.taps; ++i) {
          add(terms.get() + first, count, ((rows.first + i) * s.kernel[2] + columns.first) * c,
              columns.taps * c, to + ((rows.position + i) * s.in[2] + columns.position) * c);
        }
      });
    }
  });
}

// The images are cut into parts by their number alone, whose sums are added in order: the same bits for any
// number of threads.
template <class T, class Source>
void grad_weight(const ConvShape& s, const T* x, const Source& source, const Array& dw) {
  const Int c = s.in_channels, area = s.kernel[1] * s.kernel[2], size = area * c, line = s.kernel[2] * c;
  const Int out = s.out_channels, image = s.in[1] * s.in[2] * c;
  const Int parts = std::min<Int>(8, s.n), most = source.most_of_channel();
  // What each place of the output reads: where it begins, and whether all of it lies inside the image.
  const PoolBuffer<Int> offsets(s.out[1] * s.out[2]);
  const PoolBuffer<bool> whole(s.out[1] * s.out[2]);
  bool all_whole = true;
  for (Int p = 0; p < s.out[1] * s.out[2]; ++p) {
    const Inside rows(s, 1, p / s.out[2]), columns(s, 2, p % s.out[2]);
    offsets.get()[p] = (rows.position * s.in[2] + columns.position) * c;
    whole.get()[p] = rows.taps == s.kernel[1] && columns.taps == s.kernel[2];
    all_whole = all_whole && whole.get()[p];
  }
  const bool is_short = line <= Table<T>::lanes();
  const auto add = Table<T>::add();
  const auto add_lines = Table<T>::add_lines();
  const PoolBuffer<T> sums(parts * out * size);
  parallel_for(parts, 1, [&](Int b, Int e) {
    // The patches of every output channel that lie whole inside the image (a zero is written over by the
    // next); the others are added at once.
    const PoolBuffer<Term<T>> terms(out * most);
    const PoolBuffer<Int> counts(out);
    for (; b < e; ++b) {
      T* const sum = sums.get() + b * out * size;
      std::fill_n(sum, out * size, T(0));
      for (Int n = s.n * b / parts; n < s.n * (b + 1) / parts; ++n) {
        const T* const from = x + n * image;
        std::fill_n(counts.get(), out, 0);
        source.each(n, [&](Int place, Int o, T number) {
          const Term<T> t{from + offsets.get()[place], number};
          if (all_whole || whole.get()[place]) {
            Int& count = counts.get()[o];
            terms.get()[o * most + count] = t;
            count += number != T(0);
            return;
          }
          if (number == T(0)) return;
          const Inside rows(s, 1, place / s.out[2]), columns(s, 2, place % s.out[2]);
          for (Int i = 0; i < rows.taps; ++i) {
            const Term<T> part{t.line + i * s.in[2] * c, number};
            add(&part, 1, 0, columns.taps * c, sum + o * size + (rows.first + i) * line + columns.first * c);
          }
        });
        for (Int o = 0; o < out; ++o) {
          const Int count = counts.get()[o];
          const Term<T>* const first = terms.get() + o * most;
          if (count > 0 && is_short) add_lines(first, count, s.kernel[1], s.in[2] * c, line, sum + o * size);
          for (Int i = 0; count > 0 && !is_short && i < s.kernel[1]; ++i)
            add(first, count, i * s.in[2] * c, line, sum + o * size + i * line);
        }
      }
    }
  });
  for (Int p = 1; p < parts; ++p) {
    for (Int i = 0; i < out * size; ++i) sums.get()[i] += sums.get()[p * out * size + i];
  }
  for (Int o = 0; o < out; ++o) {
    for (Int i = 0; i < c; ++i) {
      T* to = dw.as<T>() + o * dw.stride[0] + i * dw.stride[1];
      for (Int k = 0; k < area; ++k)
        to[k / s.kernel[2] * dw.stride[3] + k % s.kernel[2] * dw.stride[4]] =
            sums.get()[o * size + k * c + i];
    }
  }
}

/// Can the functions above take it?
bool has_sparse(const ConvShape& s) {
  return s.groups == 1 && s.in[0] == 1 && s.kernel[0] == 1 && s.stride[0] == 1 && s.pad[0] == 0 &&
         s.dilation[1] == 1 && s.dilation[2] == 1 &&
         s.kernel[1] * s.kernel[2] * s.in_channels * s.out_channels <= most_weights;
}

}  // namespace sparse

bool pays_sparse(const ConvShape& s, const Array& dy) {
  using namespace sparse;
  if (!has_sparse(s) || s.kernel[2] * s.in_channels < least_line) return false;
  bool pays = false;
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    if (!image<const T>(dy).channels_last(s.out_channels)) return;
    // Some lines tell; an odd step meets those of every window of a pool.
    const Int line = s.out[2] * s.out_channels, lines = s.n * s.out[1], step = lines / 16 | 1;
    const PoolBuffer<Index<T>> found(line);
    Int counted = 0, seen = 0;
    for (Int i = 0; i < lines; i += step, seen += line)
      counted += Table<T>::find()(dy.as<const T>() + i * line, line, found.get());
    pays = 10 * counted <= 3 * seen;
  });
  return pays;
}
void sparse_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    const sparse::Written<T> source{dy.as<const T>(), s.out[1] * s.out[2], s.out_channels};
    sparse::grad_input<T>(s, source, w, dx.as<T>());
  });
}
void sparse_grad_weight(const ConvShape& s, const Array& ax, const Array& dy, const Array& dw) {
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> copy_of(copy_size<T>(ax));
    const sparse::Written<T> source{dy.as<const T>(), s.out[1] * s.out[2], s.out_channels};
    sparse::grad_weight<T>(s, channels_last<T>(ax, copy_of).data, source, dw);
  });
}

bool takes_picks(const ConvShape& s, const Picks& p, bool of_weight) {
  using namespace sparse;
  const Int places = s.out[1] * s.out[2], line = s.kernel[2] * s.in_channels;
  if (!has_sparse(s) || s.out[0] != 1 || 10 * p.rows > 3 * places) return false;
  if (line >= least_line) return true;
  // Vectors that are not full, but for fewer numbers.
  const Int lanes = p.dtype == f32 ? best().lanes_f32 : best().lanes_f64;
  return of_weight && line <= lanes && s.kernel[1] * line * places >= (s.kernel[1] + 3) * lanes * p.rows;
}
void picks_grad_input(const ConvShape& s, const Picks& p, const Array& w, const Array& dx) {
  dispatch_float("conv", p.dtype, [&]<class T>(type<T>) {
    sparse::grad_input<T>(s, sparse::Picked<T>{p, s.out_channels}, w, dx.as<T>());
  });
}
void picks_grad_weight(const ConvShape& s, const Array& ax, const Picks& p, const Array& dw) {
  dispatch_float("conv", p.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> copy_of(copy_size<T>(ax));
    sparse::grad_weight<T>(s, channels_last<T>(ax, copy_of).data, sparse::Picked<T>{p, s.out_channels}, dw);
  });
}

}  // namespace knet::cpu_impl
#endif
