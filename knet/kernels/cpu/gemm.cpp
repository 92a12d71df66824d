// The matrix product between the micro-kernel and the caller: which operand is packed, how the loops are
// blocked for the caches and how the work is split over threads. Compiled for each instruction set; the best
// one the machine has is chosen at run time.
//
// An element of c is always the same sum in the same order, whatever the number of threads: how k is cut
// depends on the sizes alone. Few rows, and long sums of not too many, are dot products, which add in another
// order than panels do; so packed b may give other last bits than b as it is.
#include "knet/kernels/cpu/gemm.hpp"

#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/scratch.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/gemm.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/gemm_micro-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::HWY_NAMESPACE {

bool simple(Unary act) { return act == Unary::identity || act == Unary::relu; }

// ---- blocked product ----

constexpr Int block_k = 320;                     // a panel of b over that many steps stays in the first cache
constexpr Int block_m = most_panels * max_rows;  // rows of a that stay in the second
constexpr Int pack_a_panels = 5;                 // panels of b from which packing a pays
// Operands that need no packing: b of so many bytes, which stays in the first cache, or for so few rows of c.
// Processors with AVX-512 multiply what lies in their second cache as it is, a whose columns are contiguous,
// too; longer sums are those of large gradients, which come from memory, and that likes whole rows.
constexpr bool large_caches = HWY_TARGET <= HWY_AVX3;
constexpr Int direct_bytes = 32 * 1024, direct_rows = 4 * max_rows;
constexpr Int large_direct_bytes = 1 << 20, large_direct_rows = 64 * max_rows, large_direct_k = 1024,
              far_direct_rows = 5 * max_rows;    // where b is larger
constexpr Int few_panels = 4, many_panels = 64;  // panels of b packed at a time
constexpr Int long_row_bytes = 1 << 20;          // b too large for the caches
constexpr Int far_bytes = 1 << 20;               // b of which the next block is asked for
constexpr int most_double_rows =
    HWY_TARGET == HWY_AVX3 ? 4 : 3;       // rows of c up to which two panels fit the registers
constexpr Int brief_work = 1'000'000;     // multiply-adds up to which sleeping threads are not woken
constexpr Int piece_work = 40'000;        // multiply-adds from which a piece of the work pays
constexpr Int piece_panels = 24;          // for which a is packed
constexpr Int piece_rows = 4 * max_rows;  // of c; fewer read packed b too often
constexpr Int kept_a_bytes = 96 * 1024;   // of packed a that a thread keeps for its next piece
// Rows of c up to which dot products beat packing b, whatever the sums; and up to which they do for sums of
// so many vectors, which hide what adding up lanes costs. With 32 registers the latter was not measured.
constexpr Int dot_rows = 16, long_dot_rows = HWY_TARGET <= HWY_AVX3 ? 0 : 128, long_dot = 48;
constexpr Int many_row_count = 256;           // of c from which threads share packed b by rows
constexpr Int dot_k = 1024, dot_columns = 8;  // of a block of dot products
// Twelve sums, three operands and one more fill 16 registers.
constexpr int dot_tile_rows = HWY_TARGET <= HWY_AVX3 ? 4 : 3;

template <class T>
detail::Job job_of(const Gemm<T>& g) {
  return g.m * g.n * g.k <= brief_work ? detail::Job::brief : detail::Job::longer;
}

/// Where b comes from: packed panels over the whole of k, its own rows, or panels packed on the way.
enum class Source { panels, rows, pack };

/// Panels [p0, p1) of b, one after the other from out.
template <class T>
void pack_panels(const T* b, Int bk, Int bn, Int k, Int n, Int p0, Int p1, T* out) {
  constexpr Int W = panel_width<T>();
  if (bn == 1) {
    for (Int p = p0; p < p1; p += panels_at_once, out += panels_at_once * W * k) {
      pack_rows(b + p * W, bk, std::min(std::min(p1 - p, panels_at_once) * W, n - p * W), k, out);
    }
    return;
  }
  for (Int p = p0; p < p1; ++p, out += W * k) {
    pack_panel(b + p * W * bn, bn, bk, std::min(W, n - p * W), W, k, out);
  }
}

