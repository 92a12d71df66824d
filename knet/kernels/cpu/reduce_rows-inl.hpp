// Sums, products and extremes of floats in vectors: of one line and of columns. Included once per instruction
// set by reduce.cpp.
#if defined(KNET_REDUCE_ROWS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef KNET_REDUCE_ROWS_INL_HPP
#undef KNET_REDUCE_ROWS_INL_HPP
#else
#define KNET_REDUCE_ROWS_INL_HPP
#endif

#include <algorithm>

#include "knet/kernels/cpu/reduce_plan.hpp"
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

// Elements, and rows, added in the type itself before the sums go to double: few enough for an error of a few
// ulps.
constexpr Int sum_chunk = 1024, row_chunk = 32;
// Columns up to which several rows are taken as one.
constexpr Int narrow = 64;

/// Sum (of squares): vectors in T, chunks in double.
template <class T, bool kSquares>
struct Sum {
  using A = double;
  using V = Vec<T>;
  static constexpr A init = 0;
  static HWY_INLINE V add(V acc, V v) {
    if constexpr (kSquares)
      return fma(v, v, acc);
    else
      return acc + v;
  }
  static A one(T v) {
    const double w = static_cast<double>(v);
    return kSquares ? w * w : w;
  }
  static A both(A a, A b) { return a + b; }
  static HWY_INLINE A lanes_of(V v) { return static_cast<A>(sum_lanes(v)); }
  static HWY_INLINE V start() { return V::zero(); }
  static HWY_INLINE V merge(V a, V b) { return a + b; }
  static HWY_INLINE V some(const T* p, Int n) { return V::load_some(p, n); }
};

/// Largest or smallest; NaN wins.
template <class T, bool kMax>
struct Extreme {
  using A = T;
  using V = Vec<T>;
  static constexpr A init = kMax ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
  static HWY_INLINE V add(V acc, V v) { return kMax ? max(v, acc) : min(v, acc); }
  static A one(T v) { return v; }
  static A both(A a, A b) { return (kMax ? b > a : b < a) || b != b ? b : a; }
  static HWY_INLINE A lanes_of(V v) {
    HWY_ALIGN T t[V::lanes];
    v.store(t);
    A r = t[0];
    for (Int i = 1; i < V::lanes; ++i) r = both(r, t[i]);
    return r;
  }
  static HWY_INLINE V start() { return V::set(static_cast<double>(init)); }
  static HWY_INLINE V merge(V a, V b) { return add(a, b); }
  static HWY_INLINE V some(const T* p, Int n) { return V::load_some_or(p, n, static_cast<double>(init)); }
};

/// Product, in double.
template <class T>
struct Product {
  using A = double;
  static constexpr A init = 1;
  static A one(T v) { return static_cast<double>(v); }
  static A both(A a, A b) { return a * b; }
};
template <class Op>
constexpr bool vectored = requires {
  Op::start();
};

template <class T, class Op>
typename Op::A line(const T* HWY_RESTRICT p, Int n, Int step) {
  using A = typename Op::A;
  A total = Op::init;
  if (step == 0 && n > 8) {  // eight at a time: the same value again
    A eight = Op::init;
    for (int i = 0; i < 8; ++i) eight = Op::both(eight, Op::one(*p));
    for (Int i = 0; i < n / 8; ++i) total = Op::both(total, eight);
    for (Int i = 0; i < n % 8; ++i) total = Op::both(total, Op::one(*p));
    return total;
  }
  if constexpr (vectored<Op>) {
    constexpr Int L = Vec<T>::lanes;
    if (step == 1 && n > 2) {
      for (Int i = 0; i < n;) {
        const Int end = std::min(n, i + sum_chunk);
        auto a = Op::start();
        if (end - i >= 4 * L) {
          auto b = a, c = a, e = a;
          for (; i + 4 * L <= end; i += 4 * L) {
            a = Op::add(a, Vec<T>::load(p + i));
            b = Op::add(b, Vec<T>::load(p + i + L));
            c = Op::add(c, Vec<T>::load(p + i + 2 * L));
            e = Op::add(e, Vec<T>::load(p + i + 3 * L));
          }
          a = Op::merge(Op::merge(a, b), Op::merge(c, e));
        }
        for (; i + L <= end; i += L) a = Op::add(a, Vec<T>::load(p + i));
        if (i < end) a = Op::add(a, Op::some(p + i, end - i));
        total = Op::both(total, Op::lanes_of(a));
        i = end;
      }
      return total;
    }
  }
  A other[3] = {Op::init, Op::init, Op::init};  // several chains hide the latency
  Int i = 0;
  for (; i + 4 <= n; i += 4) {
    total = Op::both(total, Op::one(p[i * step]));
    for (int k = 0; k < 3; ++k) other[k] = Op::both(other[k], Op::one(p[(i + 1 + k) * step]));
  }
  for (; i < n; ++i) total = Op::both(total, Op::one(p[i * step]));
  return Op::both(Op::both(total, other[0]), Op::both(other[1], other[2]));
}

