// libFuzzer: any bytes make sound or an Error from the WAV reader, four bytes for a stored one at most.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "knet/io/wav.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto w = knet::io::parse_wav({reinterpret_cast<const std::byte*>(data), size});
    if (static_cast<std::size_t>(w.samples.numel()) > size || w.rate < 1) std::abort();
  } catch (const knet::Error&) {
  }
  return 0;
}