/// `rows` rows of a as `count` panels.
template <class T>
void pack_block(const T* a, Int am, Int ak, Int rows, Int count, Int k, T* out) {
  if (am == 1) return pack_columns(a, ak, rows, count, k, out);
  for (Int i = 0; i < count; ++i, out += panel_size<T>(k)) {
    const Int r0 = panel_begin(rows, count, i), r1 = panel_begin(rows, count, i + 1);
    pack_panel(a + r0 * am, am, ak, r1 - r0, row_width<T>(), k, out);
  }
}

/// The micro-kernel for so many rows and panels, of which the last may be `half` full.
template <class T, bool kMask>
HWY_NOINLINE Micro<T> kernel_for(Int rows, Int panels, bool half, [[maybe_unused]] bool packed) {
  if constexpr (fixed_rows<T> && !kMask) {
    if (packed && panels == 1 && !half && rows >= 4) return micro_packed<T>(rows);
  }
  if (panels == 4) return micro<T, 1, 2, 4, kMask>;
  if (panels == 2) {
    return rows == 1                              ? micro<T, 1, 2, 2, kMask>
           : rows == 2                            ? micro<T, 2, 2, 2, kMask>
           : (rows == 3 || most_double_rows == 3) ? micro<T, 3, 2, 2, kMask>
                                                  : micro<T, most_double_rows, 2, 2, kMask>;
  }
  return half ? micro_for<T, 1, kMask>(rows) : micro_for<T, 2, kMask>(rows);
}

/// Elements [from, to) of b, which come from a far cache or from memory, while others are multiplied.
template <class T>
HWY_INLINE void ask_for(const T* b, Int from, Int to) {
  constexpr Int line = 64 / sizeof(T);
  for (Int i = from / line * line; i < to; i += line) hwy::Prefetch(b + i);
}

/// Is a multiplied where it lies?
template <class T>
bool reads_a(const Gemm<T>& g) {
  return large_caches && g.am == 1 && g.k <= large_direct_k &&
         g.m * g.k * static_cast<Int>(sizeof(T)) <= large_direct_bytes;
}
/// Is b, whose rows are contiguous?
template <class T>
bool reads_b(const Gemm<T>& g) {
  const Int bytes = g.k * g.n * static_cast<Int>(sizeof(T));
  if (g.m <= direct_rows || bytes <= direct_bytes) return true;
  return large_caches && g.k <= large_direct_k && g.m <= large_direct_rows &&
         (bytes <= large_direct_bytes || g.m <= far_direct_rows);
}

/// Columns [n0, n1) of c, of a b that is not packed.
template <class T>
Gemm<T> columns(Gemm<T> g, Int n0, Int n1) {
  g.n = n1 - n0;
  g.b += n0 * g.bn, g.c += n0;
  if (g.bias) g.bias += n0;
  return g;
}

/// How c is computed in pieces of so many rows and panels, of which a thread has `share` panels in all.
template <class T>
struct Way {
  bool pack_a, pack_b;
  Int parts, longest;  // of k
  Int blocks;          // of rows
  Int block_size;      // elements of a block of packed a
  bool keep_a;         // all its blocks and parts, also for the next piece of the same rows
  Int group;           // panels of b at a time
  Int a_size, b_size;  // elements to pack into
  HWY_NOINLINE Way(const Gemm<T>& g, Source source, Int rows, Int panels, Int share)
      : pack_a(share >= pack_a_panels && g.k >= 16 && rows >= 4 && !reads_a(g)),
        pack_b(source == Source::pack),
        parts((g.k + block_k - 1) / block_k),
        longest((g.k + parts - 1) / parts),
        blocks((rows + block_m - 1) / block_m),
        block_size((std::min(block_m, rows) + max_rows - 1) / max_rows * panel_size<T>(longest) + lanes<T>()),
        keep_a(all_of_a() <= kept_a_bytes / Int{sizeof(T)}),
        // Packed b is used at once when all rows of c follow, else by one block of rows after the other.
        group(pack_b ? std::min(panels, keep_a || blocks == 1 ? few_panels : many_panels) : panels),
        a_size(!pack_a  ? 0
               : keep_a ? all_of_a()
                        : block_size),
        b_size(pack_b ? group * panel_width<T>() * longest : 0) {}
  Int all_of_a() const { return parts * blocks * block_size; }
};

