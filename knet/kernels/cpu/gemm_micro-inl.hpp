// The innermost loops of the matrix product for one instruction set: packing of panels, the register-blocked
// micro-kernel and the kernel of dot products. Included once per target by gemm.cpp.
//
// A panel holds `width` columns of b (or rows of a) side by side: element (i, k) at panel[k * width + i].
// Lanes past the last column hold copies of the last column; what is computed from them is never stored.
#if defined(KNET_GEMM_MICRO_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef KNET_GEMM_MICRO_INL_HPP
#undef KNET_GEMM_MICRO_INL_HPP
#else
#define KNET_GEMM_MICRO_INL_HPP
#endif

#include <algorithm>
#include <cstdint>
#include <utility>

#include "hwy/cache_control.h"
#include "hwy/highway.h"

#ifdef __clang__
#define KNET_UNROLL _Pragma("clang loop unroll(full)")
#else
#define KNET_UNROLL _Pragma("GCC unroll 16")
#endif
#undef KNET_UNROLL_K
#if HWY_TARGET != HWY_AVX2
#define KNET_UNROLL_K
#elif defined(__clang__)
#define KNET_UNROLL_K _Pragma("clang loop unroll_count(2)")
#else
#define KNET_UNROLL_K _Pragma("GCC unroll 2")
#endif

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Int = std::int64_t;

/// f(0), ..., f(N - 1), the number a constant. Arrays indexed by it become registers; after a pragma that
/// only unrolls loops they may stay in memory.
template <class F, int... I>
HWY_INLINE void unroll(const F& f, std::integer_sequence<int, I...>) {
  (f(std::integral_constant<int, I>()), ...);
}
template <int N, class F>
HWY_INLINE void unroll(const F& f) {
  unroll(f, std::make_integer_sequence<int, N>());
}
#undef KNET_INLINE
#define KNET_INLINE __attribute__((always_inline))

template <class T>
using Tag = hn::ScalableTag<T>;

template <class T>
constexpr Int lanes() {
  return static_cast<Int>(HWY_LANES(T));
}

// Rows of the micro-kernel: as many as leave registers for two vectors of b and one of a.
constexpr int max_rows = HWY_TARGET == HWY_AVX3 ? 14 : 6;
// Masked loads that do not touch what is masked out.
constexpr bool native_mask = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3;
// Masks cost nothing, so that one kernel serves whole and partial panels.
constexpr bool free_mask = HWY_TARGET == HWY_AVX3;

template <class T>
constexpr Int panel_width() {
  return 2 * lanes<T>();
}
// Twelve products a step leave no time to compute addresses: packed rows of a lie at distances known
// beforehand.
template <class T>
constexpr bool fixed_rows = HWY_TARGET == HWY_AVX2 && sizeof(T) == 4;
// Width of packed rows of a. Whole vectors are written; what is too much of them gives way to the next step.
template <class T>
constexpr Int row_width() {
  return fixed_rows<T> ? max_rows : (max_rows + lanes<T>() - 1) / lanes<T>() * lanes<T>();
}

/// The first n elements at p, the other lanes 0. Reads nothing else.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_first(D d, const T* HWY_RESTRICT p, Int n) {
  if (n >= lanes<T>()) return hn::LoadU(d, p);
  if constexpr (native_mask) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<std::size_t>(std::max<Int>(n, 0))), d, p);
  } else {
    HWY_ALIGN T t[lanes<T>()] = {};
    for (Int i = 0; i < n; ++i) t[i] = p[i];
    return hn::Load(d, t);
  }
}
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_first(hn::Vec<D> v, D d, T* HWY_RESTRICT p, Int n) {
  if (n >= lanes<T>()) {
    hn::StoreU(v, d, p);
  } else if constexpr (native_mask) {
    if (n > 0) hn::BlendedStore(v, hn::FirstN(d, static_cast<std::size_t>(n)), d, p);
  } else {
    HWY_ALIGN T t[lanes<T>()];
    hn::Store(v, d, t);
    for (Int i = 0; i < n; ++i) p[i] = t[i];
  }
}
/// NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<D> relu(D d, hn::Vec<D> v) {
  const auto zero = hn::Zero(d);
  return hn::IfThenElse(hn::Lt(v, zero), zero, v);
}

