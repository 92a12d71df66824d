// Files of tensors opened lazily: all types of safetensors, mapping, sharded sets, telling formats apart.
#include "knet/io/tensor_file.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "io_test.hpp"
#include "knet/io/npy.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/tensor/access.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;
using io::TensorFile;

namespace {

using TensorFiles = Folder;

std::string data(const std::string& name) { return test_data("files/" + name); }
std::vector<std::int64_t> ints(const Tensor& t) { return t.to_vector<std::int64_t>(); }
std::vector<double> reals(const Tensor& t) { return t.to_vector<double>(); }
using Ints = std::vector<std::int64_t>;

TEST_F(TensorFiles, EveryTypeOfSafetensors) {
  const TensorFile f(data("types.safetensors"));
  EXPECT_STREQ(f.format(), "safetensors");
  EXPECT_EQ(f.tensors().size(), 19u);
  const auto expect = [&](const char* name, DType t, const Ints& values) {
    ASSERT_NE(f.find(name), nullptr) << name;
    EXPECT_EQ(f.find(name)->dtype, t) << name;
    const Tensor got = f.read(name);
    EXPECT_EQ(got.dtype(), t) << name;
    EXPECT_EQ(ints(got), values) << name;
  };
  expect("I8", i32, {-128, 127});
  expect("I16", i32, {-32768, 32767});
  expect("U16", i32, {65535});
  expect("U32", i64, {0, 4294967295});
  expect("U64", i64, {7, INT64_MAX});
  expect("I32", i32, {-7});
  expect("I64", i64, {-5});
  expect("U8", u8, {255});
  expect("BOOL", boolean, {1, 0});
  EXPECT_EQ(reals(f.read("F16")), (std::vector<double>{1.5}));
  EXPECT_EQ(reals(f.read("BF16")), (std::vector<double>{1}));
  EXPECT_EQ(reals(f.read("F64")), (std::vector<double>{1.5, -2}));
  // The two 8-bit floats, all 256 of each, against the values of ml_dtypes.
  for (const char* name : {"F8_E4M3", "F8_E5M2"}) {
    const auto got = f.read(name).to_vector<float>(),
               expected = io::load_npy(data(std::string(name) + ".npy")).to_vector<float>();
    ASSERT_EQ(got.size(), 256u);
    for (std::size_t i = 0; i < 256; ++i) {
      EXPECT_TRUE(got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i])))
          << name << ' ' << i;
      EXPECT_EQ(std::signbit(got[i]), std::signbit(expected[i])) << name << ' ' << i;
    }
  }
  const auto powers = reals(f.read("F8_E8M0"));
  EXPECT_EQ(powers[0], std::ldexp(1.0, -127));
  EXPECT_EQ(powers[1], 1);
  EXPECT_EQ(powers[2], std::ldexp(1.0, 127));
  EXPECT_TRUE(std::isnan(powers[3]));
}

TEST_F(TensorFiles, AnUnknownTypeBlocksOnlyItself) {
  const TensorFile f(data("types.safetensors"));
  EXPECT_FALSE(f.find("C64")->readable);
  EXPECT_EQ(f.find("C64")->stored, "C64");
  EXPECT_TRUE(
      has(error_of([&] { f.read("C64"); }), "tensor \"C64\" is of dtype \"C64\", which is not supported"));
  EXPECT_TRUE(has(error_of([&] { f.read("F4"); }), "\"F4\""));
  EXPECT_TRUE(has(error_of([&] { f.read("U64_large"); }), "18446744073709551615, which is beyond i64"));
  EXPECT_TRUE(has(error_of([&] { f.read("none"); }), "has no tensor \"none\""));
  EXPECT_THROW(f.read(std::size_t{19}), ValueError);
  EXPECT_EQ(f.find("none"), nullptr);
  error_of([&] { io::load_safetensors(data("types.safetensors")); });
}