/// Rows [m0, m1) of the panels [p0, p1) of c. `b` is what `source` says; packed_a and packed_b have room for
/// what Way says; a_packed: packed_a has all these rows already.
template <class T>
void run_tiles(const Gemm<T>& g, const Way<T>& way, Source source, const T* b, Int m0, Int m1, Int p0, Int p1,
               T* packed_a, T* packed_b, bool a_packed) {
  constexpr Int N = lanes<T>(), W = panel_width<T>(), size = sizeof(T);
  const Int panels = (g.n + W - 1) / W;
  const bool pack_a = way.pack_a, pack_once = way.keep_a || way.blocks == 1;
  const Int parts = way.parts, group = way.group;
  const bool far = source == Source::panels && panels * W * g.k * size > far_bytes;
  Tile<T> t;
  t.bk = source == Source::rows ? g.bk : W;
  t.cm = g.cm;
  for (Int q = 0; q < parts; ++q) {
    const Int k0 = g.k * q / parts, k1 = g.k * (q + 1) / parts;
    t.k = k1 - k0;
    t.panel_stride = source == Source::rows ? W : source == Source::panels ? W * g.k : W * t.k;
    t.add = g.accumulate || q > 0;
    const bool ends = q == parts - 1;
    t.relu = ends && g.act == Unary::relu;
    for (Int g0 = p0; g0 < p1; g0 += group) {
      const Int g1 = std::min(p1, g0 + group);
      if (source == Source::pack) {
        pack_panels(g.b + k0 * g.bk, g.bk, g.bn, t.k, g.n, g0, g1, packed_b);
      }
      const T* panel = source == Source::pack ? packed_b : b + g0 * t.panel_stride + k0 * t.bk;
      T* a_block = packed_a + (way.keep_a ? q * way.blocks * way.block_size : 0);
      for (Int mb = m0; mb < m1; mb += block_m, a_block += way.keep_a ? way.block_size : 0) {
        const Int rows = std::min(block_m, m1 - mb), count = (rows + max_rows - 1) / max_rows;
        if (pack_a && !a_packed && (g0 == p0 || !pack_once)) {
          pack_block(g.a + mb * g.am + k0 * g.ak, g.am, g.ak, rows, count, t.k, a_block);
        }
        for (Int p = g0, np; p < g1; p += np) {
          // Few rows leave registers for more panels, which hides the latency of the additions.
          np = g1 - p < 2 || rows > most_double_rows ? 1 : rows == 1 && g1 - p >= 4 ? 4 : 2;
          const bool whole = p + np < panels || g.n % W == 0;
          t.cols = whole ? np * W : g.n - p * W;
          t.b = panel + (p - g0) * t.panel_stride;
          t.bias = ends && g.bias ? g.bias + p * W : nullptr;
          const bool half = t.cols - (np - 1) * W <= N,
                     mask = native_mask && source == Source::rows && !whole;
          const bool masked = free_mask || mask;
          const auto kernel = masked ? kernel_for<T, native_mask> : kernel_for<T, free_mask>;
          const Micro<T> kernels[] = {kernel(rows / count, np, half, pack_a),
                                      kernel((rows + count - 1) / count, np, half, pack_a)};
          const Int ahead = far && p + np < g1 ? t.k * W : 0;
          for (Int i = 0; i < count; ++i) {
            ask_for(t.b + np * t.panel_stride, ahead * i / count, ahead * (i + 1) / count);
            const Int r0 = panel_begin(rows, count, i), r = panel_begin(rows, count, i + 1) - r0;
            t.a = pack_a ? a_block + i * panel_size<T>(t.k) : g.a + (mb + r0) * g.am + k0 * g.ak;
            t.am = pack_a ? size : g.am * size;
            t.ak = pack_a ? row_width<T>() * size : g.ak * size;
            t.c = g.c + (mb + r0) * g.cm + p * W;
            kernels[r - rows / count](t);
          }
        }
      }
    }
  }
  if (!simple(g.act)) {
    const Int c0 = p0 * W, c1 = std::min(g.n, p1 * W);
    apply_activation(g.act, g.alpha, g.c + m0 * g.cm + c0, m1 - m0, c1 - c0, g.cm);
  }
}

// ---- lines and runs ----

