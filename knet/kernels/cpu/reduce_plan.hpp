// A reduction over any dimensions as loops: which dimensions are kept, which disappear, nearest elements
// first, neighbours merged. Then one of two forms, whatever the element type: sums of lines, or sums of rows
// side by side (columns). Work is cut at places that depend on sizes alone, so that results do not depend on
// the number of threads.
#pragma once
#include <algorithm>
#include <cstdint>

#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/lines.hpp"
#include "knet/kernels/cpu/scratch.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

/// How one reduction works on elements T with intermediate results A.
template <class T, class A>
struct Fold {
  A init;
  /// n elements `step` apart.
  A (*line)(const T* p, std::int64_t n, std::int64_t step);
  /// Adds rows of n elements (`step` apart; rows `row_step` apart) to acc [n].
  void (*columns)(const T* p, std::int64_t rows, std::int64_t row_step, std::int64_t n, std::int64_t step,
                  A* acc);
  A (*both)(A, A);
};

/// Loops with the smallest stride first.
struct Loops {
  int count = 0;
  std::int64_t size[max_dims], x[max_dims], y[max_dims];

  void insert(std::int64_t n, std::int64_t xs, std::int64_t ys) {
    int at = count++;
    for (; at > 0 && stride_rank(xs) <= stride_rank(x[at - 1]); --at) {
      size[at] = size[at - 1], x[at] = x[at - 1], y[at] = y[at - 1];
    }
    size[at] = n, x[at] = xs, y[at] = ys;
  }
  void merge() {
    int last = 0;
    for (int i = 1; i < count; ++i) {
      if (x[i] == x[last] * size[last] && y[i] == y[last] * size[last]) {
        size[last] *= size[i];
      } else {
        ++last;
        size[last] = size[i], x[last] = x[i], y[last] = y[i];
      }
    }
    if (count > 0) count = last + 1;
  }
  std::int64_t total(int from = 0) const {
    std::int64_t n = 1;
    for (int i = from; i < count; ++i) n *= size[i];
    return n;
  }
};

struct ReducePlan {
  Loops kept, gone;
  ReducePlan(const Array& x, const Array& y) {
    for (int i = 0; i < x.ndim; ++i) {
      if (x.size[i] == 1) continue;
      if (y.size[i] == 1)
        gone.insert(x.size[i], x.stride[i], 0);
      else
        kept.insert(x.size[i], x.stride[i], y.stride[i]);
    }
    kept.merge();
    gone.merge();
  }
};

namespace detail {

constexpr std::int64_t strip_width = 512;         // columns worked on at once: their sums stay on the stack
constexpr std::int64_t fold_grain = 1 << 16;      // elements that pay for a second thread
constexpr std::int64_t block_elements = 1 << 15;  // elements of one block of a reduction that is cut
constexpr std::int64_t most_blocks = 256;
constexpr std::int64_t few_outputs = 16;  // with fewer the reduced range is cut too

template <class T, class A, class Out>
class Folding {
 public:
  Folding(const Fold<T, A>& f, const ReducePlan& plan, const T* x, Out* y)
      : f_(f), kept_(plan.kept), gone_(plan.gone), x_(x), y_(y) {
    if (gone_.count == 0) gone_.insert(1, 0, 0);
    by_columns_ = kept_.count > 0 && stride_rank(kept_.x[0]) < stride_rank(gone_.x[0]);
  }

  void run() {
    width_ = by_columns_ ? kept_.size[0] : 1;
    strips_ = (width_ + strip_width - 1) / strip_width;
    const std::int64_t rest = kept_.total(by_columns_ ? 1 : 0), units = strips_ * rest,
                       reduced = gone_.total();
    const std::int64_t each = reduced * std::min(width_, strip_width);
    cut_ = static_cast<int>(std::max_element(gone_.size, gone_.size + gone_.count) - gone_.size);
    std::int64_t blocks = 1;
    if (units < few_outputs && each >= 2 * block_elements) {
      blocks = std::min({each / block_elements, most_blocks, gone_.size[cut_]});
    }
    if (blocks > 1) return run_cut(units, blocks);
    parallel_for(units, std::max<std::int64_t>(1, fold_grain / each),
                 [this](std::int64_t u0, std::int64_t u1) {
                   if (by_columns_) {
                     A acc[strip_width];
                     for (std::int64_t u = u0; u < u1; ++u) {
                       const Place at = place(u);
                       columns(gone_, x_ + at.x, at.width, acc);
                       store(at, acc);
                     }
                   } else {
                     lines(u0, u1);
                   }
                 });
  }

