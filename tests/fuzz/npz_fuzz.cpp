// libFuzzer: any bytes make tensors or an Error from the npz reader. Deflate unfolds to at most 1032 times.
#include "tensor_file_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  knet::fuzz::read_tensors(knet::io::open_npz, knet::fuzz::as_bytes(data, size), 4 * 1032);
  return 0;
}