template <class T>
void run_runs(const RunGemm<T>& g) {
  constexpr Int N = lanes<T>(), W = panel_width<T>(), size = sizeof(T);
  const Int panels = (g.n + W - 1) / W, count = (g.m + max_rows - 1) / max_rows;
  // Some runs at a time, or a piece of one.
  const Int cuts = (g.k + block_k - 1) / block_k, some = cuts > 1 ? 1 : block_k / g.k;
  const Int parts = (g.runs + some - 1) / some * cuts;
  Tile<T> t;
  t.am = g.am * size, t.ak = g.ak * size;
  t.bk = W, t.panel_stride = g.panel;
  t.cm = g.cm;
  const bool far = panels * g.panel * size > far_bytes;
  // A panel from its first part to its last: b comes from memory as it lies there, and once.
  for (Int p = 0, np; p < panels; p += np) {
    np = panels - p < 2 || g.m > most_double_rows ? 1 : g.m == 1 && panels - p >= 4 ? 4 : 2;
    t.cols = std::min(np * W, g.n - p * W);
    const bool half = t.cols - (np - 1) * W <= N;
    const Micro<T> kernels[] = {kernel_for<T, free_mask>(g.m / count, np, half, false),
                                kernel_for<T, free_mask>((g.m + count - 1) / count, np, half, false)};
    for (Int q = 0; q < parts; ++q) {
      const Int r0 = cuts > 1 ? q / cuts : g.runs * q / parts,
                r1 = cuts > 1 ? r0 + 1 : g.runs * (q + 1) / parts, k0 = g.k * (q % cuts) / cuts,
                k1 = g.k * (q % cuts + 1) / cuts;
      t.k = k1 - k0;
      const T *const b = g.packed + p * g.panel + k0 * W, *const next = b + g.run[r1 - 1].b + t.k * W;
      const Int ahead = far && (q + 1 < parts || p + np < panels) ? (r1 - r0) * t.k * W : 0;
      for (Int l = 0; l < g.lines; ++l) {
        ask_for(next, ahead * l / g.lines, ahead * (l + 1) / g.lines);
        const Int first = g.only ? g.only[2 * l] : 0, end = g.only ? g.only[2 * l + 1] : g.runs,
                  from = std::max(r0, first), to = std::min(r1, end);
        if (from >= to) continue;
        t.run = g.run + from, t.runs = to - from;
        t.b = b + t.run->b;
        t.add = g.accumulate || from > first || k0 > 0;
        const bool ends = to == end && k1 == g.k;
        t.relu = ends && g.act == Unary::relu;
        t.bias = ends && g.bias ? g.bias + p * W : nullptr;
        for (Int i = 0; i < count; ++i) {
          const Int m0 = panel_begin(g.m, count, i), m = panel_begin(g.m, count, i + 1) - m0;
          t.a = g.a + g.a_line[l] + m0 * g.am + k0 * g.ak + t.run->a;
          t.c = g.c + g.c_line[l] + m0 * g.cm + p * W;
          kernels[m - g.m / count](t);
        }
      }
    }
  }
  if (simple(g.act)) return;
  for (Int l = 0; l < g.lines; ++l) apply_activation(g.act, g.alpha, g.c + g.c_line[l], g.m, g.n, g.cm);
}

template <class T>
HWY_NOINLINE void pack_all(const T* b, Int bk, Int bn, Int k, Int n, T* out) {
  constexpr Int W = panel_width<T>();
  const Int grain = std::max<Int>(1, 16384 / std::max<Int>(1, k * W));
  parallel_for((n + W - 1) / W, grain,
               [&](Int p0, Int p1) { pack_panels(b, bk, bn, k, n, p0, p1, out + p0 * W * k); });
}

// ---- a row times a matrix too large for the caches ----

