// What the keyword arguments of layers are made of.
#pragma once
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace knet {

/// Names for the compiler's message when a required argument is missing.
namespace argument {
struct input;
struct output;
struct hidden;
struct height;
struct width;
struct heads;
struct size;
struct channels;
struct max_length;
}  // namespace argument

/// A keyword argument without a default: left out, the error reads "use of deleted function
/// required<long, knet::argument::input>::required()". Takes any number without narrowing.
template <class T, class Name>
struct required {
  required() = delete;
  template <class U>
  requires std::is_arithmetic_v<U>
  constexpr required(U u) : value(static_cast<T>(u)) {}
  template <class N>
  constexpr required(required<T, N> o) : value(o.value) {}
  constexpr operator T() const { return value; }
  T value;
};
template <class Name>
using Size = required<std::int64_t, Name>;

}  // namespace knet
