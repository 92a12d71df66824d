// Taking and adding rows by their numbers. Dense arrays move whole rows; all else goes the plain way.
#include <algorithm>
#include <cstring>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_reduce.hpp"
#include "knet/kernels/cpu/lines.hpp"

namespace knet::cpu_impl {
namespace {

using Int = std::int64_t;

// A dense array as [outer, size of dim, inner].
struct Split {
  Int outer = 1, inner = 1;
  Split(const Array& a, int dim) {
    for (int i = 0; i < dim; ++i) outer *= a.size[i];
    for (int i = dim + 1; i < a.ndim; ++i) inner *= a.size[i];
  }
};
Int step_of(const Array& ids) { return ids.ndim > 0 ? ids.stride[0] : 0; }

// Rows of a large table come from memory, in no order that the processor foresees. It does foresee the rest
// of a row: asking for all of a long one holds up the copying (measured).
constexpr Int ahead = 8;  // rows asked for in advance
void prefetch([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) {
#ifdef __GNUC__
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes, 256); i += 64)
    __builtin_prefetch(static_cast<const std::byte*>(p) + i);
#endif
}

}  // namespace

void index_select(const Array& x, int dim, const Array& ids, const Array& y) {
  if (!is_dense(x) || !is_dense(y)) return reference_kernels().index_select(x, dim, ids, y);
  const Split s(x, dim);
  const Int n = ids.numel(), step = step_of(ids), size = x.size[dim];
  const auto bytes = static_cast<std::size_t>(s.inner) * size_of(x.dtype);
  dispatch_index("index_select", ids.dtype, [&]<class I>(type<I>) {
    parallel_for(s.outer * n, std::max<Int>(1, 65536 / static_cast<Int>(bytes + 1)), [&](Int b, Int e) {
      const auto row = [&](Int r) {
        const Int from = r / n * size + static_cast<Int>(ids.as<const I>()[r % n * step]);
        return static_cast<const std::byte*>(x.data) + static_cast<std::size_t>(from) * bytes;
      };
      for (Int r = b; r < e; ++r) {
        if (r + ahead < e) prefetch(row(r + ahead), bytes);
        std::memcpy(static_cast<std::byte*>(y.data) + static_cast<std::size_t>(r) * bytes, row(r), bytes);
      }
    });
  });
}

void index_add(const Array& src, int dim, const Array& ids, const Array& y) {
  if (!is_dense(src) || !is_dense(y)) return reference_kernels().index_add(src, dim, ids, y);
  const Split s(y, dim);
  const Int n = ids.numel(), step = step_of(ids), size = y.size[dim];
  dispatch_number("index_add", y.dtype, [&]<class T>(type<T>) {
    dispatch_index("index_add", ids.dtype, [&]<class I>(type<I>) {
      const auto row = [&](Int r) {
        return y.as<T>() + (r / n * size + static_cast<Int>(ids.as<const I>()[r % n * step])) * s.inner;
      };
      // Equal ids meet in one row: threads share columns, not rows, and every sum keeps its order.
      const Int rows = s.outer * n;
      parallel_for(s.inner, std::max<Int>(64, 65536 / std::max<Int>(1, rows)), [&](Int b, Int e) {
        for (Int r = 0; r < rows; ++r) {
          if (r + ahead < rows) prefetch(row(r + ahead) + b, static_cast<std::size_t>(e - b) * sizeof(T));
          T* to = row(r);
          const T* from = src.as<const T>() + r * s.inner;
          for (Int j = b; j < e; ++j) to[j] = static_cast<T>(to[j] + from[j]);
        }
      });
    });
  });
}

}  // namespace knet::cpu_impl
