// libFuzzer: any bytes make tensors or an Error from the safetensors reader; together the tensors are no
// larger than what follows the header, four times where bytes become i32 or f32.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "knet/io/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto r = knet::io::parse_safetensors({reinterpret_cast<const std::byte*>(data), size});
    std::size_t total = 0;
    for (auto& [name, t] : r.tensors) total += static_cast<std::size_t>(t.numel()) * knet::size_of(t.dtype());
    if (total > 4 * size) std::abort();
  } catch (const knet::Error&) {
  }
  return 0;
}
