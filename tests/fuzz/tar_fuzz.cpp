// libFuzzer: any bytes make entries that end, with as many bytes as they say, or an Error from the tar
// reader. Checksums of headers are put right where headers are likely to lie.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "knet/base/error.hpp"
#include "knet/io/tar.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::uint8_t> f(data + 1, data + size);
  for (std::size_t at = 0; data[0] % 2 == 0 && at + 512 <= f.size(); at += 512) {
    if (f[at] == 0) continue;
    std::memset(f.data() + at + 148, ' ', 8);
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += f[at + i];
    std::snprintf(reinterpret_cast<char*>(f.data()) + at + 148, 8, "%06o", sum);
  }
  try {
    knet::io::TarReader r(std::as_bytes(std::span(f)), "memory");
    knet::io::TarEntry e;
    std::array<char, 1000> buffer;
    std::size_t entries = 0;
    const bool compressed = f.size() > 1 && f[0] == 0x1f && f[1] == 0x8b;
    while (r.next(e)) {
      if (!compressed && ++entries > f.size() / 512) std::abort();
      if (e.name.size() % 3 == 0) continue;  // some are passed over
      std::uint64_t got = 0;
      while (const std::size_t n = r.read(buffer.data(), buffer.size())) got += n;
      if (e.kind == knet::io::TarEntry::file && got != e.size) std::abort();
      if (compressed && got > 1 << 22) break;
    }
  } catch (const knet::Error&) {
  }
  return 0;
}