 private:
  struct Place {
    std::int64_t x = 0, y = 0, width = 1;
  };
  // Where unit u (a strip of columns or one output) starts.
  Place place(std::int64_t u) const {
    Place r;
    int level = 0;
    if (by_columns_) {
      const std::int64_t first = u % strips_ * strip_width;
      r = {first * kept_.x[0], first * kept_.y[0], std::min(strip_width, width_ - first)};
      u /= strips_;
      level = 1;
    }
    for (; level < kept_.count; ++level) {
      const std::int64_t i = u % kept_.size[level];
      u /= kept_.size[level];
      r.x += i * kept_.x[level];
      r.y += i * kept_.y[level];
    }
    return r;
  }
  void store(const Place& at, const A* acc) const {
    const std::int64_t step = by_columns_ ? kept_.y[0] : 0;
    for (std::int64_t i = 0; i < at.width; ++i) y_[at.y + i * step] = static_cast<Out>(acc[i]);
  }

  // f(offset) for every position of the loops after the first.
  template <class F>
  static void outer(const Loops& g, const F& f) {
    if (g.count == 1) return f(std::int64_t{0});
    std::int64_t index[max_dims] = {}, at = 0;
    for (;;) {
      f(at);
      int i = 1;
      for (; i < g.count; ++i) {
        at += g.x[i];
        if (++index[i] < g.size[i]) break;
        at -= g.x[i] * g.size[i];
        index[i] = 0;
      }
      if (i == g.count) return;
    }
  }
  A line(const Loops& g, const T* p) const {
    if (g.count == 1) return f_.line(p, g.size[0], g.x[0]);
    A acc = f_.init;
    outer(g, [&](std::int64_t at) { acc = f_.both(acc, f_.line(p + at, g.size[0], g.x[0])); });
    return acc;
  }
  void columns(const Loops& g, const T* p, std::int64_t n, A* acc) const {
    std::fill(acc, acc + n, f_.init);
    outer(g, [&](std::int64_t at) { f_.columns(p + at, g.size[0], g.x[0], n, kept_.x[0], acc); });
  }
  void lines(std::int64_t u0, std::int64_t u1) const {
    if (kept_.count <= 1) {
      const std::int64_t xs = kept_.count ? kept_.x[0] : 0, ys = kept_.count ? kept_.y[0] : 0;
      for (std::int64_t u = u0; u < u1; ++u) y_[u * ys] = static_cast<Out>(line(gone_, x_ + u * xs));
      return;
    }
    std::int64_t index[max_dims];
    const Place first = place(u0);
    std::int64_t xa = first.x, ya = first.y;
    for (std::int64_t i = 0, u = u0; i < kept_.count; ++i) {
      index[i] = u % kept_.size[i];
      u /= kept_.size[i];
    }
    for (std::int64_t u = u0; u < u1; ++u) {
      y_[ya] = static_cast<Out>(line(gone_, x_ + xa));
      for (int i = 0; i < kept_.count; ++i) {
        xa += kept_.x[i], ya += kept_.y[i];
        if (++index[i] < kept_.size[i]) break;
        xa -= kept_.x[i] * kept_.size[i], ya -= kept_.y[i] * kept_.size[i];
        index[i] = 0;
      }
    }
  }

  // Blocks of the reduced range side by side, then their results together in order.
  void run_cut(std::int64_t units, std::int64_t blocks) {
    const std::int64_t w = std::min(width_, strip_width);
    const PoolBuffer<A> parts(units * blocks * w);
    parallel_for(units * blocks, 1, [&](std::int64_t t0, std::int64_t t1) {
      for (std::int64_t t = t0; t < t1; ++t) {
        const std::int64_t b = t % blocks, n = gone_.size[cut_], from = n * b / blocks,
                           to = n * (b + 1) / blocks;
        const Place at = place(t / blocks);
        Loops part = gone_;
        part.size[cut_] = to - from;
        const T* p = x_ + at.x + from * gone_.x[cut_];
        if (by_columns_)
          columns(part, p, at.width, parts.get() + t * w);
        else
          parts.get()[t] = line(part, p);
      }
    });
    for (std::int64_t u = 0; u < units; ++u) {
      const Place at = place(u);
      A* acc = parts.get() + u * blocks * w;
      for (std::int64_t b = 1; b < blocks; ++b) {
        for (std::int64_t i = 0; i < at.width; ++i) acc[i] = f_.both(acc[i], acc[b * w + i]);
      }
      store(at, acc);
    }
  }

  const Fold<T, A>& f_;
  Loops kept_, gone_;
  const T* x_;
  Out* y_;
  bool by_columns_ = false;
  int cut_ = 0;
  std::int64_t width_ = 1, strips_ = 1;
};

}  // namespace detail

/// y = x reduced with f. x is not empty.
template <class Out, class T, class A>
void fold(const Fold<T, A>& f, const Array& x, const Array& y) {
  const ReducePlan plan(x, y);
  const T* p = x.as<const T>();
  if (plan.kept.count == 0 && plan.gone.count <= 1 && plan.gone.total() < 2 * detail::block_elements) {
    const bool one = plan.gone.count == 0;
    *y.as<Out>() = static_cast<Out>(f.line(p, one ? 1 : plan.gone.size[0], one ? 1 : plan.gone.x[0]));
    return;
  }
  detail::Folding<T, A, Out>(f, plan, p, y.as<Out>()).run();
}

}  // namespace knet::cpu_impl