TEST_F(TensorFiles, MappedWithoutACopy) {
  const Tensor large = rand({1000, 1000}, f32);
  io::save_safetensors(path("a"), {{"large", large}, {"ids", Tensor{1, 2, 3}}, {"none", zeros({0, 3})}});
  Tensor t;
  const std::size_t memory = most_memory([&] {
    const TensorFile f(path("a"), {.map = true});
    t = f.read("large");
    EXPECT_EQ(ints(f.read("ids")), (Ints{1, 2, 3}));
    EXPECT_EQ(f.read("none").shape(), (Shape{0, 3}));
  });
  EXPECT_LT(memory, 1u << 20);
  EXPECT_TRUE(equal(t, large)) << "the mapping lives as long as the tensor";
  std::filesystem::remove(path("a"));
  EXPECT_TRUE(equal(t, large)) << "also when the file is removed";
}

TEST_F(TensorFiles, WritingToAMappedTensorChangesNothingElse) {
  const std::vector<float> values{1, 2, 3};
  io::save_safetensors(path("a"), {{"x", Tensor(values)}, {"y", Tensor(values)}});
  const std::string before = read(path("a"));
  std::optional<TensorFile> f(std::in_place, path("a"), io::OpenOptions{.map = true});
  Tensor x = f->read("x"), again = f->read("x");
  x.ref(0) = 9.0;
  EXPECT_EQ(again.to_vector<float>(), values);
  EXPECT_EQ(f->read("x").to_vector<float>(), values);
  Tensor y = f->read("y");
  f.reset();
  y.data<float>()[1] = 7;  // alone with its memory, so in place
  again.data<float>()[1] = 5;
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{1, 7, 3}));
  EXPECT_EQ(again.to_vector<float>(), (std::vector<float>{1, 5, 3}));
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{9, 2, 3}));
  EXPECT_EQ(read(path("a")), before);
}

TEST_F(TensorFiles, EveryFormatGivesTheSameMapped) {
  for (const char* name : {"types.safetensors", "state.pt", "all.gguf", "every.npz", "deflated.npz", "c.npy",
                           "big.npy", "fortran.npy", "sharded/model.safetensors.index.json"}) {
    const TensorFile plain(data(name)), mapped(data(name), {.map = true});
    ASSERT_EQ(plain.tensors().size(), mapped.tensors().size()) << name;
    for (const auto& info : plain.tensors()) {
      if (!info.readable || info.name == "U64_large" || info.name == "too_large") continue;
      const Tensor a = plain.read(info.name), b = mapped.read(info.name);
      EXPECT_EQ(a.shape(), info.shape) << name << ' ' << info.name;
      EXPECT_EQ(a.dtype(), info.dtype) << name << ' ' << info.name;
      const Tensor c = a.to(f64), d = b.to(f64);
      EXPECT_TRUE(allclose(c, d, 0, 0) || !equal(c, c)) << name << ' ' << info.name;
    }
  }
}

TEST_F(TensorFiles, Sharded) {
  const TensorFile f(data("sharded/model.safetensors.index.json"));
  EXPECT_STREQ(f.format(), "sharded safetensors");
  EXPECT_EQ(f.tensors().size(), 3u);
  EXPECT_EQ(f.metadata().at("total_size"), "24");
  EXPECT_EQ(ints(f.read("a")), (Ints{1, 2}));
  EXPECT_EQ(f.read("b.weight").shape(), (Shape{1, 1}));
  EXPECT_EQ(ints(f.read("c")), (Ints{4}));
}

