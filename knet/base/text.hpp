// Putting error messages together: fail<ShapeError>("matmul: ", a.shape(), " x ", b.shape()).
// For the library's sources only: it pulls in <ostream>.
//
// There are hundreds of such calls with as many combinations of types. Each only lists its parts, a pointer
// and a function per part; one function prints them. (A template that did both was a tenth of the library.)
#pragma once
#include <cstddef>
#include <ostream>
#include <string>

#include "knet/base/error.hpp"

namespace knet {

namespace detail {

struct TextPart {
  const void* value;
  void (*print)(std::ostream&, const void*);
};
std::string join(const TextPart* parts, std::size_t count);

template <class T>
void print_part(std::ostream& out, const void* value) {
  out << *static_cast<const T*>(value);
}
inline void print_chars(std::ostream& out, const void* value) { out << static_cast<const char*>(value); }

template <class T>
TextPart part(const T& value) {
  return {&value, &print_part<T>};
}
template <std::size_t N>
TextPart part(const char (&value)[N]) {
  return {value, &print_chars};
}
inline TextPart part(const char* const& value) { return {value, &print_chars}; }

}  // namespace detail

/// The parts printed one after the other with operator<<.
template <class... A>
std::string text(const A&... parts) {
  const detail::TextPart list[] = {detail::part(parts)...};
  return detail::join(list, sizeof...(A));
}

/// Throws an E whose message is the parts printed one after the other.
template <class E, class... A>
[[noreturn]] void fail(const A&... parts) {
  throw E(text(parts...));
}

}  // namespace knet
