#include "knet/base/dtype.hpp"

#include <ostream>

namespace knet {

std::string to_string(DType t) {
  switch (t) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
    case DType::boolean: return "bool";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
  }
  return "?";
}

std::ostream& operator<<(std::ostream& o, DType t) { return o << to_string(t); }

}  // namespace knet