// ---- packing ----

constexpr Int pack_ahead = 64;  // elements of a row that are asked for before they are read

#if HWY_MAX_BYTES == 64
template <class T>
HWY_INLINE hn::Vec<Tag<T>> four_blocks(const T* const* rows, int step, Int k) {
  const hn::Full128<T> d1;
  const hn::Full256<T> d2;
  return hn::Combine(Tag<T>(),
                     hn::Combine(d2, hn::LoadU(d1, rows[3 * step] + k), hn::LoadU(d1, rows[2 * step] + k)),
                     hn::Combine(d2, hn::LoadU(d1, rows[step] + k), hn::LoadU(d1, rows[0] + k)));
}
#endif
#if HWY_MAX_BYTES >= 16
/// One 128-bit piece of every `step`-th row, as many as a vector holds.
template <class T>
HWY_INLINE hn::Vec<Tag<T>> blocks(const T* const* rows, int step, Int k) {
#if HWY_MAX_BYTES == 64
  return four_blocks(rows, step, k);
#elif HWY_MAX_BYTES == 32
  const hn::Full128<T> d1;
  return hn::Combine(Tag<T>(), hn::LoadU(d1, rows[step] + k), hn::LoadU(d1, rows[0] + k));
#else
  (void)step;
  return hn::LoadU(Tag<T>(), rows[0] + k);
#endif
}
#endif

/// lanes() rows, each contiguous along k, to out[k * width + row]: a transposition of 128-bit blocks.
template <class T>
void pack_transposed(const T* const* rows, Int k, Int width, T* HWY_RESTRICT out) {
  Int q = 0;
#if HWY_MAX_BYTES >= 16
  const Tag<T> d;
  constexpr Int some = 16 / sizeof(T);  // steps at a time
  for (; q < k && k >= some; q += some) {
    q = std::min(q, k - some);  // the last ones may be done once more
    T* to = out + q * width;
    if constexpr (sizeof(T) == 4) {
      const hn::Repartition<double, Tag<T>> wide;
      if (q % 16 == 0) {
        for (Int i = 0; i < lanes<T>(); ++i) hwy::Prefetch(rows[i] + q + pack_ahead);
      }
      const auto r0 = blocks(rows, 4, q), r1 = blocks(rows + 1, 4, q), r2 = blocks(rows + 2, 4, q),
                 r3 = blocks(rows + 3, 4, q);
      const auto l01 = hn::BitCast(wide, hn::InterleaveLower(d, r0, r1)),
                 l23 = hn::BitCast(wide, hn::InterleaveLower(d, r2, r3)),
                 h01 = hn::BitCast(wide, hn::InterleaveUpper(d, r0, r1)),
                 h23 = hn::BitCast(wide, hn::InterleaveUpper(d, r2, r3));
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, l01, l23)), d, to);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, l01, l23)), d, to + width);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, h01, h23)), d, to + 2 * width);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, h01, h23)), d, to + 3 * width);
    } else {
      const auto r0 = blocks(rows, 2, q), r1 = blocks(rows + 1, 2, q);
      hn::StoreU(hn::InterleaveLower(d, r0, r1), d, to);
      hn::StoreU(hn::InterleaveUpper(d, r0, r1), d, to + width);
    }
  }
#endif
  for (; q < k; ++q) {
    for (Int i = 0; i < lanes<T>(); ++i) out[q * width + i] = rows[i][q];
  }
}

/// One panel: `count` (>= 1) lines of src, line i and step k at src[i * line + k * step].
template <class T>
void pack_panel(const T* src, Int line, Int step, Int count, Int width, Int k, T* HWY_RESTRICT out) {
  constexpr Int N = lanes<T>();
  if (step == 1) {
    for (Int i = 0; i < width; i += N) {
      const T* rows[N];
      for (Int j = 0; j < N; ++j) rows[j] = src + std::min(i + j, count - 1) * line;
      pack_transposed<T>(rows, k, width, out + i);
    }
  } else {
    for (Int q = 0; q < k; ++q, src += step, out += width) {
      for (Int i = 0; i < width; ++i) out[i] = src[std::min(i, count - 1) * line];
    }
  }
}

