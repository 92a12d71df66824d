// libFuzzer: any bytes as the pickle of a PyTorch file, in an archive with three storages of 256 bytes
// (checksums keep a mutated archive from getting that far), and as the whole file.
#include <zlib.h>

#include <string>

#include "tensor_file_fuzz.hpp"

namespace {

void put(std::string& to, std::uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(v >> 8 * i);
}

std::string archive(std::string_view pickle) {
  std::string file, directory;
  const std::string storage(256, '\1');
  const std::pair<std::string, std::string_view> members[] = {
      {"a/data.pkl", pickle}, {"a/data/0", storage}, {"a/data/1", storage}, {"a/data/2", storage}};
  for (const auto& [name, data] : members) {
    const auto crc = crc32_z(0, reinterpret_cast<const unsigned char*>(data.data()), data.size());
    const std::size_t at = file.size();
    for (std::string* to : {&file, &directory}) {
      put(*to, to == &file ? 0x04034b50 : 0x02014b50, 4);
      if (to == &directory) put(*to, 20, 2);
      put(*to, 20, 2), put(*to, 0, 8), put(*to, crc, 4), put(*to, data.size(), 4), put(*to, data.size(), 4);
      put(*to, name.size(), 2), put(*to, 0, 2);
      if (to == &directory) put(*to, 0, 8), put(*to, 0, 2), put(*to, at, 4);
      *to += name;
    }
    file += data;
  }
  const std::size_t begin = file.size();
  file += directory;
  put(file, 0x06054b50, 4), put(file, 0, 4), put(file, 4, 2), put(file, 4, 2);
  put(file, directory.size(), 4), put(file, begin, 4), put(file, 0, 2);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = knet::fuzz::as_bytes(data, size);
  if (size > 1 && data[0] == 'P' && data[1] == 'K') {
    knet::fuzz::read_tensors(knet::io::open_torch, bytes, 64 * 1032);
    return 0;
  }
  const std::string file = archive({reinterpret_cast<const char*>(data), size});
  const auto* p = reinterpret_cast<const std::uint8_t*>(file.data());
  knet::fuzz::read_tensors(knet::io::open_torch, knet::fuzz::as_bytes(p, file.size()), 64);
  return 0;
}
