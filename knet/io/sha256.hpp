// SHA-256 (FIPS 180-4), to know that a download is the file it should be.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace knet::io {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  /// The digest of everything so far as 64 lower-case hexadecimal digits. Nothing may be added afterwards.
  std::string finish();

 private:
  void block(const std::byte*);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> rest_{};
  std::uint64_t length_ = 0;  // in bytes
};

/// The digest of one piece.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace knet::io
