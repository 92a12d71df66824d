// Batch normalisation: sums over every channel, then one multiplication and addition per value. The sums are
// made in parts of fixed size, so that the number of threads does not change them.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_reduce.hpp"
#include "knet/kernels/cpu/scratch.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/batch_norm.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {
namespace {

/// Values of channels: lines of one channel each, or rows of all channels.
template <class T>
struct Channels {
  const T *x, *y, *dy;  // y where relu
  const T* other;       // forwards: added before relu
  Int lines, length, channels;
  bool rows;  // a line is a row: one value of every channel
};

/// The numbers of one channel that a value is turned into: a x + b dz + c. Two of them are enough forwards.
template <class T>
struct Affine {
  const T *a, *b, *c;
};

/// Sums over lines [l0, l1): of x - shift and its square, or with dy of dz and dz (x - shift) where dz = dy
/// (where y > 0). sums: first of every channel, then second.
template <class T, bool kGrad, bool kRelu>
HWY_INLINE void add(Vec<T> x, Vec<T> shift, Vec<T> dy, Vec<T> y, Vec<T>& first, Vec<T>& second) {
  const Vec<T> d = x - shift;
  if constexpr (kGrad) {
    const Vec<T> dz = kRelu ? select(y > 0.0, dy, Vec<T>::zero()) : dy;
    first = first + dz;
    second = fma(dz, d, second);
  } else {
    first = first + d;
    second = fma(d, d, second);
  }
}
template <class T, bool kGrad, bool kRelu>
void sum_lines(const Channels<T>& v, const T* shift, Int l0, Int l1, double* sums) {
  using V = Vec<T>;
  constexpr Int L = V::lanes, block = 256;
  const Int c_count = v.channels;
  if (v.rows) {
    for (Int r0 = l0; r0 < l1; r0 += block) {
      const Int r1 = std::min(l1, r0 + block);
      for (Int c = 0; c < c_count; c += L) {
        const Int some = std::min(L, c_count - c);
        const bool whole = some == L;
        const V s = whole ? V::load(shift + c) : V::load_some(shift + c, some);
        V first = V::zero(), second = V::zero();
        for (Int r = r0; r < r1; ++r) {
          const Int i = r * c_count + c;
          const auto get = [&](const T* p) { return whole ? V::load(p + i) : V::load_some(p + i, some); };
          add<T, kGrad, kRelu>(get(v.x), s, kGrad ? get(v.dy) : s, kRelu ? get(v.y) : s, first, second);
        }
        HWY_ALIGN T t[L];
        first.store(t);
        for (Int k = 0; k < some; ++k) sums[c + k] += t[k];
        second.store(t);
        for (Int k = 0; k < some; ++k) sums[c_count + c + k] += t[k];
      }
    }
    return;
  }
  for (Int l = l0; l < l1; ++l) {
    const Int c = l % c_count, base = l * v.length;
    const V s = V::set(shift[c]);
    for (Int b0 = 0; b0 < v.length; b0 += block * L) {
      const Int b1 = std::min(v.length, b0 + block * L);
      V first = V::zero(), second = V::zero();
      Int i = b0;
      for (; i + L <= b1; i += L) {
        const Int at = base + i;
        add<T, kGrad, kRelu>(V::load(v.x + at), s, kGrad ? V::load(v.dy + at) : s,
                             kRelu ? V::load(v.y + at) : s, first, second);
      }
      sums[c] += static_cast<double>(sum_lanes(first));
      sums[c_count + c] += static_cast<double>(sum_lanes(second));
      for (; i < b1; ++i) {
        const Int at = base + i;
        const double d = static_cast<double>(v.x[at]) - static_cast<double>(shift[c]);
        const double dz = !kGrad ? 0 : kRelu && !(v.y[at] > T(0)) ? 0 : static_cast<double>(v.dy[at]);
        sums[c] += kGrad ? dz : d;
        sums[c_count + c] += kGrad ? dz * d : d * d;
      }
    }
  }
}

/// out = x a + c (+ other), then relu; or backwards: x a + dz b + c.
enum class Pass : std::uint8_t { plain, with_other, backward };
template <class T, Pass kPass, bool kRelu>
HWY_INLINE Vec<T> combine(Vec<T> x, Vec<T> other_or_dy, Vec<T> y, Vec<T> a, Vec<T> b, Vec<T> c) {
  if constexpr (kPass == Pass::backward) {
    const Vec<T> dz = kRelu ? select(y > 0.0, other_or_dy, Vec<T>::zero()) : other_or_dy;
    return fma(x, a, fma(dz, b, c));
  } else {
    const Vec<T> z = fma(x, a, c), r = kPass == Pass::with_other ? z + other_or_dy : z;
    return kRelu ? max(r, Vec<T>::zero()) : r;
  }
}
template <class T, Pass kPass, bool kRelu>
void map_lines(const Channels<T>& v, const Affine<T>& f, Int l0, Int l1, T* out) {
  using V = Vec<T>;
  constexpr Int L = V::lanes;
  constexpr bool backward = kPass == Pass::backward, need_y = backward && kRelu;
  const T* second = backward ? v.dy : v.other;
  for (Int l = l0; l < l1; ++l) {
    const Int length = v.rows ? v.channels : v.length, base = l * length, c = l % v.channels;
    for (Int i = 0; i < length; i += L) {
      const Int some = std::min(L, length - i), at = base + i;
      const bool whole = some == L;
      const auto get = [&](const T* p) { return whole ? V::load(p) : V::load_some(p, some); };
      const auto number = [&](const T* p) { return v.rows ? get(p + i) : V::set(static_cast<double>(p[c])); };
      const V x = get(v.x + at);
      const V r =
          combine<T, kPass, kRelu>(x, kPass != Pass::plain ? get(second + at) : x, need_y ? get(v.y + at) : x,
                                   number(f.a), backward ? number(f.b) : x, number(f.c));
      if (whole)
        r.store(out + at);
      else
        r.store_some(out + at, some);
    }
  }
}

template <class T>
void sums(const Channels<T>& v, const T* shift, Int l0, Int l1, double* s) {
  if (!v.dy) return sum_lines<T, false, false>(v, shift, l0, l1, s);
  v.y ? sum_lines<T, true, true>(v, shift, l0, l1, s) : sum_lines<T, true, false>(v, shift, l0, l1, s);
}
template <class T>
void map(const Channels<T>& v, const Affine<T>& f, bool relu, Int l0, Int l1, T* out) {
  const auto run = [&]<Pass kPass>(bool masked) {
    masked ? map_lines<T, kPass, true>(v, f, l0, l1, out) : map_lines<T, kPass, false>(v, f, l0, l1, out);
  };
  if (v.dy) return run.template operator()<Pass::backward>(v.y != nullptr);
  v.other ? run.template operator()<Pass::with_other>(relu) : run.template operator()<Pass::plain>(relu);
}

// ---- the whole arrays ----

template <class T>
Channels<T> describe(const Array& x, const Array* y, const Array* dy, const Array* other = nullptr) {
  Channels<T> v{x.as<const T>(),
                y ? y->as<const T>() : nullptr,
                dy ? dy->as<const T>() : nullptr,
                other ? other->as<const T>() : nullptr,
                0,
                0,
                x.size[1],
                false};
  v.rows = x.size[2] == 1 || (x.stride[1] == 1 && x.size[1] > 1);
  v.lines = v.rows ? x.size[0] * x.size[2] : x.size[0] * x.size[1];
  v.length = v.rows ? x.size[1] : x.size[2];
  return v;
}

/// The sums of all lines in `total` [2 c], whatever the number of threads.
template <class T>
void all_sums(const Channels<T>& v, const T* shift, double* total) {
  constexpr Int most = 64, least = 16384;
  const Int lines = std::max(least / std::max<Int>(1, v.length), (v.lines + most - 1) / most) + 1,
            parts = (v.lines + lines - 1) / lines, n = 2 * v.channels;
  const PoolBuffer<double> partial(parts * n);
  std::fill_n(partial.get(), parts * n, 0.0);
  parallel_for(parts, 1, [&](Int p0, Int p1) {
    for (Int p = p0; p < p1; ++p)
      sums(v, shift, p * lines, std::min(v.lines, (p + 1) * lines), partial.get() + p * n);
  });
  std::fill_n(total, n, 0.0);
  for (Int p = 0; p < parts; ++p) {
    for (Int i = 0; i < n; ++i) total[i] += partial.get()[p * n + i];
  }
}
template <class T>
void map_all(const Channels<T>& v, const Affine<T>& f, bool relu, T* out) {
  parallel_for(v.lines, std::max<Int>(1, 16384 / std::max<Int>(1, v.length)),
               [&](Int a, Int b) { map(v, f, relu, a, b, out); });
}

template <class T>
void moments(const Array& x, T* mean, T* var) {
  const Channels<T> v = describe<T>(x, nullptr, nullptr);
  const Int c = v.channels;
  const auto count = static_cast<double>(x.size[0] * x.size[2]);
  // Deviations from some value of the channel: no digits are lost where the mean is far from 0.
  const PoolBuffer<T> shift(c);
  const PoolBuffer<double> total(2 * c);
  for (Int i = 0; i < c; ++i) shift.get()[i] = x.as<const T>()[i * x.stride[1]];
  all_sums(v, shift.get(), total.get());
  for (Int i = 0; i < c; ++i) {
    const double d = total.get()[i] / count;
    mean[i] = static_cast<T>(static_cast<double>(shift.get()[i]) + d);
    var[i] = static_cast<T>(std::max(0.0, total.get()[c + i] / count - d * d));
  }
}

template <class T>
void affine(bool relu, const Array& x, const T* scale, const T* shift, const Array& other, const Array& y) {
  map_all(describe<T>(x, nullptr, nullptr, &other), Affine<T>{scale, nullptr, shift}, relu, y.as<T>());
}

template <class T>
void grad(bool relu, bool constant, const Array& x, const Array& y, const Array& dy, const T* mean,
          const T* rstd, const T* gamma, const Array& dx, T* dgamma, T* dbeta) {
  const Channels<T> v = describe<T>(x, relu ? &y : nullptr, &dy);
  const Int c = v.channels;
  const auto count = static_cast<double>(x.size[0] * x.size[2]);
  const PoolBuffer<double> total(2 * c);
  all_sums(v, mean, total.get());
  const PoolBuffer<T> f(3 * c);
  T *a = f.get(), *b = a + c, *k = b + c;
  for (Int i = 0; i < c; ++i) {
    const auto r = static_cast<double>(rstd[i]), g = gamma ? static_cast<double>(gamma[i]) : 1.0;
    const double db = total.get()[i], dg = total.get()[c + i] * r;
    dbeta[i] = static_cast<T>(db);
    dgamma[i] = static_cast<T>(dg);
    // dx = g r dz - g r (db + (x - mean) r dg) / count
    const double slope = constant ? 0 : -g * r * r * dg / count;
    a[i] = static_cast<T>(slope);
    b[i] = static_cast<T>(g * r);
    k[i] = static_cast<T>(constant ? 0 : -g * r * db / count - slope * static_cast<double>(mean[i]));
  }
  map_all(v, Affine<T>{a, b, k}, false, dx.as<T>());
}

void moments_f32(const Array& x, float* mean, float* var) { moments(x, mean, var); }
void moments_f64(const Array& x, double* mean, double* var) { moments(x, mean, var); }
void affine_f32(bool relu, const Array& x, const float* scale, const float* shift, const Array& other,
                const Array& y) {
  affine(relu, x, scale, shift, other, y);
}
void affine_f64(bool relu, const Array& x, const double* scale, const double* shift, const Array& other,
                const Array& y) {
  affine(relu, x, scale, shift, other, y);
}
void grad_f32(bool relu, bool constant, const Array& x, const Array& y, const Array& dy, const float* mean,
              const float* rstd, const float* gamma, const Array& dx, float* dgamma, float* dbeta) {
  grad(relu, constant, x, y, dy, mean, rstd, gamma, dx, dgamma, dbeta);
}
void grad_f64(bool relu, bool constant, const Array& x, const Array& y, const Array& dy, const double* mean,
              const double* rstd, const double* gamma, const Array& dx, double* dgamma, double* dbeta) {
  grad(relu, constant, x, y, dy, mean, rstd, gamma, dx, dgamma, dbeta);
}

}  // namespace
}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
namespace {

HWY_EXPORT(moments_f32);
HWY_EXPORT(moments_f64);
HWY_EXPORT(affine_f32);
HWY_EXPORT(affine_f64);
HWY_EXPORT(grad_f32);
HWY_EXPORT(grad_f64);
auto best_moments(float) { return HWY_DYNAMIC_DISPATCH(moments_f32); }
auto best_moments(double) { return HWY_DYNAMIC_DISPATCH(moments_f64); }
auto best_affine(float) { return HWY_DYNAMIC_DISPATCH(affine_f32); }
auto best_affine(double) { return HWY_DYNAMIC_DISPATCH(affine_f64); }
auto best_grad(float) { return HWY_DYNAMIC_DISPATCH(grad_f32); }
auto best_grad(double) { return HWY_DYNAMIC_DISPATCH(grad_f64); }

}  // namespace
}  // namespace simd

void channel_moments(const Array& x, void* mean, void* var) {
  dispatch_float("batch_norm", x.dtype, [&]<class T>(type<T>) {
    simd::best_moments(T())(x, static_cast<T*>(mean), static_cast<T*>(var));
  });
}
void channel_affine(bool relu, const Array& x, const void* scale, const void* shift, const Array& other,
                    const Array& y) {
  dispatch_float("batch_norm", x.dtype, [&]<class T>(type<T>) {
    simd::best_affine(T())(relu, x, static_cast<const T*>(scale), static_cast<const T*>(shift), other, y);
  });
}
void batch_norm_grad(bool relu, bool constant, const Array& x, const Array& y, const Array& dy,
                     const void* mean, const void* rstd, const void* gamma, const Array& dx, void* dgamma,
                     void* dbeta) {
  dispatch_float("batch_norm", x.dtype, [&]<class T>(type<T>) {
    simd::best_grad(T())(relu, constant, x, y, dy, static_cast<const T*>(mean), static_cast<const T*>(rstd),
                         static_cast<const T*>(gamma), dx, static_cast<T*>(dgamma), static_cast<T*>(dbeta));
  });
}

}  // namespace knet::cpu_impl
#endif
