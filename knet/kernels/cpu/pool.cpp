// Pooling over images with channels last: every window is a few lines of channels, which vectors take whole.
// Compiled for each instruction set; where the loops are plain, the compiler makes the vectors.
#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/pool.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::pooling::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Int = std::int64_t;

/// f(first channel's offset, number) for the positions of a window of channels-last planes.
template <class F>
HWY_INLINE void window(const PoolShape& s, const Int (&p)[3], const F& f) {
  for (Int d = s.begin[0][p[0]]; d < s.end[0][p[0]]; ++d) {
    for (Int h = s.begin[1][p[1]]; h < s.end[1][p[1]]; ++h) {
      for (Int w = s.begin[2][p[2]]; w < s.end[2][p[2]]; ++w) f((d * s.in[1] + h) * s.in[2] + w);
    }
  }
}
/// f(position, row of y) for the rows [r0, r1) of one image's results.
template <class F>
HWY_INLINE void rows(const PoolShape& s, Int r0, Int r1, const F& f) {
  Int p[3] = {r0 / (s.out[1] * s.out[2]), r0 / s.out[2] % s.out[1], r0 % s.out[2]};
  for (Int r = r0; r < r1; ++r) {
    f(p, r);
    for (int d = 2; d >= 0 && ++p[d] == s.out[d]; --d) p[d] = 0;
  }
}

/// One vector of channels: the maxima over the window, and where they are.
template <class T, bool kPropagate, bool kIndex, class Load, class Each>
HWY_INLINE auto winners(const Load& load, const Each& each) {
  using V = simd::HWY_NAMESPACE::Vec<T>;
  const hn::RebindToSigned<hn::ScalableTag<T>> di;
  using Integer = hn::TFromD<decltype(di)>;
  V best = V::zero();
  auto winner = hn::Zero(di);
  bool first = true;
  each([&](Int number) {
    const V v = load(number);
    const auto me = hn::Set(di, static_cast<Integer>(number));
    if (first) {
      best = v, winner = me;
      first = false;
      return;
    }
    if constexpr (kPropagate) {
      const auto stays = hn::Or(v <= best, is_nan(best));
      best = select(stays, best, v);
      if constexpr (kIndex) winner = hn::IfThenElse(hn::RebindMask(di, stays), winner, me);
    } else {
      const auto over = hn::Or(v > best, hn::AndNot(is_nan(v), is_nan(best)));
      best = select(over, v, best);
      if constexpr (kIndex) winner = hn::IfThenElse(hn::RebindMask(di, over), me, winner);
    }
  });
  return std::pair(best, winner);
}

template <class T, bool kPropagate, bool kIndex>
void max_rows(const PoolShape& s, const T* x, T* y, std::int32_t* index, Int r0, Int r1) {
  using V = simd::HWY_NAMESPACE::Vec<T>;
  const hn::RebindToSigned<hn::ScalableTag<T>> di;
  using Integer = hn::TFromD<decltype(di)>;
  const Int channels = s.channels;
  rows(s, r0, r1, [&](const Int(&p)[3], Int r) {
    T* const to = y + r * channels;
    const auto put_places = [&](auto winner, Int c, Int n) {
      HWY_ALIGN Integer places[V::lanes];
      hn::Store(winner, di, places);
      for (Int i = 0; i < n; ++i) index[r * channels + c + i] = static_cast<std::int32_t>(places[i]);
    };
    const auto all_channels = [&](const auto& each) {
      if (channels < V::lanes) {
        const auto [best, winner] = winners<T, kPropagate, kIndex>(
            [&](Int i) { return V::load_some(x + i * channels, channels); }, each);
        best.store_some(to, channels);
        if constexpr (kIndex) put_places(winner, 0, channels);
        return;
      }
      for (Int next = 0; next < channels; next += V::lanes) {
        const Int c = std::min(next, channels - V::lanes);  // the last vector has some channels once more
        const auto [best, winner] =
            winners<T, kPropagate, kIndex>([&](Int i) { return V::load(x + i * channels + c); }, each);
        best.store(to + c);
        if constexpr (kIndex && sizeof(T) == sizeof(std::int32_t))
          hn::StoreU(winner, di, index + r * channels + c);
        else if constexpr (kIndex)
          put_places(winner, c, V::lanes);
      }
    };
    const auto size = [&](int d) { return s.end[d][p[d]] - s.begin[d][p[d]]; };
    const Int count = size(0) * size(1) * size(2);
    if (kPropagate && size(0) == 1 && size(1) == 2 && size(2) == 2) {  // most pools
      const Int i = (s.begin[0][p[0]] * s.in[1] + s.begin[1][p[1]]) * s.in[2] + s.begin[2][p[2]];
      all_channels([&](const auto& f) { f(i), f(i + 1), f(i + s.in[2]), f(i + s.in[2] + 1); });
      return;
    }
    constexpr Int most = 64;
    Int few[most];
    const PoolBuffer<Int> many(count > most ? count : 0);
    Int *const list = count > most ? many.get() : few, *next = list;
    window(s, p, [&](Int number) { *next++ = number; });
    all_channels([&](const auto& f) {
      for (Int i = 0; i < count; ++i) f(list[i]);
    });
  });
}

