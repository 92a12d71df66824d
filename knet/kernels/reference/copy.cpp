#include "knet/kernels/convert.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
using convert::converted;
using convert::dispatch_all;

void copy(const Array& x, const Array& y) {
  dispatch_all(x.dtype, [&]<class From>(type<From>) {
    dispatch_all(y.dtype, [&]<class To>(type<To>) {
      walk(
          [&](const auto& at, std::int64_t) { y.as<To>()[at[1]] = converted<To>(x.as<const From>()[at[0]]); },
          x, y);
    });
  });
}
void copy_divided(const Array& x, double divisor, const Array& y) {
  copy(x, y);
  binary_scalar(Binary::div, y, divisor, false, y);
}
void fill(double value, const Array& y) {
  dispatch_all(y.dtype, [&]<class T>(type<T>) {
    const T v = converted<T>(value);
    walk([&](const auto& at, std::int64_t) { y.as<T>()[at[0]] = v; }, y);
  });
}
void arange(double start, double step, const Array& y) {
  dispatch_all(y.dtype, [&]<class T>(type<T>) {
    walk([&](const auto& at,
             std::int64_t i) { y.as<T>()[at[0]] = converted<T>(start + step * static_cast<double>(i)); },
         y);
  });
}

}  // namespace knet::reference
