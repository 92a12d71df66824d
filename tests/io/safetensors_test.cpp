// safetensors: round trips here and with Python, and every way a file can lie.
#include "knet/io/safetensors.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "io_test.hpp"
#include "knet/tensor/access.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;
using io::load_safetensors, io::parse_safetensors, io::save_safetensors;

namespace {

using SafeTensors = Folder;

// A file with this header and so many bytes behind it.
std::string file_with(const std::string& header, std::size_t data, char fill = 0) {
  std::string f;
  for (int i = 0; i < 8; ++i) f += static_cast<char>(std::uint64_t{header.size()} >> 8 * i & 255);
  return f + header + std::string(data, fill);
}
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}
// The same error from memory and from a file.
std::string error(const std::string& file) {
  const std::string name = testing::TempDir() + "knet-safetensors-error";
  write(name, file);
  const std::string from_file = error_of([&] { load_safetensors(name); });
  std::filesystem::remove(name);
  const std::string from_memory = error_of([&] { parse_safetensors(bytes(file), name); });
  EXPECT_EQ(from_file, from_memory);
  return from_file;
}
std::string header_error(const std::string& header, std::size_t data = 0) {
  return error(file_with(header, data));
}

// The elements' bytes, whatever the dtype.
Bytes raw_bytes(const Tensor& t) {
  const auto* p = TensorAccess::data(t);
  return Bytes(p, p + static_cast<std::size_t>(t.numel()) * size_of(t.dtype()));
}
Tensor from_bytes(const Shape& s, DType d, std::string_view values) {
  Tensor t = Tensor::make(s, d, cpu);
  EXPECT_EQ(values.size(), static_cast<std::size_t>(t.numel()) * size_of(d));
  std::copy_n(bytes(values).data(), values.size(), TensorAccess::data(t));
  return t;
}

// What tests/reference/safetensors_reference.py writes and checks.
io::NamedTensors reference() {
  const auto inf = std::numeric_limits<std::int64_t>::max();
  return {{"layer.weight", Tensor(std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 1.5f}, {2, 3})},
          {"layer.bias", Tensor(std::vector<double>{1.25, -2.5, 1e300})},
          {"ids", Tensor(std::vector<int>{-1, 2147483647}, {2, 1})},
          {"long", Tensor(std::vector<std::int64_t>{-inf - 1, inf})},
          {"bytes", Tensor(std::vector<std::uint8_t>{0, 127, 255})},
          {"mask", Tensor(std::vector<bool>{true, false, true})},
          {"half", from_bytes({2}, f16, hex("003e 00b4"))},
          {"scalar", Tensor(std::vector<float>{7}, {})},
          {"nothing", Tensor::make({0, 4}, f32, cpu)}};
}
const io::Metadata remarks = {{"format", "np"}, {"note", "günaydın"}};

void expect_same(const Tensor& a, const Tensor& b, const std::string& name) {
  EXPECT_EQ(a.dtype(), b.dtype()) << name;
  EXPECT_EQ(a.shape(), b.shape()) << name;
  EXPECT_EQ(raw_bytes(a), raw_bytes(b)) << name;
}

TEST_F(SafeTensors, RoundTrip) {
  const auto saved = reference();
  save_safetensors(path("a"), saved, remarks);
  const auto got = load_safetensors(path("a"));
  EXPECT_EQ(got.metadata, remarks);
  ASSERT_EQ(got.tensors.size(), saved.size());
  for (std::size_t i = 0; i < saved.size(); ++i) {
    EXPECT_EQ(got.tensors[i].first, saved[i].first) << "order is kept";
    expect_same(got.tensors[i].second, saved[i].second, saved[i].first);
  }
  expect_same(*got.find("ids"), saved[2].second, "ids");
  EXPECT_EQ(got.find("id"), nullptr);
  EXPECT_EQ(parse_safetensors(bytes(read(path("a")))).tensors.size(), saved.size());
  EXPECT_EQ(files(), 1u);
}

TEST_F(SafeTensors, EmptyAndOddNames) {
  save_safetensors(path("a"), {});
  EXPECT_EQ(read(path("a")), file_with("{}      ", 0));
  EXPECT_TRUE(load_safetensors(path("a")).tensors.empty());
  const io::NamedTensors odd = {
      {"", scalar(1)}, {"a\"b\\\n", scalar(2)}, {std::string("z\0z", 3), scalar(3)}, {"ö", scalar(4)}};
  save_safetensors(path("a"), odd);
  const auto got = load_safetensors(path("a")).tensors;
  ASSERT_EQ(got.size(), odd.size());
  for (std::size_t i = 0; i < odd.size(); ++i) EXPECT_EQ(got[i].first, odd[i].first);
}