/// to = from where `places` is the input's number, else 0, for channels from c on as long as vectors fit.
template <class D>
HWY_INLINE Int spread(D d, Int c, Int channels, std::int32_t number, const std::int32_t* places,
                      const float* from, float* to) {
  const hn::RebindToSigned<D> di;
  const auto me = hn::Set(di, number);
  for (const Int lanes = static_cast<Int>(hn::Lanes(d)); c + lanes <= channels; c += lanes) {
    const auto mine = hn::RebindMask(d, hn::Eq(hn::LoadU(di, places + c), me));
    hn::StoreU(hn::IfThenElseZero(mine, hn::LoadU(d, from + c)), d, to + c);
  }
  return c;
}
/// The gradient where windows neither overlap nor leave an input out: every input is written once.
void spread_f32(const PoolShape& s, const float* dy, const std::int32_t* index, float* dx, Int r0, Int r1) {
  const Int channels = s.channels;
  rows(s, r0, r1, [&](const Int(&p)[3], Int r) {
    const float* from = dy + r * channels;
    const std::int32_t* places = index + r * channels;
    window(s, p, [&](Int number) {
      float* to = dx + number * channels;
      const auto me = static_cast<std::int32_t>(number);
      Int c = spread(hn::ScalableTag<float>(), 0, channels, me, places, from, to);
      c = spread(hn::CappedTag<float, 4>(), c, channels, me, places, from, to);
      for (; c < channels; ++c) to[c] = places[c] == me ? from[c] : 0.f;
    });
  });
}

template <class T>
void average_rows(const PoolShape& s, const T* x, T* y, Int r0, Int r1) {
  const Int channels = s.channels;
  rows(s, r0, r1, [&](const Int(&p)[3], Int r) {
    T* HWY_RESTRICT sum = y + r * channels;
    Int count = 0;
    std::fill_n(sum, channels, T(0));
    window(s, p, [&](Int number) {
      const T* HWY_RESTRICT line = x + number * channels;
      for (Int c = 0; c < channels; ++c) sum[c] += line[c];
      ++count;
    });
    const T scale = static_cast<T>(1 / (s.divisor > 0 ? s.divisor : static_cast<double>(count)));
    for (Int c = 0; c < channels; ++c) sum[c] *= scale;
  });
}

/// Channels [c0, c1) of one image.
template <class T>
void average_grad(const PoolShape& s, const T* dy, T* dx, Int c0, Int c1) {
  const Int channels = s.channels, n = c1 - c0;
  for (Int i = 0; i < s.in[0] * s.in[1] * s.in[2]; ++i) std::fill_n(dx + i * channels + c0, n, T(0));
  rows(s, 0, s.out[0] * s.out[1] * s.out[2], [&](const Int(&p)[3], Int r) {
    const T* HWY_RESTRICT grad = dy + r * channels + c0;
    Int count = 0;
    window(s, p, [&](Int) { ++count; });
    const T scale = static_cast<T>(1 / (s.divisor > 0 ? s.divisor : static_cast<double>(count)));
    window(s, p, [&](Int number) {
      T* HWY_RESTRICT line = dx + number * channels + c0;
      for (Int c = 0; c < n; ++c) line[c] += grad[c] * scale;
    });
  });
}