TEST_F(TensorFiles, ShardedRoundTrip) {
  io::NamedTensors many;
  for (int i = 0; i < 10; ++i) many.emplace_back("t" + std::to_string(i), full({100}, i, f32));
  many.emplace_back("huge", ones({1000}, f32));
  const std::string index = path("m.safetensors.index.json");
  io::save_sharded(index, many, {.max_bytes = 1000}, {{"k", "v"}});
  EXPECT_EQ(files(), 7u);  // 5 of two, one for the huge one, the index
  EXPECT_TRUE(std::filesystem::exists(path("m-00006-of-00006.safetensors")));
  const TensorFile f(index);
  EXPECT_EQ(f.metadata().at("k"), "v");
  EXPECT_EQ(f.metadata().at("total_size"), "8000");
  for (auto& [name, t] : many) EXPECT_TRUE(equal(f.read(name), t)) << name;
  io::save_sharded(path("one.safetensors.index.json"), {});
  EXPECT_TRUE(TensorFile(path("one.safetensors.index.json")).tensors().empty());
  EXPECT_THROW(io::save_sharded(path("m.safetensors"), many), ValueError);
  EXPECT_THROW(io::save_sharded(path(".safetensors.index.json"), many), ValueError);
  EXPECT_THROW(io::save_sharded(index, many, {.max_bytes = 0}), ValueError);
  EXPECT_THROW(io::save_sharded(index, {{"a", scalar(1)}, {"a", scalar(1)}}), ValueError);
}

