// Putting error messages together: fail<ShapeError>("matmul: ", a.shape(), " x ", b.shape()).
// For the library's sources only: it pulls in <sstream>.
#pragma once
#include <sstream>
#include <string>

#include "knet/base/error.hpp"

namespace knet {

/// The parts printed one after the other with operator<<.
template <class... A>
std::string text(const A&... parts) {
  std::ostringstream s;
  (s << ... << parts);
  return s.str();
}

/// Throws an E whose message is the parts printed one after the other.
template <class E, class... A>
[[noreturn]] void fail(const A&... parts) {
  throw E(text(parts...));
}

}  // namespace knet