template <class T>
void max_of(const PoolShape& s, bool propagate, const T* x, T* y, std::int32_t* index, Int r0, Int r1) {
  if (index)
    (propagate ? max_rows<T, true, true> : max_rows<T, false, true>)(s, x, y, index, r0, r1);
  else
    (propagate ? max_rows<T, true, false> : max_rows<T, false, false>)(s, x, y, index, r0, r1);
}
void max_f32(const PoolShape& s, bool propagate, const float* x, float* y, std::int32_t* index, Int r0,
             Int r1) {
  max_of(s, propagate, x, y, index, r0, r1);
}
void max_f64(const PoolShape& s, bool propagate, const double* x, double* y, std::int32_t* index, Int r0,
             Int r1) {
  max_of(s, propagate, x, y, index, r0, r1);
}
void average_f32(const PoolShape& s, const float* x, float* y, Int r0, Int r1) {
  average_rows(s, x, y, r0, r1);
}
void average_f64(const PoolShape& s, const double* x, double* y, Int r0, Int r1) {
  average_rows(s, x, y, r0, r1);
}
void average_grad_f32(const PoolShape& s, const float* dy, float* dx, Int c0, Int c1) {
  average_grad(s, dy, dx, c0, c1);
}
void average_grad_f64(const PoolShape& s, const double* dy, double* dx, Int c0, Int c1) {
  average_grad(s, dy, dx, c0, c1);
}

}  // namespace
}  // namespace knet::cpu_impl::pooling::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace pooling {
namespace {

HWY_EXPORT(max_f32);
HWY_EXPORT(max_f64);
HWY_EXPORT(spread_f32);
HWY_EXPORT(average_f32);
HWY_EXPORT(average_f64);
HWY_EXPORT(average_grad_f32);
HWY_EXPORT(average_grad_f64);
auto best_max(float) { return HWY_DYNAMIC_DISPATCH(max_f32); }
auto best_max(double) { return HWY_DYNAMIC_DISPATCH(max_f64); }
auto best_spread() { return HWY_DYNAMIC_DISPATCH(spread_f32); }
auto best_average(float) { return HWY_DYNAMIC_DISPATCH(average_f32); }
auto best_average(double) { return HWY_DYNAMIC_DISPATCH(average_f64); }
auto best_average_grad(float) { return HWY_DYNAMIC_DISPATCH(average_grad_f32); }
auto best_average_grad(double) { return HWY_DYNAMIC_DISPATCH(average_grad_f64); }

constexpr std::int64_t grain = 16384, channel_block = 64;

std::int64_t volume(const std::int64_t (&a)[3]) { return a[0] * a[1] * a[2]; }

/// f(image, first row, last row) for parts of all results, on all threads.
template <class F>
void for_rows(const PoolShape& s, const F& f) {
  const std::int64_t area = volume(s.out), row = std::max<std::int64_t>(1, s.channels * 4);
  parallel_for(s.n * area, std::max<std::int64_t>(1, grain / row), [&](std::int64_t b, std::int64_t e) {
    while (b < e) {
      const std::int64_t n = b / area, stop = std::min(e, (n + 1) * area);
      f(n, b - n * area, stop - n * area);
      b = stop;
    }
  });
}
/// Every input belongs to one window.
bool tiles_exactly(const PoolShape& s) {
  for (int d = 0; d < 3; ++d) {
    for (std::int64_t i = 0; i < s.out[d]; ++i) {
      if (s.begin[d][i] != (i > 0 ? s.end[d][i - 1] : 0)) return false;
    }
    if (s.out[d] == 0 || s.end[d][s.out[d] - 1] != s.in[d]) return false;
  }
  return true;
}
/// f(image, first channel, last channel): windows may share inputs, channels never do.
template <class F>
void for_channels(const PoolShape& s, const F& f) {
  const std::int64_t blocks = (s.channels + channel_block - 1) / channel_block;
  const std::int64_t work = std::max<std::int64_t>(1, volume(s.in) * std::min(s.channels, channel_block));
  parallel_for(s.n * blocks, std::max<std::int64_t>(1, grain / work), [&](std::int64_t b, std::int64_t e) {
    for (; b < e; ++b) {
      const std::int64_t c0 = b % blocks * channel_block;
      f(b / blocks, c0, std::min(s.channels, c0 + channel_block));
    }
  });
}

}  // namespace
}  // namespace pooling