TEST_F(SafeTensors, ViewsAreSavedDense) {
  const Tensor t = Tensor(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}).T();
  save_safetensors(path("a"), {{"t", t}});
  const auto got = load_safetensors(path("a")).tensors[0].second;
  EXPECT_EQ(got.shape(), (Shape{3, 2}));
  EXPECT_EQ(std::vector<float>(got.data<float>(), got.data<float>() + 6),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST_F(SafeTensors, DataIsAligned) {
  save_safetensors(path("a"), {{"b", Tensor(std::vector<std::uint8_t>{1, 2, 3})},
                               {"f", Tensor(std::vector<float>{1})},
                               {"d", Tensor(std::vector<double>{1})}});
  const std::string f = read(path("a"));
  const std::size_t header = static_cast<unsigned char>(f[0]) + 256u * static_cast<unsigned char>(f[1]);
  EXPECT_EQ(header % 8, 0u);
  EXPECT_EQ(f.size(), 8 + header + 8 + 4 + 3);
  EXPECT_TRUE(has(f, R"("b":{"dtype":"U8","shape":[3],"data_offsets":[12,15]})"));
  EXPECT_TRUE(has(f, R"("d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]})"));
}

TEST_F(SafeTensors, WhatCanNotBeSaved) {
  write(path("a"), "old");
  EXPECT_THROW(save_safetensors(path("a"), {{"t", Tensor()}}), ValueError);
  EXPECT_THROW(save_safetensors(path("a"), {{"t", scalar(1)}, {"t", scalar(2)}}), ValueError);
  EXPECT_THROW(save_safetensors(path("a"), {{"__metadata__", scalar(1)}}), ValueError);
  EXPECT_THROW(save_safetensors(path("a"), {{"\xff", scalar(1)}}), ValueError);
  EXPECT_THROW(save_safetensors(path("a"), {}, {{"k", "\xc3"}}), ValueError);
  EXPECT_TRUE(has(error_of([&] { save_safetensors(path("no/folder"), {}); }), "No such file"));
  EXPECT_EQ(read(path("a")), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(SafeTensors, FromPython) {
  const auto got = load_safetensors(test_data("python.safetensors"));
  EXPECT_EQ(got.metadata, remarks);
  const auto expected = reference();
  EXPECT_EQ(got.tensors.size(), expected.size() + 1);
  for (auto& [name, t] : expected) {
    ASSERT_NE(got.find(name), nullptr) << name;
    expect_same(*got.find(name), t, name);
  }
  expect_same(*got.find("brain"), from_bytes({3}, bf16, hex("803f 00c0 003f")), "brain");
  EXPECT_TRUE(load_safetensors(test_data("empty.safetensors")).tensors.empty());
}

TEST_F(SafeTensors, ToPython) {
  if (std::system("python3 -c 'import numpy, safetensors' >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "no python3 with numpy and safetensors";
  }
  save_safetensors(path("a"), reference(), remarks);
  EXPECT_EQ(
      std::system(
          ("python3 " + root() + "/tests/reference/safetensors_reference.py check " + path("a")).c_str()),
      0);
}

TEST_F(SafeTensors, NotAFile) {
  EXPECT_TRUE(has(error_of([&] { load_safetensors(path("none")); }), path("none") + ": No such file"));
  EXPECT_TRUE(has(error_of([&] { load_safetensors(folder); }), "is a folder"));
  EXPECT_TRUE(has(error_of([&] { load_safetensors("/dev/zero"); }), "device"));
}

TEST_F(SafeTensors, HeadersThatLie) {
  EXPECT_TRUE(has(error(""), "has 0 bytes"));
  EXPECT_TRUE(has(error("123456789"), "has 9 bytes"));
  EXPECT_TRUE(has(error(hex("ffffffffffffffff") + std::string(100, 'x')),
                  "claims a header of 18446744073709551615 bytes"));
  EXPECT_TRUE(has(error(hex("0000000000000000") + "{}"), "claims a header of 0"));
  EXPECT_TRUE(has(error(hex("0300000000000000") + "{}"), "header of 3 bytes (expected 2 to 2)"));
  EXPECT_TRUE(has(error(hex("01e1f50500000000") + "{}"), "header of 100000001 bytes"));
  EXPECT_TRUE(has(error(file_with("[]", 0)), "does not begin with '{'"));
  EXPECT_TRUE(has(error(file_with(" {}", 0)), "does not begin with '{'"));
  EXPECT_LT(most_memory([&] { error(hex("00e1f50500000000") + "{}"); }), 1u << 20);
}

TEST_F(SafeTensors, TruncatedAnywhere) {
  const std::string whole = file_with(one("F32", "[2]", "[0,8]"), 8);
  EXPECT_EQ(parse_safetensors(bytes(whole)).tensors.size(), 1u);
  for (std::size_t n = 0; n < whole.size(); ++n) error(whole.substr(0, n));
  error(whole + "x");
  for (std::size_t n = 1; n < whole.size() - 16; ++n) {
    header_error(whole.substr(8, n), 8);
  }
}

TEST_F(SafeTensors, NotJson) {
  EXPECT_TRUE(has(header_error("{garbage}"), "not JSON: error at its byte 2"));
  EXPECT_TRUE(has(header_error("{} x"), "not JSON"));
  EXPECT_TRUE(has(header_error("{}{}"), "not JSON"));
  EXPECT_TRUE(has(header_error("{\"\xff\":1}"), "not JSON"));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":"F32",})"), "not JSON"));
  EXPECT_NO_THROW(parse_safetensors(bytes(file_with("{}   ", 0))));
}

