#include "knet/kernels/reference/random.hpp"

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {

void random(Distribution d, RandomKey key, double a, double b, const Array& y) {
  if (d == Distribution::integer) {
    return dispatch_number("random", y.dtype, [&]<class T>(type<T>) {
      walk(
          [&](const auto& at, std::int64_t i) {
            y.as<T>()[at[0]] =
                static_cast<T>(integer(key, static_cast<std::uint64_t>(i), static_cast<std::int64_t>(a),
                                       static_cast<std::int64_t>(b)));
          },
          y);
    });
  }
  dispatch_float("random", y.dtype, [&]<class T>(type<T>) {
    walk(
        [&](const auto& at, std::int64_t k) {
          const auto i = static_cast<std::uint64_t>(k);
          y.as<T>()[at[0]] = d == Distribution::uniform ? uniform<T>(key, i, a, b) : normal<T>(key, i, a, b);
        },
        y);
  });
}

void dropout(RandomKey key, double p, const Array& x, const Array& y) {
  dispatch_float("dropout", x.dtype, [&]<class T>(type<T>) {
    const T scale = static_cast<T>(1 / (1 - p));
    walk(
        [&](const auto& at, std::int64_t i) {
          y.as<T>()[at[1]] =
              kept(key, static_cast<std::uint64_t>(i), p) ? x.as<const T>()[at[0]] * scale : T(0);
        },
        x, y);
  });
}

}  // namespace knet::reference
