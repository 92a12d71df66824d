// The header of an npy array: a magic, a version, and a Python dictionary with three keys. For the sources of
// io only.
#pragma once
#include <bit>
#include <cstdint>
#include <string>

#include "knet/io/byte_source.hpp"
#include "knet/io/stored_type.hpp"

namespace knet::io {

struct NpyHeader {
  std::uint64_t length = 0;  ///< of everything before the elements
  std::string type;          ///< "<f4"
  Stored stored = Stored::unknown;
  std::endian order = std::endian::little;
  bool fortran = false;
  Shape shape;
  std::uint64_t bytes = 0;  ///< of the elements; 0 when the type is not known
};

/// How many bytes the header has, from the first (at most) 12 of `size`; IoError names the source and `what`.
std::uint64_t npy_header_length(const ByteSource&, const std::string& what, std::span<const std::byte> first,
                                std::uint64_t size);
/// The header from all its bytes; `size` is the array's with its header.
NpyHeader parse_npy_header(const ByteSource&, const std::string& what, std::span<const std::byte> header,
                           std::uint64_t size);
/// Reorders the elements of Fortran's order, read as the reversed shape.
Tensor from_fortran(const Tensor&);

}  // namespace knet::io