TEST_F(SafeTensors, DeepJson) {
  const std::string deep(2'000'000, '[');
  EXPECT_TRUE(has(header_error(R"({"t":)" + deep), "has a list at \"t\" (expected an object for a tensor)"));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":"F32","shape":[)" + deep), "a size from 0 up in shape"));
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += R"({"a":)";
  EXPECT_TRUE(has(header_error(objects), "expected"));
}

TEST_F(SafeTensors, DuplicateKeys) {
  const std::string t = R"("t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_TRUE(has(header_error("{" + t + "," + t + "}"), "tensor \"t\" is there twice"));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":"U8","dtype":"F32","shape":[0],"data_offsets":[0,0]}})"),
                  "two dtypes"));
  EXPECT_TRUE(has(header_error(R"({"t":{"shape":[0],"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
                  "two shapes"));
  EXPECT_TRUE(has(header_error(R"({"t":{"data_offsets":[0,0],"data_offsets":[0,0]}})"), "two data_offsets"));
  EXPECT_TRUE(has(header_error(R"({"__metadata__":{"a":"1","a":"2"}})"), "a name twice"));
  EXPECT_TRUE(has(header_error(R"({"__metadata__":{},"__metadata__":{}})"), "two __metadata__"));
}

TEST_F(SafeTensors, FieldsThatAreWrong) {
  EXPECT_TRUE(has(header_error(one("C64", "[1]", "[0,8]"), 8),
                  "tensor \"t\" is of dtype \"C64\", which is not supported"));
  EXPECT_TRUE(has(header_error(one("f32", "[1]", "[0,4]"), 4), "\"f32\""));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":"U8","shape":[0]}})"), "lacks data_offsets"));
  EXPECT_TRUE(has(header_error(R"({"t":{"shape":[0],"data_offsets":[0,0]}})"), "lacks dtype"));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":"U8","data_offsets":[0,0]}})"), "lacks shape"));
  EXPECT_TRUE(has(header_error(R"({"t":{"colour":"U8"}})"), "has the field \"colour\""));
  EXPECT_TRUE(has(header_error(R"({"t":3})"), "a number at \"t\" (expected an object for a tensor)"));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":8}})"), "a text for dtype"));
  EXPECT_TRUE(has(header_error(R"({"t":{"dtype":null}})"), "null"));
  EXPECT_TRUE(has(header_error(R"({"__metadata__":{"a":1}})"), "a text in __metadata__"));
  EXPECT_TRUE(has(header_error(R"({"__metadata__":"a"})"), "a text"));
  for (const char* shape :
       {"3", "[-1]", "[1.0]", "[1e3]", "[true]", "[\"1\"]", "[null]", "[{}]", "[99999999999999999999]"}) {
    EXPECT_TRUE(has(header_error(one("U8", shape, "[0,1]"), 1), "(expected a")) << shape;
  }
  EXPECT_TRUE(has(header_error(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1), "more than 8 dimensions"));
  EXPECT_TRUE(has(header_error(one("U8", "[9223372036854775808]", "[0,1]"), 1),
                  "a dimension of 9223372036854775808"));
  for (const char* offsets : {"[]", "[0]", "[0,1,2]", "[0,-1]", "[0,1.0]", "7"}) {
    EXPECT_TRUE(has(header_error(one("U8", "[1]", offsets), 1), "data_offsets")) << offsets;
  }
}

