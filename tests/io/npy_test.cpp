// npy and npz: numpy's files here, round trips, and how files can lie.
#include "knet/io/npy.hpp"

#include <cstdint>

#include "io_test.hpp"
#include "knet/io/tensor_file.hpp"
#include "knet/io/zip.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;
using io::load_npy, io::load_npz, io::parse_npy, io::save_npy, io::save_npz, io::TensorFile;

namespace {

using Npy = Folder;
using Ints = std::vector<std::int64_t>;

std::string data(const std::string& name) { return test_data("files/" + name); }
Ints ints(const Tensor& t) { return t.to_vector<std::int64_t>(); }

// An array with this dictionary and so many bytes behind it.
std::string array(const std::string& dict, std::size_t n, char version = 1) {
  std::string f = std::string("\x93NUMPY") + version + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) f += static_cast<char>(dict.size() >> 8 * i);
  return f + dict + std::string(n, '\0');
}
std::string dict(const std::string& descr, const std::string& shape, const char* fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}
std::string error(const std::string& file) {
  return error_of([&] { parse_npy(bytes(file)); });
}

TEST_F(Npy, FromNumpy) {
  EXPECT_TRUE(
      equal(load_npy(data("c.npy")), Tensor(std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 1.5f}, {2, 3})));
  const Tensor f = load_npy(data("fortran.npy"));
  EXPECT_TRUE(f.is_contiguous());
  EXPECT_TRUE(equal(f, arange(0, 24, 1, i32).reshape({2, 3, 4})));
  EXPECT_EQ(ints(load_npy(data("big.npy"))), (Ints{1, -2, 300000}));
  for (const char* v : {"version2.npy", "version3.npy"}) {
    const Tensor t = load_npy(data(v));
    EXPECT_EQ(t.dtype(), f16);
    EXPECT_EQ(t.to_vector<double>(), (std::vector<double>{1.5, -0.25}));
  }
  EXPECT_TRUE(
      has(error_of([] { load_npy(data("complex.npy")); }), "is of type \"<c16\", which is not supported"));
}