/// The same sums as the blocked product, but every thread reads one piece of b from its first row to its
/// last: memory is fastest in long runs. The sums of the blocks of k are kept apart and added in their order.
template <class T>
void long_row(const Gemm<T>& g) {
  const Int parts = (g.k + block_k - 1) / block_k;
  const PoolBuffer<T> sums(parts * g.n);
  T* s = sums.get();
  constexpr Int line = 64 / sizeof(T);
  const Int lines = (parts * g.n + line - 1) / line, shares = std::min<Int>(threads(), lines);
  parallel_for(shares, 1, [&](Int share, Int end) {
    const Int from = lines * share / shares * line, to = std::min(parts * g.n, lines * end / shares * line);
    for (Int q = from / g.n; q * g.n < to; ++q) {
      const Int n0 = std::max(from - q * g.n, Int{0}), n1 = std::min(to - q * g.n, g.n);
      const Int k0 = g.k * q / parts, k1 = g.k * (q + 1) / parts;
      for (Int i = k0; i < k1; i += 8) {
        add_rows(g.a + i * g.ak, g.ak, g.b + i * g.bk + n0, g.bk, static_cast<int>(std::min<Int>(8, k1 - i)),
                 n1 - n0, i > k0, s + q * g.n + n0);
      }
    }
  });
  for (Int q = 0; q < parts; ++q, s += g.n) {
    const bool add = g.accumulate || q > 0, ends = q == parts - 1;
    for (Int j = 0; j < g.n; ++j) {
      T v = add ? s[j] + g.c[j] : s[j];
      if (ends && g.bias) v += g.bias[j];
      if (ends && g.act == Unary::relu && v < T(0)) v = T(0);
      g.c[j] = v;
    }
  }
  if (!simple(g.act)) apply_activation(g.act, g.alpha, g.c, Int{1}, g.n, g.n);
}

// ---- dot products ----

/// A tile of c at (i0, j0); rows and columns beyond the end are not written.
template <class T, int MR, int NC>
void dot_tile(const Gemm<T>& g, Int i0, Int j0) {
  constexpr int L = 16 / sizeof(T);
  const T *rows[MR], *cols[NC];
  T out[MR * NC];
  for (int i = 0; i < MR; ++i) rows[i] = g.a + std::min(i0 + i, g.m - 1) * g.am;
  for (int j = 0; j < NC; ++j) cols[j] = g.b + std::min(j0 + j, g.n - 1) * g.bn;
  dots<T, MR, NC>(rows, cols, g.k, out);
  const bool rectify = g.act == Unary::relu, whole = j0 + NC <= g.n;
  for (int i = 0; i < MR && i0 + i < g.m; ++i) {
    T* c = g.c + (i0 + i) * g.cm + j0;
    const T* o = out + i * NC;
#if HWY_MAX_BYTES >= 16
    if (whole) {
      const hn::Full128<T> d;
      KNET_UNROLL
      for (int j = 0; j < NC; j += L) {
        auto v = hn::LoadU(d, o + j);
        if (g.accumulate) v = hn::Add(v, hn::LoadU(d, c + j));
        if (g.bias) v = hn::Add(v, hn::LoadU(d, g.bias + j0 + j));
        if (rectify) v = relu(d, v);
        hn::StoreU(v, d, c + j);
      }
      continue;
    }
#endif
    for (Int j = 0; j < NC && j0 + j < g.n; ++j) {
      T v = o[j];
      if (g.accumulate) v += c[j];
      if (g.bias) v += g.bias[j0 + j];
      if (rectify && v < T(0)) v = T(0);
      c[j] = v;
    }
  }
}

/// Rows [m0, m1), columns [n0, n1) of c. k is cut so that the rows of b that one pass over a needs, and those
/// of a, stay in the first cache.
template <class T>
HWY_NOINLINE void dot_block(const Gemm<T>& g, Int m0, Int m1, Int n0, Int n1) {
  Gemm<T> part = g;
  part.m = m1;
  part.n = n1;
  const Int parts = (g.k + dot_k - 1) / dot_k;
  for (Int q = 0; q < parts; ++q) {
    const Int k0 = g.k * q / parts, k1 = g.k * (q + 1) / parts;
    const bool ends = q == parts - 1;
    part.k = k1 - k0;
    part.a = g.a + k0, part.b = g.b + k0;
    part.accumulate = g.accumulate || q > 0;
    part.bias = ends ? g.bias : nullptr;
    part.act = ends ? g.act : Unary::identity;
    if (m1 - m0 == 1) {
      for (Int j = n0; j < n1; j += 8) dot_tile<T, 1, 8>(part, m0, j);
      continue;
    }
    for (Int j0 = n0; j0 < n1; j0 += dot_columns) {
      const Int j1 = std::min(n1, j0 + dot_columns), ahead = std::min(n1, j1 + dot_columns) - j1;
      for (Int i = m0, next; i < m1; i = next) {
        const Int left = m1 - i;
        const bool two = left <= 2 || left == dot_tile_rows + 1;  // no row is left alone
        next = std::min(m1, i + (two ? 2 : dot_tile_rows));
        // The rows of b that come next, spread over this pass.
        for (Int j = ahead * (i - m0) / (m1 - m0); j < ahead * (next - m0) / (m1 - m0); ++j) {
          constexpr Int line = 64 / sizeof(T);
          for (Int l = 0; l < part.k; l += line) __builtin_prefetch(part.b + (j1 + j) * g.bn + l, 0, 2);
        }
        for (Int j = j0; j < j1; j += 4) {
          if (two)
            dot_tile<T, 2, 4>(part, i, j);
          else
            dot_tile<T, dot_tile_rows, 4>(part, i, j);
        }
      }
    }
  }
  if (!simple(g.act)) apply_activation(g.act, g.alpha, g.c + m0 * g.cm + n0, m1 - m0, n1 - n0, g.cm);
}

