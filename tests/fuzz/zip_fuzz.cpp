// libFuzzer: any bytes are a zip archive or an Error; its members have the sizes it says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "knet/io/zip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const knet::io::ByteSource s("fuzz", {reinterpret_cast<const std::byte*>(data), size}, "memory");
  try {
    const knet::io::ZipFile z(s);
    for (const auto& m : z.members()) {
      try {
        if (z.first(m, 100).size() > m.bytes) std::abort();
        if (z.read(m).size() != m.bytes) std::abort();
      } catch (const knet::Error&) {
      }
    }
  } catch (const knet::Error&) {
  }
  return 0;
}
