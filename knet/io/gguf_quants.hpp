// The quantised blocks of GGUF, as ggml defines them, to floats. For the sources of io only.
#pragma once
#include <cstddef>
#include <cstdint>

namespace knet::io {

struct GgufQuant {
  std::uint32_t id;
  const char* name;
  std::uint32_t elements, bytes;  ///< of a block
  void (*unpack)(const std::uint8_t* block, float* to);
};
/// The quantisation of that type number, or null.
const GgufQuant* gguf_quant(std::uint32_t id);

}  // namespace knet::io