// Panels of rows that are contiguous: a row's part of several panels is read in one piece, which memory,
// caches of few ways and the address translation like better than a line here and a line there.
constexpr Int panels_at_once = 4;  // of b
constexpr Int rows_ahead = 8;      // asked for before they are read
/// Panels of b with `count` columns together.
template <class T>
void pack_rows(const T* src, Int step, Int count, Int k, T* HWY_RESTRICT out) {
  const Tag<T> d;
  constexpr Int N = lanes<T>(), W = panel_width<T>();
  for (Int q = 0; q < k; ++q, src += step, out += W) {
    T* to = out;
    for (Int i = 0; i < count; i += W, to += W * k) {
      hwy::Prefetch(src + rows_ahead * step + i);
      hn::StoreU(load_first(d, src + i, count - i), d, to);
      hn::StoreU(load_first(d, src + i + N, count - i - N), d, to + N);
    }
  }
}

/// Where panel i of `count`, that share `rows` rows of a, begins.
inline Int panel_begin(Int rows, Int count, Int i) { return rows * i / count; }
/// Elements of a packed panel of a; the last step writes whole vectors too.
template <class T>
constexpr Int panel_size(Int k) {
  return row_width<T>() * k + (row_width<T>() % lanes<T>() ? lanes<T>() : 0);
}
constexpr Int most_panels = 12;
/// `count` panels of a (at most most_panels), whose rows lie side by side.
template <class T>
void pack_columns(const T* src, Int step, Int rows, Int count, Int k, T* HWY_RESTRICT out) {
  const Tag<T> d;
  constexpr Int N = lanes<T>(), W = row_width<T>(), line = 64 / sizeof(T);
  Int begin[most_panels];
  for (Int i = 0; i < count; ++i) begin[i] = panel_begin(rows, count, i);
  for (Int q = 0; q < k; ++q, src += step, out += W) {
    for (Int i = 0; i < rows; i += line) hwy::Prefetch(src + rows_ahead * step + i);
    T* to = out;
    for (Int i = 0; i < count; ++i, to += panel_size<T>(k)) {
      for (Int j = 0; j < W; j += N)
        hn::StoreU(load_first(d, src + begin[i] + j, rows - begin[i] - j), d, to + j);
    }
  }
}

// ---- the micro-kernel ----

/// What a call of the micro-kernel computes: rows x cols of c over `runs` times k steps.
template <class T>
struct Tile {
  const T* a;
  Int am, ak;                // bytes
  Int runs = 1;              // the terms may lie in several pieces of k steps,
  const Run* run = nullptr;  // whose places differ as these; a and b are those of the first
  const T* b;
  Int bk;            // elements from one step to the next
  Int panel_stride;  // elements from one panel of b to the next
  Int k;
  T* c;
  Int cm;
  Int cols;       // valid columns
  bool add;       // add to c
  bool relu;      // after bias
  const T* bias;  // of this tile's columns, or null
};

/// A vector of which only the first columns count, in every row; `sums` holds it row by row.
template <class T>
HWY_NOINLINE void store_part(const Tile<T>& t, const T* sums, Int rows, Int col, Int left) {
  const Tag<T> d;
  T* c = t.c + col;
  const auto bias = t.bias ? load_first(d, t.bias + col, left) : hn::Zero(d);
  if constexpr (free_mask) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(left));
    for (Int i = 0; i < rows; ++i, c += t.cm, sums += lanes<T>()) {
      auto r = hn::Add(hn::Load(d, sums), bias);
      if (t.add) r = hn::Add(r, hn::MaskedLoad(mask, d, c));
      if (t.relu) r = relu(d, r);
      hn::BlendedStore(r, mask, d, c);
    }
    return;
  }
  for (Int i = 0; i < rows; ++i, c += t.cm, sums += lanes<T>()) {
    auto r = hn::Load(d, sums);
    if (t.add) r = hn::Add(r, load_first(d, c, left));
    r = hn::Add(r, bias);
    if (t.relu) r = relu(d, r);
    store_first(r, d, c, left);
  }
}

