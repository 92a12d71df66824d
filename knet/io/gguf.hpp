// GGUF, the format of llama.cpp's models: typed metadata and tensors, often quantised in blocks. TensorFile
// reads the tensors; here is the metadata with its types.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace knet::io {

/// A value of GGUF's metadata. Integers of every width are std::int64_t (unsigned ones beyond it keep their
/// bits), floats double, arrays vectors of these. std::monostate is an array of arrays, which is not kept.
using GgufValue = std::variant<std::monostate, bool, std::int64_t, double, std::string,
                               std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;
using GgufMetadata = std::map<std::string, GgufValue>;

/// The metadata of a GGUF file (version 2 or 3, little-endian); IoError when it is not sound.
GgufMetadata load_gguf_metadata(const std::string& path);
/// The same from memory.
GgufMetadata parse_gguf_metadata(std::span<const std::byte> bytes, const std::string& name = "memory");

}  // namespace knet::io
