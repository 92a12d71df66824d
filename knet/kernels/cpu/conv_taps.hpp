// Which inputs the positions of a convolution read, tap by tap, and where results go: what the convolutions
// that are not written for one kind of kernel share.
#pragma once
#include <cstdint>
#include <vector>

#include "knet/device/pool.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

using Int = std::int64_t;
using Ints = std::vector<Int, memory::Allocator<Int>>;  // no memory from the system

/// Which input a row of the product reads: position p of dimension d and tap t of the kernel read p * step +
/// shift[t].
struct Taps {
  Int out[3], step[3];
  Ints shift[3];
  Ints kernel[3];  ///< the tap's place in the kernel
  Int size[3];     ///< of the kernel
  bool turned;     ///< its last tap comes first

  Int rows() const { return out[0] * out[1] * out[2]; }
  Int count() const { return static_cast<Int>(shift[0].size() * shift[1].size() * shift[2].size()); }
  /// f(tap's number, its shifts, its number among all taps of the kernel)
  template <class F>
  void each(const F& f) const {
    Int i = 0;
    for (std::size_t d = 0; d < shift[0].size(); ++d) {
      for (std::size_t h = 0; h < shift[1].size(); ++h) {
        for (std::size_t v = 0; v < shift[2].size(); ++v) {
          const Int at[3] = {shift[0][d], shift[1][h], shift[2][v]},
                    number = (kernel[0][d] * size[1] + kernel[1][h]) * size[2] + kernel[2][v];
          f(i++, at, turned ? size[0] * size[1] * size[2] - 1 - number : number);
        }
      }
    }
  }
};
inline Taps forward_taps(const ConvShape& s) {
  Taps t;
  t.turned = false;
  for (int d = 0; d < 3; ++d) {
    t.out[d] = s.out[d], t.step[d] = s.stride[d], t.size[d] = s.kernel[d];
    for (Int k = 0; k < s.kernel[d]; ++k) {
      t.shift[d].push_back(k * s.dilation[d] - s.pad[d]);
      t.kernel[d].push_back(k);
    }
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
    for (Int k = s.kernel[d]; k-- > 0;) {  // shifts that grow: neighbours are gathered together
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
