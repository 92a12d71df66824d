// IDX: every element type, plain and compressed, and files that lie.
#include "knet/io/idx.hpp"

#include <limits>

#include "io_test.hpp"
#include "knet/io/gzip.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;

namespace {

using Idx = Folder;

// The same error from memory and from a file, plain and compressed; the size of a plain file is known before.
std::string error(const std::string& file) {
  const auto compressed = io::gzip(bytes(file));
  EXPECT_NE(error_of([&] { io::parse_idx(compressed, "f.idx"); }), "");
  const std::string name = testing::TempDir() + "knet-idx-error";
  write(name, file);
  const std::string from_file = error_of([&] { io::read_idx(name); });
  std::filesystem::remove(name);
  EXPECT_TRUE(has(from_file, name));
  return error_of([&] { io::parse_idx(bytes(file), "f.idx"); });
}

TEST_F(Idx, EveryType) {
  const auto parse = [](const char* digits) { return io::parse_idx(bytes(hex(digits))); };
  EXPECT_TRUE(equal(parse("00000801 00000003 00 7f ff"), Tensor(std::vector<std::uint8_t>{0, 127, 255})));
  EXPECT_TRUE(equal(parse("00000901 00000003 00 7f 80"), Tensor(std::vector<int>{0, 127, -128})));
  EXPECT_TRUE(equal(parse("00000b01 00000003 0102 ffff 8000"), Tensor(std::vector<int>{258, -1, -32768})));
  EXPECT_TRUE(equal(parse("00000c01 00000002 01020304 ffffffff"), Tensor(std::vector<int>{16909060, -1})));
  EXPECT_TRUE(
      equal(parse("00000d01 00000002 3f800000 c0490fdb"), Tensor(std::vector<float>{1.0f, -3.14159274f})));
  EXPECT_TRUE(equal(parse("00000e01 00000001 c000000000000000"), Tensor(std::vector<double>{-2.0})));
}

TEST_F(Idx, Shapes) {
  const Tensor t = io::parse_idx(bytes(hex("00000803 00000002 00000001 00000003 010203 040506")));
  EXPECT_EQ(t.shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(t(1, 0, 2).item(), 6);
  EXPECT_EQ(io::parse_idx(bytes(hex("00000800 2a"))).item(), 42);
  EXPECT_EQ(io::parse_idx(bytes(hex("00000802 00000000 00000005"))).shape(), (Shape{0, 5}));
  const Tensor eight = io::parse_idx(bytes(hex("00000808" + std::string("00000001") +
                                               "00000001 00000001 00000001"
                                               "00000001 00000001 00000001 00000001 09")));
  EXPECT_EQ(eight.ndim(), 8);
}

TEST_F(Idx, RoundTrip) {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor ts[] = {Tensor(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}, {3, 2}),
                       Tensor(std::vector<int>{-1, 1 << 30}),
                       Tensor(std::vector<float>{1.5f, -inf, 1e-40f}, {1, 3, 1}),
                       Tensor(std::vector<double>{1e300}),
                       Tensor::make({0, 4}, f32),
                       Tensor(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}).T()};
  for (const char* name : {"a.idx", "a.idx.gz"}) {
    for (const Tensor& t : ts) {
      io::write_idx(path(name), t);
      EXPECT_TRUE(equal(io::read_idx(path(name)), t.contiguous())) << name << ' ' << t;
    }
  }
  EXPECT_EQ(read(path("a.idx.gz")).substr(0, 2), "\x1f\x8b");
  EXPECT_THROW(io::write_idx(path("b"), Tensor(std::vector<bool>{true})), DTypeError);
  EXPECT_THROW(io::write_idx(path("b"), arange(3)), DTypeError);
  EXPECT_THROW(io::write_idx(path("b"), Tensor()), Error);
  EXPECT_FALSE(std::filesystem::exists(path("b")));
}

TEST_F(Idx, NotIdx) {
  EXPECT_TRUE(has(error(""), "f.idx: truncated: 0 bytes"));
  EXPECT_TRUE(has(error("abc"), "truncated: 3 bytes"));
  EXPECT_TRUE(has(error("P5 28 28 255 "), "starts with bytes 80 53 32"));
  for (int type : {0, 7, 10, 15, 255}) {
    EXPECT_TRUE(has(error(hex("0000") + static_cast<char>(type) + hex("01 00000001 00")), "an IDX type"))
        << type;
  }
  EXPECT_TRUE(has(error(hex("000108 01 00000001 00")), "starts with bytes 0 1 8"));
  EXPECT_TRUE(
      has(error(hex("000008 09") + std::string(9 * 4 + 1, '\0')), "9 dimensions (expected at most 8)"));
  EXPECT_TRUE(has(error(hex("000008 ff") + std::string(2000, '\0')), "255 dimensions"));
}

TEST_F(Idx, TruncatedAnywhere) {
  const std::string whole = hex("00000b02 00000002 00000003 0001 0002 0003 0004 0005 0006");
  EXPECT_EQ(io::parse_idx(bytes(whole)).numel(), 6);
  for (std::size_t n = 0; n < whole.size(); ++n) error(whole.substr(0, n));
  EXPECT_TRUE(has(error(whole.substr(0, 10)), "truncated in the sizes of its 2 dimensions"));
  EXPECT_TRUE(
      has(error(whole.substr(0, 20)), "has 8 bytes of elements; shape [2, 3] of 2-byte elements needs 12"));
}

TEST_F(Idx, TooMuch) {
  EXPECT_TRUE(has(error(hex("00000801 00000002 010203")),
                  "has 3 bytes of elements; shape [2] of 1-byte elements needs 2"));
  EXPECT_TRUE(has(error(hex("00000801 00000000 01")), "needs 0"));
  const auto packed = io::gzip(bytes(hex("00000801 00000002 010203")));
  EXPECT_TRUE(has(error_of([&] { io::parse_idx(packed); }), "has more than 2 bytes"));
}

TEST_F(Idx, SizesThatOverflow) {
  EXPECT_TRUE(
      has(error(hex("00000e03 ffffffff ffffffff ffffffff") + std::string(100, 'x')), "too many elements"));
  EXPECT_TRUE(has(error(hex("00000802 80000000 80000000")), "too many elements"));
  EXPECT_TRUE(has(error(hex("00000803 00000000 ffffffff ffffffff")), "too many elements"));
  // The product wraps to 0 in 64 bits.
  EXPECT_TRUE(has(error(hex("00000c04 80000000 80000000 00000001 00000001")), "too many elements"));
}

TEST_F(Idx, ClaimsCostNothing) {
  const std::string claim =
      hex("00000803 00100000 00000400 00000400") + std::string(1000, 'x');  // a terabyte
  EXPECT_LT(most_memory([&] { error(claim); }), 1u << 20);
  // A compressed file that unfolds to more than its header says is left there.
  const auto bomb = io::gzip(bytes(hex("00000801 00000064") + std::string(32 << 20, 'x')), 9);
  EXPECT_LT(most_memory([&] { error_of([&] { io::parse_idx(bomb); }); }), 1u << 20);
}

TEST_F(Idx, DamagedCompression) {
  write(path("f.gz"), io::gzip(bytes(hex("00000801 00000002 0102"))));
  std::string b = read(path("f.gz"));
  b[b.size() - 5] ^= 1;  // the checksum's last byte is behind everything the tensor needs
  write(path("f.gz"), b);
  EXPECT_TRUE(has(error_of([&] { io::read_idx(path("f.gz")); }), path("f.gz") + ": damaged"));
}

}  // namespace
