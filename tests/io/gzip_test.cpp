// Compressed files: round trips, and everything that can be wrong with one.
#include "knet/io/gzip.hpp"

#include "io_test.hpp"

using namespace io_test;
namespace io = knet::io;

namespace {

Bytes numbers(std::size_t n) {
  Bytes b(n);
  std::uint32_t x = 1;
  for (auto& v : b) v = static_cast<std::byte>((x = x * 1664525 + 1013904223) >> 24);
  return b;
}
Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
std::string error(const Bytes& b, std::uint64_t limit = 1 << 20) {
  return error_of([&] { io::gunzip(b, limit, "file.gz"); });
}

using Gzip = Folder;

TEST_F(Gzip, RoundTrip) {
  for (std::size_t n : {0u, 1u, 2u, 65535u, 65536u, 300000u}) {
    for (int level : {0, 6, 9})
      EXPECT_EQ(io::gunzip(io::gzip(numbers(n), level), n), numbers(n)) << n << ' ' << level;
  }
  EXPECT_THROW(io::gzip({}, 10), knet::ValueError);
}

TEST_F(Gzip, FilesAreToldByTheirContents) {
  const Bytes b = numbers(200000);
  write(path("packed"), io::gzip(b));
  write(path("plain.gz"), b);
  EXPECT_EQ(io::read_file(path("packed"), b.size()), b);
  EXPECT_EQ(io::read_file(path("plain.gz"), b.size()), b);
  for (std::size_t n : {0u, 1u, 2u, 3u}) {
    write(path("short"), numbers(n));
    EXPECT_EQ(io::read_file(path("short"), 100), numbers(n));
  }
}

TEST_F(Gzip, SeveralMembersAreOne) {
  EXPECT_EQ(io::gunzip(io::gzip(bytes("one ")) + io::gzip({}) + io::gzip(bytes("two")), 7), bytes("one two"));
}

TEST_F(Gzip, ReadsInPieces) {
  const Bytes b = numbers(100000), packed = io::gzip(b);
  for (const Bytes* source : {&b, &packed}) {
    io::ByteStream s("test", *source, "memory");
    Bytes got(b.size() + 10);
    std::size_t n = 0;
    for (std::size_t step = 1;; step = step * 3 + 1) {
      const std::size_t part = s.read(got.data() + n, std::min(step, got.size() - n));
      n += part;
      if (part == 0) break;
    }
    got.resize(n);
    EXPECT_EQ(got, b);
  }
}

TEST_F(Gzip, TruncatedAnywhere) {
  const Bytes whole = io::gzip(numbers(500));
  for (std::size_t n = 2; n < whole.size(); ++n) {
    EXPECT_TRUE(
        has(error({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)}), "file.gz: truncated"))
        << n;
  }
}

TEST_F(Gzip, DamagedAnywhere) {
  // The 10 bytes of the header hold a time, flags and a system that nothing is compared with.
  const Bytes whole = io::gzip(numbers(300));
  for (std::size_t n = 10; n < whole.size(); ++n) {
    Bytes b = whole;
    b[n] ^= std::byte{0x55};
    error(b);
  }
  Bytes b = whole;
  b[b.size() - 6] ^= std::byte{1};
  EXPECT_TRUE(has(error(b), "incorrect data check"));
}

TEST_F(Gzip, GarbageInsideAndBehind) {
  EXPECT_TRUE(has(error(bytes("\x1f\x8bno gzip at all, just the magic")), "damaged"));
  EXPECT_TRUE(has(error(io::gzip(bytes("abc")) + bytes("rubbish")), "follows the compressed data"));
  EXPECT_TRUE(has(error(io::gzip(bytes("abc")) + Bytes(3)), "follows the compressed data"));
  EXPECT_TRUE(has(error(io::gzip(bytes("abc")) + bytes("\x1f\x8b")), "truncated"));
}

TEST_F(Gzip, LimitHolds) {
  EXPECT_TRUE(has(error(io::gzip(numbers(101)), 100), "more than the 100 bytes"));
  EXPECT_EQ(io::gunzip(io::gzip(numbers(100)), 100).size(), 100u);
  write(path("plain"), numbers(101));
  EXPECT_TRUE(
      has(error_of([&] { io::read_file(path("plain"), 100); }), "has 101 bytes (expected at most 100)"));
}

TEST_F(Gzip, ABombCostsNoMoreThanItsLimit) {
  const Bytes bomb = io::gzip(Bytes(64 << 20), 9);
  EXPECT_LT(bomb.size(), 100u << 10);
  EXPECT_LT(most_memory([&] { error(bomb, 1 << 20); }), 2u << 20);
  // And a high limit costs nothing where little is behind it.
  EXPECT_LT(most_memory([&] { io::gunzip(io::gzip(numbers(1000)), UINT64_MAX); }), 1u << 20);
  EXPECT_LT(most_memory([&] { io::gunzip(numbers(1000), UINT64_MAX); }), 1u << 20);
}

TEST_F(Gzip, NotAFile) {
  EXPECT_TRUE(has(error_of([&] { io::read_file(path("none"), 1); }), path("none") + ": No such file"));
  EXPECT_TRUE(has(error_of([&] { io::read_file(folder, 1); }), "is a folder"));
  EXPECT_TRUE(has(error_of([&] { io::read_file("/dev/zero", 1); }), "device"));
}

}  // namespace
