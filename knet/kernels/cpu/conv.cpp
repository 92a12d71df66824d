// Convolutions as matrix products that are never written down: a block of output positions at a time, the
// inputs under the kernel are gathered into the rows of a matrix, which the packed weights multiply into
// place. The gradient of the input is the same with the roles of input and output exchanged; a stride splits
// it into phases, each of which has its own part of the kernel.
#include <algorithm>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"
#include "knet/kernels/cpu/column_sums.hpp"
#include "knet/kernels/cpu/conv_taps.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"

namespace knet::cpu_impl {
namespace {

constexpr Int block_elements = 40'000;  // of gathered inputs: they stay in the second cache
// Input channels up to which conv_few gains (measured): with 16 registers, with 32 and outputs for one
// vector, and in the gradient of the weights; and in groups, which share vectors there, the outputs of each.
constexpr Int few_inputs = 24, very_few_inputs = 4, few_inputs_of_weight = 4, few_inputs_of_group = 15;
constexpr Int few_outputs_of_group = 4, very_few_outputs_of_group = 2;
constexpr Int min_rows = 24, max_rows = 512;  // of one block

/// Does conv_few take it?
bool reads_few(const ConvShape& s) {
  const bool many_registers = gemm_rows() > 8;
  if (s.groups > 1) {
    const Int most = many_registers ? very_few_outputs_of_group : few_outputs_of_group;
    return !is_depthwise(s) && s.out_channels / s.groups <= most && has_few_channels(s, few_inputs_of_group);
  }
  const Int vector = static_cast<Int>(gemm_packed_size<float>(1, 1)) / 2;
  return has_few_channels(s, !many_registers ? few_inputs : s.out_channels <= vector ? very_few_inputs : 0);
}
bool reads_few_for_weight(const ConvShape& s) {
  return !is_depthwise(s) && has_few_channels(s, s.groups > 1 ? few_inputs_of_group : few_inputs_of_weight);
}

/// Rows [r0, r1) of the matrix of inputs: for every tap the channels from c0; `gap` elements between rows.
template <class T>
void gather(const Image<const T>& x, const Taps& t, Int c0, Int channels, Int r0, Int r1, T* out, Int gap) {
  const Int taps = static_cast<Int>(t.shift[2].size());
  const Int *shift = t.shift[2].data(), first = shift[0];
  bool line = x.channel == 1 && x.at[2] == channels;  // the taps of a line lie side by side
  for (Int k = 1; k < taps; ++k) line = line && shift[k] == first + k;
  Place at(t, r0);
  for (Int r = r0; r < r1; ++r, at.next(t), out += gap) {
    for (const Int sd : t.shift[0]) {
      const Int d = at.p[0] * t.step[0] + sd;
      for (const Int sh : t.shift[1]) {
        const Int h = at.p[1] * t.step[1] + sh, w0 = at.p[2] * t.step[2];
        if (d < 0 || d >= x.size[0] || h < 0 || h >= x.size[1]) {
          out = std::fill_n(out, taps * channels, T(0));
          continue;
        }
        const T* from = x.data + at.n * x.image + d * x.at[0] + h * x.at[1] + c0 * x.channel;
        if (line) {
          const Int w = w0 + first, low = std::clamp<Int>(-w, 0, taps),
                    high = std::clamp<Int>(x.size[2] - w, low, taps);
          out = std::fill_n(out, low * channels, T(0));
          out = std::copy_n(from + (w + low) * channels, (high - low) * channels, out);
          out = std::fill_n(out, (taps - high) * channels, T(0));
          continue;
        }
        for (Int k = 0; k < taps; ++k, out += channels) {
          const Int w = w0 + shift[k];
          if (w < 0 || w >= x.size[2]) {
            std::fill_n(out, channels, T(0));
          } else if (const T* p = from + w * x.at[2]; x.channel == 1) {
            std::copy_n(p, channels, out);
          } else {
            for (Int c = 0; c < channels; ++c) out[c] = p[c * x.channel];
          }
        }
      }
    }
  }
}

/// The weights of a group as the right side of the product, packed: rows (tap, from-channel), columns
/// to-channel. Backward the last tap comes first, as the positions that read them do.
template <class T>
void pack_weights(const Array& w, Int group, Int from, Int to, bool forward, T* packed) {
  const Int taps = w.size[2] * w.size[3] * w.size[4], k = taps * from, so = w.stride[0];
  const bool is_dense = w.stride[1] == taps && w.stride[2] == w.size[3] * w.size[4] &&
                        w.stride[3] == w.size[4] && w.stride[4] == 1;
  const PoolBuffer<T> dense(is_dense ? 0 : w.numel());
  if (!is_dense) {
    Array c = w;
    c.data = dense.get();
    Int step = 1;
    for (int d = 4; d >= 0; --d) c.stride[d] = step, step *= w.size[d];
    copy(w, c);
    return pack_weights(c, group, from, to, forward, packed);
  }
  const T* const base = w.as<const T>() + group * (forward ? to : from) * so;
  // A panel of some from-channels, row by row as the weights lie; then tap by tap.
  const Int width = static_cast<Int>(gemm_packed_size<T>(1, 1)),
            some = std::max<Int>(1, 8192 / (taps * width));
  parallel_for((to + width - 1) / width, std::max<Int>(1, 16384 / (k * width)), [&](Int p, Int end) {
    const PoolBuffer<T> rows(some * taps * width);
    for (; p < end; ++p) {
      const Int j0 = p * width, n = std::min(width, to - j0);
      for (Int c0 = 0; c0 < from; c0 += some) {
        const Int count = std::min(some, from - c0);
        if (forward) {
          gemm_pack(base + j0 * so + c0 * taps, 1, so, count * taps, n, rows.get());
        } else {
          for (Int c = 0; c < count; ++c)
            gemm_pack(base + (c0 + c) * so + j0 * taps, 1, taps, taps, n, rows.get() + c * taps * width);
        }
        for (Int tap = 0; tap < taps; ++tap) {
          const T* row = rows.get() + (forward ? tap : taps - 1 - tap) * width;
          for (Int c = 0; c < count; ++c)
            std::copy_n(row + c * taps * width, width, packed + j0 * k + (tap * from + c0 + c) * width);
        }
      }
    }
  });
}

/// Those of all groups.
template <class T>
Int packed_size(const ConvShape& s, bool forward) {
  const Int in = s.in_channels / s.groups, out = s.out_channels / s.groups,
            taps = s.kernel[0] * s.kernel[1] * s.kernel[2];
  return s.groups * static_cast<Int>(forward ? gemm_packed_size<T>(taps * in, out)
                                             : gemm_packed_size<T>(taps * out, in));
}
template <class T>
void pack_groups(const ConvShape& s, const Array& w, bool forward, T* packed) {
  const Int in = s.in_channels / s.groups, out = s.out_channels / s.groups,
            size = packed_size<T>(s, forward) / s.groups;
  parallel_for(s.groups, std::max<Int>(1, 16384 / std::max<Int>(1, size)), [&](Int group, Int end) {
    for (; group < end; ++group)
      pack_weights(w, group, forward ? in : out, forward ? out : in, forward, packed + group * size);
  });
}

/// Blocks of rows, as many for every thread as for the others.
Int row_blocks(Int rows, Int k) {
  const Int fit = std::clamp<Int>(block_elements / std::max<Int>(1, k), min_rows, max_rows) * threads();
  return std::clamp<Int>((rows + fit / 2) / fit, 1, rows) * std::min<Int>(threads(), rows);
}

/// Do lines of positions leave registers of the micro-kernel idle?
bool narrow(const Taps& t) {
  const Int width = t.out[2], tiles = (width + gemm_rows() - 1) / gemm_rows();
  return width < 4 * tiles;
}

/// Is the input itself what would be gathered?
template <class T>
bool is_matrix(const Image<const T>& x, const Taps& t, Int channels) {
  bool unit = t.count() == 1;
  for (int d = 0; d < 3; ++d) unit = unit && t.step[d] == 1 && t.shift[d][0] == 0 && t.out[d] == x.size[d];
  return unit && x.channels_last(channels);
}

/// What the taps of output lines read of some channels, a line of positions at a fixed step: the images
/// themselves where nothing lies outside of them, else a copy with zeros around it.
template <class T>
class Reads {
 public:
  Reads(const Image<const T>& x, const Taps& t, Int c0, Int channels)
      : x_(x), t_(t), c0_(c0), channels_(channels), in_place_(x.channel == 1) {
    for (int d = 0; d < 3; ++d) {
      const auto [low, high] = std::minmax_element(t.shift[d].begin(), t.shift[d].end());
      const Int last = (t.out[d] - 1) * t.step[d] + *high;
      low_[d] = *low, span_[d] = *high - *low + 1, width_ = last - *low + 1;
      in_place_ = in_place_ && *low >= 0 && last < x.size[d];
    }
    line_ = width_ * channels;
    plane_ = ((t.out[1] - 1) * t.step[1] + span_[1]) * line_;
    const Int at[3] = {in_place_ ? x.at[0] : plane_, in_place_ ? x.at[1] : line_,
                       in_place_ ? x.at[2] : channels};
    step = t.step[2] * at[2];
    t.each([&](Int, const Int* shift, Int) {
      Int offset = 0;
      for (int d = 0; d < 3; ++d) offset += (shift[d] - (in_place_ ? 0 : low_[d])) * at[d];
      tap.push_back(offset);
    });
  }
  /// Elements to copy `lines` lines to.
  Int room(Int lines) const {
    if (in_place_) return 0;
    const Int planes = (lines + t_.out[1] - 2) / t_.out[1] + 1;
    return t_.shift[0].size() > 1 ? planes * depth() * plane_
                                  : (lines * t_.step[1] + planes * span_[1]) * line_;
  }
  /// The lines of taps (of one depth) that are inside the image for output line l, at least one.
  void inside(Int l, Int& first, Int& end) const {
    const Ints& shift = t_.shift[1];
    const Int h = l % t_.out[1] * t_.step[1], count = static_cast<Int>(shift.size());
    first = 0, end = count;
    while (first + 1 < end && h + shift[first] < 0) ++first;
    while (end - 1 > first && h + shift[end - 1] >= x_.size[1]) --end;
  }
  /// Where the output lines [l0, l1) of all images read from, written to `line`: offsets from the result.
  const T* lay(Int l0, Int l1, T* copy, Int* line) const {
    T* to = copy;
    for (Int h1; l0 < l1; l0 += h1) {
      const Int plane = l0 / t_.out[1], h0 = l0 % t_.out[1], n = plane / t_.out[0],
                d = plane % t_.out[0] * t_.step[0];
      h1 = std::min(l1 - l0, t_.out[1] - h0);
      for (Int h = 0; h < h1; ++h) {
        *line++ = in_place_ ? n * x_.image + d * x_.at[0] + (h0 + h) * t_.step[1] * x_.at[1] + c0_
                            : to - copy + h * t_.step[1] * line_;
      }
      if (in_place_) continue;
      const Int lines = (h1 - 1) * t_.step[1] + span_[1];
      for (Int i = 0; i < depth(); ++i) {
        for (Int j = 0; j < lines; ++j)
          copy_line(n, d + low_[0] + i, h0 * t_.step[1] + low_[1] + j, to + i * plane_ + j * line_);
      }
      to += t_.shift[0].size() > 1 ? depth() * plane_ : lines * line_;
    }
    return in_place_ ? x_.data : copy;
  }

