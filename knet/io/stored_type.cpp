#include "knet/io/stored_type.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/bytes.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

template <class From, class To>
Tensor convert(const std::vector<std::byte>& raw, const Shape& s, DType t, To (*one)(From)) {
  Tensor r = Tensor::make(s, t, cpu);
  auto* to = reinterpret_cast<To*>(TensorAccess::data(r));
  const std::byte* p = raw.data();
  for (std::size_t n = raw.size() / sizeof(From), i = 0; i < n; ++i, p += sizeof(From)) {
    From v;
    std::memcpy(&v, p, sizeof(From));
    to[i] = one(v);
  }
  return r;
}
template <class From, class To>
To widen(From v) {
  return v;
}

float e4m3(std::uint8_t b) {
  const int exponent = b >> 3 & 15, mantissa = b & 7;
  float v = exponent == 15 && mantissa == 7 ? std::numeric_limits<float>::quiet_NaN()
            : exponent == 0                 ? std::ldexp(static_cast<float>(mantissa), -9)
                                            : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return b & 128 ? -v : v;
}
float e5m2(std::uint8_t b) {
  const int exponent = b >> 2 & 31, mantissa = b & 3;
  float v = exponent == 31  ? (mantissa ? std::numeric_limits<float>::quiet_NaN()
                                        : std::numeric_limits<float>::infinity())
            : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -16)
                            : std::ldexp(static_cast<float>(4 + mantissa), exponent - 17);
  return b & 128 ? -v : v;
}
float e8m0(std::uint8_t b) {
  return b == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, b - 127);
}

void check_booleans(const std::string& where, const std::byte* p, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    if (p[i] > std::byte{1}) {
      fail<IoError>(where, ": element ", i, " of a boolean tensor is ", std::to_integer<int>(p[i]),
                    " (expected 0 or 1)");
    }
  }
}

}  // namespace

std::size_t size_of(Stored s) {
  switch (s) {
    case Stored::i8:
    case Stored::f8_e4m3:
    case Stored::f8_e5m2:
    case Stored::f8_e8m0: return 1;
    case Stored::i16:
    case Stored::u16: return 2;
    case Stored::u32: return 4;
    case Stored::u64: return 8;
    case Stored::unknown: return 0;
    default: return size_of(dtype_of(s));
  }
}

DType dtype_of(Stored s) {
  switch (s) {
    case Stored::f64: return f64;
    case Stored::f16: return f16;
    case Stored::bf16: return bf16;
    case Stored::i64:
    case Stored::u32:
    case Stored::u64: return i64;
    case Stored::i32:
    case Stored::i8:
    case Stored::i16:
    case Stored::u16: return i32;
    case Stored::u8: return u8;
    case Stored::boolean: return boolean;
    default: return f32;
  }
}

bool is_direct(Stored s) { return s < Stored::i8; }

Stored stored_as(DType t) {
  switch (t) {
    case DType::f64: return Stored::f64;
    case DType::f32: return Stored::f32;
    case DType::f16: return Stored::f16;
    case DType::bf16: return Stored::bf16;
    case DType::i64: return Stored::i64;
    case DType::i32: return Stored::i32;
    case DType::u8: return Stored::u8;
    case DType::boolean: return Stored::boolean;
  }
  return Stored::unknown;
}

bool byte_count(const Shape& s, std::size_t element, std::uint64_t& bytes) {
  std::uint64_t n = element;
  bool none = false;
  for (auto v : s) {
    none = none || v == 0;
    if (v < 0 || __builtin_mul_overflow(n, static_cast<std::uint64_t>(std::max<std::int64_t>(v, 1)), &n) ||
        n > (std::uint64_t{1} << 56))
      return false;
  }
  bytes = none ? 0 : n;
  return true;
}

Tensor make_stored(const std::string& where, const Shape& shape, Stored stored, std::endian order,
                   const std::function<void(std::byte*)>& fill) {
  const auto n = static_cast<std::size_t>(shape.numel());
  if (is_direct(stored)) {
    Tensor t = Tensor::make(shape, dtype_of(stored), cpu);
    if (n == 0) return t;
    std::byte* p = TensorAccess::data(t);
    fill(p);
    from_order(order, p, n, size_of(stored));
    if (stored == Stored::boolean) check_booleans(where, p, n);
    return t;
  }
  std::vector<std::byte> raw(n * size_of(stored));
  if (n > 0) fill(raw.data());
  from_order(order, raw.data(), n, size_of(stored));
  switch (stored) {
    case Stored::i8: return convert(raw, shape, i32, widen<std::int8_t, std::int32_t>);
    case Stored::i16: return convert(raw, shape, i32, widen<std::int16_t, std::int32_t>);
    case Stored::u16: return convert(raw, shape, i32, widen<std::uint16_t, std::int32_t>);
    case Stored::u32: return convert(raw, shape, i64, widen<std::uint32_t, std::int64_t>);
    case Stored::f8_e4m3: return convert(raw, shape, f32, e4m3);
    case Stored::f8_e5m2: return convert(raw, shape, f32, e5m2);
    case Stored::f8_e8m0: return convert(raw, shape, f32, e8m0);
    case Stored::u64: break;
    default: fail<IoError>(where, ": a type that can not be read");
  }
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t v;
    std::memcpy(&v, raw.data() + i * sizeof v, sizeof v);
    if (v > std::uint64_t{INT64_MAX})
      fail<IoError>(where, ": element ", i, " of unsigned 64-bit integers is ", v,
                    ", which is beyond i64 (at most ", INT64_MAX, ")");
  }
  return convert(
      raw, shape, i64, +[](std::int64_t v) { return v; });
}

Tensor read_stored(const ByteSource& s, const std::string& name, std::uint64_t position, const Shape& shape,
                   Stored stored, std::endian order) {
  const std::string where = text(s.who(), ": ", s.name(), ": ", shown(name));
  std::uint64_t bytes = 0;
  if (!byte_count(shape, size_of(stored), bytes))
    fail<IoError>(where, ": shape ", shape, " has too many elements");
  if (position > s.size() || bytes > s.size() - position)
    fail<IoError>(where, ": needs ", bytes, " bytes at ", position, ", the file has ", s.size());
  if (is_direct(stored) && (order == std::endian::native || size_of(stored) == 1)) {
    if (Tensor t = s.lend(position, shape, dtype_of(stored))) {
      if (stored == Stored::boolean)
        check_booleans(where, TensorAccess::data(t), static_cast<std::size_t>(bytes));
      return t;
    }
  }
  return make_stored(where, shape, stored, order,
                     [&](std::byte* to) { s.read(position, to, static_cast<std::size_t>(bytes)); });
}

}  // namespace knet::io
