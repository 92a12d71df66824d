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
#include "knet/kernels/cpu/row_vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::rows::HWY_NAMESPACE {

// Rows added in the type itself before the sums go to double.
constexpr Int row_chunk = 32;
// Columns up to which several rows are taken as one.
constexpr Int narrow = 64;

/// Sum (of squares): vectors in T, chunks in double.
template <class T, bool kSquares>
struct Sum {
  using A = double;
  static constexpr A init = 0;
  static HWY_INLINE Vec<T> add(Vec<T> acc, Vec<T> v) {
    if constexpr (kSquares)
      return hn::MulAdd(v, v, acc);
    else
      return hn::Add(acc, v);
  }
  static A one(T v) {
    const double w = static_cast<double>(v);
    return kSquares ? w * w : w;
  }
  static A both(A a, A b) { return a + b; }
  static HWY_INLINE A lanes_of(Vec<T> v) { return static_cast<A>(sum_lanes<T>(v)); }
  static HWY_INLINE Vec<T> start() { return hn::Zero(Tag<T>()); }
  static HWY_INLINE Vec<T> merge(Vec<T> a, Vec<T> b) { return hn::Add(a, b); }
  static HWY_INLINE Vec<T> some(const T* p, Int n) { return load_some(p, n); }
};

/// Largest or smallest; NaN wins.
template <class T, bool kMax>
struct Extreme {
  using A = T;
  static constexpr A init = kMax ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
  static HWY_INLINE Vec<T> add(Vec<T> acc, Vec<T> v) {
    return hn::IfThenElse(hn::Or(kMax ? hn::Gt(v, acc) : hn::Lt(v, acc), hn::IsNaN(v)), v, acc);
  }
  static A one(T v) { return v; }
  static A both(A a, A b) { return (kMax ? b > a : b < a) || b != b ? b : a; }
  static HWY_INLINE A lanes_of(Vec<T> v) {
    HWY_ALIGN T t[lanes<T>()];
    hn::Store(v, Tag<T>(), t);
    A r = t[0];
    for (Int i = 1; i < lanes<T>(); ++i) r = both(r, t[i]);
    return r;
  }
  static HWY_INLINE Vec<T> start() { return hn::Set(Tag<T>(), init); }
  static HWY_INLINE Vec<T> merge(Vec<T> a, Vec<T> b) { return add(a, b); }
  static HWY_INLINE Vec<T> some(const T* p, Int n) {
    const Tag<T> d;
    return hn::IfThenElse(hn::FirstN(d, static_cast<std::size_t>(n)), load_some(p, n), hn::Set(d, init));
  }
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
    constexpr Int L = lanes<T>();
    if (step == 1 && n > 2) {
      for (Int i = 0; i < n;) {
        const Int end = std::min(n, i + sum_chunk);
        auto a = Op::start();
        if (end - i >= 4 * L) {
          auto b = a, c = a, e = a;
          for (; i + 4 * L <= end; i += 4 * L) {
            a = Op::add(a, hn::LoadU(Tag<T>(), p + i));
            b = Op::add(b, hn::LoadU(Tag<T>(), p + i + L));
            c = Op::add(c, hn::LoadU(Tag<T>(), p + i + 2 * L));
            e = Op::add(e, hn::LoadU(Tag<T>(), p + i + 3 * L));
          }
          a = Op::merge(Op::merge(a, b), Op::merge(c, e));
        }
        for (; i + L <= end; i += L) a = Op::add(a, hn::LoadU(Tag<T>(), p + i));
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

/// acc[i] takes in lane i of v.
template <class T, class Op>
HWY_INLINE void take_in(Vec<T> v, typename Op::A* HWY_RESTRICT acc) {
  if constexpr (std::is_same_v<typename Op::A, T> && !std::is_same_v<T, double>) {
    hn::StoreU(Op::merge(hn::LoadU(Tag<T>(), acc), v), Tag<T>(), acc);
  } else if constexpr (std::is_same_v<T, double>) {
    hn::StoreU(Op::merge(hn::LoadU(Tag<double>(), acc), v), Tag<double>(), acc);
  } else {
    add_wide(v, acc);
  }
}

/// V vectors of columns at once.
template <class T, class Op, int V>
HWY_INLINE void strip(const T* HWY_RESTRICT p, Int rows, Int row_step, typename Op::A* HWY_RESTRICT acc) {
  constexpr Int L = lanes<T>();
  for (Int r = 0; r < rows; r += row_chunk) {
    const T* q = p + r * row_step;
    const Int count = std::min(row_chunk, rows - r);
    Vec<T> a = Op::start(), b = a, c = a, e = a;
    for (Int i = 0; i < count; ++i, q += row_step) {
      a = Op::add(a, hn::LoadU(Tag<T>(), q));
      if constexpr (V == 4) {
        b = Op::add(b, hn::LoadU(Tag<T>(), q + L));
        c = Op::add(c, hn::LoadU(Tag<T>(), q + 2 * L));
        e = Op::add(e, hn::LoadU(Tag<T>(), q + 3 * L));
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
      constexpr Int L = lanes<T>();
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
        A t[lanes<T>()];
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

}  // namespace knet::cpu_impl::rows::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