TEST_F(SafeTensors, SizesThatOverflow) {
  const std::string big = "4294967296";
  EXPECT_TRUE(has(header_error(one("F32", "[" + big + "," + big + "]", "[0,0]")), "too many elements"));
  EXPECT_TRUE(has(header_error(one("F32", "[0," + big + "," + big + "]", "[0,0]")), "too many elements"));
  EXPECT_TRUE(has(header_error(one("F64", "[9223372036854775807]", "[0,8]"), 8), "too many elements"));
  EXPECT_TRUE(has(header_error(one("U8", "[1]", "[18446744073709551615,0]"), 1),
                  "at bytes 18446744073709551615 to 0 of 1"));
  EXPECT_TRUE(has(header_error(one("U8", "[1]", "[0,18446744073709551615]"), 1), "of 1"));
  const auto terabyte = one("U8", "[1099511627776]", "[0,1099511627776]");
  EXPECT_LT(most_memory([&] { EXPECT_TRUE(has(header_error(terabyte, 100), "of 100")); }), 1u << 20);
}

TEST_F(SafeTensors, OffsetsThatDoNotFit) {
  const auto two = [](int a, int b, int c, int d) {
    return R"({"a":{"dtype":"U8","shape":[)" + std::to_string(b - a) + R"(],"data_offsets":[)" +
           std::to_string(a) + "," + std::to_string(b) + R"(]},"b":{"dtype":"U8","shape":[)" +
           std::to_string(d - c) + R"(],"data_offsets":[)" + std::to_string(c) + "," + std::to_string(d) +
           "]}}";
  };
  EXPECT_EQ(parse_safetensors(bytes(file_with(two(2, 4, 0, 2), 4))).tensors[0].first, "a");
  EXPECT_NO_THROW(parse_safetensors(bytes(file_with(two(0, 4, 4, 4), 4))));
  EXPECT_TRUE(has(header_error(two(0, 3, 2, 4), 4), "\"b\" begins at byte 2, inside the tensor before it"));
  EXPECT_TRUE(has(header_error(two(0, 4, 0, 4), 4), "inside the tensor before it"));
  EXPECT_TRUE(has(header_error(two(0, 1, 2, 4), 4), "\"b\" begins at byte 2, after a hole (expected 1)"));
  EXPECT_TRUE(has(header_error(two(1, 2, 2, 4), 4), "\"a\" begins at byte 1, after a hole"));
  EXPECT_TRUE(has(header_error(two(0, 2, 2, 3), 4), "the tensors have 3 bytes, the file 4"));
  EXPECT_TRUE(has(header_error(two(0, 2, 2, 5), 4), "at bytes 2 to 5 of 4"));
  EXPECT_TRUE(has(header_error(one("F32", "[2]", "[0,4]"), 4), "has 4 bytes; shape [2] of F32 needs 8"));
  EXPECT_TRUE(has(header_error(one("F32", "[]", "[0,8]"), 8), "needs 4"));
  EXPECT_TRUE(has(header_error("{}", 8), "the tensors have 0 bytes, the file 8"));
}

TEST_F(SafeTensors, BoolsAreZeroOrOne) {
  EXPECT_TRUE(
      has(error(file_with(one("BOOL", "[3]", "[0,3]"), 3, 2)), "\"t\": element 0 of a boolean tensor is 2"));
}

TEST_F(SafeTensors, MessagesStayShort) {
  const std::string name(1'000'000, 'n');
  EXPECT_LT(header_error("{\"" + name + "\":1}").size(), 1000u);
  EXPECT_FALSE(has(header_error("{\"\\u001b[31m\":1}"), "\x1b"));
}

TEST_F(SafeTensors, ManyTensorsAreQuick) {
  std::string h = "{";
  for (int i = 0; i < 100'000; ++i) {
    h += (i ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  EXPECT_EQ(parse_safetensors(bytes(file_with(h + "}", 0))).tensors.size(), 100'000u);
}

// A limit on the size of files stands for the full disk.
TEST_F(SafeTensors, NoSpaceLeavesTheOldFile) {
  save_safetensors(path("a"), {{"t", scalar(5)}});
  const Tensor large = Tensor(std::vector<float>(100'000));
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save_safetensors(path("a"), {{"t", large}});
    } catch (const IoError&) {
      _exit(7);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(load_safetensors(path("a")).tensors[0].second.item(), 5);
  EXPECT_EQ(files(), 1u);
}

}  // namespace
