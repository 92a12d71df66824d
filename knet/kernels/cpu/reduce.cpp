// Reductions over any dimensions. Floats go through vectors for each instruction set, the rest through plain
// loops that compilers vectorise.
#include <type_traits>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/cpu/cpu_reduce.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/reduce.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/reduce_rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

void reduce_f32(Reduce op, const Array& x, const Array& y) { reduce<float>(op, x, y); }
void reduce_f64(Reduce op, const Array& x, const Array& y) { reduce<double>(op, x, y); }

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(reduce_f32);
auto best_reduce_f32() { return HWY_DYNAMIC_DISPATCH(reduce_f32); }
HWY_EXPORT(reduce_f64);
auto best_reduce_f64() { return HWY_DYNAMIC_DISPATCH(reduce_f64); }
}  // namespace simd

namespace {

template <class T, class A, Reduce op>
struct Plain {
  static constexpr bool truth = op == Reduce::any || op == Reduce::all;
  static A one(T v) {
    if constexpr (truth)
      return v != T(0);
    else if constexpr (op == Reduce::sum_squares)
      return static_cast<A>(static_cast<A>(v) * static_cast<A>(v));
    else
      return static_cast<A>(v);
  }
  static A both(A a, A b) {
    if constexpr (op == Reduce::any)
      return a | b;
    else if constexpr (op == Reduce::all)
      return a & b;
    else if constexpr (op == Reduce::max)
      return a < b ? b : a;
    else if constexpr (op == Reduce::min)
      return b < a ? b : a;
    else if constexpr (op == Reduce::prod)
      return static_cast<A>(a * b);
    else
      return static_cast<A>(a + b);
  }
  static constexpr A init() {
    if constexpr (op == Reduce::max)
      return std::numeric_limits<A>::lowest();
    else if constexpr (op == Reduce::min)
      return std::numeric_limits<A>::max();
    else
      return op == Reduce::prod || op == Reduce::all;
  }
  static A line(const T* p, std::int64_t n, std::int64_t step) {
    A r = init();
    if (step != 1) {
      for (std::int64_t i = 0; i < n; ++i) r = both(r, one(p[i * step]));
      return r;
    }
    for (std::int64_t i = 0; i < n;) {
      const std::int64_t end = std::min<std::int64_t>(n, i + 4096);
      for (; i < end; ++i) r = both(r, one(p[i]));
      if (truth && r != init()) break;
    }
    return r;
  }
  static void columns(const T* p, std::int64_t rows, std::int64_t row_step, std::int64_t n, std::int64_t step,
                      A* acc) {
    for (std::int64_t i = 0; i < rows; ++i, p += row_step) {
      if (step == 1) {
        for (std::int64_t j = 0; j < n; ++j) acc[j] = both(acc[j], one(p[j]));
      } else {
        for (std::int64_t j = 0; j < n; ++j) acc[j] = both(acc[j], one(p[j * step]));
      }
    }
  }
};

template <class T, class A, Reduce op, class Out>
void plain(const Array& x, const Array& y) {
  using P = Plain<T, A, op>;
  static constexpr Fold<T, A> f{P::init(), P::line, P::columns, P::both};
  fold<Out>(f, x, y);
}

template <class T>
void reduce_integers(Reduce op, const Array& x, const Array& y) {
  // Unsigned, so that sums wrap.
  switch (op) {
    case Reduce::sum: return plain<T, std::uint64_t, Reduce::sum, T>(x, y);
    case Reduce::prod: return plain<T, std::uint64_t, Reduce::prod, T>(x, y);
    case Reduce::sum_squares: return plain<T, std::uint64_t, Reduce::sum_squares, T>(x, y);
    case Reduce::max: return plain<T, T, Reduce::max, T>(x, y);
    default: return plain<T, T, Reduce::min, T>(x, y);
  }
}

}  // namespace

void reduce(Reduce op, const Array& x, const Array& y) {
  const bool truth = op == Reduce::any || op == Reduce::all;
  if (x.numel() == 0) {
    if (y.numel() > 0) reference_kernels().reduce(op, x, y);
    return;
  }
  if (truth) {
    dispatch_any("reduce", x.dtype, [&]<class T>(type<T>) {
      if (op == Reduce::any)
        plain<T, std::uint8_t, Reduce::any, bool>(x, y);
      else
        plain<T, std::uint8_t, Reduce::all, bool>(x, y);
    });
    return;
  }
  if (x.dtype == DType::f32) return simd::best_reduce_f32()(op, x, y);
  if (x.dtype == DType::f64) return simd::best_reduce_f64()(op, x, y);
  dispatch_number("reduce", x.dtype, [&]<class T>(type<T>) {
    if constexpr (std::is_integral_v<T>) reduce_integers<T>(op, x, y);
  });
}

}  // namespace knet::cpu_impl
#endif