/// MR rows times NP panels of NV vectors. Packed rows of a (kPacked) are read at distances known beforehand;
/// else row i is reached from three pointers with the multiples of am an address can hold, so that fourteen
/// rows take five registers.
template <class T, int MR, int NV, int NP, bool kMask, bool kPacked = false>
HWY_NOINLINE void micro(const Tile<T>& t) {
  const Tag<T> d;
  using V = hn::Vec<Tag<T>>;
  constexpr Int N = lanes<T>();
  constexpr int W = NP * NV, last = (NP - 1) * NV;
  V acc[MR][W];
  unroll<MR * W>([&](auto i) KNET_INLINE { acc[i / W][i % W] = hn::Zero(d); });
  const Int tail = t.cols - (NP - 1) * panel_width<T>();
  const auto mask0 = hn::FirstN(d, static_cast<std::size_t>(std::min(N, tail)));
  const auto mask1 = hn::FirstN(d, static_cast<std::size_t>(std::min(N, std::max<Int>(tail - N, 0))));
  const Int am = kPacked ? Int{sizeof(T)} : t.am, ak = kPacked ? row_width<T>() * Int{sizeof(T)} : t.ak,
            am3 = 3 * am, bk = t.bk, ps = t.panel_stride;
  // c is wanted at the end; until then it may come from a far cache.
  unroll<MR>([&](auto i) KNET_INLINE { hwy::Prefetch(t.c + i * t.cm); });
  const T* b = t.b;
  const char *p0 = reinterpret_cast<const char*>(t.a), *p1 = p0 + (MR > 5 ? 5 * am : 0),
             *p2 = p0 + (MR > 10 ? 10 * am : 0);
  const Run* run = t.run;
  for ([[maybe_unused]] Int left = t.runs;;) {
    KNET_UNROLL_K
    for (Int k = t.k; k > 0; --k) {
      const auto b_at = [&](auto j) KNET_INLINE {
        const T* p = b + (j / NV) * ps + (j % NV) * N;
        if constexpr (kMask && j >= last) {
          return hn::MaskedLoad(j == last ? mask0 : mask1, d, p);
        } else {
          return hn::LoadU(d, p);
        }
      };
      const auto a_at = [&](auto i) KNET_INLINE {
        const char* p = kPacked || i < 5 ? p0 : i < 10 ? p1 : p2;
        constexpr int r = kPacked ? 5 : i % 5;
        const T* x = reinterpret_cast<const T*>(r == 5   ? p + i * am
                                                : r == 0 ? p
                                                : r == 1 ? p + am
                                                : r == 2 ? p + 2 * am
                                                : r == 3 ? p + am3
                                                         : p + 4 * am);
        return hn::Set(d, *x);
      };
      // The shorter side waits in registers.
      if constexpr (MR < W) {
        V av[MR];
        unroll<MR>([&](auto i) KNET_INLINE { av[i] = a_at(i); });
        unroll<W>([&](auto j) KNET_INLINE {
          const V bv = b_at(j);
          unroll<MR>([&](auto i) KNET_INLINE { acc[i][j] = hn::MulAdd(av[i], bv, acc[i][j]); });
        });
      } else {
        V bv[W];
        unroll<W>([&](auto j) KNET_INLINE { bv[j] = b_at(j); });
        unroll<MR>([&](auto i) KNET_INLINE {
          const V av = a_at(i);
          unroll<W>([&](auto j) KNET_INLINE { acc[i][j] = hn::MulAdd(av, bv[j], acc[i][j]); });
        });
      }
      p0 += ak;
      if constexpr (!kPacked && MR > 5) p1 += ak;
      if constexpr (!kPacked && MR > 10) p2 += ak;
      b += bk;
    }
    if (kPacked || HWY_LIKELY(--left == 0)) break;
    ++run;
    const Int to_next = (run->a - run[-1].a) * Int{sizeof(T)} - t.k * ak;
    p0 += to_next;
    if constexpr (!kPacked && MR > 5) p1 += to_next;
    if constexpr (!kPacked && MR > 10) p2 += to_next;
    b += run->b - run[-1].b - t.k * bk;
  }
  unroll<W>([&](auto j) KNET_INLINE {
    const Int col = (j / NV) * panel_width<T>() + (j % NV) * N, left = t.cols - col;
    if (left < N) {
      if (left <= 0) return;
      HWY_ALIGN T sums[MR * lanes<T>()];
      unroll<MR>([&](auto i) KNET_INLINE { hn::Store(acc[i][j], d, sums + i * N); });
      return store_part(t, sums, MR, col, left);
    }
    T* c = t.c + col;
    if (t.add) {
      unroll<MR>([&](auto i) KNET_INLINE { acc[i][j] = hn::Add(acc[i][j], hn::LoadU(d, c + i * t.cm)); });
    }
    if (t.bias) {
      const V bias = hn::LoadU(d, t.bias + col);
      unroll<MR>([&](auto i) KNET_INLINE { acc[i][j] = hn::Add(acc[i][j], bias); });
    }
    if (t.relu) {
      unroll<MR>([&](auto i) KNET_INLINE { acc[i][j] = relu(d, acc[i][j]); });
    }
    unroll<MR>([&](auto i) KNET_INLINE { hn::StoreU(acc[i][j], d, c + i * t.cm); });
  });
}

