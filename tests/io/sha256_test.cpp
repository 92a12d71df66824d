// NIST's examples for SHA-256, and that pieces of any size give the same digest.
#include "knet/io/sha256.hpp"

#include "io_test.hpp"

using namespace io_test;

namespace {

TEST(Sha256, ExamplesOfNist) {
  EXPECT_EQ(knet::io::sha256({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(knet::io::sha256(bytes("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(knet::io::sha256(bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(knet::io::sha256(bytes(
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlm"
                "nopqrsmnopqrstnopqrstu")),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(knet::io::sha256(Bytes(1'000'000, std::byte{'a'})),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesDoNotMatter) {
  for (std::size_t length : {1u, 55u, 56u, 63u, 64u, 65u, 119u, 120u, 200u}) {
    Bytes b(length);
    for (std::size_t i = 0; i < length; ++i) b[i] = static_cast<std::byte>(i * 7);
    const auto whole = knet::io::sha256(b);
    for (std::size_t step : {1u, 3u, 64u, 65u}) {
      knet::io::Sha256 s;
      for (std::size_t i = 0; i < length; i += step)
        s.update(std::span(b).subspan(i, std::min(step, length - i)));
      EXPECT_EQ(s.finish(), whole) << length << " in steps of " << step;
    }
  }
}

}  // namespace
