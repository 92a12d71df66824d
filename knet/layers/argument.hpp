// What the keyword arguments of layers are made of.
#pragma once
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "knet/autograd/model.hpp"
#include "knet/ops/spatial.hpp"

namespace knet {

/// Names for the compiler's message when a required argument is missing.
namespace argument {
struct input {
  static constexpr const char* name = "input";
};
struct output {
  static constexpr const char* name = "output";
};
struct hidden {
  static constexpr const char* name = "hidden";
};
struct height {
  static constexpr const char* name = "height";
};
struct width {
  static constexpr const char* name = "width";
};
struct groups {
  static constexpr const char* name = "groups";
};
struct depth {
  static constexpr const char* name = "depth";
};
struct heads {
  static constexpr const char* name = "heads";
};
struct size {
  static constexpr const char* name = "size";
};
struct channels {
  static constexpr const char* name = "channels";
};
struct max_length {
  static constexpr const char* name = "max_length";
};
}  // namespace argument

namespace detail {
[[noreturn]] void bad_size(const char* name, double value);
}

/// A keyword argument without a default: left out, the error reads "use of deleted function
/// required<long, knet::argument::input>::required()". Takes any number without narrowing;
/// sizes below 1 are a ValueError.
template <class T, class Name>
struct required {
  required() = delete;
  template <class U>
  requires std::is_arithmetic_v<U>
  constexpr required(U u) : value(static_cast<T>(u)) {
    if constexpr (std::is_integral_v<T>) {
      if (!(u >= U(1))) detail::bad_size(Name::name, static_cast<double>(u));
    }
  }
  template <class N>
  constexpr required(required<T, N> o) : value(o.value) {}
  constexpr operator T() const { return value; }
  T value;
};
template <class Name>
using Size = required<std::int64_t, Name>;

/// How many channels go in and come out: .inout = {3, 16}.
struct InOut {
  std::int64_t in, out;
  constexpr InOut(std::integral auto i, std::integral auto o)
      : in(static_cast<std::int64_t>(i)), out(static_cast<std::int64_t>(o)) {}
};
/// Any integer, without narrowing errors: .layers = v.size().
struct Count {
  std::int64_t value;
  constexpr Count(std::integral auto v) : value(static_cast<std::int64_t>(v)) {}
  constexpr operator std::int64_t() const { return value; }
};

template <>
inline constexpr bool opaque<InOut> = true;
template <>
inline constexpr bool opaque<Count> = true;
template <>
inline constexpr bool opaque<Extents> = true;
template <>
inline constexpr bool opaque<Padding> = true;

}  // namespace knet