  Int step;  ///< from one position of a line to the next
  Ints tap;  ///< every tap's offset

 private:
  Int depth() const { return span_[0]; }
  void copy_line(Int n, Int d, Int h, T* out) const {
    if (d < 0 || d >= x_.size[0] || h < 0 || h >= x_.size[1]) {
      std::fill_n(out, line_, T(0));
      return;
    }
    const T* from = x_.data + n * x_.image + d * x_.at[0] + h * x_.at[1] + c0_ * x_.channel;
    const Int low = std::clamp<Int>(-low_[2], 0, width_),
              high = std::clamp(x_.size[2] - low_[2], low, width_);
    out = std::fill_n(out, low * channels_, T(0));
    from += (low + low_[2]) * x_.at[2];
    if (x_.channel == 1 && x_.at[2] == channels_) {
      out = std::copy_n(from, (high - low) * channels_, out);
    } else {
      for (Int w = low; w < high; ++w, from += x_.at[2], out += channels_) {
        if (x_.channel == 1) {
          std::copy_n(from, channels_, out);
        } else {
          for (Int c = 0; c < channels_; ++c) out[c] = from[c * x_.channel];
        }
      }
    }
    std::fill_n(out, (width_ - high) * channels_, T(0));
  }

  const Image<const T>& x_;
  const Taps& t_;
  Int c0_, channels_;
  bool in_place_;
  Int low_[3], span_[3], width_, line_, plane_;
};

/// Output lines at a time that read about block_elements.
template <class T>
Int lines_at_once(const Reads<T>& reads, Int lines, Int elements) {
  Int fit = std::clamp<Int>(elements / std::max<Int>(1, reads.room(1)), 1, lines);
  while (fit < lines && reads.room(fit + 1) <= elements) ++fit;
  return fit;
}

/// For all n images: `to` channels of y = taps of x, `from` channels each, times weights; group by group.
template <class T>
struct Product {
  const Image<const T>& x;
  const Taps& t;
  const T* weights;  ///< packed, of all taps of the kernel
  Int n, groups, from, to;
  const Target<T>& target;
  const Epilogue& e;

