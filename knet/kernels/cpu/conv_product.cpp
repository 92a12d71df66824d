// Output lines are blocks of rows that read their inputs where they are, or from a copy with its padding:
// every tap is a run of terms at an offset of its own (RunGemm). Only where lines are too short for the
// micro-kernel are the inputs under the kernel gathered into the rows of a matrix.
#include "knet/kernels/cpu/conv_product.hpp"

#include <algorithm>
#include <vector>

#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"
#include "knet/kernels/cpu/lines.hpp"

namespace knet::cpu_impl {
namespace {

using Runs = std::vector<Run, memory::Allocator<Run>>;

/// The weights (dense) of a group as the right side of the product, packed: rows (tap, from-channel), columns
/// to-channel. Backward the last tap comes first, as the positions that read them do.
template <class T>
void pack_group(const Array& w, Int group, Int from, Int to, bool forward, T* packed) {
  const Int taps = w.size[2] * w.size[3] * w.size[4], k = taps * from, so = w.stride[0];
  const T* const base = w.as<const T>() + group * (forward ? to : from) * so;
  // A panel of some from-channels, row by row as the weights lie; then tap by tap.
  const Int width = gemm_width<T>(), some = std::max<Int>(1, 8192 / (taps * width));
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

/// Rows [r0, r1) of the matrix of inputs: for every tap the channels from c0; `gap` elements between rows.
template <class T>
void gather(const Image<const T>& x, const Taps& t, Int c0, Int channels, Int r0, Int r1, T* out, Int gap) {
  const Progression& shift = t.shift[2];
  const Int taps = shift.count, first = shift.first;
  // The taps of a line lie side by side.
  const bool line = x.channel == 1 && x.at[2] == channels && (taps == 1 || shift.step == 1);
  Place at(t, r0);
  for (Int r = r0; r < r1; ++r, at.next(t), out += gap) {
    for (Int i = 0; i < t.shift[0].count; ++i) {
      const Int d = at.p[0] * t.step[0] + t.shift[0][i];
      for (Int j = 0; j < t.shift[1].count; ++j) {
        const Int h = at.p[1] * t.step[1] + t.shift[1][j], w0 = at.p[2] * t.step[2];
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

/// What the taps of output lines read of some channels, a line of positions at a fixed step: the images
/// themselves where nothing lies outside of them, else a copy with zeros around it.
template <class T>
class Reads {
 public:
  /// For so many lines at a time.
  Reads(const Image<const T>& x, const Taps& t, Int c0, Int channels, Int lines)
      : x_(x), t_(t), c0_(c0), channels_(channels), in_place_(x.channel == 1) {
    for (int d = 0; d < 3; ++d) {
      const Int low = t.shift[d].first, high = t.shift[d].last(), last = (t.out[d] - 1) * t.step[d] + high;
      low_[d] = low, span_[d] = high - low + 1, width_ = last - low + 1;
      in_place_ = in_place_ && low >= 0 && last < x.size[d];
    }
    line_ = width_ * channels;
    plane_ = plane_of(lines);
    at_[0] = in_place_ ? x.at[0] : plane_, at_[1] = in_place_ ? x.at[1] : line_;
    at_[2] = in_place_ ? x.at[2] : channels;
  }
  /// From one position of a line to the next.
  Int step() const { return t_.step[2] * at_[2]; }
  /// A tap's offset.
  Int tap(Int i, Int j, Int k) const {
    const Int shift[3] = {t_.shift[0][i], t_.shift[1][j], t_.shift[2][k]};
    Int offset = 0;
    for (int d = 0; d < 3; ++d) offset += (shift[d] - (in_place_ ? 0 : low_[d])) * at_[d];
    return offset;
  }
  /// Elements to copy `lines` lines to.
  Int room(Int lines) const {
    if (in_place_) return 0;
    const Int planes = (lines + t_.out[1] - 2) / t_.out[1] + 1;
    return depth() > 1 ? planes * depth() * plane_of(lines)
                       : (lines * t_.step[1] + planes * span_[1]) * line_;
  }
  /// The lines of taps (of one depth) that are inside the image for output line l, at least one.
  void inside(Int l, Int& first, Int& end) const {
    const Progression& shift = t_.shift[1];
    const Int h = l % t_.out[1] * t_.step[1];
    first = 0, end = shift.count;
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
      to += depth() > 1 ? depth() * plane_ : lines * line_;
    }
    return in_place_ ? x_.data : copy;
  }

 private:
  Int depth() const { return span_[0]; }
  Int plane_of(Int lines) const { return ((std::min(lines, t_.out[1]) - 1) * t_.step[1] + span_[1]) * line_; }
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
  Int low_[3], span_[3], at_[3], width_, line_, plane_;
};

/// Output lines at a time that read about so many elements.
template <class T>
Int lines_at_once(const Reads<T>& reads, Int lines, Int elements) {
  Int fit = std::clamp<Int>(elements / std::max<Int>(1, reads.room(1)), 1, lines);
  while (fit < lines && reads.room(fit + 1) <= elements) ++fit;
  return fit;
}

/// Elements from one panel of the weights to the next.
template <class T>
Int panel_of(const Product<T>& p) {
  return p.t.size[0] * p.t.size[1] * p.t.size[2] * p.from * gemm_width<T>();
}
template <class T>
Int panels_of(const Product<T>& p) {
  return (p.to + gemm_width<T>() - 1) / gemm_width<T>();
}
/// The runs of a product, whose taps lie at tap(i, j, k): those of a line of the kernel are one where they
/// lie side by side. `steps`: of each.
template <class T, class Tap>
Runs runs_of(const Product<T>& p, const Tap& tap, Int& steps) {
  const Taps& t = p.t;
  const Int line = t.shift[2].count;
  const bool together =
      line > 1 && tap(0, 0, 1) - tap(0, 0, 0) == p.from && t.number(0, 0, 1) - t.number(0, 0, 0) == 1;
  steps = together ? line * p.from : p.from;
  Runs r;
  r.reserve(static_cast<std::size_t>(together ? t.count() / line : t.count()));
  t.each([&](Int i, Int j, Int k) {
    if (!together || k == 0) r.push_back({tap(i, j, k), t.number(i, j, k) * p.from * gemm_width<T>()});
  });
  return r;
}

/// The columns of a group from panel p0 on.
template <class T>
RunGemm<T> columns_of(const Product<T>& p, Int group, Int p0, Int p1) {
  const Int c0 = p0 * gemm_width<T>();
  RunGemm<T> g;
  g.n = std::min(p.to, p1 * gemm_width<T>()) - c0;
  g.packed = p.weights + (group * panels_of(p) + p0) * panel_of(p), g.panel = panel_of(p);
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
  const bool flat = t.shift[0].count == 1;
  // Lines in blocks whose inputs stay in the second cache, then as many tasks as threads like.
  constexpr Int elements = 80'000, least_rows = 56, most_rows = 512;
  const Int lines = p.n * t.out[0] * t.out[1],
            fit = lines_at_once(Reads<T>(p.x, t, 0, p.from, 1), lines, elements);
  const Int wanted = p.work() < gemm_thread_work || threads() == 1 ? 1 : 4 * threads();
  Int columns = 1, blocks = std::max((lines + fit - 1) / fit, std::min(p.rows() / most_rows, lines));
  const auto split_lines = [&] {
    const Int most = std::min(lines, p.rows() / least_rows), parts = columns * p.groups;
    blocks = std::max(blocks, std::min(most, (wanted + parts - 1) / parts));
  };
  const auto split_columns = [&] {
    const Int parts = blocks * p.groups;
    columns = std::min(panels_of(p), (wanted + parts - 1) / parts);
  };
  // What is larger is read only once.
  if (panel_of(p) * panels_of(p) > elements)
    split_columns(), split_lines();
  else
    split_lines(), split_columns();
  const Int tasks = p.groups * blocks * columns, block = (lines + blocks - 1) / blocks;
  const Reads<T> of_group(p.x, t, 0, p.from, block);
  const Runs run = runs_of(
      p, [&](Int i, Int j, Int l) { return of_group.tap(i, j, l); }, k);
  const Int runs_of_line = static_cast<Int>(run.size()) / (t.shift[0].count * t.shift[1].count);
  parallel_for(tasks, wanted == 1 ? tasks : 1, [&](Int i, Int end) {
    const PoolBuffer<T> copy(of_group.room(block));
    const PoolBuffer<Int> a_line(block), c_line(block), only(flat ? 2 * block : 0);
    for (; i < end; ++i) {
      const Int b = i / (p.groups * columns), group = i / columns % p.groups, column = i % columns,
                l0 = lines * b / blocks, l1 = lines * (b + 1) / blocks;
      const Reads<T> reads(p.x, t, group * p.from, p.from, block);
      RunGemm<T> g =
          columns_of(p, group, panels_of(p) * column / columns, panels_of(p) * (column + 1) / columns);
      g.lines = l1 - l0, g.m = t.out[2], g.runs = static_cast<Int>(run.size()), g.k = k;
      g.a = reads.lay(l0, l1, copy.get(), a_line.get()), g.am = reads.step(), g.ak = 1;
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

/// Do lines of positions leave registers of the micro-kernel idle?
bool narrow(const Taps& t) {
  const Int width = t.out[2], tiles = (width + gemm_rows() - 1) / gemm_rows();
  return width < 4 * tiles;
}

/// Blocks of rows, as many for every thread as for the others.
Int row_blocks(Int rows, Int k) {
  constexpr Int elements = 40'000, min_rows = 24, max_rows = 512;  // a block stays in the second cache
  const Int fit = std::clamp<Int>(elements / std::max<Int>(1, k), min_rows, max_rows) * threads();
  return std::clamp<Int>((rows + fit / 2) / fit, 1, rows) * std::min<Int>(threads(), rows);
}

/// From gathered rows, where lines are short.
template <class T>
void by_rows(const Product<T>& p) {
  constexpr Int gap = 16;  // rows a power of two apart would be one set of the caches
  const Int rows = p.rows(), k = p.t.count() * p.from, blocks = row_blocks(rows, k),
            block = (rows + blocks - 1) / blocks, tasks = p.groups * blocks;
  Int steps;
  const Runs run = runs_of(
      p,
      [&](Int i, Int j, Int l) { return ((i * p.t.shift[1].count + j) * p.t.shift[2].count + l) * p.from; },
      steps);
  parallel_for(tasks, p.work() < gemm_thread_work ? tasks : 1, [&](Int i, Int end) {
    const PoolBuffer<T> gathered(block * (k + gap)), apart(p.target.dense ? 0 : block * p.to);
    for (; i < end; ++i) {
      const Int group = i % p.groups, r0 = rows * (i / p.groups) / blocks,
                r1 = rows * (i / p.groups + 1) / blocks;
      gather(p.x, p.t, group * p.from, p.from, r0, r1, gathered.get(), gap);
      RunGemm<T> g = columns_of(p, group, 0, panels_of(p));
      g.m = r1 - r0, g.runs = static_cast<Int>(run.size()), g.k = steps;
      g.a = gathered.get(), g.am = k + gap, g.ak = 1;
      g.run = run.data();
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

}  // namespace

template <class T>
Int packed_weights_size(const ConvShape& s, bool forward) {
  const Int in = s.in_channels / s.groups, out = s.out_channels / s.groups,
            taps = s.kernel[0] * s.kernel[1] * s.kernel[2];
  return s.groups * static_cast<Int>(forward ? gemm_packed_size<T>(taps * in, out)
                                             : gemm_packed_size<T>(taps * out, in));
}
template <class T>
void pack_weights(const ConvShape& s, const Array& w, bool forward, T* packed) {
  if (!is_dense(w)) {
    const PoolBuffer<T> dense(w.numel());
    Array c = w;
    c.data = dense.get();
    Int step = 1;
    for (int d = 4; d >= 0; --d) c.stride[d] = step, step *= w.size[d];
    copy(w, c);
    return pack_weights(s, c, forward, packed);
  }
  const Int in = s.in_channels / s.groups, out = s.out_channels / s.groups,
            size = packed_weights_size<T>(s, forward) / s.groups;
  parallel_for(s.groups, std::max<Int>(1, 16384 / std::max<Int>(1, size)), [&](Int group, Int end) {
    for (; group < end; ++group)
      pack_group(w, group, forward ? in : out, forward ? out : in, forward, packed + group * size);
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

template Int packed_weights_size<float>(const ConvShape&, bool);
template Int packed_weights_size<double>(const ConvShape&, bool);
template void pack_weights(const ConvShape&, const Array&, bool, float*);
template void pack_weights(const ConvShape&, const Array&, bool, double*);
template void product(const Product<float>&);
template void product(const Product<double>&);

}  // namespace knet::cpu_impl
