// numpy's files: npy, one array, and npz, a zip archive of them.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "knet/io/named_tensors.hpp"

namespace knet::io {

/// The array in an npy file (versions 1 to 3, C or Fortran order, either byte order) as a row-major tensor.
/// Types that tensors do not have are converted as tensor_file.hpp says; complex numbers, texts, objects and
/// records are an IoError, as is everything that is not exactly one array of at most eight dimensions.
Tensor load_npy(const std::string& path);
/// The same from memory; `name` stands for the path in messages.
Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name = "memory");
/// Writes the tensor atomically, version 1.0 in C order. numpy has no bf16: DTypeError.
void save_npy(const std::string& path, const Tensor&);

/// The arrays of an npz file, stored or deflated, with their names (".npy" left off).
NamedTensors load_npz(const std::string& path);
/// Options of save_npz.
struct NpzOptions {
  bool compress = false;  ///< deflate, as numpy's savez_compressed
};
/// Writes the tensors atomically. ValueError for an empty tensor, an empty name or a name given twice;
/// DTypeError for bf16, which numpy does not have.
void save_npz(const std::string& path, const NamedTensors&, const NpzOptions& = {});

}  // namespace knet::io
