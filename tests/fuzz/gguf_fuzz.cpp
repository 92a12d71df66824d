// libFuzzer: any bytes make tensors or an Error from the GGUF reader. The tightest quantisation, 84 bytes for
// 256 floats, unfolds to 12 times.
#include "knet/io/gguf.hpp"
#include "tensor_file_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = knet::fuzz::as_bytes(data, size);
  knet::fuzz::read_tensors(knet::io::open_gguf, bytes, 13);
  try {
    knet::io::parse_gguf_metadata(bytes);
  } catch (const knet::Error&) {
  }
  return 0;
}
