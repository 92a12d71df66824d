// GGUF: a file of Python's gguf with every type, against its dequantised values, and how files can lie.
#include "knet/io/gguf.hpp"

#include <cmath>
#include <cstdint>

#include "io_test.hpp"
#include "knet/io/npy.hpp"
#include "knet/io/tensor_file.hpp"

using namespace io_test;
using namespace knet;
using io::TensorFile;

namespace {

std::string data(const std::string& name) { return test_data("files/" + name); }
using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;

TEST(Gguf, PlainTypes) {
  const TensorFile f(data("all.gguf"));
  EXPECT_STREQ(f.format(), "gguf");
  const Tensor plain(std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 1.5f}, {2, 3});
  EXPECT_TRUE(equal(f.read("f32"), plain));
  EXPECT_TRUE(equal(f.read("f16").to(f32), plain));
  EXPECT_TRUE(equal(f.read("f64").to(f32), plain));
  EXPECT_EQ(f.read("f16").dtype(), f16);
  EXPECT_EQ(f.read("bf16").dtype(), bf16);
  EXPECT_EQ(f.read("bf16").to_vector<double>(), (Reals{1, -2}));
  EXPECT_EQ(f.read("i8").to_vector<std::int64_t>(), (Ints{-128, 127}));
  EXPECT_EQ(f.read("i16").to_vector<std::int64_t>(), (Ints{-32768}));
  EXPECT_EQ(f.read("i32").to_vector<std::int64_t>(), (Ints{-7}));
  EXPECT_EQ(f.read("i64").to_vector<std::int64_t>(), (Ints{INT64_MIN}));
}

TEST(Gguf, QuantisedTypes) {
  const TensorFile f(data("all.gguf"));
  const auto expected = io::load_npz(data("gguf_expected.npz"));
  EXPECT_EQ(expected.size(), 11u);
  for (const auto& [name, values] : expected) {
    ASSERT_NE(f.find(name), nullptr) << name;
    EXPECT_EQ(f.find(name)->stored, name);
    const Tensor t = f.read(name);
    ASSERT_EQ(t.shape(), values.shape()) << name;
    const auto a = t.to_vector<float>(), b = values.to_vector<float>();
    for (std::size_t i = 0; i < a.size(); ++i)
      ASSERT_NEAR(a[i], b[i], 1e-6 * std::abs(b[i]) + 1e-5) << name << ' ' << i;
  }
  EXPECT_FALSE(f.find("IQ2_XXS")->readable);
  EXPECT_TRUE(has(error_of([&] { f.read("IQ2_XXS"); }), "is of GGUF's type 16, which is not supported"));
}

TEST(Gguf, Metadata) {
  const auto m = io::load_gguf_metadata(data("all.gguf"));
  EXPECT_EQ(std::get<std::string>(m.at("general.architecture")), "llama");
  EXPECT_EQ(std::get<std::int64_t>(m.at("test.u32")), 4000000000);
  EXPECT_EQ(std::get<std::int64_t>(m.at("test.i8")), -5);
  EXPECT_EQ(std::get<double>(m.at("test.f32")), 0.5);
  EXPECT_EQ(std::get<double>(m.at("test.f64")), 1e300);
  EXPECT_EQ(std::get<bool>(m.at("test.yes")), true);
  EXPECT_EQ(std::get<std::string>(m.at("test.text")), "günaydın");
  EXPECT_EQ(std::get<Ints>(m.at("test.ints")), (Ints{1, -2, 3}));
  EXPECT_EQ(std::get<Reals>(m.at("test.reals")), (Reals{0.5, -1.5}));
  EXPECT_EQ(std::get<std::vector<std::string>>(m.at("test.words")), (std::vector<std::string>{"a", "bc"}));
  const TensorFile f(data("all.gguf"));
  EXPECT_EQ(f.metadata().at("test.u32"), "4000000000");
  EXPECT_EQ(f.metadata().at("test.yes"), "true");
  EXPECT_EQ(f.metadata().count("test.ints"), 0u);
}

