// The gradient of a convolution's weights: for every tap a product of the inputs it reads, where they are,
// and the gradients of the outputs. Padding takes no part.
#include <algorithm>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/conv_taps.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"

namespace knet::cpu_impl {
namespace {

// Input channels, of each group, up to which conv_few gains (measured).
constexpr Int few_inputs = 4, few_inputs_of_group = 15;

/// The positions of the output lines [l0, l1) for which a tap reads inside the images: so many runs, each as
/// many steps as are returned.
template <class T>
Int runs_inside(const Image<const T>& x, const Taps& t, Int tap, Int l0, Int l1, Int width, Run* run,
                Int& runs) {
  const Int across = t.shift[2].count, down = t.shift[1].count;
  const Int shift[3] = {t.shift[0][tap / across / down], t.shift[1][tap / across % down],
                        t.shift[2][tap % across]};
  Int first = 0, end = t.out[2];
  while (first < end && first * t.step[2] + shift[2] < 0) ++first;
  while (end > first && (end - 1) * t.step[2] + shift[2] >= x.size[2]) --end;
  runs = 0;
  if (first == end) return 0;
  Place at(t, l0 * t.out[2]);
  for (Int l = l0; l < l1; ++l) {
    const Int d = at.p[0] * t.step[0] + shift[0], h = at.p[1] * t.step[1] + shift[1];
    if (d >= 0 && d < x.size[0] && h >= 0 && h < x.size[1])
      run[runs++] = {at.n * x.image + d * x.at[0] + h * x.at[1] + (first * t.step[2] + shift[2]) * x.at[2],
                     ((l - l0) * t.out[2] + first) * width};
    at.p[2] = t.out[2] - 1;
    at.next(t);
  }
  return end - first;
}

// Sums over positions are cut by sizes alone: the same bits for any number of threads.
template <class T>
void run_grad_weight(const ConvShape& s, const Array& ax, const Array& ady, const Array& dw) {
  constexpr Int most_parts = 16;
  constexpr Int few_weights = 32768, least_parts = 8, rows_of_product = 2048;  // of 1 x 1 kernels
  const Taps t = forward_taps(s);
  const Int from = s.in_channels / s.groups, to = s.out_channels / s.groups;
  const Int rows = s.n * t.rows();
  PoolBuffer<T> copy_of(copy_size<T>(ady));
  const Image<const T> dy = channels_last<T>(ady, copy_of);
  if (!is_depthwise(s) && has_few_channels(s, s.groups > 1 ? few_inputs_of_group : few_inputs))
    return conv_few_grad_weight(s, ax, dy.data, dw);
  PoolBuffer<T> copy_of_x(ax.stride[1] == 1 ? 0 : copy_size<T>(ax));
  const Image<const T> x = channels_last<T>(ax, copy_of_x);
  if (is_depthwise(s)) return depthwise_weights(x, dy, t, s.n, s.groups, dw);
  if (s.groups == 1 && rows > 0 && is_matrix(x, t, from)) {
    // The wider side takes whole rows.
    const bool turn = to > from;
    // Few sums over many rows: parts of the rows give more cores something to do.
    const Int size = to * from, most = std::min(rows / rows_of_product, most_parts),
              parts = size <= few_weights && most >= least_parts ? most : 1;
    const PoolBuffer<T> sums(turn || parts > 1 ? parts * size : 0);
    parallel_for(parts, 1, [&](Int p, Int end) {
      for (; p < end; ++p) {
        const Int r0 = rows * p / parts;
        Gemm<T> g;
        g.m = std::min(to, from), g.n = std::max(to, from), g.k = rows * (p + 1) / parts - r0;
        g.a = (turn ? x.data : dy.data) + r0 * g.m, g.am = 1, g.ak = g.m;
        g.b = (turn ? dy.data : x.data) + r0 * g.n, g.bk = g.n, g.bn = 1;
        g.c = sums.get() ? sums.get() + p * size : dw.as<T>(), g.cm = g.n;
        gemm(g);
      }
    });
    if (parts > 1) column_sums(sums.get(), parts, size, size, turn ? sums.get() : dw.as<T>());
    for (Int o = 0; turn && o < to; ++o) {
      for (Int c = 0; c < from; ++c) dw.as<T>()[o * from + c] = sums.get()[c * to + o];
    }
    return;
  }
  // Every tap's weights are a product of inputs and gradients. Panels of outputs at a time, whose sums
  // [taps][from][width] lie together.
  constexpr Int elements = 60'000;
  const Int taps = t.count(), lines = s.n * t.out[0] * t.out[1];
  const Int width = gemm_width<T>(), panels = (to + width - 1) / width, of_tap = from * width + 16,
            size = taps * of_tap;  // a power of two would be one set of the caches
  const PoolBuffer<T> sums(s.groups * panels * size);
  if (rows == 0) std::fill_n(sums.get(), s.groups * panels * size, T(0));
  const Int block = rows == 0 ? 1 : std::clamp<Int>(elements / (t.out[2] * std::max(from, width)), 1, lines);
  // Tasks share nothing: some taps of some panels, where these are few of a range of inputs.
  const Int wanted =
      rows * taps * from * s.out_channels < gemm_thread_work || threads() == 1 ? 1 : 4 * threads();
  const Int tiles = (from + gemm_rows() - 1) / gemm_rows(), units = panels * taps;
  Int ranges = 1;  // of whole tiles, as many in each
  while (wanted > 1 && ranges < tiles && (s.groups * ranges * units < 2 * wanted || tiles % ranges != 0))
    ++ranges;
  const Int parts = std::clamp<Int>((wanted + s.groups * ranges - 1) / (s.groups * ranges), 1, units),
            tasks = s.groups * ranges * parts;
  parallel_for(rows == 0 ? 0 : tasks, wanted == 1 ? tasks : 1, [&](Int i, Int end) {
    for (; i < end; ++i) {
      const Int group = i / (ranges * parts), range = i / parts % ranges, part = i % parts,
                f0 = from * range / ranges, f1 = from * (range + 1) / ranges, first = units * part / parts,
                last = units * (part + 1) / parts;
      const PoolBuffer<T> packed(width * block * t.out[2]);
      const PoolBuffer<Run> run(block);
      RunGemm<T> g;
      g.m = f1 - f0, g.am = 1, g.ak = t.step[2] * x.at[2];
      g.a = x.data + group * from + f0, g.run = run.get(), g.packed = packed.get(), g.cm = width;
      for (Int l0 = 0; l0 < lines; l0 += block) {
        const Int l1 = std::min(lines, l0 + block);
        g.accumulate = l0 > 0;
        for (Int p = first / taps; p * taps < last; ++p) {
          g.n = std::min(width, to - p * width);
          gemm_pack(dy.data + l0 * t.out[2] * s.out_channels + group * to + p * width, s.out_channels, 1,
                    (l1 - l0) * t.out[2], g.n, packed.get());
          for (Int tap = std::max(first - p * taps, Int{0}); tap < std::min(taps, last - p * taps); ++tap) {
            g.k = runs_inside(x, t, tap, l0, l1, width, run.get(), g.runs);
            g.c = sums.get() + (group * panels + p) * size + tap * of_tap + f0 * width;
            if (g.runs > 0)
              gemm_runs(g);
            else if (!g.accumulate)
              std::fill_n(g.c, g.m * width, T(0));
          }
        }
      }
    }
  });
  // Some outputs at a time: more of their lines would drive each other out of the first cache.
  const Int some = std::min<Int>(16, width), in_panel = width / some;
  parallel_for(s.groups * panels * in_panel, std::max<Int>(1, 16384 / size), [&](Int b, Int e) {
    for (; b < e; ++b) {
      const Int panel = b / in_panel, o0 = b % in_panel * some, o = panel % panels * width + o0,
                count = std::min(some, to - o);
      T* out = dw.as<T>() + (panel / panels * to + o) * dw.stride[0];
      for (Int c = 0; c < from; ++c, out += dw.stride[1]) {
        for_taps(t, dw, [&](Int tap, Int offset) {
          const T* const sum = sums.get() + panel * size + tap * of_tap + c * width + o0;
          for (Int j = 0; j < count; ++j) out[j * dw.stride[0] + offset] = sum[j];
        });
      }
    }
  });
}

}  // namespace

void conv_grad_weight(const ConvShape& s, const Array& x, const Array& dy, const Array& dw) {
  if (has_winograd(s, dw)) return winograd_grad_weight(s, x, dy, dw);
  if (pays_sparse(s, dy)) return sparse_grad_weight(s, x, dy, dw);
  dispatch_float("conv", x.dtype, [&]<class T>(type<T>) { run_grad_weight<T>(s, x, dy, dw); });
}

}  // namespace knet::cpu_impl
