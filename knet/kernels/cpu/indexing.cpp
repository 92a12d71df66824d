// Taking and adding rows by their numbers. Dense arrays move whole rows; all else goes the plain way.
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

}  // namespace

void index_select(const Array& x, int dim, const Array& ids, const Array& y) {
  if (!is_dense(x) || !is_dense(y)) return reference_kernels().index_select(x, dim, ids, y);
  const Split s(x, dim);
  const Int n = ids.numel(), step = step_of(ids), size = x.size[dim];
  const auto bytes = static_cast<std::size_t>(s.inner) * size_of(x.dtype);
  dispatch_index("index_select", ids.dtype, [&]<class I>(type<I>) {
    parallel_for(s.outer * n, std::max<Int>(1, 65536 / static_cast<Int>(bytes + 1)), [&](Int b, Int e) {
      for (Int r = b; r < e; ++r) {
        const Int from = r / n * size + static_cast<Int>(ids.as<const I>()[r % n * step]);
        std::memcpy(static_cast<std::byte*>(y.data) + static_cast<std::size_t>(r) * bytes,
                    static_cast<const std::byte*>(x.data) + static_cast<std::size_t>(from) * bytes, bytes);
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
      for (Int r = 0; r < s.outer * n; ++r) {
        T* to = y.as<T>() + (r / n * size + static_cast<Int>(ids.as<const I>()[r % n * step])) * s.inner;
        const T* from = src.as<const T>() + r * s.inner;
        for (Int j = 0; j < s.inner; ++j) to[j] = static_cast<T>(to[j] + from[j]);
      }
    });
  });
}

}  // namespace knet::cpu_impl
