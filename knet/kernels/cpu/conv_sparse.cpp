// Gradients of convolutions whose incoming gradient is mostly zero, as it is behind a max pool, where at most
// one position of each window has one. Every number that is not zero adds one kernel to the gradient of the
// input, or one patch of the input to the gradient of the weights. With channels last a line of the kernel is
// one run of numbers in both. Compiled for each instruction set.
#include <algorithm>
#include <vector>

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
struct Loops {
  /// to[0..n) += the sum of the terms' lines times their factors.
  void (*add_f32)(const Term<float>*, Int terms, Int n, float* to);
  void (*add_f64)(const Term<double>*, Int terms, Int n, double* to);
  Int (*count_f32)(const float*, Int n);  ///< of numbers that are not zero
  Int (*count_f64)(const double*, Int n);
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
void add(const Term<T>* terms, Int count, Int n, T* to) {
  constexpr Int L = Vec<T>::lanes;
  for (Int done = 0; done < n;) {
    const Int vectors = std::min<Int>(8, (n - done + L - 1) / L),
              last = std::min(L, n - done - (vectors - 1) * L);
    switch (vectors) {
      case 8: add_vectors<T, 8>(terms, count, done, last, to + done); break;
      case 7: add_vectors<T, 7>(terms, count, done, last, to + done); break;
      case 6: add_vectors<T, 6>(terms, count, done, last, to + done); break;
      case 5: add_vectors<T, 5>(terms, count, done, last, to + done); break;
      case 4: add_vectors<T, 4>(terms, count, done, last, to + done); break;
      case 3: add_vectors<T, 3>(terms, count, done, last, to + done); break;
      case 2: add_vectors<T, 2>(terms, count, done, last, to + done); break;
      default: add_vectors<T, 1>(terms, count, done, last, to + done);
    }
    done += vectors * L;
  }
}
template <class T>
Int count(const T* p, Int n) {
  Int zeros = 0;
  for (Int i = 0; i < n; ++i) zeros += p[i] == T(0);
  return n - zeros;
}

Loops loops() { return {add<float>, add<double>, count<float>, count<double>}; }

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
void add(const Term<float>* terms, Int count, Int n, float* to) { best().add_f32(terms, count, n, to); }
void add(const Term<double>* terms, Int count, Int n, double* to) { best().add_f64(terms, count, n, to); }
Int count(const float* p, Int n) { return best().count_f32(p, n); }
Int count(const double* p, Int n) { return best().count_f64(p, n); }

constexpr Int least_line = 24;           // elements of a line of the kernel from which it pays
constexpr Int most_weights = 64 * 1024;  // of them that stay in the second cache

/// f(first tap, taps, position of the first) for the taps along a dimension that fall inside the image.
template <class F>
void inside(const ConvShape& s, int d, Int position, const F& f) {
  const Int from = position * s.stride[d] - s.pad[d], low = std::max<Int>(0, -from),
            high = std::min(s.kernel[d], s.in[d] - from);
  if (low < high) f(low, high - low, from + low);
}

/// f(place of the output's channels, offset of the kernel's line, elements, offset of the image's line) for
/// every line of the kernel at every position of one image.
template <class F>
void lines(const ConvShape& s, const F& f) {
  const Int c = s.in_channels;
  for (Int h = 0; h < s.out[1]; ++h) {
    for (Int w = 0; w < s.out[2]; ++w) {
      inside(s, 1, h, [&](Int kh, Int rows, Int y) {
        inside(s, 2, w, [&](Int kw, Int taps, Int x) {
          for (Int i = 0; i < rows; ++i)
            f(h * s.out[2] + w, ((kh + i) * s.kernel[2] + kw) * c, taps * c, ((y + i) * s.in[2] + x) * c);
        });
      });
    }
  }
}

template <class T>
void grad_input(const ConvShape& s, const T* dy, const Array& w, T* dx) {
  const Int c = s.in_channels, area = s.kernel[1] * s.kernel[2], size = area * c,
            places = s.out[1] * s.out[2];
  const PoolBuffer<T> weights(s.out_channels * size);  // [out][kernel][in]
  for (Int o = 0; o < s.out_channels; ++o) {
    for (Int k = 0; k < area; ++k) {
      const T* from =
          w.as<const T>() + o * w.stride[0] + k / s.kernel[2] * w.stride[3] + k % s.kernel[2] * w.stride[4];
      for (Int i = 0; i < c; ++i) weights.get()[o * size + k * c + i] = from[i * w.stride[1]];
    }
  }
  parallel_for(s.n, 1, [&](Int b, Int e) {
    std::vector<Term<T>> terms(static_cast<std::size_t>(s.out_channels));
    for (; b < e; ++b) {
      T* const to = dx + b * s.in[1] * s.in[2] * c;
      std::fill_n(to, s.in[1] * s.in[2] * c, T(0));
      Int count = 0, last = -1, before = 0;
      lines(s, [&](Int place, Int line, Int n, Int at) {
        const T* from = dy + (b * places + place) * s.out_channels;
        if (place != last) {
          last = place, count = 0, before = 0;
          for (Int o = 0; o < s.out_channels; ++o) {
            if (from[o] != T(0))
              terms[static_cast<std::size_t>(count++)] = {weights.get() + o * size, from[o]};
          }
        }
        if (count == 0) return;
        for (Int i = 0; i < count; ++i) terms[static_cast<std::size_t>(i)].line += line - before;
        before = line;
        add(terms.data(), count, n, to + at);
      });
    }
  });
}

// The images are cut into parts by their number alone, whose sums are added in order: the same bits for any
// number of threads.
template <class T>
void grad_weight(const ConvShape& s, const T* x, const T* dy, const Array& dw) {
  const Int c = s.in_channels, area = s.kernel[1] * s.kernel[2], size = area * c, out = s.out_channels;
  const Int places = s.out[1] * s.out[2], image = s.in[1] * s.in[2] * c, parts = std::min<Int>(8, s.n);
  const PoolBuffer<T> sums(parts * out * size);
  parallel_for(parts, 1, [&](Int b, Int e) {
    // The terms of every line of every output's kernel: lines whose ends lie outside the image are added at
    // once.
    std::vector<std::vector<Term<T>>> terms(static_cast<std::size_t>(out * s.kernel[1]));
    for (; b < e; ++b) {
      T* const sum = sums.get() + b * out * size;
      std::fill_n(sum, out * size, T(0));
      for (Int n = s.n * b / parts; n < s.n * (b + 1) / parts; ++n) {
        lines(s, [&](Int place, Int line, Int length, Int at) {
          const T* from = dy + (n * places + place) * out;
          const Int row = line / (s.kernel[2] * c);
          for (Int o = 0; o < out; ++o) {
            if (from[o] == T(0)) continue;
            const Term<T> t{x + n * image + at, from[o]};
            if (length == s.kernel[2] * c)
              terms[static_cast<std::size_t>(o * s.kernel[1] + row)].push_back(t);
            else
              add(&t, 1, length, sum + o * size + line);
          }
        });
        for (Int i = 0; i < out * s.kernel[1]; ++i) {
          auto& list = terms[static_cast<std::size_t>(i)];
          if (!list.empty())
            add(list.data(), static_cast<Int>(list.size()), s.kernel[2] * c, sum + i * s.kernel[2] * c);
          list.clear();
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

}  // namespace sparse

bool pays_sparse(const ConvShape& s, const Array& dy) {
  using namespace sparse;
  const Int taps = s.kernel[1] * s.kernel[2] * s.in_channels;
  if (s.groups > 1 || s.in[0] != 1 || s.kernel[0] != 1 || s.stride[0] != 1 || s.pad[0] != 0 ||
      s.dilation[1] != 1 || s.dilation[2] != 1 || s.kernel[2] * s.in_channels < least_line ||
      taps * s.out_channels > most_weights)
    return false;
  bool pays = false;
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    if (!image<const T>(dy).channels_last(s.out_channels)) return;
    const Int n = dy.numel();
    Int counted = 0;
    // An eighth of the images tells; usually it tells at once that there are few zeros.
    const Int some = (s.n + 7) / 8, each = n / s.n;
    for (Int i = 0; i < some; ++i) counted += count(dy.as<const T>() + i * 8 * each, each);
    pays = 10 * counted <= 3 * some * each;
  });
  return pays;
}
void sparse_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  dispatch_float("conv", dy.dtype,
                 [&]<class T>(type<T>) { sparse::grad_input<T>(s, dy.as<const T>(), w, dx.as<T>()); });
}
void sparse_grad_weight(const ConvShape& s, const Array& ax, const Array& dy, const Array& dw) {
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> copy_of(copy_size<T>(ax));
    sparse::grad_weight<T>(s, channels_last<T>(ax, copy_of).data, dy.as<const T>(), dw);
  });
}

}  // namespace knet::cpu_impl
#endif