  Int rows() const { return n * t.rows(); }
  Int work() const { return rows() * t.count() * from * to * groups; }
  Int width() const { return static_cast<Int>(gemm_packed_size<T>(1, 1)); }
  Int panel() const { return t.size[0] * t.size[1] * t.size[2] * from * width(); }
  Int panels() const { return (to + width() - 1) / width(); }
};
/// The runs of a product whose taps lie at the offsets `tap`: those of a line of the kernel are one where
/// they lie side by side. `k`: steps of each.
template <class T>
std::vector<Run, memory::Allocator<Run>> runs_of(const Product<T>& p, const Ints& tap, Int& k) {
  std::vector<Run, memory::Allocator<Run>> all, joint;
  p.t.each([&](Int i, const Int*, Int number) {
    all.push_back({tap[static_cast<std::size_t>(i)], number * p.from * p.width()});
  });
  const std::size_t line = p.t.shift[2].size();
  bool together = true;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % line == 0) {
      joint.push_back(all[i]);
    } else {
      together =
          together && all[i].a == all[i - 1].a + p.from && all[i].b == all[i - 1].b + p.from * p.width();
    }
  }
  k = together ? static_cast<Int>(line) * p.from : p.from;
  return together ? joint : all;
}

/// The columns of a group from panel p0 on.
template <class T>
RunGemm<T> columns_of(const Product<T>& p, Int group, Int p0, Int p1) {
  const Int c0 = p0 * p.width();
  RunGemm<T> g;
  g.n = std::min(p.to, p1 * p.width()) - c0;
  g.packed = p.weights + (group * p.panels() + p0) * p.panel(), g.panel = p.panel();
  if (p.e.bias) g.bias = static_cast<const T*>(p.e.bias) + group * p.to + c0;
  g.act = p.e.activation, g.alpha = p.e.alpha;
  g.c = p.target.y.data + group * p.to + c0;
  return g;
}