/// acc[0 .. lanes) += v, in double.
HWY_INLINE void add_wide(Vec<float> v, double* HWY_RESTRICT acc) {
#if HWY_TARGET == HWY_SCALAR
  *acc += static_cast<double>(hn::GetLane(v.v));
#else
  using Wide = Vec<double>;
  const hn::Rebind<float, Wide::D> half;
  const Wide low = hn::PromoteTo(Wide::D(), hn::LowerHalf(half, v.v)),
             high = hn::PromoteTo(Wide::D(), hn::UpperHalf(half, v.v));
  (Wide::load(acc) + low).store(acc);
  (Wide::load(acc + Wide::lanes) + high).store(acc + Wide::lanes);
#endif
}
/// acc[i] takes in lane i of v.
template <class T, class Op>
HWY_INLINE void take_in(Vec<T> v, typename Op::A* HWY_RESTRICT acc) {
  if constexpr (std::is_same_v<typename Op::A, T>)
    Op::merge(Vec<T>::load(acc), v).store(acc);
  else
    add_wide(v, acc);
}

/// V vectors of columns at once.
template <class T, class Op, int V>
HWY_INLINE void strip(const T* HWY_RESTRICT p, Int rows, Int row_step, typename Op::A* HWY_RESTRICT acc) {
  constexpr Int L = Vec<T>::lanes;
  for (Int r = 0; r < rows; r += row_chunk) {
    const T* q = p + r * row_step;
    const Int count = std::min(row_chunk, rows - r);
    Vec<T> a = Op::start(), b = a, c = a, e = a;
    for (Int i = 0; i < count; ++i, q += row_step) {
      a = Op::add(a, Vec<T>::load(q));
      if constexpr (V == 4) {
        b = Op::add(b, Vec<T>::load(q + L));
        c = Op::add(c, Vec<T>::load(q + 2 * L));
        e = Op::add(e, Vec<T>::load(q + 3 * L));
      }
    }
    take_in<T, Op>(a, acc);
    if constexpr (V == 4) {
      take_in<T, Op>(b, acc + L);
      take_in<T, Op>(c, acc + 2 * L);
      take_in<T, Op>(e, acc + 3 * L);
    }
  }
}

template <class T, class Op>
void columns(const T* HWY_RESTRICT p, Int rows, Int row_step, Int n, Int step,
             typename Op::A* HWY_RESTRICT acc) {
  using A = typename Op::A;
  if constexpr (vectored<Op>) {
    if (step == 1 && n > 1) {
      constexpr Int L = Vec<T>::lanes;
      const Int together = n < narrow && row_step == n ? 2 * narrow / n : 1;
      if (together > 1 && rows >= 2 * together) {
        A wide[2 * narrow];
        std::fill(wide, wide + together * n, Op::init);
        columns<T, Op>(p, rows / together, together * n, together * n, 1, wide);
        for (Int i = 0; i < together; ++i) {
          for (Int j = 0; j < n; ++j) acc[j] = Op::both(acc[j], wide[i * n + j]);
        }
        p += rows / together * together * n;
        rows %= together;
        if (rows == 0) return;
      }
      Int j = 0;
      for (; j + 4 * L <= n; j += 4 * L) strip<T, Op, 4>(p + j, rows, row_step, acc + j);
      for (; j + L <= n; j += L) strip<T, Op, 1>(p + j, rows, row_step, acc + j);
      if (j < n) {
        A t[Vec<T>::lanes];
        std::copy(acc + j, acc + n, t);
        std::fill(t + (n - j), t + L, Op::init);
        for (Int r = 0; r < rows; r += row_chunk) {
          auto v = Op::start();
          for (Int i = r; i < std::min(rows, r + row_chunk); ++i)
            v = Op::add(v, Op::some(p + i * row_step + j, n - j));
          take_in<T, Op>(v, t);
        }
        std::copy(t, t + (n - j), acc + j);
      }
      return;
    }
  }
  for (Int i = 0; i < rows; ++i) {
    for (Int j = 0; j < n; ++j) acc[j] = Op::both(acc[j], Op::one(p[i * row_step + j * step]));
  }
}

template <class T, class Op>
void run(const Array& x, const Array& y) {
  static constexpr Fold<T, typename Op::A> f{Op::init, line<T, Op>, columns<T, Op>, Op::both};
  fold<T>(f, x, y);
}

/// reduce for T float or double, not any or all.
template <class T>
void reduce(Reduce op, const Array& x, const Array& y) {
  switch (op) {
    case Reduce::sum: return run<T, Sum<T, false>>(x, y);
    case Reduce::sum_squares: return run<T, Sum<T, true>>(x, y);
    case Reduce::max: return run<T, Extreme<T, true>>(x, y);
    case Reduce::min: return run<T, Extreme<T, false>>(x, y);
    default: return run<T, Product<T>>(x, y);
  }
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