TEST_F(Npy, NpzFromNumpy) {
  const TensorFile f(data("every.npz"));
  EXPECT_EQ(f.tensors().size(), 16u);
  EXPECT_EQ(ints(f.read("i1")), (Ints{-128, 127}));
  EXPECT_EQ(ints(f.read("i2")), (Ints{-32768, 32767}));
  EXPECT_EQ(ints(f.read("i8")), (Ints{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(ints(f.read("u2")), (Ints{0, 65535}));
  EXPECT_EQ(ints(f.read("u4")), (Ints{0, 4294967295}));
  EXPECT_EQ(ints(f.read("u8")), (Ints{0, INT64_MAX}));
  EXPECT_EQ(f.read("u8").dtype(), i64);
  EXPECT_EQ(f.read("b1").dtype(), boolean);
  EXPECT_EQ(f.read("scalar").shape(), Shape{});
  EXPECT_EQ(f.read("scalar").item(), 7);
  EXPECT_EQ(f.read("none").shape(), (Shape{0, 3}));
  EXPECT_EQ(f.find("text")->stored, "<U2");
  EXPECT_TRUE(has(error_of([&] { f.read("text"); }), "is of type \"<U2\""));
  EXPECT_TRUE(has(error_of([&] { f.read("too_large"); }), "beyond i64"));
  EXPECT_TRUE(has(error_of([] { load_npz(data("every.npz")); }), "which is not supported"));
  const auto d = load_npz(data("deflated.npz"));
  ASSERT_EQ(d.size(), 3u);
  EXPECT_EQ(d[0].first, "f4");
  EXPECT_TRUE(equal(d[1].second, zeros({50, 20}, f64)));
  EXPECT_EQ(ints(d[2].second), (Ints{INT64_MIN, INT64_MAX}));
}

TEST_F(Npy, RoundTrip) {
  for (const DType t : {f32, f64, f16, i32, i64, u8, boolean}) {
    for (const Shape& s : {Shape{}, Shape{3}, Shape{0}, Shape{2, 3}, Shape{2, 1, 3, 2}}) {
      const Tensor x = arange(0, s.numel(), 1, i64).reshape(s).to(t == boolean ? i64 : t);
      const Tensor y = t == boolean ? ones(s, boolean) : x;
      save_npy(path("a.npy"), y);
      const Tensor got = load_npy(path("a.npy"));
      EXPECT_EQ(got.dtype(), t);
      EXPECT_EQ(got.shape(), s);
      EXPECT_EQ(got.to_vector<double>(), y.to_vector<double>()) << to_string(t) << ' ' << to_string(s);
    }
  }
  const Tensor t = arange(6).reshape({2, 3}).T();
  save_npy(path("a.npy"), t);
  EXPECT_TRUE(equal(load_npy(path("a.npy")), t));
  EXPECT_EQ(read(path("a.npy")).size() % 64, 48u) << "128 of header, 48 of elements";
  EXPECT_THROW(save_npy(path("a.npy"), ones({2}).to(bf16)), DTypeError);
  EXPECT_THROW(save_npy(path("a.npy"), Tensor()), Error);
  EXPECT_TRUE(equal(load_npy(path("a.npy")), t)) << "the old file is whole";
}

TEST_F(Npy, NpzRoundTrip) {
  const io::NamedTensors saved = {{"a", rand({100, 10}, f32)}, {"b.c", arange(3)}, {"d/e", zeros({0, 2})}};
  for (const bool compress : {false, true}) {
    save_npz(path("a.npz"), saved, {.compress = compress});
    const auto got = load_npz(path("a.npz"));
    ASSERT_EQ(got.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(got[i].first, saved[i].first);
      EXPECT_TRUE(equal(got[i].second, saved[i].second));
    }
  }
  save_npz(path("z.npz"), {{"z", zeros({100'000}, f32)}}, {.compress = true});
  EXPECT_LT(std::filesystem::file_size(path("z.npz")), 2000u);
  EXPECT_EQ(load_npz(path("z.npz"))[0].second.numel(), 100'000);
  save_npz(path("empty.npz"), {});
  EXPECT_TRUE(load_npz(path("empty.npz")).empty());
  EXPECT_THROW(save_npz(path("a.npz"), {{"a", Tensor()}}), ValueError);
  EXPECT_THROW(save_npz(path("a.npz"), {{"", scalar(1)}}), ValueError);
  EXPECT_THROW(save_npz(path("a.npz"), {{"a", scalar(1)}, {"a", scalar(1)}}), ValueError);
  EXPECT_THROW(save_npz(path("a.npz"), {{"a", ones({1}).to(bf16)}}), DTypeError);
  EXPECT_EQ(load_npz(path("a.npz")).size(), 3u);
}

TEST_F(Npy, HeadersThatLie) {
  EXPECT_EQ(parse_npy(bytes(array(dict("<f4", "(2,)"), 8))).shape(), (Shape{2}));
  EXPECT_EQ(parse_npy(bytes(array("{\"shape\":(1L,2L),'descr':'|u1','fortran_order':True}", 2, 2))).shape(),
            (Shape{1, 2}));
  EXPECT_TRUE(has(error(""), "does not begin with"));
  EXPECT_TRUE(has(error("garbage garbage"), "does not begin with"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(2,)"), 8, 9)), "version 9.0"));
  EXPECT_TRUE(
      has(error(array(dict("<f4", "(2,)"), 7)), "has 7 bytes of elements; shape [2] of \"<f4\" needs 8"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(2,)"), 9)), "needs 8"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(4294967296, 4294967296)"), 0)), "too many elements"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(0, 4294967296, 4294967296)"), 0)), "too many elements"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(99999999999999999999,)"), 0)), "expected a size"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(-1,)"), 0)), "expected a size"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(1 1)"), 0)), "expected ',' or ')'"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(1,1,1,1,1,1,1,1,1)"), 4)), "more than 8 dimensions"));
  EXPECT_TRUE(has(error(array(dict("<f4", "(1,)", "None"), 4)), "expected True or False"));
  EXPECT_TRUE(has(error(array("{'descr': [('a', '<f4')], }", 4)), "records"));
  EXPECT_TRUE(has(error(array("{'descr': '<f4', 'descr': '<f4'}", 4)), "a key twice"));
  EXPECT_TRUE(has(error(array("{'shape': (1,), 'fortran_order': False}", 4)), "lacks descr"));
  EXPECT_TRUE(has(error(array("{'colour': 1}", 4)), "the key \"colour\""));
  EXPECT_TRUE(has(error(array(dict("<f4", "(1,)") + "x", 4)), "something behind"));
  EXPECT_TRUE(has(error(array(dict("|O", "(1,)"), 8)), "type \"|O\", which is not supported"));
  EXPECT_TRUE(has(error(array(dict("|b1", "(1,)"), 0) + "\2"), "is 2 (expected 0 or 1)"));
  const std::string whole = array(dict("<f4", "(2,)"), 8);
  for (std::size_t n = 0; n < whole.size(); ++n) error(whole.substr(0, n));
  std::string claims = array("", 0, 2);
  claims[11] = '\x7f';
  EXPECT_LT(most_memory([&] { EXPECT_TRUE(has(error(claims), "claims an npy header")); }), 1u << 20);
}

TEST_F(Npy, ArchivesThatLie) {
  save_npz(path("a.npz"), {{"a", arange(10)}, {"b", arange(3)}});
  const std::string whole = read(path("a.npz"));
  const auto zip_error = [&](const std::string& file) {
    write(path("x"), file);
    return error_of([&] { load_npz(path("x")); });
  };
  for (std::size_t n = 0; n < whole.size(); n += 3) zip_error(whole.substr(0, n));
  const auto changed = [&](std::size_t from_end, const std::string& with) {
    std::string s = whole;
    s.replace(s.size() - from_end, with.size(), with);
    return s;
  };
  EXPECT_TRUE(has(zip_error(changed(12, "\xff")), "damaged zip archive"));  // entries
  EXPECT_TRUE(has(zip_error(changed(10, "\xff\xff")), "a directory of"));   // its size
  EXPECT_TRUE(has(zip_error(changed(6, std::string("\0\0\0\0", 4))), "entry 0 of its directory"));
  EXPECT_TRUE(has(zip_error(changed(18, "\1")), "several files"));
  std::string flipped = whole;
  flipped[whole.find("NUMPY") + 130] ^= 1;  // in the elements of the first
  EXPECT_TRUE(has(zip_error(flipped), "wrong checksum"));
  // The second entry pointed at the first member.
  std::string overlap = whole;
  const auto second = overlap.rfind("b.npy") - 4;
  overlap.replace(second, 4, std::string(4, '\0'));
  EXPECT_TRUE(has(zip_error(overlap), "begins inside"));
  std::string twice = whole;
  twice[twice.rfind("b.npy")] = 'a';
  EXPECT_TRUE(has(zip_error(twice), "has two members \"a.npy\""));
  // A claim of more than deflate can hold.
  save_npz(path("d.npz"), {{"a", zeros({1000}, f32)}}, {.compress = true});
  std::string bomb = read(path("d.npz"));
  const auto entry = bomb.rfind("PK\1\2");
  bomb.replace(entry + 24, 4, "\xf0\xff\xff\x7f");
  EXPECT_LT(most_memory([&] { EXPECT_TRUE(has(zip_error(bomb), "claims to be 2147483632")); }), 1u << 20);
  std::string less = read(path("d.npz"));
  less.replace(entry + 24, 4, std::string("\x90\x10\0\0", 4));
  EXPECT_TRUE(has(zip_error(less), "needs 4000"));
}

TEST_F(Npy, ZipWithACommentAndTheUnsupported) {
  save_npz(path("a.npz"), {{"a", arange(10)}});
  std::string f = read(path("a.npz"));
  f[f.size() - 2] = 5;
  write(path("c"), f + "hello");
  EXPECT_EQ(load_npz(path("c")).size(), 1u);
  const auto entry = f.rfind("PK\1\2");
  f = read(path("a.npz"));
  f[entry + 8] |= 1;
  write(path("e"), f);
  EXPECT_TRUE(has(error_of([&] { load_npz(path("e")); }), "is encrypted"));
  f = read(path("a.npz"));
  f[entry + 10] = 12;
  write(path("m"), f);
  EXPECT_TRUE(has(error_of([&] { load_npz(path("m")); }), "compressed by method 12"));
  io::ZipWriter z(path("other.zip"));
  z.add("readme", {}, {}, false);
  z.commit();
  EXPECT_TRUE(has(error_of([&] { TensorFile t(path("other.zip")); }), "without .npy arrays"));
}

}  // namespace