/// Line by line, from the images or a copy with their padding.
template <class T>
void by_lines(const Product<T>& p) {
  const Taps& t = p.t;
  Int k;
  const Reads<T> of_group(p.x, t, 0, p.from);
  const auto run = runs_of(p, of_group.tap, k);
  const bool flat = t.shift[0].size() == 1;
  const Int runs_of_line = static_cast<Int>(run.size() / (t.shift[0].size() * t.shift[1].size()));
  // Lines in blocks whose inputs stay in the second cache, then as many tasks as threads like.
  constexpr Int elements = 80'000, least_rows = 56, most_rows = 512;
  const Int lines = p.n * t.out[0] * t.out[1], fit = lines_at_once(of_group, lines, elements);
  const Int wanted = p.work() < gemm_thread_work || threads() == 1 ? 1 : 4 * threads();
  Int columns = 1, blocks = std::max((lines + fit - 1) / fit, std::min(p.rows() / most_rows, lines));
  const auto split_lines = [&] {
    const Int most = std::min(lines, p.rows() / least_rows), parts = columns * p.groups;
    blocks = std::max(blocks, std::min(most, (wanted + parts - 1) / parts));
  };
  const auto split_columns = [&] {
    const Int parts = blocks * p.groups;
    columns = std::min(p.panels(), (wanted + parts - 1) / parts);
  };
  // What is larger is read only once.
  if (p.panel() * p.panels() > elements)
    split_columns(), split_lines();
  else
    split_lines(), split_columns();
  const Int tasks = p.groups * blocks * columns, block = (lines + blocks - 1) / blocks;
  parallel_for(tasks, wanted == 1 ? tasks : 1, [&](Int i, Int end) {
    const PoolBuffer<T> copy(of_group.room(block));
    const PoolBuffer<Int> a_line(block), c_line(block), only(flat ? 2 * block : 0);
    for (; i < end; ++i) {
      const Int b = i / (p.groups * columns), group = i / columns % p.groups, column = i % columns,
                l0 = lines * b / blocks, l1 = lines * (b + 1) / blocks;
      const Reads<T> reads(p.x, t, group * p.from, p.from);
      RunGemm<T> g = columns_of(p, group, p.panels() * column / columns, p.panels() * (column + 1) / columns);
      g.lines = l1 - l0, g.m = t.out[2], g.runs = static_cast<Int>(run.size()), g.k = k;
      g.a = reads.lay(l0, l1, copy.get(), a_line.get()), g.am = reads.step, g.ak = 1;
      g.a_line = a_line.get(), g.run = run.data(), g.only = only.get(), g.c_line = c_line.get();
      g.cm = p.target.step[2] * p.target.y.at[2];
      for (Int l = l0; l < l1; ++l) {
        c_line.get()[l - l0] = p.target.at(Place(t, l * t.out[2])) - p.target.y.data;
        if (!flat) continue;
        Int* const range = only.get() + 2 * (l - l0);
        reads.inside(l, range[0], range[1]);
        range[0] *= runs_of_line, range[1] *= runs_of_line;
      }
      gemm_runs(g);
    }
  });
}

