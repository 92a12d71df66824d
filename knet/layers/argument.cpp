#include "knet/layers/argument.hpp"

#include "knet/base/text.hpp"

namespace knet::detail {

void bad_size(const char* name, double value) {
  fail<ValueError>(".", name, " = ", value, ": expected at least 1");
}

}  // namespace knet::detail
