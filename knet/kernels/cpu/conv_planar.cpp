// Convolutions of small images with few input channels whose lines are whole vectors long: neighbouring
// positions of a line are the lanes, so that no lane is lost when the channels do not fill vectors. Each
// image is copied with its padding, a plane for every channel, where it is not stored so already; a block of
// vectors of positions times four output channels stays in registers while the taps go by, and is turned to
// channels last when it is written. Compiled for each instruction set.
#include <algorithm>
#include <cstring>
#include <vector>

#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/cpu/targets.hpp"
#include "knet/kernels/cpu/unroll.hpp"

#ifndef KNET_CONV_PLANAR_TILE  // once, not for every target
#define KNET_CONV_PLANAR_TILE
namespace knet::cpu_impl::planar {

using Int = std::int64_t;

// Output channels and vectors of positions of a tile: twelve sums leave registers for the rest.
constexpr int group = 4, most_vectors = 3;

/// Some vectors of positions and a group of output channels.
struct Tile {
  const float* x[most_vectors];  ///< what the first tap of a vector's first position reads
  float* y[most_vectors];        ///< the result of that position
  Int positions, channels;       ///< from one position's result to the next; of this group
  const Int* offset;             ///< of every tap from the first
  Int taps;
  const float *weight, *bias;  ///< [taps][group], [group]
  bool relu;
};
struct Loops {
  Int lanes;
  void (*tile[most_vectors])(const Tile&);  ///< of 1, 2, 3 vectors
  /// to[c * plane + i] = from[i * step + c], for four positions and channels at least.
  void (*turn)(const float* from, Int step, Int positions, Int channels, float* to, Int plane);
};

}  // namespace knet::cpu_impl::planar
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/conv_planar.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::planar::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using V = simd::HWY_NAMESPACE::Vec<float>;

template <int N>
void tile(const Tile& t) {
  V sum[group][N];
  KNET_UNROLL_ALL
  for (int c = 0; c < group; ++c) {
    const auto bias = V::set(t.bias[c]);
    KNET_UNROLL_ALL
    for (int v = 0; v < N; ++v) sum[c][v] = bias;
  }
  const float* w = t.weight;
  for (Int k = 0; k < t.taps; ++k, w += group) {
    const Int at = t.offset[k];
    V x[N];
    KNET_UNROLL_ALL
    for (int v = 0; v < N; ++v) x[v] = V::load(t.x[v] + at);
    KNET_UNROLL_ALL
    for (int c = 0; c < group; ++c) {
      const auto weight = V::set(w[c]);
      KNET_UNROLL_ALL
      for (int v = 0; v < N; ++v) sum[c][v] = fma(weight, x[v], sum[c][v]);
    }
  }
  if (t.relu) {
    KNET_UNROLL_ALL
    for (int c = 0; c < group; ++c) {
      KNET_UNROLL_ALL
      for (int v = 0; v < N; ++v) sum[c][v] = select(sum[c][v] < 0.0, V::zero(), sum[c][v]);
    }
  }
  HWY_ALIGN float turned[N][group * V::lanes];  // [positions][channels]
  KNET_UNROLL_ALL
  for (int v = 0; v < N; ++v)
    hn::StoreInterleaved4(sum[0][v].v, sum[1][v].v, sum[2][v].v, sum[3][v].v, V::D(), turned[v]);
  for (int v = 0; v < N; ++v) {
    float* y = t.y[v];
    if (t.channels == group) {
      for (Int i = 0; i < V::lanes; ++i, y += t.positions)
        std::memcpy(y, turned[v] + i * group, group * sizeof(float));
    } else {
      for (Int i = 0; i < V::lanes; ++i, y += t.positions) std::copy_n(turned[v] + i * group, t.channels, y);
    }
  }
}

