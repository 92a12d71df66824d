// Functions of one and two elements. Lines of neighbouring elements go through vectors; other lines through
// short buffers on the stack, so that there is one loop for each function and instruction set.
#include <array>
#include <cmath>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/lines.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/elementwise.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec_math-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

#define KNET_FN_INLINE HWY_INLINE
#include "knet/kernels/functors.inc"
#undef KNET_FN_INLINE

template <class T, class F>
void unary_loop(Params p, Int n, const T* x, T* y) {
  using V = Vec<T>;
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) F::value(V::load(x + i), p).store(y + i);
  if (i < n) F::value(V::load_some(x + i, n - i), p).store_some(y + i, n - i);
}
template <class T>
void unary(Unary op, double a, double b, Int n, const T* x, T* y) {
  dispatch_unary(op, [&]<class F>(F) { unary_loop<T, F>(Params{a, b}, n, x, y); });
}

template <class T, class F>
void grad_loop(Params p, Int n, const T* x, const T* y, const T* dy, T* dx) {
  using V = Vec<T>;
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V v = F::uses_x ? V::load(x + i) : V::zero(), r = F::uses_y ? V::load(y + i) : V::zero();
    (V::load(dy + i) * F::grad(v, r, p)).store(dx + i);
  }
  if (i < n) {
    const Int m = n - i;
    const V v = F::uses_x ? V::load_some(x + i, m) : V::zero(),
            r = F::uses_y ? V::load_some(y + i, m) : V::zero();
    (V::load_some(dy + i, m) * F::grad(v, r, p)).store_some(dx + i, m);
  }
}
template <class T>
void unary_grad(Unary op, double a, double b, Int n, const T* x, const T* y, const T* dy, T* dx) {
  dispatch_unary(op, [&]<class F>(F) { grad_loop<T, F>(Params{a, b}, n, x, y, dy, dx); });
}

// a or b may be one number for the whole line.
template <class T, class F, bool kOneA, bool kOneB>
void binary_loop(Int n, const T* a, const T* b, T* y) {
  using V = Vec<T>;
  const V one = V::set(static_cast<double>(kOneA ? *a : kOneB ? *b : T(0)));
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    F::value(kOneA ? one : V::load(a + i), kOneB ? one : V::load(b + i)).store(y + i);
  }
  if (i < n) {
    const Int m = n - i;
    F::value(kOneA ? one : V::load_some(a + i, m), kOneB ? one : V::load_some(b + i, m)).store_some(y + i, m);
  }
}
template <class T>
void binary(Binary op, bool one_a, bool one_b, Int n, const T* a, const T* b, T* y) {
  dispatch_binary(op, [&]<class F>(F) {
    if (one_a)
      binary_loop<T, F, true, false>(n, a, b, y);
    else if (one_b)
      binary_loop<T, F, false, true>(n, a, b, y);
    else
      binary_loop<T, F, false, false>(n, a, b, y);
  });
}

void unary_f32(Unary op, double a, double b, Int n, const float* x, float* y) { unary(op, a, b, n, x, y); }
void unary_f64(Unary op, double a, double b, Int n, const double* x, double* y) { unary(op, a, b, n, x, y); }
void grad_f32(Unary op, double a, double b, Int n, const float* x, const float* y, const float* dy,
              float* dx) {
  unary_grad(op, a, b, n, x, y, dy, dx);
}
void grad_f64(Unary op, double a, double b, Int n, const double* x, const double* y, const double* dy,
              double* dx) {
  unary_grad(op, a, b, n, x, y, dy, dx);
}
void binary_f32(Binary op, bool one_a, bool one_b, Int n, const float* a, const float* b, float* y) {
  binary(op, one_a, one_b, n, a, b, y);
}
void binary_f64(Binary op, bool one_a, bool one_b, Int n, const double* a, const double* b, double* y) {
  binary(op, one_a, one_b, n, a, b, y);
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(unary_f32);
auto best_unary_f32() { return HWY_DYNAMIC_DISPATCH(unary_f32); }
HWY_EXPORT(unary_f64);
auto best_unary_f64() { return HWY_DYNAMIC_DISPATCH(unary_f64); }
HWY_EXPORT(grad_f32);
auto best_grad_f32() { return HWY_DYNAMIC_DISPATCH(grad_f32); }
HWY_EXPORT(grad_f64);
auto best_grad_f64() { return HWY_DYNAMIC_DISPATCH(grad_f64); }
HWY_EXPORT(binary_f32);
auto best_binary_f32() { return HWY_DYNAMIC_DISPATCH(binary_f32); }
HWY_EXPORT(binary_f64);
auto best_binary_f64() { return HWY_DYNAMIC_DISPATCH(binary_f64); }
}  // namespace simd

