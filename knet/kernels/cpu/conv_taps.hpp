// Which inputs the positions of a convolution read, tap by tap, and where results go: what the convolutions
// that are not written for one kind of kernel share.
#pragma once
#include <cstdint>

#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

using Int = std::int64_t;

/// first, first + step, ...: `count` numbers.
struct Progression {
  Int first = 0, step = 1, count = 0;
  Int operator[](Int i) const { return first + i * step; }
  Int last() const { return first + (count - 1) * step; }
};

/// Which input a row of the product reads: position p of dimension d and tap t of the kernel read p * step +
/// shift[t]. Shifts grow: neighbours lie side by side.
struct Taps {
  Int out[3], step[3];
  Progression shift[3];
  Progression kernel[3];  ///< the tap's place in the kernel
  Int size[3];            ///< of the kernel
  bool turned;            ///< its last tap comes first

  Int rows() const { return out[0] * out[1] * out[2]; }
  Int count() const { return shift[0].count * shift[1].count * shift[2].count; }
  /// f(i, j, k) for the numbers of every tap along the three dimensions.
  template <class F>
  void each(const F& f) const {
    for (Int i = 0; i < shift[0].count; ++i) {
      for (Int j = 0; j < shift[1].count; ++j) {
        for (Int k = 0; k < shift[2].count; ++k) f(i, j, k);
      }
    }
  }
  /// The number of a tap among all of the kernel, in the order of packed weights.
  Int number(Int i, Int j, Int k) const {
    const Int n = (kernel[0][i] * size[1] + kernel[1][j]) * size[2] + kernel[2][k];
    return turned ? size[0] * size[1] * size[2] - 1 - n : n;
  }
};
inline Taps forward_taps(const ConvShape& s) {
  Taps t;
  t.turned = false;
  for (int d = 0; d < 3; ++d) {
    t.out[d] = s.out[d], t.step[d] = s.stride[d], t.size[d] = s.kernel[d];
    t.shift[d] = {-s.pad[d], s.dilation[d], s.kernel[d]};
    t.kernel[d] = {0, 1, s.kernel[d]};
  }
  return t;
}
/// Inputs phase, phase + stride, ... get their gradient from output position + shift.
inline Taps backward_taps(const ConvShape& s, const Int (&phase)[3]) {
  Taps t;
  t.turned = true;
  for (int d = 0; d < 3; ++d) {
    t.size[d] = s.kernel[d];
    t.out[d] = (s.in[d] - phase[d] + s.stride[d] - 1) / s.stride[d], t.step[d] = 1;
    Int before = 0;
    for (Int k = s.kernel[d]; k-- > 0;) {
      const Int from = phase[d] + s.pad[d] - k * s.dilation[d];
      if (from % s.stride[d] != 0) continue;
      Progression &shift = t.shift[d], &kernel = t.kernel[d];
      if (shift.count == 0) shift.first = from / s.stride[d], kernel.first = k;
      if (shift.count == 1) shift.step = from / s.stride[d] - shift.first, kernel.step = k - before;
      ++shift.count, ++kernel.count;
      before = k;
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

/// f(tap's number, offset in w) for every tap.
template <class F>
void for_taps(const Taps& t, const Array& w, const F& f) {
  Int number = 0;
  t.each([&](Int i, Int j, Int k) {
    f(number++, t.kernel[0][i] * w.stride[2] + t.kernel[1][j] * w.stride[3] + t.kernel[2][k] * w.stride[4]);
  });
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

/// Are the images a matrix that one tap reads row by row?
template <class T>
bool is_matrix(const Image<const T>& x, const Taps& t, Int channels) {
  bool unit = t.count() == 1;
  for (int d = 0; d < 3; ++d) unit = unit && t.step[d] == 1 && t.shift[d][0] == 0 && t.out[d] == x.size[d];
  return unit && x.channels_last(channels);
}

/// One input and one output channel in every group?
inline bool is_depthwise(const ConvShape& s) {
  return s.groups > 1 && s.in_channels == s.groups && s.out_channels == s.groups;
}
/// For all n images, channels side by side: y = taps of x times w, or (the adjoint) dw from x and dy.
template <class T>
void depthwise(const Image<const T>& x, const Taps& t, const Array& w, Int n, Int channels,
               const Target<T>& target, const Epilogue& e);
template <class T>
void depthwise_weights(const Image<const T>& x, const Image<const T>& dy, const Taps& t, Int n, Int channels,
                       const Array& dw);

}  // namespace knet::cpu_impl
