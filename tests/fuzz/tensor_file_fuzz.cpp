// libFuzzer: any bytes are told apart and read as a tensor file, or are an Error. An index of shards finds no
// shard.
#include "tensor_file_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto open = [](knet::io::SourcePtr s) { return knet::io::open_any(std::move(s), {}); };
  knet::fuzz::read_tensors(open, knet::fuzz::as_bytes(data, size), 64 * 1032);
  return 0;
}
