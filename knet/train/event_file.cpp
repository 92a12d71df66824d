#include "knet/train/event_file.hpp"

#include <array>
#include <bit>

namespace knet {
namespace {

template <class T>
void append_little(std::string& out, T bits) {
  for (std::size_t i = 0; i < sizeof bits; ++i) out += static_cast<char>(bits >> (8 * i) & 255);
}
constexpr std::array<std::uint32_t, 256> table = [] {
  std::array<std::uint32_t, 256> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
    t[i] = c;
  }
  return t;
}();
// So that the checksum of data that holds a checksum is no constant.
std::uint32_t masked(std::uint32_t crc) { return (crc >> 15 | crc << 17) + 0xA282EAD8u; }

}  // namespace

void Message::fixed(double v) { append_little(out_, std::bit_cast<std::uint64_t>(v)); }
void Message::fixed(float v) { append_little(out_, std::bit_cast<std::uint32_t>(v)); }

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t c = ~0u;
  for (const char b : bytes) c = table[(c ^ static_cast<unsigned char>(b)) & 255] ^ c >> 8;
  return ~c;
}

std::string event_record(std::string_view data) {
  std::string r;
  r.reserve(data.size() + 16);
  append_little(r, static_cast<std::uint64_t>(data.size()));
  append_little(r, masked(crc32c(r)));
  r += data;
  append_little(r, masked(crc32c(data)));
  return r;
}

}  // namespace knet
