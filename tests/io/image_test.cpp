// Images read from files: what PIL makes of the same ones, damage, and files that claim too much.
#include "knet/io/image.hpp"

#include "io_test.hpp"
#include "knet/data/transforms.hpp"
#include "knet/io/jpeg.hpp"
#include "knet/io/png.hpp"
#include "tests/reference/reference.hpp"

using namespace io_test;
using namespace knet;

namespace {

using Images = Folder;

std::span<const std::byte> file_of(const Tensor& t) { return std::as_bytes(t.span<std::uint8_t>()); }
bool readable(const std::string& name) {
  return name.starts_with("png") ? io::can_save_png() : io::has_jpeg();
}
std::int64_t largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<std::int64_t>(), y = b.to_vector<std::int64_t>();
  std::int64_t most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

TEST_F(Images, AreWhatPilReads) {
  const auto r = test::load_reference("images");
  int seen = 0;
  for (const auto& [key, file] : r) {
    if (!key.starts_with("file.")) continue;
    const std::string name = key.substr(5);
    if (!readable(name)) continue;
    ++seen;
    // Versions of libjpeg may round colours differently.
    const std::int64_t tolerance = name.starts_with("jpeg") ? 1 : 0;
    for (const auto& [what, channels] : {std::pair{"rgb.", 3}, {"grey.", 1}, {"stored.", 0}}) {
      const auto want = r.find(what + name);
      if (want == r.end()) continue;
      const Tensor got = io::read_image(file_of(file), {.channels = channels}, name);
      ASSERT_EQ(got.dtype(), u8);
      ASSERT_EQ(got.shape(), want->second.shape()) << key << what;
      EXPECT_LE(largest_difference(got, want->second), tolerance) << key << what;
      EXPECT_TRUE(got.permute({1, 2, 0}).is_contiguous());
    }
  }
  if (io::can_save_png() && io::has_jpeg()) {
    EXPECT_EQ(seen, 25);
  }
}

TEST_F(Images, AlphaIsOpaqueWhereThereIsNone) {
  if (!io::can_save_png()) GTEST_SKIP() << "built without libpng";
  const auto r = test::load_reference("images");
  const Tensor t = io::read_image(file_of(r.at("file.png_rgb")), {.channels = 4});
  EXPECT_TRUE(equal(t(slice(0, 3)), r.at("rgb.png_rgb")));
  EXPECT_EQ(t(3).min().item(), 255);
}

TEST_F(Images, MayStayAsTheCameraHeldThem) {
  if (!io::has_jpeg()) GTEST_SKIP() << "built without libjpeg";
  const auto r = test::load_reference("images");
  const auto stored = [&](const char* name) {
    return io::read_image(file_of(r.at(std::string("file.jpeg_turned_") + name)), {.orient = false});
  };
  const Tensor six = stored("6"), three = stored("3");
  EXPECT_EQ(six.shape(), (Shape{3, 5, 11}));
  using transforms::hflip, transforms::vflip;
  EXPECT_LE(largest_difference(six, vflip(r.at("rgb.jpeg_turned_6").transpose(1, 2))), 1);
  EXPECT_LE(largest_difference(three, vflip(hflip(r.at("rgb.jpeg_turned_3")))), 1);
}

TEST_F(Images, EveryTruncationIsAnError) {
  for (const auto& [key, file] : test::load_reference("images")) {
    if (!key.starts_with("file.") || !readable(key.substr(5))) continue;
    const auto all = file_of(file);
    for (std::size_t n = 0; n < all.size(); ++n) {
      const std::string e = error_of([&, name = key] { io::read_image(all.first(n), {}, name); });
      ASSERT_TRUE(has(e, key)) << n << " of " << all.size();
    }
  }
}

TEST_F(Images, RoundTripThroughFiles) {
  Generator g(3);
  const Tensor picture = randint(0, 256, {3, 20, 30}, g).to(u8);
  if (io::can_save_png()) {
    io::save_png(path("a"), picture);
    EXPECT_TRUE(equal(io::read_image(path("a")), picture));
  }
  if (io::has_jpeg()) {
    const Tensor smooth = (arange(3 * 32 * 32).reshape({3, 32, 32}).to(f32) / (3 * 32 * 32));
    for (bool progressive : {false, true}) {
      io::save_jpeg(path("b"), smooth, {.quality = 100, .subsample = false, .progressive = progressive});
      EXPECT_LE(largest_difference(io::read_image(path("b")), (smooth * 255.0 + 0.5).to(u8)), 2);
    }
    io::save_jpeg(path("c"), smooth(0));
    EXPECT_EQ(io::read_image(path("c"), {.channels = 0}).shape(), (Shape{1, 32, 32}));
  }
}

TEST_F(Images, JpegRefuses) {
  if (!io::has_jpeg()) GTEST_SKIP() << "built without libjpeg";
  EXPECT_THROW(io::save_jpeg(path("a"), zeros({2, 4, 4})), ShapeError);
  EXPECT_THROW(io::save_jpeg(path("a"), zeros({1, 70000})), ShapeError);
  EXPECT_THROW(io::save_jpeg(path("a"), zeros({4, 4}, i64)), DTypeError);
  EXPECT_THROW(io::save_jpeg(path("a"), zeros({4, 4}), {.quality = 0}), ValueError);
  EXPECT_THROW(io::save_jpeg(path("no/a"), zeros({4, 4})), IoError);
  EXPECT_EQ(files(), 0u);
}

// A PNG header and nothing to speak of behind it.
std::string claim(std::uint32_t w, std::uint32_t h) {
  std::string s = hex("89504e470d0a1a0a 0000000d 49484452");
  for (std::uint32_t v : {w, h})
    for (int i = 24; i >= 0; i -= 8) s += static_cast<char>(v >> i & 255);
  s += hex("0802000000");
  std::uint32_t crc = ~0u;  // of the chunk's name and contents
  for (std::size_t i = 12; i < s.size(); ++i) {
    crc ^= static_cast<unsigned char>(s[i]);
    for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  for (int i = 24; i >= 0; i -= 8) s += static_cast<char>(~crc >> i & 255);
  return s + hex("00000000 49444154 35af061e 00000000 49454e44 ae426082");  // empty IDAT, IEND
}

TEST_F(Images, ClaimsCostNothing) {
  if (!io::can_save_png()) GTEST_SKIP() << "built without libpng";
  const Bytes big = bytes(claim(30000, 30000));
  EXPECT_LT(most_memory([&] {
              EXPECT_TRUE(has(error_of([&] { io::read_image(big); }), "30000 x 30000"));
              EXPECT_TRUE(
                  has(error_of([&] { io::read_image(big, {.max_pixels = 1'000'000'000}); }), "can not hold"));
            }),
            std::size_t{1} << 20);
  EXPECT_TRUE(has(error_of([&] { io::read_image(bytes(claim(0, 5))); }), "0 x 5"));
  EXPECT_TRUE(has(error_of([&] { io::read_image(bytes(claim(~0u, ~0u))); }), "4294967295"));
  const auto r = test::load_reference("images");
  if (!io::has_jpeg()) return;
  // The frame header's sizes made 65,500 x 65,500.
  std::string s;
  for (std::byte b : file_of(r.at("file.jpeg_420"))) s += static_cast<char>(b);
  const auto frame = s.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  s.replace(frame + 5, 4, hex("ffdcffdc"));
  EXPECT_TRUE(has(error_of([&] { io::read_image(bytes(s)); }), "65500 x 65500"));
  EXPECT_LT(most_memory([&] {
              EXPECT_TRUE(has(error_of([&] { io::read_image(bytes(s), {.max_pixels = 5'000'000'000}); }),
                              "can not hold"));
            }),
            std::size_t{1} << 20);
}

TEST_F(Images, ChunksOfAGigabyte) {
  if (!io::can_save_png()) GTEST_SKIP() << "built without libpng";
  // libpng allocates an eXIf chunk as long as it says to be (found by fuzzing).
  std::string s = claim(13, 9);
  s.insert(33, hex("4000001a 65584966 4d4d002a"));
  EXPECT_LT(
      most_memory([&] { EXPECT_TRUE(has(error_of([&] { io::read_image(bytes(s)); }), "chunk at byte 33")); }),
      std::size_t{1} << 20);
  EXPECT_TRUE(has(error_of([&] { io::read_image(bytes(claim(1, 1).erase(8, 25))); }), "not the first chunk"));
}

TEST_F(Images, WhatIsNone) {
  write(path("a.png"), std::string("GIF89a"));
  EXPECT_TRUE(has(error_of([&] { io::read_image(path("a.png")); }), "neither PNG nor JPEG"));
  EXPECT_TRUE(has(error_of([&] { io::read_image(path("a.png")); }), path("a.png")));
  EXPECT_TRUE(has(error_of([&] { io::read_image(path("no")); }), "No such file"));
  EXPECT_TRUE(has(error_of([&] { io::read_image(folder); }), "folder"));
  EXPECT_TRUE(has(error_of([&] { io::read_image(Bytes{}); }), "neither"));
  EXPECT_THROW(io::read_image(Bytes{}, {.channels = 2}), ValueError);
}

}  // namespace
