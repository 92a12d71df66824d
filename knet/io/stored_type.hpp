// Element types of files, more than a tensor has. What no tensor can hold as it is becomes the smallest
// dtype that holds every value: narrow integers i32, unsigned 32 bits i64, 8-bit floats f32. Unsigned 64-bit
// numbers become i64, and one above its range is an error. For the sources of io only.
#pragma once
#include <bit>
#include <functional>
#include <string>

#include "knet/base/dtype.hpp"
#include "knet/base/shape.hpp"
#include "knet/io/byte_source.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::io {

enum class Stored : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  u8,
  boolean,
  i8,
  i16,
  u16,
  u32,
  u64,
  f8_e4m3,  ///< 4 bits of exponent, no infinity (Micikevicius et al. 2022, arXiv:2209.05433)
  f8_e5m2,  ///< the upper half of an f16
  f8_e8m0,  ///< a power of two
  unknown
};

/// Bytes of an element in the file; 0 when unknown.
std::size_t size_of(Stored);
/// The dtype that a tensor gets; f32 when unknown.
DType dtype_of(Stored);
/// Is the tensor's dtype the stored one?
bool is_direct(Stored);
/// What stores a dtype.
Stored stored_as(DType);

/// Bytes of a shape's elements; false when they are too many to count. Zeros are left out of the product of
/// the others, so that the strides of [0, huge, huge] do not overflow either.
bool byte_count(const Shape&, std::size_t element, std::uint64_t& bytes);

/// Makes a tensor of stored elements; fill(to) copies all their bytes. IoError for a boolean that is neither
/// 0 nor 1 and for what i64 can not hold; `where` names file and tensor in it.
Tensor make_stored(const std::string& where, const Shape&, Stored, std::endian,
                   const std::function<void(std::byte*)>& fill);
/// The same from a position of a source; not copied when the source is mapped, the stored type is a dtype,
/// the order is the machine's and the elements are aligned.
Tensor read_stored(const ByteSource&, const std::string& name, std::uint64_t position, const Shape&, Stored,
                   std::endian = std::endian::little);

}  // namespace knet::io
