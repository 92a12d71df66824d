// safetensors, the format in which weights are published: a JSON header with names, types, shapes and
// offsets, then the bytes of the tensors. Files written here are read by Python's safetensors and the other
// way round.
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// Tensors with their names, in order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
/// Free-form remarks about a file.
using Metadata = std::map<std::string, std::string>;

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
/// follows the format exactly: lengths, types (F64 F32 F16 BF16 I64 I32 U8 BOOL), shapes of at most eight
/// dimensions, tensors that neither overlap nor leave holes. Nothing is allocated that the file's size does
/// not justify.
SafeTensors load_safetensors(const std::string& path);

/// The same from memory; `name` stands for the path in messages.
SafeTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name = "memory");

}  // namespace knet::io