/// From gathered rows, where lines are short.
template <class T>
void by_rows(const Product<T>& p) {
  constexpr Int gap = 16;  // rows a power of two apart would be one set of the caches
  const Int rows = p.rows(), k = p.t.count() * p.from, blocks = row_blocks(rows, k),
            block = (rows + blocks - 1) / blocks, tasks = p.groups * blocks, none = 0;
  Ints tap;
  for (Int i = 0; i < p.t.count(); ++i) tap.push_back(i * p.from);
  Int steps;
  const auto run = runs_of(p, tap, steps);
  parallel_for(tasks, p.work() < gemm_thread_work ? tasks : 1, [&](Int i, Int end) {
    const PoolBuffer<T> gathered(block * (k + gap)), apart(p.target.dense ? 0 : block * p.to);
    for (; i < end; ++i) {
      const Int group = i % p.groups, r0 = rows * (i / p.groups) / blocks,
                r1 = rows * (i / p.groups + 1) / blocks;
      gather(p.x, p.t, group * p.from, p.from, r0, r1, gathered.get(), gap);
      RunGemm<T> g = columns_of(p, group, 0, p.panels());
      g.lines = 1, g.m = r1 - r0, g.runs = static_cast<Int>(run.size()), g.k = steps;
      g.a = gathered.get(), g.am = k + gap, g.ak = 1;
      g.a_line = &none, g.run = run.data(), g.c_line = &none;
      if (p.target.dense) {
        g.c += r0 * p.to * p.groups, g.cm = p.to * p.groups;
        gemm_runs(g);
        continue;
      }
      g.c = apart.get(), g.cm = p.to;
      gemm_runs(g);
      Place place(p.t, r0);
      const T* row = apart.get();
      for (Int r = r0; r < r1; ++r, place.next(p.t), row += p.to)
        std::copy_n(row, p.to, p.target.at(place) + group * p.to);
    }
  });
}

