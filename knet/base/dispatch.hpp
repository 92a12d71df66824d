// From a run-time dtype to a compile-time type: dispatch(t, [&]<class T>(type<T>) { ... }). For the sources
// only.
#pragma once
#include "knet/base/dtype.hpp"
#include "knet/base/text.hpp"

namespace knet {

template <class T>
struct type {
  using t = T;
};

/// f32 and f64.
template <class F>
decltype(auto) dispatch_float(const char* who, DType t, F&& f) {
  switch (t) {
    case DType::f32: return f(type<float>{});
    case DType::f64: return f(type<double>{});
    default: fail<DTypeError>(who, ": expects f32 or f64, not ", t);
  }
}

/// f32, f64, i32, i64, u8.
template <class F>
decltype(auto) dispatch_number(const char* who, DType t, F&& f) {
  switch (t) {
    case DType::f32: return f(type<float>{});
    case DType::f64: return f(type<double>{});
    case DType::i32: return f(type<std::int32_t>{});
    case DType::i64: return f(type<std::int64_t>{});
    case DType::u8: return f(type<std::uint8_t>{});
    default: fail<DTypeError>(who, ": does not take ", t, "; convert with .to(f32) first");
  }
}

/// Everything that can be computed with: numbers and boolean.
template <class F>
decltype(auto) dispatch_any(const char* who, DType t, F&& f) {
  if (t == DType::boolean) return f(type<bool>{});
  return dispatch_number(who, t, f);
}

/// Integer ids: i32, i64, u8.
template <class F>
decltype(auto) dispatch_index(const char* who, DType t, F&& f) {
  switch (t) {
    case DType::i32: return f(type<std::int32_t>{});
    case DType::i64: return f(type<std::int64_t>{});
    case DType::u8: return f(type<std::uint8_t>{});
    default: fail<DTypeError>(who, ": expects integers (i32, i64 or u8), not ", t);
  }
}

}  // namespace knet