void turn(const float* from, Int step, Int positions, Int channels, float* to, Int plane) {
  const hn::Full128<float> d;
  const hn::Full128<double> pairs;
  for (Int next = 0; next < positions; next += 4) {
    const Int i = std::min(next, positions - 4);  // the last blocks take some once more
    for (Int next_c = 0; next_c < channels; next_c += 4) {
      const Int c = std::min(next_c, channels - 4);
      const float* const p = from + i * step + c;
      const auto a = hn::LoadU(d, p), b = hn::LoadU(d, p + step), e = hn::LoadU(d, p + 2 * step),
                 f = hn::LoadU(d, p + 3 * step);
      const auto ab0 = hn::BitCast(pairs, hn::InterleaveLower(d, a, b)),
                 ab2 = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b)),
                 ef0 = hn::BitCast(pairs, hn::InterleaveLower(d, e, f)),
                 ef2 = hn::BitCast(pairs, hn::InterleaveUpper(d, e, f));
      float* const q = to + c * plane + i;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab0, ef0)), d, q);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab0, ef0)), d, q + plane);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab2, ef2)), d, q + 2 * plane);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab2, ef2)), d, q + 3 * plane);
    }
  }
}

Loops loops() { return {V::lanes, {tile<1>, tile<2>, tile<3>}, turn}; }

}  // namespace
}  // namespace knet::cpu_impl::planar::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace planar {
HWY_EXPORT(loops);
const Loops& best() {
  static const Loops l = HWY_DYNAMIC_DISPATCH(loops)();
  return l;
}

/// The lines that some output lines of an image read, a plane for each channel.
class Planes {
 public:
  Planes(const ConvShape& s, const Image<const float>& x, Int rows)
      : s_(s),
        x_(x),
        height_((rows - 1) * s.stride[1] + (s.kernel[1] - 1) * s.dilation[1] + 1),
        width_(s.out[2] + (s.kernel[2] - 1) * s.dilation[2]),
        in_place_(x.at[2] == 1 && s.pad[1] == 0 && s.pad[2] == 0 && width_ <= s.in[2] &&
                  (s.out[1] - 1) * s.stride[1] + (s.kernel[1] - 1) * s.dilation[1] < s.in[1]) {}

  /// Of every tap from the first, in the order (channel, height, width).
  std::vector<Int, memory::Allocator<Int>> offsets() const {
    std::vector<Int, memory::Allocator<Int>> all;
    for (Int c = 0; c < s_.in_channels; ++c) {
      for (Int h = 0; h < s_.kernel[1]; ++h) {
        for (Int w = 0; w < s_.kernel[2]; ++w)
          all.push_back(c * plane() + h * s_.dilation[1] * line() + w * s_.dilation[2]);
      }
    }
    return all;
  }
  Int line() const { return in_place_ ? x_.at[1] : width_; }
  /// Elements of the copy that at() needs.
  Int copy_size() const { return in_place_ ? 0 : s_.in_channels * height_ * width_; }
  /// What the first tap of output line `row` of image n reads; the lines of the rows after it follow.
  const float* at(Int n, Int row, float* copy) const {
    const float* const from = x_.data + n * x_.image;
    const Int first = row * s_.stride[1] - s_.pad[1];
    if (in_place_) return from + first * x_.at[1];
    for (Int h = 0; h < height_; ++h) {
      float* const to = copy + h * width_;
      if (first + h < 0 || first + h >= s_.in[1]) {
        for (Int c = 0; c < s_.in_channels; ++c) std::fill_n(to + c * plane(), width_, 0.f);
      } else {
        copy_line(from + (first + h) * x_.at[1], to);
      }
    }
    return copy;
  }

 private:
  Int plane() const { return in_place_ ? x_.channel : height_ * width_; }
  void copy_line(const float* from, float* to) const {
    const Int low = std::min(s_.pad[2], width_), high = std::clamp(s_.in[2] + s_.pad[2], low, width_);
    for (Int c = 0; c < s_.in_channels; ++c) {
      std::fill_n(to + c * plane(), low, 0.f);
      std::fill_n(to + c * plane() + high, width_ - high, 0.f);
    }
    if (x_.channel == 1 && s_.in_channels >= 4 && high - low >= 4)
      return best().turn(from, x_.at[2], high - low, s_.in_channels, to + low, plane());
    for (Int w = low; w < high; ++w, from += x_.at[2]) {
      for (Int c = 0; c < s_.in_channels; ++c) to[c * plane() + w] = from[c * x_.channel];
    }
  }

  const ConvShape& s_;
  const Image<const float>& x_;
  Int height_, width_;
  bool in_place_;
};

Int groups_of(const ConvShape& s) { return (s.out_channels + group - 1) / group; }

