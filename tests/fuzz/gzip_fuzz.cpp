// libFuzzer: any bytes unfold to at most the limit or are an Error, and any bytes survive being compressed.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "knet/base/error.hpp"
#include "knet/io/gzip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  constexpr std::uint64_t limit = 1 << 20;
  try {
    if (knet::io::gunzip(bytes, limit).size() > limit) std::abort();
  } catch (const knet::Error&) {
  }
  const auto again = knet::io::gunzip(knet::io::gzip(bytes, 1), size);
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
  return 0;
}
