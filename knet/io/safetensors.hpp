// safetensors, the format in which weights are published: a JSON header with names, types, shapes and
// offsets, then the bytes of the tensors. Files written here are read by Python's safetensors and the other
// way round.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "knet/io/named_tensors.hpp"

namespace knet::io {

/// What a file holds.
struct SafeTensors {
  NamedTensors tensors;  ///< in the order of the file's header
  Metadata metadata;

  /// The tensor of that name, or null.
  const Tensor* find(const std::string& name) const;
};

/// Writes the tensors (any dtype, device and strides) atomically: on failure an older file stays as it was.
/// ValueError for an empty tensor, a name given twice, "__metadata__" or text that is not UTF-8; IoError when
/// writing fails.
void save_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata = {});

/// Reads a file onto the CPU. IoError, with the file, what was found and what was expected, unless the file
/// follows the format exactly: lengths, shapes of at most eight dimensions, tensors that neither overlap nor
/// leave holes. Types that tensors do not have are converted or refused as tensor_file.hpp says. Nothing is
/// allocated that the file's size does not justify. To read only some, or without a copy: TensorFile.
SafeTensors load_safetensors(const std::string& path);

/// Only the remarks: reads and checks the header, not the tensors. Throws as load_safetensors() does, also
/// when the file is shorter or longer than its header says.
Metadata load_metadata(const std::string& path);

/// The same from memory; `name` stands for the path in messages.
SafeTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name = "memory");

/// Options of save_sharded.
struct ShardOptions {
  /// Bytes of tensors in one file at most; a larger tensor has a file for itself.
  std::uint64_t max_bytes = 5'000'000'000;
};
/// Writes the tensors as several files and an index: "model.safetensors.index.json" has its tensors beside it
/// in "model-00001-of-00003.safetensors" and so on. All are written aside and take their places together at
/// the end, the index last; on failure while writing everything stays as it was. Shards of an older set with
/// other numbers are left. ValueError unless the name ends in ".safetensors.index.json"; otherwise the errors
/// of save_safetensors. Read them back with TensorFile or load() of the index.
void save_sharded(const std::string& index, const NamedTensors&, const ShardOptions& = {},
                  const Metadata& = {});

}  // namespace knet::io