/// Where a vector of positions reads and writes, from the first of an image.
struct Start {
  Int x, y;
};
using Starts = std::vector<Start, memory::Allocator<Start>>;
Starts vectors_of(const ConvShape& s, Int line, Int rows) {
  Starts all;
  for (Int row = 0; row < rows; ++row) {
    for (Int next = 0; next < s.out[2]; next += best().lanes) {
      const Int from = std::min(next, s.out[2] - best().lanes);  // the last takes some positions once more
      all.push_back({row * s.stride[1] * line + from, (row * s.out[2] + from) * s.out_channels});
    }
  }
  return all;
}

/// The tiles of some vectors; the first tap of position 0 reads x, its result is y.
void tiles(const ConvShape& s, const float* x, float* y, const Start* starts, Int vectors, Tile t,
           const float* weights, const float* bias) {
  for (Int g = 0; g < groups_of(s); ++g) {
    t.weight = weights + g * t.taps * group;
    t.bias = bias + g * group;
    t.channels = std::min<Int>(group, s.out_channels - g * group);
    for (Int i = 0; i < vectors;) {
      const Int left = vectors - i, take = left == 4 ? 2 : std::min<Int>(left, most_vectors);
      for (Int v = 0; v < take; ++v, ++i) t.x[v] = x + starts[i].x, t.y[v] = y + starts[i].y + g * group;
      best().tile[take - 1](t);
    }
  }
}

}  // namespace planar

bool has_planar(const ConvShape& s, std::int64_t other_width) {
  const std::int64_t lanes = planar::best().lanes, vectors = (s.out[2] + lanes - 1) / lanes;
  if (s.in[0] != 1 || s.out[0] != 1 || s.kernel[0] != 1 || s.stride[2] != 1 || s.out[2] < lanes) return false;
  return vectors * lanes * planar::groups_of(s) * planar::group < s.out[2] * other_width;
}

void conv_planar(const ConvShape& s, const Array& ax, const Array& w, const Array& ay, const Epilogue& e) {
  using namespace planar;
  const Image<const float> x = image<const float>(ax);
  // A few images are cut into parts, each with its own copy.
  const Int rows = s.n >= 8 ? s.out[1] : (s.out[1] + 7) / 8, parts = (s.out[1] + rows - 1) / rows;
  const Planes planes(s, x, rows);
  const auto offsets = planes.offsets();
  const Starts starts = vectors_of(s, planes.line(), rows);
  const Int taps = static_cast<Int>(offsets.size()), size = groups_of(s) * group;
  const PoolBuffer<float> weights(taps * size), bias(size);
  std::fill_n(weights.get(), taps * size, 0.f);
  std::fill_n(bias.get(), size, 0.f);
  if (e.bias) std::copy_n(static_cast<const float*>(e.bias), s.out_channels, bias.get());
  for (Int o = 0; o < s.out_channels; ++o) {
    float* to = weights.get() + o / group * group * taps + o % group;
    for (Int c = 0; c < s.in_channels; ++c) {
      for (Int h = 0; h < s.kernel[1]; ++h) {
        const float* from = w.as<float>() + o * w.stride[0] + c * w.stride[1] + h * w.stride[3];
        for (Int k = 0; k < s.kernel[2]; ++k, to += group) *to = from[k * w.stride[4]];
      }
    }
  }
  const Int work = rows * s.out[2] * taps * s.out_channels;
  parallel_for(s.n * parts, std::max<Int>(1, 200'000 / std::max<Int>(1, work)), [&](Int b, Int end) {
    const PoolBuffer<float> copy(planes.copy_size());
    Tile t{};
    t.positions = s.out_channels, t.offset = offsets.data(), t.taps = taps;
    t.relu = e.activation == Unary::relu;
    for (; b < end; ++b) {
      const Int row = b % parts * rows, count = std::min(rows, s.out[1] - row),
                line = s.out[2] * s.out_channels;
      float* const y = ay.as<float>() + (b / parts * s.out[1] + row) * line;
      const Int vectors = static_cast<Int>(starts.size()) / rows * count;
      tiles(s, planes.at(b / parts, row, copy.get()), y, starts.data(), vectors, t, weights.get(),
            bias.get());
      if (e.activation != Unary::identity && e.activation != Unary::relu)
        apply_activation(e.activation, e.alpha, y, 1, count * line, count * line);
    }
  });
}

}  // namespace knet::cpu_impl
#endif
