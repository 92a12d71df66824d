// IDX, the format of MNIST: two zero bytes, a type, the number of dimensions, their sizes (big-endian), the
// elements.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// The tensor in an IDX file, plain or gzip (told by its contents). Unsigned bytes become u8; signed bytes,
/// 16- and 32-bit integers i32; float f32; double f64. IoError, with the file, what was found and what was
/// expected, for anything that is not exactly one IDX array of at most eight dimensions.
Tensor read_idx(const std::string& path);
/// The same from memory; `name` stands for the path in messages.
Tensor parse_idx(std::span<const std::byte> bytes, const std::string& name = "memory");
/// Writes u8, i32, f32 or f64 (anything else is a DTypeError) atomically; compressed when the name ends in
/// ".gz".
void write_idx(const std::string& path, const Tensor& t);

}  // namespace knet::io
