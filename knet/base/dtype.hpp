// Element types, chosen at run time.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <type_traits>

namespace knet {

/// Element type of a tensor. f32 and f64 are computed with; i32, i64 and u8 hold labels, ids and bytes;
/// boolean holds masks; f16 and bf16 are storage types (convert with Tensor::to before computing).
enum class DType : std::uint8_t { f32, f64, i32, i64, u8, boolean, f16, bf16 };

inline constexpr DType f32 = DType::f32, f64 = DType::f64, i32 = DType::i32, i64 = DType::i64, u8 = DType::u8,
                       boolean = DType::boolean, f16 = DType::f16, bf16 = DType::bf16;

/// Storage-only 16-bit floats: the bits, converted by Tensor::to.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

namespace detail {
template <class T>
consteval DType dtype_for() {
  if constexpr (std::same_as<T, float>)
    return f32;
  else if constexpr (std::same_as<T, double>)
    return f64;
  else if constexpr (std::same_as<T, bool>)
    return boolean;
  else if constexpr (std::same_as<T, Half>)
    return f16;
  else if constexpr (std::same_as<T, BFloat16>)
    return bf16;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 1)
    return u8;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 4)
    return i32;
  else {
    static_assert(std::is_integral_v<T> && sizeof(T) == 8, "knet: no tensor element type for this C++ type");
    return i64;
  }
}
}  // namespace detail

/// The DType that stores a C++ type: float f32, double f64, int i32, long i64, unsigned char u8, bool
/// boolean.
template <class T>
inline constexpr DType dtype_of = detail::dtype_for<std::remove_cv_t<T>>();

/// Bytes of one element.
constexpr std::size_t size_of(DType t) {
  switch (t) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16: return 2;
    default: return 1;
  }
}
/// f32, f64, f16 or bf16.
constexpr bool is_floating(DType t) { return t == f32 || t == f64 || t == f16 || t == bf16; }
/// i32, i64 or u8 (not boolean).
constexpr bool is_integer(DType t) { return t == i32 || t == i64 || t == u8; }

std::string to_string(DType);
std::ostream& operator<<(std::ostream&, DType);

}  // namespace knet
