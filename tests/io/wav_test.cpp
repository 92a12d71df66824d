// WAV: files of Python and round trips of every format.
#include "knet/io/wav.hpp"

#include <cmath>
#include <cstdint>
#include <limits>

#include "io_test.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;
using io::load_wav, io::parse_wav, io::save_wav, io::WavFormat;

namespace {

using WavFiles = Folder;
const std::vector<double> values{0, 0.5, -1, 0.25, -0.125, 1, -0.5, 0.0625, 0, 0.75};

double step(WavFormat f) { return std::ldexp(1.0, -7 - 8 * static_cast<int>(f)); }

TEST_F(WavFiles, FromPython) {
  for (int bits = 8; bits <= 32; bits += 8) {
    const auto w = load_wav(test_data("files/pcm" + std::to_string(bits) + ".wav"));
    EXPECT_EQ(w.rate, 16000);
    ASSERT_EQ(w.samples.shape(), (Shape{2, 5}));
    EXPECT_EQ(w.samples.dtype(), f32);
    const auto got = w.samples.to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      // 1 is above the largest integer.
      const double v = std::min(values[i], 1 - std::ldexp(1.0, 1 - bits));
      EXPECT_EQ(got[i], static_cast<float>(v)) << bits << ' ' << i;
    }
  }
  for (const char* name : {"float32", "float64", "float32_ext", "float64_ext"}) {
    const auto w = load_wav(test_data("files/" + std::string(name) + ".wav"));
    EXPECT_EQ(w.rate, 44100);
    EXPECT_EQ(w.samples.shape(), (Shape{2, 5}));
    EXPECT_EQ(w.samples.to_vector<double>(), values) << name;
  }
}

TEST_F(WavFiles, RoundTrip) {
  for (const std::int64_t channels : {1, 2, 3, 6}) {
    for (const auto f : {WavFormat::pcm8, WavFormat::pcm16, WavFormat::pcm24, WavFormat::pcm32,
                         WavFormat::float32, WavFormat::float64}) {
      const Tensor x = uniform({channels, 10'007}, -1, 1, f32);
      save_wav(path("a.wav"), x, 22050, {.format = f});
      const auto w = load_wav(path("a.wav"));
      EXPECT_EQ(w.rate, 22050);
      ASSERT_EQ(w.samples.shape(), x.shape());
      if (f >= WavFormat::float32) {
        EXPECT_TRUE(equal(w.samples, x));
      } else {
        EXPECT_TRUE(allclose(w.samples, x, 0, f == WavFormat::pcm32 ? 1e-7 : step(f))) << static_cast<int>(f);
      }
      save_wav(path("b.wav"), w.samples, 22050, {.format = f});
      if (f != WavFormat::pcm32) {
        EXPECT_EQ(read(path("a.wav")), read(path("b.wav"))) << static_cast<int>(f);
      }
    }
  }
  save_wav(path("m.wav"), zeros({0}), 1);
  EXPECT_EQ(load_wav(path("m.wav")).samples.shape(), (Shape{1, 0}));
}

TEST_F(WavFiles, ClampsAndRounds) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  save_wav(path("a.wav"), Tensor(std::vector<double>{2, -2, nan, 1.4 / 32768, 1.5 / 32768}), 8000);
  EXPECT_EQ(load_wav(path("a.wav")).samples.to_vector<double>(),
            (std::vector<double>{32767 / 32768.0, -1, 0, 1 / 32768.0, 2 / 32768.0}));
}

TEST_F(WavFiles, WhatCanNotBeSaved) {
  EXPECT_THROW(save_wav(path("a"), zeros({2, 2, 2}), 8000), ShapeError);
  EXPECT_THROW(save_wav(path("a"), zeros({0, 2}), 8000), ShapeError);
  EXPECT_THROW(save_wav(path("a"), scalar(1), 8000), ShapeError);
  EXPECT_THROW(save_wav(path("a"), arange(3), 8000), DTypeError);
  EXPECT_THROW(save_wav(path("a"), zeros({3}), 0), ValueError);
  EXPECT_THROW(save_wav(path("a"), zeros({3}), std::int64_t{1} << 32), ValueError);
  EXPECT_TRUE(has(error_of([&] { save_wav(path("no/a"), zeros({3}), 1); }), "No such file"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(WavFiles, FilesThatLie) {
  save_wav(path("a.wav"), zeros({2, 3}), 8000);
  const std::string whole = read(path("a.wav"));
  const auto error = [](const std::string& f) { return error_of([&] { parse_wav(bytes(f)); }); };
  for (std::size_t n = 0; n < whole.size(); ++n) error(whole.substr(0, n));
  const auto changed = [&](std::size_t at, const std::string& with) {
    std::string s = whole;
    s.replace(at, with.size(), with);
    return error(s);
  };
  EXPECT_TRUE(has(changed(0, "RIFX"), "is not WAV"));
  EXPECT_TRUE(has(changed(0, "RF64"), "RF64"));
  EXPECT_TRUE(has(changed(20, "\7"), "of format 7, which is not supported"));
  EXPECT_TRUE(has(changed(22, std::string("\0\0", 2)), "has 0 channels"));
  EXPECT_TRUE(has(changed(32, "\3"), "has frames of 3 bytes"));
  EXPECT_TRUE(has(changed(34, "\14"), "samples of 12 bits"));
  EXPECT_TRUE(has(changed(40, "\xff\xff\xff\xff"), "truncated: a chunk of 4294967295 bytes"));
  EXPECT_TRUE(has(changed(40, "\5"), "not whole frames of 4"));
  EXPECT_TRUE(has(changed(12, "junk"), "before their format"));
  EXPECT_TRUE(has(changed(16, "\4"), "a format of 4 bytes"));
}

}  // namespace
