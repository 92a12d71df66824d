// Batches of images [n, channels, depth, height, width] as convolutions and pooling see them.
#pragma once
#include <cstdint>

#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/scratch.hpp"

namespace knet::cpu_impl {

/// Spatial data of any strides; channel c of position p lies at p[0] * at[0] + ... + c * channel.
template <class T>
struct Image {
  T* data;
  std::int64_t image, channel, at[3], size[3];

  /// Positions follow each other with their channels dense.
  bool channels_last(std::int64_t channels) const {
    return channel == 1 && at[2] == channels && at[1] == at[2] * size[2] && at[0] == at[1] * size[1] &&
           image == at[0] * size[0];
  }
};
template <class T>
Image<T> image(const Array& a) {
  Image<T> r{a.as<T>(), a.stride[0], a.size[1] == 1 ? 1 : a.stride[1], {}, {}};
  // The stride of a single position is whatever it is; make it the one that suits.
  std::int64_t dense = a.size[1];
  for (int d = 2; d >= 0; --d) {
    r.size[d] = a.size[d + 2];
    r.at[d] = r.size[d] == 1 ? dense : a.stride[d + 2];
    dense = r.at[d] * r.size[d];
  }
  if (a.size[0] == 1) r.image = dense;
  return r;
}

/// Elements of the copy that channels_last() needs.
template <class T>
std::int64_t copy_size(const Array& a) {
  return image<const T>(a).channels_last(a.size[1]) ? 0 : a.numel();
}
/// a with channels last: itself, or a copy into a buffer of copy_size elements.
template <class T>
Image<const T> channels_last(const Array& a, PoolBuffer<T>& copy_of) {
  if (!copy_of.get()) return image<const T>(a);
  Array c = a;
  c.data = copy_of.get();
  c.stride[1] = 1;
  std::int64_t step = a.size[1];
  for (const int d : {4, 3, 2, 0}) c.stride[d] = step, step *= a.size[d];
  copy(a, c);
  return image<const T>(c);
}

}  // namespace knet::cpu_impl
