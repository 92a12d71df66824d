#include "knet/base/text.hpp"

#include <sstream>

namespace knet::detail {

std::string join(const TextPart* parts, std::size_t count) {
  std::ostringstream s;
  for (std::size_t i = 0; i < count; ++i) parts[i].print(s, parts[i].value);
  return s.str();
}

}  // namespace knet::detail
