// The header of a safetensors file: parsed without trusting it, and checked against the size of the file.
// For the sources of io only.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knet/base/dtype.hpp"
#include "knet/base/shape.hpp"
#include "knet/io/named_tensors.hpp"
#include "knet/io/stored_type.hpp"

namespace knet::io {
class AtomicFile;
}
namespace knet::io::detail {

/// The format's own limit.
inline constexpr std::uint64_t max_header = 100'000'000;

struct Entry {
  std::string name;
  std::string type;                 // the file's name of it
  Stored stored = Stored::unknown;  // unknown: the format has it or will have it, tensors do not
  Shape shape;
  std::uint64_t begin = 0, end = 0;  // bytes, counted from the end of the header
};
struct FileHeader {
  std::vector<Entry> entries;  // in the order of the text
  Metadata metadata;
};

/// The header's length from the first eight bytes of a file of that size; IoError when it can not be.
std::uint64_t header_length(const char* who, const std::string& file, const unsigned char (&first)[8],
                            std::uint64_t file_size);
/// Parses the header's text and checks it; data_size is how many bytes follow it. IoError names `file`.
FileHeader parse_header(const char* who, const std::string& file, std::string_view text,
                        std::uint64_t data_size);
/// "F32"
const char* format_name(DType);
/// The whole file, not committed; errors as save_safetensors, naming `path`.
void write_safetensors(AtomicFile&, const std::string& path, const NamedTensors&, const Metadata&);

}  // namespace knet::io::detail