TEST_F(TensorFiles, IndexesThatLie) {
  io::save_safetensors(path("s.safetensors"), {{"a", scalar(1)}});
  const auto error = [&](const std::string& json) {
    write(path("index.json"), json);
    return error_of([&] { TensorFile f(path("index.json")); });
  };
  EXPECT_TRUE(has(error("{"), "is not JSON"));
  EXPECT_TRUE(has(error("{}"), "has no object \"weight_map\""));
  EXPECT_TRUE(has(error(R"({"weight_map":[]})"), "has no object \"weight_map\""));
  EXPECT_TRUE(has(error(R"({"weight_map":{"a":1}})"), "says no file for tensor \"a\""));
  for (const char* name : {"../s.safetensors", "/etc/passwd", "..", "", "a/b", "s\\u0000"})
    EXPECT_TRUE(
        has(error(R"({"weight_map":{"a":")" + std::string(name) + "\"}}"), "the name of a file beside it"))
        << name;
  EXPECT_TRUE(has(error(R"({"weight_map":{"a":"none"}})"), "none: No such file"));
  EXPECT_TRUE(has(error(R"({"weight_map":{"b":"s.safetensors"}})"), "has no such tensor"));
  std::string deep = R"({"weight_map":{},"x":)";
  EXPECT_TRUE(has(error(deep + std::string(100'000, '[')), "more than 8 deep"));
  write(path("index.json"), R"( {"weight_map":{"a":"s.safetensors"}})");
  EXPECT_EQ(TensorFile(path("index.json")).read("a").item(), 1);
}

// The first two bytes are the header's length, which may look like another format's mark.
TEST_F(TensorFiles, SafetensorsOfAnyHeaderLength) {
  const auto header = [&](std::size_t length) {
    io::save_safetensors(path("x"), {{"a", ones({1})}}, {{"note", std::string(length, 'x')}});
    const std::string f = read(path("x"));
    EXPECT_EQ(TensorFile(path("x")).read("a").item(), 1);
    return std::pair(static_cast<unsigned char>(f[0]), static_cast<unsigned char>(f[1]));
  };
  std::set<std::pair<int, int>> seen;
  for (std::size_t n = 0; n < 256; n += 8) seen.insert(header(n));
  for (std::size_t n = 19280 - 256; n < 19280; n += 8) seen.insert(header(n));
  EXPECT_TRUE(seen.contains({'P', 'K'}));
  EXPECT_TRUE(std::any_of(seen.begin(), seen.end(), [](const auto& s) { return s.first == 0x80; }));
}

TEST_F(TensorFiles, ToldApartByTheirContents) {
  const auto format = [](const char* name) { return std::string(TensorFile(data(name)).format()); };
  EXPECT_EQ(format("state.pt"), "torch");
  EXPECT_EQ(format("every.npz"), "npz");
  EXPECT_EQ(format("c.npy"), "npy");
  EXPECT_EQ(format("all.gguf"), "gguf");
  const auto error = [&](const std::string& contents) {
    write(path("x"), contents);
    return error_of([&] { TensorFile f(path("x")); });
  };
  EXPECT_TRUE(has(error_of([] { TensorFile f(data("legacy.pt")); }), "of before version 1.6"));
  EXPECT_TRUE(has(error(std::string(257, 'a') + "ustar  "), "of before version 1.6"));
  EXPECT_TRUE(has(error("\x80\x04."), "a bare pickle"));
  EXPECT_TRUE(has(error("\x89HDF\r\n"), "HDF5"));
  EXPECT_TRUE(has(error(""), "has 0 bytes"));
  EXPECT_TRUE(has(error("garbage garbage garbage"), "not a safetensors file?"));
  EXPECT_TRUE(has(error_of([&] { TensorFile f(folder); }), "is a folder"));
  EXPECT_TRUE(has(error_of([&] { TensorFile f(path("none")); }), "No such file"));
  // A header of 123 bytes makes '{' the file's first character.
  std::string odd = R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})";
  odd.resize(123, ' ');
  write(path("odd"), std::string("{\0\0\0\0\0\0\0", 8) + odd);
  EXPECT_EQ(std::string(TensorFile(path("odd")).format()), "safetensors");
}

// A file that becomes shorter between opening and reading.
TEST_F(TensorFiles, VanishingInTheMiddle) {
  io::save_safetensors(path("a"), {{"x", rand({1000}, f32)}});
  const TensorFile f(path("a"));
  std::filesystem::resize_file(path("a"), 500);
  EXPECT_TRUE(has(error_of([&] { f.read("x"); }), "truncated while it was read"));
  io::save_safetensors(path("b"), {{"x", ones({1000}, f32)}});
  const TensorFile g(path("b"));
  std::filesystem::remove(path("b"));
  EXPECT_EQ(g.read("x").numel(), 1000) << "a removed file stays readable while it is open";
}

TEST_F(TensorFiles, MayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  write(path("a"), "x");
  std::filesystem::permissions(path("a"), std::filesystem::perms::none);
  EXPECT_TRUE(has(error_of([&] { TensorFile f(path("a")); }), "Permission denied"));
}

// A limit on the size of files stands for the full disk.
TEST_F(TensorFiles, NoSpaceLeavesTheOldSetWhole) {
  const std::string index = path("m.safetensors.index.json");
  io::NamedTensors old;
  for (int i = 0; i < 3; ++i) old.emplace_back("t" + std::to_string(i), full({100}, i, f32));
  io::save_sharded(index, old, {.max_bytes = 400});
  io::save_npz(path("a.npz"), old);
  io::save_npy(path("a.npy"), old[1].second);
  const auto count = files();
  const Tensor large = ones({10'000}, f32);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    int failed = 0;
    const auto fails = [&](const auto& f) {
      try {
        f();
      } catch (const IoError& e) {
        failed += has(e.what(), "the file is unchanged") ? 1 : 0;
      }
    };
    fails([&] {
      io::save_sharded(index, {{"t0", ones({100}, f32)}, {"t1", large}, {"t2", large}},
                       {.max_bytes = 40'000});
    });
    fails([&] { io::save_npz(path("a.npz"), {{"t", large}}); });
    fails([&] { io::save_npy(path("a.npy"), large); });
    _exit(failed);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_EQ(files(), count);
  const TensorFile f(index);
  for (auto& [name, t] : old) EXPECT_TRUE(equal(f.read(name), t)) << name;
  EXPECT_EQ(io::load_npz(path("a.npz")).size(), 3u);
  EXPECT_TRUE(equal(io::load_npy(path("a.npy")), old[1].second));
}

}  // namespace