// Files by hand.
std::string le(std::uint64_t v, int bytes) {
  std::string r;
  for (int i = 0; i < bytes; ++i) r += static_cast<char>(v >> 8 * i);
  return r;
}
std::string text(const std::string& s) { return le(s.size(), 8) + s; }
std::string head(std::uint64_t tensors, std::uint64_t values, std::uint32_t version = 3) {
  return "GGUF" + le(version, 4) + le(tensors, 8) + le(values, 8);
}
std::string entry(const std::string& name, const std::vector<std::uint64_t>& sizes, std::uint32_t type,
                  std::uint64_t offset) {
  std::string r = text(name) + le(sizes.size(), 4);
  for (auto v : sizes) r += le(v, 8);
  return r + le(type, 4) + le(offset, 8);
}
std::string padded(std::string s, std::size_t data) {
  s.resize((s.size() + 31) / 32 * 32);
  return s + std::string(data, '\0');
}
std::string error(const std::string& file) {
  const Bytes b = bytes(file);
  return error_of([&] { TensorFile(b).read_all(); });
}

TEST(Gguf, FilesThatLie) {
  const std::string whole = padded(head(1, 0) + entry("a", {2}, 0, 0), 8);
  const Bytes sound = bytes(whole);
  EXPECT_EQ(TensorFile(sound).read("a").shape(), (Shape{2}));
  for (std::size_t n = 4; n < whole.size(); ++n) error(whole.substr(0, n));
  EXPECT_TRUE(has(error(head(0, 0, 1)), "GGUF of version 1"));
  EXPECT_TRUE(has(error("GGUF" + le(0x03000000, 4) + le(0, 16)), "big-endian"));
  EXPECT_TRUE(has(error(head(1ull << 60, 0)), "claims 1152921504606846976 tensors"));
  EXPECT_TRUE(has(error(head(0, 1ull << 60)), "values in"));
  EXPECT_TRUE(has(error(head(0, 1) + text("k") + le(13, 4)), "a value of type 13"));
  EXPECT_TRUE(has(error(head(0, 1) + text("k") + le(7, 4) + "\2"), "a boolean of 2"));
  EXPECT_TRUE(
      has(error(head(0, 1) + le(1ull << 40, 8) + "kkkkkkkk"), "truncated: a key of 1099511627776 bytes"));
  EXPECT_LT(most_memory([&] {
              EXPECT_TRUE(has(error(head(0, 1) + text("k") + le(9, 4) + le(0, 4) + le(1ull << 40, 8)),
                              "an array of 1099511627776 values"));
            }),
            1u << 20);
  std::string nested = head(0, 1) + text("k") + le(9, 4);
  for (int i = 0; i < 10; ++i) nested += le(9, 4) + le(1, 8);
  EXPECT_TRUE(has(error(nested + std::string(100, '\0')), "more than 4 deep"));
  const std::string one = text("k") + le(0, 4) + "\1";
  EXPECT_TRUE(has(error(head(0, 2) + one + one), "has the key \"k\" twice"));
  EXPECT_TRUE(has(error(head(0, 1) + text("general.alignment") + le(4, 4) + le(3, 4)), "power of two"));
  EXPECT_TRUE(has(error(head(0, 1) + text("general.alignment") + le(4, 4) + le(0, 4)), "power of two"));
  EXPECT_TRUE(has(error(padded(head(1, 0) + entry("a", {3}, 0, 0), 8)), "needs 12 bytes at 0 of 8"));
  EXPECT_TRUE(has(error(padded(head(1, 0) + entry("a", {1}, 0, 1), 8)), "at 1 (expected a multiple of 32)"));
  EXPECT_TRUE(has(error(padded(head(1, 0) + entry("a", {1}, 0, ~0ull - 31), 8)), "needs 4 bytes at"));
  EXPECT_TRUE(
      has(error(padded(head(1, 0) + entry("a", {1ull << 32, 1ull << 32}, 0, 0), 8)), "too many elements"));
  EXPECT_TRUE(has(error(padded(head(1, 0) + entry("a", {1ull << 63}, 0, 0), 8)), "a dimension of"));
  EXPECT_TRUE(has(error(padded(head(1, 0) + entry("a", std::vector<std::uint64_t>(9, 1), 0, 0), 8)),
                  "has 9 dimensions"));
  EXPECT_TRUE(has(error(padded(head(1, 0) + entry("a", {31}, 2, 0), 100)), "multiples of 32"));
  EXPECT_TRUE(
      has(error(padded(head(2, 0) + entry("a", {2}, 0, 0) + entry("b", {2}, 0, 0), 64)), "begins inside"));
  EXPECT_TRUE(
      has(error(padded(head(2, 0) + entry("a", {2}, 0, 0) + entry("a", {2}, 0, 32), 64)), "is there twice"));
}

}  // namespace
