// libFuzzer: any bytes make a tensor or an Error from the IDX reader, and a tensor no larger than the bytes
// justify.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "knet/io/gzip.hpp"
#include "knet/io/idx.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const knet::Tensor t = knet::io::parse_idx(bytes);
    const bool compressed = size > 1 && data[0] == 0x1f && data[1] == 0x8b;
    if (!compressed && static_cast<std::size_t>(t.numel()) > size) std::abort();
  } catch (const knet::Error&) {
  }
  return 0;
}