/// Columns beyond whole vectors that are computed as dot products, which waste no lanes.
template <class T>
Int tail_columns(const Gemm<T>& g) {
  constexpr Int N = lanes<T>();
  const Int tail = g.n % N;
  const bool pays = g.b && g.ak == 1 && g.bk == 1 && g.k >= 4 * N && g.m >= 4 && g.n > N;
  return pays && 4 * tail <= N ? tail : 0;
}

template <class T>
void blocked(const Gemm<T>& all) {
  constexpr Int W = panel_width<T>(), N = lanes<T>();
  const Int tail = tail_columns(all);
  Gemm<T> g = all;
  g.n -= tail;
  const Int panels = (g.n + W - 1) / W;
  const bool may_read = g.b && g.bn == 1 && (native_mask || g.n % W == 0);
  Source source = g.packed ? Source::panels : may_read && reads_b(g) ? Source::rows : Source::pack;
  const T* b = source == Source::panels ? g.packed : g.b;
  const Int parts = g.m * g.n * g.k < gemm_thread_work ? 1 : threads();
  // Split what leaves the smaller largest part, counted in vectors of c. Parts of panels are packed by the
  // thread that uses them; for parts of rows b goes from one core's cache to the other's.
  const Int vectors = (g.n + N - 1) / N;
  const Int by_rows = (g.m + parts - 1) / parts * vectors, by_panels = (panels + parts - 1) / parts * 2 * g.m,
            by_vectors = (vectors + parts - 1) / parts * g.m;
  // Few columns that nobody packed before are shared by vectors, not by panels.
  const bool fine =
      large_caches && parts > 1 && source != Source::panels && panels <= 4 * parts && by_vectors < by_panels;
  const Int by_columns = fine ? by_vectors : by_panels;
  // Every piece of panels packs all rows of a again where they are too many to keep.
  const bool large_a = parts > 1 && !Way<T>(g, source, g.m, panels, panels).keep_a,
             many_rows = large_a && g.m >= many_row_count && by_rows <= by_columns;
  // Rows of a weight's gradient go to the threads that will change these rows of the weight.
  const bool of_weight = source == Source::rows && reads_a(g) && by_rows <= by_columns;
  const bool rows = parts > 1 && (many_rows || of_weight || by_rows * 10 < by_columns * 9);
  const PoolBuffer<T> packed(rows && source == Source::pack ? panels * W * g.k : 0);
  if (packed.get()) {
    pack_all(g.b, g.bk, g.bn, g.k, g.n, packed.get());
    source = Source::panels, b = packed.get();
  }
  const bool by_vector = fine && !rows;
  const Int size = rows        ? g.m
                   : by_vector ? vectors
                               : panels,
            unit = rows ? max_rows : std::clamp<Int>(panels / (8 * parts), 1, 4),
            whole = (size + unit - 1) / unit;
  // As many rows for every thread as for the others.
  const Int units = rows && whole >= 2 * parts ? (whole + parts - 1) / parts * parts : whole;
  const Int of_unit = g.m * g.n * g.k / units + 1;
  const Int few = rows ? piece_rows / max_rows : by_vector ? units : large_a ? piece_panels / unit : 1;
  Pieces pieces(units, std::max(few, (piece_work + of_unit - 1) / of_unit), parts);
  // Tiles have about as many rows each, so that the last one is not the small one; panels are whole.
  const auto begin = [&](Int u) { return rows ? size * u / units : std::min(size, u * unit); };
  const Int longest = std::min(size, pieces.longest() * unit);
  const Way<T> way(g, source, rows ? longest : g.m,
                   rows        ? panels
                   : by_vector ? (longest * N + W - 1) / W
                               : longest,
                   rows ? panels : (panels + parts - 1) / parts);
  parallel_for(
      parts, 1,
      [&](Int part, Int end) {
        const PoolBuffer<T> packed_a(way.a_size), packed_b(way.b_size);
        bool a_packed = false;
        for (; part < end; ++part) {
          pieces.run(part, [&](Int from, Int to) {
            const Int i0 = begin(from), i1 = begin(to);
            const Int m0 = rows ? i0 : 0, m1 = rows ? i1 : g.m;
            const auto tiles = [&](const Gemm<T>& part_of, const T* part_b, Int p0, Int p1) {
              run_tiles(part_of, way, source, part_b, m0, m1, p0, p1, packed_a.get(), packed_b.get(),
                        a_packed);
            };
            if (by_vector) {
              const Gemm<T> some = columns(g, i0 * N, std::min(g.n, i1 * N));
              tiles(some, some.b, 0, (some.n + W - 1) / W);
            } else {
              tiles(g, b, rows ? 0 : i0, rows ? panels : i1);
            }
            a_packed = way.keep_a && !rows;
            if (tail && (rows || i1 == size)) dot_block(all, m0, m1, g.n, all.n);
          });
        }
      },
      job_of(g));
}