namespace {

using Int = std::int64_t;

// The loops of this machine.
template <class T>
struct Table;
template <>
struct Table<float> {
  static auto unary() { return simd::best_unary_f32(); }
  static auto grad() { return simd::best_grad_f32(); }
  static auto binary() { return simd::best_binary_f32(); }
};
template <>
struct Table<double> {
  static auto unary() { return simd::best_unary_f64(); }
  static auto grad() { return simd::best_grad_f64(); }
  static auto binary() { return simd::best_binary_f64(); }
};

// Elements from which a second thread pays.
constexpr Int cheap_grain = 16384, costly_grain = 2048;
Int grain_of(Unary op) {
  switch (op) {
    case Unary::identity:
    case Unary::neg:
    case Unary::abs:
    case Unary::sign:
    case Unary::square:
    case Unary::sqrt:
    case Unary::rsqrt:
    case Unary::reciprocal:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
    case Unary::trunc:
    case Unary::relu:
    case Unary::leaky_relu:
    case Unary::hard_sigmoid:
    case Unary::clamp:
    case Unary::scale: return cheap_grain;
    default: return costly_grain;
  }
}
Int grain_of(Binary op) {
  return op == Binary::pow || op == Binary::atan2 || op == Binary::hypot ? costly_grain : cheap_grain;
}

// A buffer of this many elements stands for a strided line.
constexpr Int chunk = 256;

/// Element `first` and those after it of a line; of one number that is repeated only the first chunk is
/// written.
template <class T>
const T* gathered(const T* line, Int first, Int step, Int n, std::array<T, chunk>& buffer) {
  const T* p = line + first * step;
  if (step == 1) return p;
  if (step == 0 && first > 0) return buffer.data();
  for (Int i = 0; i < n; ++i) buffer[static_cast<std::size_t>(i)] = p[i * step];
  return buffer.data();
}

/// f(y, n, inputs...) on neighbouring elements that together are everything. `inputs` have y's sizes.
template <class T, class F, class... In>
void dense_pieces(Int grain, const F& f, const Array& y, const In&... inputs) {
  if (is_dense(y) && (is_dense(inputs) && ...)) {
    parallel_for(y.numel(), grain,
                 [&](Int b, Int e) { f(y.as<T>() + b, e - b, inputs.template as<const T>() + b...); });
    return;
  }
  const Lines<1 + sizeof...(In)> lines(-1, y, inputs...);
  lines.pieces(grain, [&](const Int* at, Int n) {
    bool near = lines.step(0) == 1;
    for (std::size_t k = 1; k <= sizeof...(In); ++k) near = near && lines.step(static_cast<int>(k)) == 1;
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      if (near || n == 1) return f(y.as<T>() + at[0], n, inputs.template as<const T>() + at[K + 1]...);
      std::array<std::array<T, chunk>, sizeof...(In) + 1> buffers;
      for (Int i = 0; i < n; i += chunk) {
        const Int m = std::min(chunk, n - i), step = lines.step(0);
        T* const to = y.as<T>() + at[0] + i * step;
        T* const out = step == 1 ? to : buffers[0].data();
        f(out, m,
          gathered(inputs.template as<const T>() + at[K + 1], i, lines.step(K + 1), m, buffers[K + 1])...);
        if (step != 1) {
          for (Int j = 0; j < m; ++j) to[j * step] = out[j];
        }
      }
    }
    (std::make_index_sequence<sizeof...(In)>());
  });
}

template <Binary op, class T>
void compare_dense(Int n, const T* a, const T* b, bool* y) {
  for (Int i = 0; i < n; ++i) y[i] = fn::compared(op, a[i], b[i]);
}
template <class T>
auto comparison(Binary op) {
  switch (op) {
    case Binary::lt: return &compare_dense<Binary::lt, T>;
    case Binary::le: return &compare_dense<Binary::le, T>;
    case Binary::eq: return &compare_dense<Binary::eq, T>;
    case Binary::ne: return &compare_dense<Binary::ne, T>;
    case Binary::logical_and: return &compare_dense<Binary::logical_and, T>;
    case Binary::logical_or: return &compare_dense<Binary::logical_or, T>;
    default: return &compare_dense<Binary::logical_xor, T>;
  }
}
void compare(Binary op, const Array& a, const Array& b, const Array& y) {
  if (op == Binary::gt) return compare(Binary::lt, b, a, y);
  if (op == Binary::ge) return compare(Binary::le, b, a, y);
  dispatch_any("compare", a.dtype, [&]<class T>(type<T>) {
    const auto dense = comparison<T>(op);
    const Lines<3> lines(-1, y, a, b);
    const Int sy = lines.step(0), sa = lines.step(1), sb = lines.step(2);
    lines.pieces(cheap_grain, [&](const Int* at, Int n) {
      bool* r = y.as<bool>() + at[0];
      const T *p = a.as<const T>() + at[1], *q = b.as<const T>() + at[2];
      if (sy == 1 && sa == 1 && sb == 1) return dense(n, p, q, r);
      // Strided lines and single values go through buffers, so that there is one loop per comparison.
      std::array<T, chunk> left, right;
      std::array<bool, chunk> result;
      for (Int i = 0; i < n; i += chunk) {
        const Int m = std::min(chunk, n - i);
        bool* const out = sy == 1 ? r + i : result.data();
        dense(m, gathered(p, i, sa, m, left), gathered(q, i, sb, m, right), out);
        if (sy != 1) {
          for (Int j = 0; j < m; ++j) r[(i + j) * sy] = out[j];
        }
      }
    });
  });
}