template <class T>
void product(const Product<T>& p) {
  if (p.rows() == 0) return;
  if (p.groups > 1 || !p.target.dense || !is_matrix(p.x, p.t, p.from))
    return narrow(p.t) ? by_rows(p) : by_lines(p);
  Gemm<T> g;  // it splits itself
  g.m = p.rows(), g.n = p.to, g.k = p.from;
  g.a = p.x.data, g.am = p.from, g.ak = 1;
  g.packed = p.weights, g.bias = static_cast<const T*>(p.e.bias);
  g.act = p.e.activation, g.alpha = p.e.alpha;
  g.c = p.target.y.data, g.cm = p.to;
  gemm(g);
}

/// The positions of the output lines [l0, l1) for which a tap reads inside the images: so many runs, each as
/// many steps as are returned.
template <class T>
Int runs_inside(const Image<const T>& x, const Taps& t, Int tap, Int l0, Int l1, Int width, Run* run,
                Int& runs) {
  const Int across = static_cast<Int>(t.shift[2].size()), down = static_cast<Int>(t.shift[1].size());
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
  if (reads_few_for_weight(s)) return conv_few_grad_weight(s, ax, dy.data, dw);
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
  const Int width = static_cast<Int>(gemm_packed_size<T>(1, 1)), panels = (to + width - 1) / width,
            of_tap = from * width + 16,
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
      const Int none = 0;
      RunGemm<T> g;
      g.lines = 1, g.m = f1 - f0;
      g.a_line = &none, g.c_line = &none, g.am = 1, g.ak = t.step[2] * x.at[2];
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

/// Without strides the gradient of the input is itself a convolution, of dy with the kernel turned around.
ConvShape reversed(const ConvShape& s) {
  ConvShape r = s;
  std::swap(r.in_channels, r.out_channels);
  for (int d = 0; d < 3; ++d) {
    r.in[d] = s.out[d], r.out[d] = s.in[d];
    r.pad[d] = (s.kernel[d] - 1) * s.dilation[d] - s.pad[d];
  }
  return r;
}
template <class T>
Array turned(const Array& w) {
  Array r = w;
  std::swap(r.size[0], r.size[1]), std::swap(r.stride[0], r.stride[1]);
  T* last = w.as<T>();
  for (int d = 2; d < 5; ++d) {
    last += (w.size[d] - 1) * w.stride[d];
    r.stride[d] = -w.stride[d];
  }
  r.data = last;
  return r;
}

// ---- the gradient of few inputs ----

/// Does it pay? Few channels fill no vector of the plain product; and outputs without padding are fewer than
/// the inputs.
bool pays_spread(const ConvShape& s) {
  constexpr Int lanes = 16, adding = 24;  // an addition costs as much as so many multiply-adds of a product
  const Int in = s.in_channels, filled = in <= lanes / 2 ? lanes / 2 : (in + lanes - 1) / lanes * lanes;
  const bool flat = s.groups == 1 && s.in[0] == 1 && s.kernel[0] == 1 && s.stride[0] == 1 && s.pad[0] == 0 &&
                    s.dilation[1] == 1 && s.dilation[2] == 1;
  return flat && s.n > 0 &&
         s.in[1] * s.in[2] / (s.stride[1] * s.stride[2]) * filled * s.out_channels >
             s.out[1] * s.out[2] * in * (s.out_channels + adding);
}

/// Every output's gradient times all weights, spread over the inputs under the kernel. A thread makes whole
/// lines of dx, from all outputs that reach them in order.
template <class T>
void spread(const ConvShape& s, const Image<const T>& dy, const Array& w, const Image<T>& dx) {
  const Int in = s.in_channels, out = s.out_channels, width = s.kernel[2] * in, n = s.kernel[1] * width;
  const PoolBuffer<T> by_taps(out * n), packed(static_cast<Int>(gemm_packed_size<T>(out, n)));
  for (Int o = 0; o < out; ++o) {
    T* to = by_taps.get() + o * n;
    for_taps(forward_taps(s), w, [&](Int tap, Int offset) {
      for (Int c = 0; c < in; ++c)
        to[tap * in + c] = w.as<const T>()[o * w.stride[0] + c * w.stride[1] + offset];
    });
  }
  gemm_pack(by_taps.get(), n, 1, out, n, packed.get());
  // Bands of lines: what reaches beyond a band is computed twice.
  constexpr Int at_once = 65536;  // elements of products
  const Int high = s.in[1], bands = std::clamp<Int>(4 * threads() / s.n, 1, (high + 15) / 16),
            lines = std::clamp<Int>(at_once / (n * s.out[2]), 1, s.out[1]);
  parallel_for(s.n * bands, 1, [&](Int b, Int end) {
    const PoolBuffer<T> products(lines * s.out[2] * n);
    for (; b < end; ++b) {
      const Int image = b / bands, h0 = high * (b % bands) / bands, h1 = high * (b % bands + 1) / bands;
      T* const to = dx.data + image * dx.image;
      std::fill_n(to + h0 * dx.at[1], (h1 - h0) * dx.at[1], T(0));
      // Outputs that reach the band.
      const Int q0 = std::max((h0 + s.pad[1] - s.kernel[1]) / s.stride[1], Int{0}),
                q1 = std::min((h1 - 1 + s.pad[1]) / s.stride[1] + 1, s.out[1]);
      for (Int q = q0; q < q1; q += lines) {
        const Int some = std::min(lines, q1 - q);
        Gemm<T> g;
        g.m = some * s.out[2], g.n = n, g.k = out;
        g.a = dy.data + image * dy.image + q * dy.at[1], g.am = dy.at[2], g.ak = 1;
        g.packed = packed.get();
        g.c = products.get(), g.cm = n;
        gemm(g);
        for (Int i = 0; i < some; ++i) {
          const Int first = (q + i) * s.stride[1] - s.pad[1];
          for (Int k = std::max(h0 - first, Int{0}); k < std::min(s.kernel[1], h1 - first); ++k) {
            T* const line = to + (first + k) * dx.at[1];
            const T* from = products.get() + i * s.out[2] * n + k * width;
            for (Int p = 0; p < s.out[2]; ++p, from += n) {
              const Int v = p * s.stride[2] - s.pad[2], low = std::max(-v, Int{0}) * in,
                        last = std::min(s.kernel[2], s.in[2] - v) * in;
              for (Int c = low; c < last; ++c) line[v * in + c] += from[c];
            }
          }
        }
      }
    }
  });
}

template <class T>
void run_grad_input(const ConvShape& s, const Array& ady, const Array& w, const Array& dx) {
  const Image<const T> dy = image<const T>(ady);
  const Image<T> to = image<T>(dx);
  const bool whole = s.stride[0] * s.stride[1] * s.stride[2] == 1;
  if constexpr (std::is_same_v<T, float>) {
    if (const ConvShape r = reversed(s); has_winograd(s, w) && has_winograd(r, w))
      return winograd_conv(r, ady, w, true, dx, {});
  }
  if (pays_spread(s) && dy.channels_last(s.out_channels)) return spread(s, dy, w, to);
  if (const ConvShape r = reversed(s);
      whole && reads_few(r) && r.pad[0] >= 0 && r.pad[1] >= 0 && r.pad[2] >= 0)
    return conv_few(r, ady, turned<T>(w), dx, {});
  const bool depthwise_too = is_depthwise(s) && dy.channel == 1;
  const PoolBuffer<T> packed(depthwise_too || s.n == 0 ? 0 : packed_size<T>(s, false));
  if (packed.get()) pack_groups(s, w, false, packed.get());
  bool every = true;  // phase has taps
  for (int d = 0; d < 3; ++d) every = every && (s.kernel[d] >= s.stride[d] && s.dilation[d] == 1);
  if (!every) fill(0, dx);
  for (Int d = 0; d < s.stride[0]; ++d) {
    for (Int h = 0; h < s.stride[1]; ++h) {
      for (Int v = 0; v < s.stride[2]; ++v) {
        const Int phase[3] = {d, h, v};
        if (d >= s.in[0] || h >= s.in[1] || v >= s.in[2]) continue;
        const Taps t = backward_taps(s, phase);
        if (t.count() == 0) continue;
        Target<T> target{to, {d, h, v}, {s.stride[0], s.stride[1], s.stride[2]}, whole};
        if (depthwise_too)
          depthwise(dy, t, w, s.n, s.groups, target, {});
        else
          product<T>({dy,
                      t,
                      packed.get(),
                      s.n,
                      s.groups,
                      s.out_channels / s.groups,
                      s.in_channels / s.groups,
                      target,
                      {}});
      }
    }
  }
}

}  // namespace