/// x [rows, k] is from now on its copy at `to`, whose rows are contiguous.
template <class T>
HWY_NOINLINE void lay_along_k(const T*& x, Int& distance, Int& step, Int rows, Int k, T* to) {
  for (Int i = 0; i < rows; ++i) {
    for (Int q = 0; q < k; ++q) to[i * k + q] = x[i * distance + q * step];
  }
  x = to, distance = k, step = 1;
}

/// a and b contiguous along k, or copied so when they are small.
template <class T>
void dot_product(Gemm<T> g) {
  const PoolBuffer<T> a(g.ak == 1 ? 0 : g.m * g.k), b(g.bk == 1 ? 0 : g.n * g.k);
  if (a.get()) lay_along_k(g.a, g.am, g.ak, g.m, g.k, a.get());
  if (b.get()) lay_along_k(g.b, g.bn, g.bk, g.n, g.k, b.get());
  const Int parts = g.m * g.n * g.k < gemm_thread_work ? 1 : threads();
  if (parts == 1) return dot_block(g, 0, g.m, 0, g.n);
  const bool rows = g.m > g.n;
  const Int size = rows ? g.m : g.n, unit = 8, units = (size + unit - 1) / unit;
  const Int of_unit = g.m * g.n * g.k / units + 1;
  // Few rows wait for memory, which is fastest in long runs.
  Pieces pieces(units, g.m <= most_double_rows ? units : (piece_work + of_unit - 1) / of_unit, parts);
  parallel_for(
      parts, 1,
      [&](Int part, Int end) {
        for (; part < end; ++part) {
          pieces.run(part, [&](Int from, Int to) {
            const Int i0 = from * unit, i1 = std::min(size, to * unit);
            if (rows)
              dot_block(g, i0, i1, 0, g.n);
            else
              dot_block(g, 0, g.m, i0, i1);
          });
        }
      },
      job_of(g));
}

/// Are dot products the quickest? `b_along`, `a_along`: contiguous along k.
template <class T>
bool as_dots(Int m, Int n, Int k, bool b_along, bool a_along) {
  constexpr Int N = lanes<T>();
  if (b_along && k >= 2 * N && m <= dot_rows) return true;
  if (!a_along) return false;
  return (b_along && k >= long_dot * N && m <= long_dot_rows) || (n <= 4 && m >= 16 && k >= 4 * N);
}

