// Copies, conversions and what else only moves elements. Rows go whole; a transposition goes in squares, so
// that both sides are read and written in whole cache lines.
#include <cstring>

#include "knet/kernels/convert.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/lines.hpp"

namespace knet::cpu_impl {
namespace {

using Int = std::int64_t;

constexpr Int grain = 32768;
constexpr Int tile = 32;

// Bits are moved, not numbers: one type for each size.
template <class F>
void dispatch_size(DType t, const F& f) {
  switch (size_of(t)) {
    case 8: return f(type<std::uint64_t>{});
    case 4: return f(type<std::uint32_t>{});
    case 2: return f(type<std::uint16_t>{});
    default: return f(type<std::uint8_t>{});
  }
}

// Squares of level 0 (where y is dense) and another level (where x is).
template <class T>
void transpose(Lines<2> lines, int other, const T* x, T* y) {
  const Int n = lines.size[0], m = lines.size[other], xs = lines.stride[1][0], ys = lines.stride[0][other];
  // What is left to walk: everything but the two.
  Lines<2> rest;
  for (int i = 1; i < lines.levels; ++i) {
    if (i == other) continue;
    rest.size[rest.levels] = lines.size[i];
    rest.count *= lines.size[i];
    for (int k = 0; k < 2; ++k) rest.stride[k][rest.levels] = lines.stride[k][i];
    ++rest.levels;
  }
  const Int strips = (m + tile - 1) / tile;
  parallel_for(rest.count * strips, std::max<Int>(1, grain / (tile * n)), [&](Int b, Int e) {
    for (Int u = b; u < e; ++u) {
      rest.run(u / strips, u / strips + 1, [&](const Int* at) {
        const Int j0 = u % strips * tile, j1 = std::min(m, j0 + tile);
        for (Int i0 = 0; i0 < n; i0 += tile) {
          const Int i1 = std::min(n, i0 + tile);
          for (Int j = j0; j < j1; ++j) {
            const T* p = x + at[1] + j;
            T* q = y + at[0] + j * ys;
            for (Int i = i0; i < i1; ++i) q[i] = p[i * xs];
          }
        }
      });
    }
  });
}

template <class T>
void move(const Array& x, const Array& y) {
  const Lines<2> lines(-1, y, x);
  const T* from = x.as<const T>();
  T* to = y.as<T>();
  const Int sy = lines.step(0), sx = lines.step(1);
  if (sy == 1 && sx > 1 && lines.size[0] >= 8) {
    for (int i = 1; i < lines.levels; ++i) {
      if (lines.stride[1][i] == 1 && lines.size[i] >= 8) return transpose(lines, i, from, to);
    }
  }
  lines.pieces(grain, [&](const Int* at, Int n) {
    const T* p = from + at[1];
    T* q = to + at[0];
    if (sy == 1 && sx == 1) {
      std::memcpy(q, p, static_cast<std::size_t>(n) * sizeof(T));
    } else if (sy == 1 && sx == 0) {
      std::fill(q, q + n, *p);
    } else {
      for (Int i = 0; i < n; ++i) q[i * sy] = p[i * sx];
    }
  });
}

template <class From, class To>
void convert_lines(const Array& x, const Array& y) {
  const Lines<2> lines(-1, y, x);
  const Int sy = lines.step(0), sx = lines.step(1);
  lines.pieces(grain, [&](const Int* at, Int n) {
    const From* p = x.as<const From>() + at[1];
    To* q = y.as<To>() + at[0];
    if (sy == 1 && sx == 1) {
      for (Int i = 0; i < n; ++i) q[i] = convert::converted<To>(p[i]);
    } else {
      for (Int i = 0; i < n; ++i) q[i * sy] = convert::converted<To>(p[i * sx]);
    }
  });
}

}  // namespace

void copy(const Array& x, const Array& y) {
  if (x.dtype == y.dtype) return dispatch_size(x.dtype, [&]<class T>(type<T>) { move<T>(x, y); });
  convert::dispatch_all(x.dtype, [&]<class From>(type<From>) {
    convert::dispatch_all(y.dtype, [&]<class To>(type<To>) { convert_lines<From, To>(x, y); });
  });
}

void fill(double value, const Array& y) {
  convert::dispatch_all(y.dtype, [&]<class T>(type<T>) {
    const T v = convert::converted<T>(value);
    const Lines<1> lines(-1, y);
    const Int step = lines.step(0);
    lines.pieces(grain, [&](const Int* at, Int n) {
      T* q = y.as<T>() + at[0];
      if (step == 1)
        std::fill(q, q + n, v);
      else
        for (Int i = 0; i < n; ++i) q[i * step] = v;
    });
  });
}

void where(const Array& mask, const Array& a, const Array& b, const Array& y) {
  dispatch_size(a.dtype, [&]<class T>(type<T>) {
    const Lines<4> lines(-1, y, mask, a, b);
    const Int sy = lines.step(0), sm = lines.step(1), sa = lines.step(2), sb = lines.step(3);
    lines.pieces(grain, [&](const Int* at, Int n) {
      T* r = y.as<T>() + at[0];
      const bool* m = mask.as<const bool>() + at[1];
      const T *p = a.as<const T>() + at[2], *q = b.as<const T>() + at[3];
      if (sy == 1 && sm == 1 && sa == 1 && sb == 1) {
        for (Int i = 0; i < n; ++i) r[i] = m[i] ? p[i] : q[i];
      } else {
        for (Int i = 0; i < n; ++i) r[i * sy] = m[i * sm] ? p[i * sa] : q[i * sb];
      }
    });
  });
}

}  // namespace knet::cpu_impl
