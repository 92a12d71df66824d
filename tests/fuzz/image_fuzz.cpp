// libFuzzer: any bytes make an image within the limit or an Error from the readers of PNG and JPEG. The first
// byte chooses: PNG (its chunks' checksums are put right, or nothing would get behind the first), JPEG, or as
// it comes; and how the pixels are wanted.
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "knet/base/error.hpp"
#include "knet/io/image.hpp"

namespace {

void repair(std::vector<std::uint8_t>& f) {
  constexpr std::uint8_t head[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (f.size() < sizeof head) return;
  std::copy(std::begin(head), std::end(head), f.begin());
  for (std::size_t at = 8; at + 12 <= f.size();) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | f[at + i];
    if (length > f.size() - at - 12) return;
    const auto sum = crc32(0, f.data() + at + 4, static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i)
      f[at + 8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::uint8_t> f(data + 1, data + size);
  if (data[0] % 3 == 0) repair(f);
  if (data[0] % 3 == 1 && f.size() > 3) f[0] = 0xff, f[1] = 0xd8, f[2] = 0xff;
  constexpr int channels[] = {0, 1, 3, 4};
  constexpr std::int64_t most = 1 << 18;
  try {
    const knet::Tensor t = knet::io::read_image(
        std::as_bytes(std::span(f)),
        {.channels = channels[data[0] / 3 % 4], .orient = data[0] < 128, .max_pixels = most});
    if (t.ndim() != 3 || t.size(1) * t.size(2) > most || t.size(0) > 4) std::abort();
  } catch (const knet::Error&) {
  }
  return 0;
}