void max_pool(const PoolShape& s, bool propagate_nan, const Array& x, const Array& y, std::int32_t* index) {
  dispatch_float("max_pool", x.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> buffer(copy_size<T>(x));
    const T* from = channels_last<T>(x, buffer).data;
    const std::int64_t in = pooling::volume(s.in) * s.channels, out = pooling::volume(s.out) * s.channels;
    pooling::for_rows(s, [&](std::int64_t n, std::int64_t r0, std::int64_t r1) {
      pooling::best_max(T())(s, propagate_nan, from + n * in, y.as<T>() + n * out,
                             index ? index + n * out : nullptr, r0, r1);
    });
  });
}

void max_pool_grad(const PoolShape& s, const Array& ady, const std::int32_t* index, const Array& dx) {
  dispatch_float("max_pool", ady.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> buffer(copy_size<T>(ady));
    const T* dy = channels_last<T>(ady, buffer).data;
    const std::int64_t area = pooling::volume(s.out), in = pooling::volume(s.in);
    if constexpr (std::is_same_v<T, float>) {
      if (pooling::tiles_exactly(s)) {
        return pooling::for_rows(s, [&](std::int64_t n, std::int64_t r0, std::int64_t r1) {
          const std::int64_t at = n * area * s.channels;
          pooling::best_spread()(s, dy + at, index + at, dx.as<T>() + n * in * s.channels, r0, r1);
        });
      }
    }
    pooling::for_channels(s, [&](std::int64_t n, std::int64_t c0, std::int64_t c1) {
      T* to = dx.as<T>() + n * in * s.channels;
      for (std::int64_t i = 0; i < in; ++i) std::fill_n(to + i * s.channels + c0, c1 - c0, T(0));
      for (std::int64_t r = n * area; r < (n + 1) * area; ++r) {
        for (std::int64_t c = c0; c < c1; ++c)
          to[index[r * s.channels + c] * s.channels + c] += dy[r * s.channels + c];
      }
    });
  });
}

void pool_gather(const PoolShape& s, const Array& ax, const std::int32_t* index, const Array& y) {
  dispatch_float("max_pool", ax.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> buffer(copy_size<T>(ax));
    const T* x = channels_last<T>(ax, buffer).data;
    const std::int64_t area = pooling::volume(s.out), in = pooling::volume(s.in) * s.channels;
    pooling::for_channels(s, [&](std::int64_t n, std::int64_t c0, std::int64_t c1) {
      for (std::int64_t r = n * area; r < (n + 1) * area; ++r) {
        for (std::int64_t c = c0; c < c1; ++c)
          y.as<T>()[r * s.channels + c] = x[n * in + index[r * s.channels + c] * s.channels + c];
      }
    });
  });
}

void avg_pool(const PoolShape& s, const Array& x, const Array& y) {
  dispatch_float("avg_pool", x.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> buffer(copy_size<T>(x));
    const T* from = channels_last<T>(x, buffer).data;
    const std::int64_t in = pooling::volume(s.in) * s.channels, out = pooling::volume(s.out) * s.channels;
    pooling::for_rows(s, [&](std::int64_t n, std::int64_t r0, std::int64_t r1) {
      pooling::best_average(T())(s, from + n * in, y.as<T>() + n * out, r0, r1);
    });
  });
}

void avg_pool_grad(const PoolShape& s, const Array& ady, const Array& dx) {
  dispatch_float("avg_pool", ady.dtype, [&]<class T>(type<T>) {
    PoolBuffer<T> buffer(copy_size<T>(ady));
    const T* dy = channels_last<T>(ady, buffer).data;
    const std::int64_t in = pooling::volume(s.in) * s.channels, out = pooling::volume(s.out) * s.channels;
    pooling::for_channels(s, [&](std::int64_t n, std::int64_t c0, std::int64_t c1) {
      pooling::best_average_grad(T())(s, dy + n * out, dx.as<T>() + n * in, c0, c1);
    });
  });
}

}  // namespace knet::cpu_impl
#endif
