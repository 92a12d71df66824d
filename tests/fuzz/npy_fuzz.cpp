// libFuzzer: any bytes make a tensor or an Error from the npy reader.
#include "tensor_file_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  knet::fuzz::read_tensors(knet::io::open_npy, knet::fuzz::as_bytes(data, size), 4);
  return 0;
}