void conv(const ConvShape& s, const Array& ax, const Array& w, const Array& ay, const Epilogue& e) {
  if (reads_few(s)) return conv_few(s, ax, w, ay, e);
  if (has_winograd(s, w) && !(e.packed_b && conv_form(s, w).number == 1))
    return winograd_conv(s, ax, w, false, ay, e);
  dispatch_float("conv", ax.dtype, [&]<class T>(type<T>) {
    const Image<const T> x = image<const T>(ax);
    const Taps t = forward_taps(s);
    const Target<T> target{image<T>(ay), {0, 0, 0}, {1, 1, 1}, true};
    if (is_depthwise(s) && x.channel == 1) return depthwise(x, t, w, s.n, s.groups, target, e);
    const PoolBuffer<T> packed(e.packed_b || s.n == 0 ? 0 : packed_size<T>(s, true));
    if (packed.get()) pack_groups(s, w, true, packed.get());
    product<T>({x, t, e.packed_b ? static_cast<const T*>(e.packed_b) : packed.get(), s.n, s.groups,
                s.in_channels / s.groups, s.out_channels / s.groups, target, e});
  });
}

PackedForm conv_form(const ConvShape& s, const Array& w) {
  if (s.groups > 1 || reads_few(s)) return {};
  const std::size_t size = size_of(w.dtype);
  // Over so few positions coefficients that are not kept take longer than four times the products.

  constexpr Int few_rows = 64;
  const Int kept = has_winograd(s, w) ? winograd_size(s) : 0, rows = s.n * s.out[1] * s.out[2];
  if (has_winograd(s, w) && (kept > 0 || rows > few_rows))
    return {kept > 0 ? 2 : 0, static_cast<std::size_t>(kept) * size};
  return {1, static_cast<std::size_t>(w.dtype == f64 ? packed_size<double>(s, true)
                                                     : packed_size<float>(s, true)) *
                 size};
}
void conv_pack(const ConvShape& s, const Array& w, void* packed) {
  if (conv_form(s, w).number == 2) return winograd_pack(w, static_cast<float*>(packed));
  dispatch_float("conv", w.dtype,
                 [&]<class T>(type<T>) { pack_groups(s, w, true, static_cast<T*>(packed)); });
}

void conv_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  if (!has_winograd(s, w) && pays_sparse(s, dy)) return sparse_grad_input(s, dy, w, dx);
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) { run_grad_input<T>(s, dy, w, dx); });
}

void conv_grad_weight(const ConvShape& s, const Array& x, const Array& dy, const Array& dw) {
  if (has_winograd(s, dw)) return winograd_grad_weight(s, x, dy, dw);
  if (pays_sparse(s, dy)) return sparse_grad_weight(s, x, dy, dw);
  dispatch_float("conv", x.dtype, [&]<class T>(type<T>) { run_grad_weight<T>(s, x, dy, dw); });
}

}  // namespace knet::cpu_impl
