#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
namespace {
// f(id, position) for every id of a vector.
template <class F>
void each_id(const Array& ids, const F& f) {
  dispatch_index("index", ids.dtype, [&]<class I>(type<I>) {
    const std::int64_t step = ids.ndim > 0 ? ids.stride[0] : 0;
    for (std::int64_t i = 0, n = ids.numel(); i < n; ++i)
      f(static_cast<std::int64_t>(ids.as<const I>()[i * step]), i);
  });
}
Array at_position(Array x, int dim, std::int64_t i) {
  x.data = static_cast<std::byte*>(x.data) + i * x.stride[dim] * static_cast<std::int64_t>(size_of(x.dtype));
  x.size[dim] = 1;
  return x;
}
}  // namespace

void index_select(const Array& x, int dim, const Array& ids, const Array& y) {
  each_id(ids,
          [&](std::int64_t id, std::int64_t i) { copy(at_position(x, dim, id), at_position(y, dim, i)); });
}
void index_add(const Array& src, int dim, const Array& ids, const Array& y) {
  each_id(ids, [&](std::int64_t id, std::int64_t i) {
    const Array to = at_position(y, dim, id);
    binary(Binary::add, to, at_position(src, dim, i), to);
  });
}
void gather(const Array& x, int dim, const Array& ids, const Array& y) {
  const auto run = [&]<class T>(type<T>) {
    dispatch_index("gather", ids.dtype, [&]<class I>(type<I>) {
      Array line = x;  // x without its own position along dim
      line.stride[dim] = 0;
      line.size[dim] = ids.size[dim];
      walk(
          [&](const auto& at, std::int64_t) {
            const auto id = static_cast<std::int64_t>(ids.as<const I>()[at[0]]);
            y.as<T>()[at[2]] = x.as<const T>()[at[1] + id * x.stride[dim]];
          },
          ids, line, y);
    });
  };
  dispatch_any("gather", x.dtype, run);
}
void scatter_add(const Array& src, int dim, const Array& ids, const Array& y) {
  dispatch_number("scatter_add", src.dtype, [&]<class T>(type<T>) {
    dispatch_index("scatter_add", ids.dtype, [&]<class I>(type<I>) {
      Array line = y;
      line.stride[dim] = 0;
      line.size[dim] = ids.size[dim];
      walk(
          [&](const auto& at, std::int64_t) {
            const auto id = static_cast<std::int64_t>(ids.as<const I>()[at[0]]);
            T& r = y.as<T>()[at[1] + id * y.stride[dim]];
            r = static_cast<T>(r + src.as<const T>()[at[2]]);
          },
          ids, line, src);
    });
  });
}

}  // namespace knet::reference