template <class T>
void run(const Gemm<T>& given) {
  Gemm<T> g = given;
  // The stride of a single element is whatever it is; make it the one that suits.
  if (g.k == 1) g.ak = 1, g.bk = g.n;
  if (g.n == 1 && g.bk != 1) g.bn = 1;
  if (g.n == 1 && g.m > 1 && g.b) {
    // c^T = b^T a^T: a row vector times a matrix, whose result is then put in place.
    PoolBuffer<T> y(g.m);
    Gemm<T> r;
    r.m = 1, r.n = g.m, r.k = g.k;
    r.a = g.b, r.am = 0, r.ak = g.bk;
    r.b = g.a, r.bk = g.ak, r.bn = g.am;
    r.c = y.get(), r.cm = g.m;
    run(r);
    const T bias = g.bias ? g.bias[0] : T(0);
    for (Int i = 0; i < g.m; ++i) {
      T v = y.get()[i];
      T* c = g.c + i * g.cm;
      if (g.accumulate) v += *c;
      v += bias;
      *c = g.act == Unary::relu && v < T(0) ? T(0) : v;
    }
    if (!simple(g.act)) apply_activation(g.act, g.alpha, g.c, g.m, Int{1}, g.cm);
    return;
  }
  if (g.b && as_dots<T>(g.m, g.n, g.k, g.bk == 1 && (g.bn != 1 || g.n == 1), g.ak == 1))
    return dot_product(g);
  if (g.m == 1 && g.b && g.bn == 1 && g.k * g.n * static_cast<Int>(sizeof(T)) >= long_row_bytes) {
    return long_row(g);
  }
  blocked(g);
}

void run_f32(const Gemm<float>& g) { run(g); }
void run_f64(const Gemm<double>& g) { run(g); }
void runs_f32(const RunGemm<float>& g) { run_runs(g); }
void runs_f64(const RunGemm<double>& g) { run_runs(g); }
void pack_f32(const float* b, Int bk, Int bn, Int k, Int n, float* out) { pack_all(b, bk, bn, k, n, out); }
void pack_f64(const double* b, Int bk, Int bn, Int k, Int n, double* out) { pack_all(b, bk, bn, k, n, out); }
bool dots_f32(Int m, Int n, Int k, bool b_along) { return as_dots<float>(m, n, k, b_along, true); }
bool dots_f64(Int m, Int n, Int k, bool b_along) { return as_dots<double>(m, n, k, b_along, true); }
Int panel_f32() { return panel_width<float>(); }
Int panel_f64() { return panel_width<double>(); }
Int rows_of_tile() { return max_rows; }

}  // namespace knet::cpu_impl::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
HWY_EXPORT(run_f32);
HWY_EXPORT(run_f64);
HWY_EXPORT(runs_f32);
HWY_EXPORT(runs_f64);
HWY_EXPORT(pack_f32);
HWY_EXPORT(pack_f64);
HWY_EXPORT(dots_f32);
HWY_EXPORT(dots_f64);
HWY_EXPORT(panel_f32);
HWY_EXPORT(panel_f64);
HWY_EXPORT(rows_of_tile);

void gemm(const Gemm<float>& g) { HWY_DYNAMIC_DISPATCH(run_f32)(g); }
void gemm(const Gemm<double>& g) { HWY_DYNAMIC_DISPATCH(run_f64)(g); }
void gemm_runs(const RunGemm<float>& g) { HWY_DYNAMIC_DISPATCH(runs_f32)(g); }
void gemm_runs(const RunGemm<double>& g) { HWY_DYNAMIC_DISPATCH(runs_f64)(g); }
void gemm_pack(const float* b, std::int64_t bk, std::int64_t bn, std::int64_t k, std::int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(pack_f32)(b, bk, bn, k, n, out);
}
void gemm_pack(const double* b, std::int64_t bk, std::int64_t bn, std::int64_t k, std::int64_t n,
               double* out) {
  HWY_DYNAMIC_DISPATCH(pack_f64)(b, bk, bn, k, n, out);
}
std::int64_t gemm_rows() { return HWY_DYNAMIC_DISPATCH(rows_of_tile)(); }
bool gemm_reads_plain(DType t, std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t bk) {
  if (n == 1) return true;
  return t == DType::f32 ? HWY_DYNAMIC_DISPATCH(dots_f32)(m, n, k, bk == 1)
                         : HWY_DYNAMIC_DISPATCH(dots_f64)(m, n, k, bk == 1);
}
template <class T>
std::size_t gemm_packed_size(std::int64_t k, std::int64_t n) {
  const std::int64_t width =
      sizeof(T) == 4 ? HWY_DYNAMIC_DISPATCH(panel_f32)() : HWY_DYNAMIC_DISPATCH(panel_f64)();
  return static_cast<std::size_t>((n + width - 1) / width * width * k);
}
template std::size_t gemm_packed_size<float>(std::int64_t, std::int64_t);
template std::size_t gemm_packed_size<double>(std::int64_t, std::int64_t);

}  // namespace knet::cpu_impl
#endif