bool is_float(DType t) { return t == DType::f32 || t == DType::f64; }

// Powers that are something simpler.
Unary simpler(Unary op, double a) {
  if (op != Unary::pow) return op;
  return a == 2     ? Unary::square
         : a == 0.5 ? Unary::sqrt
         : a == -1  ? Unary::reciprocal
         : a == 1   ? Unary::identity
                    : op;
}

}  // namespace

void unary(Unary op, double a, double b, const Array& x, const Array& y) {
  op = simpler(op, a);
  if (!is_float(x.dtype) || gives_boolean(op)) return reference_kernels().unary(op, a, b, x, y);
  if (op == Unary::identity) return copy(x, y);
  dispatch_float("unary", x.dtype, [&]<class T>(type<T>) {
    const auto loop = Table<T>::unary();
    dense_pieces<T>(
        grain_of(op), [&](T* to, Int n, const T* from) { loop(op, a, b, n, from, to); }, y, x);
  });
}

void unary_grad(Unary op, double a, double b, const Array& x, const Array& y, const Array& dy,
                const Array& dx) {
  // The square root's derivative is written with its result, the power's with its argument.
  if (op == Unary::pow && a == 2) op = Unary::square;
  dispatch_float("unary_grad", dy.dtype, [&]<class T>(type<T>) {
    const auto loop = Table<T>::grad();
    // What is not needed may be anything, best what is read anyway.
    const Array &xs = x.data ? x : y.data ? y : dy, &ys = y.data ? y : xs;
    dense_pieces<T>(
        grain_of(op),
        [&](T* to, Int n, const T* vx, const T* vy, const T* vdy) { loop(op, a, b, n, vx, vy, vdy, to); }, dx,
        xs, ys, dy);
  });
}

void binary(Binary op, const Array& a, const Array& b, const Array& y) {
  if (gives_boolean(op)) return compare(op, a, b, y);
  if (!is_float(a.dtype)) return reference_kernels().binary(op, a, b, y);
  dispatch_float("binary", a.dtype, [&]<class T>(type<T>) {
    const auto loop = Table<T>::binary();
    const Int grain = grain_of(op);
    // Rows times a column: one side stands still along the line.
    if (!is_dense(a) || !is_dense(b)) {
      const Lines<3> lines(-1, y, a, b);
      const bool one_a = lines.step(1) == 0 && lines.step(2) == 1,
                 one_b = lines.step(2) == 0 && lines.step(1) == 1;
      if (lines.step(0) == 1 && (one_a || one_b)) {
        return lines.pieces(grain, [&](const Int* at, Int n) {
          loop(op, one_a, one_b, n, a.as<const T>() + at[1], b.as<const T>() + at[2], y.as<T>() + at[0]);
        });
      }
    }
    dense_pieces<T>(
        grain, [&](T* to, Int n, const T* p, const T* q) { loop(op, false, false, n, p, q, to); }, y, a, b);
  });
}

void binary_scalar(Binary op, const Array& x, double s, bool scalar_first, const Array& y) {
  if (!is_float(x.dtype)) return reference_kernels().binary_scalar(op, x, s, scalar_first, y);
  dispatch_float("binary", x.dtype, [&]<class T>(type<T>) {
    T number = static_cast<T>(s);
    if (gives_boolean(op)) {
      const Array c = repeated(x, &number);
      return scalar_first ? compare(op, c, x, y) : compare(op, x, c, y);
    }
    const auto loop = Table<T>::binary();
    const Int grain = grain_of(op);
    dense_pieces<T>(
        grain,
        [&](T* to, Int n, const T* p) {
          if (scalar_first)
            loop(op, true, false, n, &number, p, to);
          else
            loop(op, false, true, n, p, &number, to);
        },
        y, x);
  });
}

}  // namespace knet::cpu_impl
#endif
