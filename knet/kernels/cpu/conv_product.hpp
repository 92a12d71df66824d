// Convolutions as matrix products that are never written down: taps of the inputs times packed weights. The
// gradient of the input is the same with the roles of input and output exchanged.
#pragma once
#include <cstdint>

#include "knet/kernels/cpu/conv_taps.hpp"

namespace knet::cpu_impl {

/// For all n images: `to` channels of y = taps of x, `from` channels each, times weights; group by group.
template <class T>
struct Product {
  const Image<const T>& x;
  const Taps& t;
  const T* weights;  ///< packed, of all taps of the kernel
  Int n, groups, from, to;
  const Target<T>& target;
  const Epilogue& e;

  Int rows() const { return n * t.rows(); }
  Int work() const { return rows() * t.count() * from * to * groups; }
};
template <class T>
void product(const Product<T>& p);

/// Elements of the packed weights of all groups; forward, or (else) for the gradient of the input.
template <class T>
Int packed_weights_size(const ConvShape& s, bool forward);
template <class T>
void pack_weights(const ConvShape& s, const Array& w, bool forward, T* packed);

}  // namespace knet::cpu_impl
