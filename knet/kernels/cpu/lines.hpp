// Walking several arrays of equal sizes together: dimensions ordered so that the first array is walked
// through as it lies in memory, neighbours merged where all arrays allow it. Either piece by piece of the
// innermost one (elementwise kernels), or line by line along one dimension (softmax, sort, cumsum and
// arg_reduce).
#pragma once
#include <algorithm>
#include <cstdint>

#include "knet/base/threads.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

/// Sort key of a stride: near elements first, repeated ones (0) last.
inline std::int64_t stride_rank(std::int64_t s) { return s == 0 ? INT64_MAX : s < 0 ? -s : s; }

/// Row-major without gaps?
inline bool is_dense(const Array& a) {
  std::int64_t expected = 1;
  for (int i = a.ndim - 1; i >= 0; --i) {
    if (a.size[i] != 1 && a.stride[i] != expected) return false;
    expected *= a.size[i];
  }
  return true;
}

/// Every position of the dimensions other than `dim` (-1: of all); level 0 is the one with the smallest
/// stride in the first array.
template <int N>
struct Lines {
  std::int64_t count = 1;
  int levels = 0;
  std::int64_t size[max_dims];
  std::int64_t stride[N][max_dims];

  Lines() = default;
  template <class... A>
  explicit Lines(int dim, const A&... arrays) {
    static_assert(sizeof...(A) == N);
    const Array* a[N] = {&arrays...};
    for (int i = 0; i < a[0]->ndim; ++i) {
      if (i == dim) continue;
      count *= a[0]->size[i];
      if (a[0]->size[i] == 1) continue;
      int at = levels++;
      for (; at > 0 && stride_rank(a[0]->stride[i]) <= stride_rank(stride[0][at - 1]); --at) move(at - 1, at);
      size[at] = a[0]->size[i];
      for (int k = 0; k < N; ++k) stride[k][at] = a[k]->stride[i];
    }
    merge();
  }

  /// The same without level 0.
  Lines outer() const {
    Lines r;
    r.levels = std::max(levels - 1, 0);
    for (int i = 0; i < r.levels; ++i) {
      r.size[i] = size[i + 1];
      r.count *= size[i + 1];
      for (int k = 0; k < N; ++k) r.stride[k][i] = stride[k][i + 1];
    }
    return r;
  }

  /// Distance of neighbours in array k along level 0.
  std::int64_t step(int k) const { return levels == 0 ? 0 : stride[k][0]; }
  /// f(offsets in each array, n) for pieces of level 0 that together are everything, on several threads from
  /// `grain` positions on.
  template <class F>
  void pieces(std::int64_t grain, const F& f) const {
    const Lines rest = outer();
    const std::int64_t length = levels == 0 ? 1 : size[0];
    if (rest.count == 1 && count <= grain) {
      const std::int64_t at[N] = {};
      if (length > 0) f(static_cast<const std::int64_t*>(at), length);
      return;
    }
    parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t p = begin;
      rest.run(begin / length, (end + length - 1) / length, [&](const std::int64_t* start) {
        const std::int64_t from = p % length, n = std::min(length - from, end - p);
        std::int64_t at[N];
        for (int k = 0; k < N; ++k) at[k] = start[k] + from * step(k);
        f(static_cast<const std::int64_t*>(at), n);
        p += n;
      });
    });
  }

  /// f(offsets of the line's first element in each array) for the lines [begin, end).
  template <class F>
  void run(std::int64_t begin, std::int64_t end, const F& f) const {
    if (begin >= end) return;
    std::int64_t at[N] = {}, index[max_dims], rest = begin;
    for (int i = 0; i < levels; ++i) {
      index[i] = rest % size[i];
      rest /= size[i];
      for (int k = 0; k < N; ++k) at[k] += index[i] * stride[k][i];
    }
    for (std::int64_t n = begin;;) {
      f(static_cast<const std::int64_t*>(at));
      if (++n == end) return;
      for (int i = 0; i < levels; ++i) {
        for (int k = 0; k < N; ++k) at[k] += stride[k][i];
        if (++index[i] < size[i]) break;
        for (int k = 0; k < N; ++k) at[k] -= stride[k][i] * size[i];
        index[i] = 0;
      }
    }
  }

 private:
  void move(int from, int to) {
    size[to] = size[from];
    for (int k = 0; k < N; ++k) stride[k][to] = stride[k][from];
  }
  void merge() {
    int last = 0;
    for (int i = 1; i < levels; ++i) {
      bool fits = true;
      for (int k = 0; k < N; ++k) fits = fits && stride[k][i] == stride[k][last] * size[last];
      if (fits)
        size[last] *= size[i];
      else
        move(i, ++last);
    }
    if (levels > 0) levels = last + 1;
  }
};

}  // namespace knet::cpu_impl
