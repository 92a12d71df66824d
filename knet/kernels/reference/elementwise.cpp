#include <cmath>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/functors.hpp"
#include "knet/kernels/functors_scalar.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/reference/walk.hpp"

namespace knet::reference {
namespace {

template <class T>
T divided(Binary op, T a, T b) {  // integers, rounded down; by 0 gives 0, not a signal
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1)
      return op == Binary::remainder ? T(0) : static_cast<T>(T(0) - static_cast<std::make_unsigned_t<T>>(a));
  }
  const T q = static_cast<T>(a / b), r = static_cast<T>(a % b);
  const bool down = r != 0 && ((r < 0) != (b < 0));
  if (op == Binary::remainder) return static_cast<T>(down ? r + b : r);
  return op == Binary::floor_divide && down ? static_cast<T>(q - 1) : q;
}
template <class T>
T wrapped(Binary op, T a, T b) {  // integers overflow silently, as unsigned ones do
  using U = std::make_unsigned_t<T>;
  const U p = static_cast<U>(a), q = static_cast<U>(b);
  switch (op) {
    case Binary::add: return static_cast<T>(static_cast<U>(p + q));
    case Binary::sub: return static_cast<T>(static_cast<U>(p - q));
    default: return static_cast<T>(static_cast<U>(std::uint64_t{p} * q));
  }
}
template <class T>
T value(Binary op, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    switch (op) {
      case Binary::add:
      case Binary::sub:
      case Binary::mul: return wrapped(op, a, b);
      case Binary::div:
      case Binary::remainder:
      case Binary::floor_divide: return divided(op, a, b);
      default: break;
    }
  }
  T r{};
  fn::dispatch_binary(op, [&]<class F>(F) { r = F::value(fn::Scalar<T>(a), fn::Scalar<T>(b)).v; });
  return r;
}

}  // namespace

void unary(Unary op, double a, double b, const Array& x, const Array& y) {
  if (op == Unary::identity) return copy(x, y);
  dispatch_any("unary", x.dtype, [&]<class T>(type<T>) {
    const T* p = x.as<const T>();
    if (gives_boolean(op)) {
      bool* q = y.as<bool>();
      walk(
          [&](const auto& at, std::int64_t) {
            const T v = p[at[0]];
            if (op == Unary::logical_not) {
              q[at[1]] = v == T(0);
            } else if constexpr (std::is_floating_point_v<T>) {
              q[at[1]] = op == Unary::is_nan   ? std::isnan(v)
                         : op == Unary::is_inf ? std::isinf(v)
                                               : std::isfinite(v);
            } else {
              q[at[1]] = op == Unary::is_finite;
            }
          },
          x, y);
    } else if constexpr (!std::is_same_v<T, bool>) {
      T* q = y.as<T>();
      fn::dispatch_unary(op, [&]<class F>(F) {
        walk(
            [&](const auto& at, std::int64_t) {
              q[at[1]] = F::value(fn::Scalar<T>(p[at[0]]), fn::Params{a, b}).v;
            },
            x, y);
      });
    } else {
      fail<DTypeError>(fn::name_of(op), ": does not take boolean");
    }
  });
}

void unary_grad(Unary op, double a, double b, const Array& x, const Array& y, const Array& dy,
                const Array& dx) {
  dispatch_float("unary_grad", dy.dtype, [&]<class T>(type<T>) {
    // An array that is not needed stands still on one zero.
    T zero = 0;
    const auto or_zero = [&](const Array& v) { return v.data ? v : repeated(dy, &zero); };
    const Array xs = or_zero(x), ys = or_zero(y);
    fn::dispatch_unary(op, [&]<class F>(F) {
      walk(
          [&](const auto& at, std::int64_t) {
            const fn::Scalar<T> v(xs.as<const T>()[at[1]]), r(ys.as<const T>()[at[2]]),
                d(dy.as<const T>()[at[3]]);
            dx.as<T>()[at[0]] = (d * F::grad(v, r, fn::Params{a, b})).v;
          },
          dx, xs, ys, dy);
    });
  });
}

void binary(Binary op, const Array& a, const Array& b, const Array& y) {
  dispatch_any("binary", a.dtype, [&]<class T>(type<T>) {
    if (gives_boolean(op)) {
      walk(
          [&](const auto& at, std::int64_t) {
            y.as<bool>()[at[2]] = fn::compared(op, a.as<const T>()[at[0]], b.as<const T>()[at[1]]);
          },
          a, b, y);
    } else if constexpr (!std::is_same_v<T, bool>) {
      walk(
          [&](const auto& at, std::int64_t) {
            y.as<T>()[at[2]] = value(op, a.as<const T>()[at[0]], b.as<const T>()[at[1]]);
          },
          a, b, y);
    } else {
      fail<DTypeError>(fn::name_of(op), ": does not take boolean");
    }
  });
}

void binary_scalar(Binary op, const Array& x, double s, bool first, const Array& y) {
  dispatch_any("binary", x.dtype, [&]<class T>(type<T>) {
    // Integers are compared with the number itself: 2 > 1.5.
    if (gives_boolean(op) && !std::is_floating_point_v<T>) {
      walk(
          [&](const auto& at, std::int64_t) {
            const double v = static_cast<double>(x.as<const T>()[at[0]]);
            y.as<bool>()[at[1]] = first ? fn::compared(op, s, v) : fn::compared(op, v, s);
          },
          x, y);
      return;
    }
    T number = static_cast<T>(s);
    const Array c = repeated(x, &number);
    first ? binary(op, c, x, y) : binary(op, x, c, y);
  });
}

void where(const Array& mask, const Array& a, const Array& b, const Array& y) {
  const auto run = [&]<class T>(type<T>) {
    walk(
        [&](const auto& at, std::int64_t) {
          y.as<T>()[at[3]] = mask.as<const bool>()[at[0]] ? a.as<const T>()[at[1]] : b.as<const T>()[at[2]];
        },
        mask, a, b, y);
  };
  switch (size_of(a.dtype)) {  // bits are moved, not numbers
    case 8: return run(type<std::uint64_t>{});
    case 4: return run(type<std::uint32_t>{});
    case 2: return run(type<std::uint16_t>{});
    default: return run(type<std::uint8_t>{});
  }
}

}  // namespace knet::reference