template <class T>
using Micro = void (*)(const Tile<T>&);

/// The micro-kernel for a number of rows.
template <class T, int NV, bool kMask>
HWY_INLINE Micro<T> micro_for(Int rows) {
#define KNET_CASE(R) \
  case R: return micro<T, R, NV, 1, kMask>
  switch (rows) {
    KNET_CASE(1);
    KNET_CASE(2);
    KNET_CASE(3);
    KNET_CASE(4);
    KNET_CASE(5);
#if HWY_TARGET == HWY_AVX3
    KNET_CASE(6);
    KNET_CASE(7);
    KNET_CASE(8);
    KNET_CASE(9);
    KNET_CASE(10);
    KNET_CASE(11);
    KNET_CASE(12);
    KNET_CASE(13);
#endif
    default: return micro<T, max_rows, NV, 1, kMask>;
  }
#undef KNET_CASE
}
/// The one for packed rows of a, four at least.
template <class T>
HWY_INLINE Micro<T> micro_packed(Int rows) {
  return rows == 4   ? micro<T, 4, 2, 1, false, true>
         : rows == 5 ? micro<T, 5, 2, 1, false, true>
                     : micro<T, 6, 2, 1, false, true>;
}

// ---- dot products: both operands contiguous along k, no packing ----

/// out[j] = the sum of v[j]'s lanes, for as many vectors as 128 bits hold elements.
template <class T>
HWY_INLINE void sum_lanes(const hn::Vec<Tag<T>>* v, T* HWY_RESTRICT out) {
  const Tag<T> d;
#if HWY_MAX_BYTES >= 16
  hn::Vec<Tag<T>> s;
  if constexpr (sizeof(T) == 4) {
    const hn::Repartition<double, Tag<T>> wide;
    const auto t0 =
        hn::BitCast(wide, hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1])));
    const auto t1 =
        hn::BitCast(wide, hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3])));
    s = hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, t0, t1)),
                hn::BitCast(d, hn::InterleaveUpper(wide, t0, t1)));
  } else {
    s = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
  }
  const hn::Full128<T> d1;
#if HWY_MAX_BYTES == 64
  const hn::Full256<T> d2;
  const auto h = hn::Add(hn::LowerHalf(d2, s), hn::UpperHalf(d2, s));
  hn::StoreU(hn::Add(hn::LowerHalf(d1, h), hn::UpperHalf(d1, h)), d1, out);
#elif HWY_MAX_BYTES == 32
  hn::StoreU(hn::Add(hn::LowerHalf(d1, s), hn::UpperHalf(d1, s)), d1, out);
#else
  hn::StoreU(s, d1, out);
#endif
#else
  for (int j = 0; j < static_cast<int>(16 / sizeof(T)); ++j) out[j] = hn::GetLane(hn::SumOfLanes(d, v[j]));
#endif
}

/// out[i * NC + j] = sum over k of a[i][k] b[j][k]
template <class T, int MR, int NC>
HWY_NOINLINE void dots(const T* const* a, const T* const* b, Int k, T* HWY_RESTRICT out) {
  const Tag<T> d;
  using V = hn::Vec<Tag<T>>;
  constexpr Int N = lanes<T>();
  V acc[MR][NC];
  const T *ap[MR], *bp[NC];
  KNET_UNROLL
  for (int i = 0; i < MR; ++i) {
    ap[i] = a[i];
    KNET_UNROLL
    for (int j = 0; j < NC; ++j) acc[i][j] = hn::Zero(d);
  }
  KNET_UNROLL
  for (int j = 0; j < NC; ++j) bp[j] = b[j];
  Int q = 0;
  for (; q + N <= k; q += N) {
    V av[MR];
    KNET_UNROLL
    for (int i = 0; i < MR; ++i) av[i] = hn::LoadU(d, ap[i] + q);
    KNET_UNROLL
    for (int j = 0; j < NC; ++j) {
      const V bv = hn::LoadU(d, bp[j] + q);
      KNET_UNROLL
      for (int i = 0; i < MR; ++i) acc[i][j] = hn::MulAdd(av[i], bv, acc[i][j]);
    }
  }
  if (q < k) {
    V av[MR];
    KNET_UNROLL
    for (int i = 0; i < MR; ++i) av[i] = load_first(d, ap[i] + q, k - q);
    KNET_UNROLL
    for (int j = 0; j < NC; ++j) {
      const V bv = load_first(d, bp[j] + q, k - q);
      KNET_UNROLL
      for (int i = 0; i < MR; ++i) acc[i][j] = hn::MulAdd(av[i], bv, acc[i][j]);
    }
  }
  KNET_UNROLL
  for (int i = 0; i < MR; ++i) {
    KNET_UNROLL
    for (int j = 0; j < NC; j += static_cast<int>(16 / sizeof(T))) sum_lanes<T>(acc[i] + j, out + i * NC + j);
  }
}

// ---- a row times a large matrix ----

/// y[j] (+)= sum over `steps` (at most 8) of x[q * xs] b[q * bk + j] for j < n: reads whole rows of b, as
/// memory likes.
template <class T>
void add_rows(const T* x, Int xs, const T* b, Int bk, int steps, Int n, bool add, T* HWY_RESTRICT y) {
  const Tag<T> d;
  constexpr Int N = lanes<T>();
  Int j = 0;
  if (steps == 8) {
    hn::Vec<Tag<T>> xv[8];
    KNET_UNROLL
    for (int q = 0; q < 8; ++q) xv[q] = hn::Set(d, x[q * xs]);
    for (; j + 2 * N <= n; j += 2 * N) {
      auto s0 = add ? hn::LoadU(d, y + j) : hn::Zero(d), s1 = add ? hn::LoadU(d, y + j + N) : hn::Zero(d);
      const T* p = b + j;
      KNET_UNROLL
      for (int q = 0; q < 8; ++q, p += bk) {
        // The rows after these: what the processor foresees ends with a page.
        __builtin_prefetch(p + 8 * bk);
        __builtin_prefetch(p + 8 * bk + N);
        s0 = hn::MulAdd(xv[q], hn::LoadU(d, p), s0);
        s1 = hn::MulAdd(xv[q], hn::LoadU(d, p + N), s1);
      }
      hn::StoreU(s0, d, y + j);
      hn::StoreU(s1, d, y + j + N);
    }
  }
  for (; j < n; j += N) {
    auto s = add ? load_first(d, y + j, n - j) : hn::Zero(d);
    for (int q = 0; q < steps; ++q)
      s = hn::MulAdd(hn::Set(d, x[q * xs]), load_first(d, b + q * bk + j, n - j), s);
    store_first(s, d, y + j, n - j);
  }
}

}  // namespace knet::cpu_impl::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
