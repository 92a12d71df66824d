// PyTorch's files: what torch.save wrote here, and pickles that are hostile.
#include <cstdint>
#include <set>

#include "io_test.hpp"
#include "knet/io/pickle.hpp"
#include "knet/io/tensor_file.hpp"
#include "knet/io/zip.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;
using io::TensorFile;

namespace {

using Torch = Folder;
using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;

std::string data(const std::string& name) { return test_data("files/" + name); }
Ints ints(const Tensor& t) { return t.to_vector<std::int64_t>(); }
Reals reals(const Tensor& t) { return t.to_vector<double>(); }

TEST_F(Torch, StateDict) {
  const TensorFile f(data("state.pt"));
  EXPECT_STREQ(f.format(), "torch");
  EXPECT_EQ(f.tensors().size(), 17u);
  EXPECT_EQ(f.tensors()[0].name, "fc.weight");
  EXPECT_EQ(f.tensors()[0].stored, "FloatStorage");
  const Tensor w(std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 1.5f}, {2, 3});
  EXPECT_TRUE(equal(f.read("fc.weight"), w));
  EXPECT_TRUE(equal(f.read("transposed").contiguous(), w.T()));
  EXPECT_EQ(reals(f.read("fc.bias")), (Reals{1.5, -2}));
  EXPECT_EQ(f.read("half").dtype(), f16);
  EXPECT_EQ(reals(f.read("half")), (Reals{1.5, -0.25}));
  EXPECT_EQ(f.read("brain").dtype(), bf16);
  EXPECT_EQ(reals(f.read("brain")), (Reals{1, -2}));
  EXPECT_EQ(reals(f.read("double")), (Reals{1e300}));
  EXPECT_EQ(ints(f.read("slice")), (Ints{2, 4, 6}));
  EXPECT_EQ(ints(f.read("all")), (Ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(f.read("expanded").shape(), (Shape{2, 4}));
  EXPECT_EQ(reals(f.read("expanded")), Reals(8, 3));
  EXPECT_EQ(ints(f.read("i8")), (Ints{-128, 127}));
  EXPECT_EQ(ints(f.read("i16")), (Ints{-32768}));
  EXPECT_EQ(ints(f.read("i32")), (Ints{-7}));
  EXPECT_EQ(ints(f.read("u8")), (Ints{255}));
  EXPECT_EQ(f.read("mask").dtype(), boolean);
  EXPECT_EQ(ints(f.read("mask")), (Ints{1, 0}));
  EXPECT_EQ(f.read("scalar").item(), 7);
  EXPECT_EQ(f.read("none").shape(), (Shape{0, 3}));
  EXPECT_FALSE(f.find("complex")->readable);
  EXPECT_TRUE(has(error_of([&] { f.read("complex"); }), "of type \"ComplexFloatStorage\""));
}

TEST_F(Torch, SharedMemoryIsSharedAndSafeToWrite) {
  const TensorFile f(data("state.pt"));
  Tensor all = f.read("all");
  const Tensor part = f.read("slice");
  all.ref(2) = 100;
  EXPECT_EQ(ints(part), (Ints{2, 4, 6}));
  EXPECT_EQ(ints(f.read("slice")), (Ints{2, 4, 6}));
}

TEST_F(Torch, CheckpointsAreFlattened) {
  const TensorFile f(data("checkpoint.pt"));
  ASSERT_NE(f.find("model.0.weight"), nullptr);
  EXPECT_EQ(f.read("model.0.weight").shape(), (Shape{4, 3}));
  EXPECT_EQ(f.read("model.1.num_batches_tracked").item(), 1);
  EXPECT_EQ(f.read("optimizer.state.0.exp_avg").shape(), (Shape{4, 3}));
  EXPECT_EQ(f.metadata().at("epoch"), "3");
  EXPECT_EQ(f.metadata().at("loss"), "0.25");
  EXPECT_EQ(f.metadata().at("name"), "run");
  EXPECT_EQ(f.metadata().at("optimizer.param_groups.0.lr"), "0.001");
  EXPECT_EQ(f.metadata().count("args"), 0u);
  const TensorFile list(data("list.pt"));
  EXPECT_EQ(ints(list.read("0")), (Ints{1, 2}));
  EXPECT_EQ(reals(list.read("1.x")), (Reals{3}));
  EXPECT_EQ(reals(TensorFile(data("tensor.pt")).read("")), (Reals{5}));
}

TEST_F(Torch, ClassesAreNotLoaded) {
  EXPECT_TRUE(has(error_of([] { TensorFile f(data("class.pt")); }),
                  "objects of the class \"__main__.Custom\": classes are not loaded"));
}

// A file of torch.save with this pickle and storages 0 and 1 of 8 bytes.
std::string with_pickle(const std::string& file, const std::string& pickle, std::size_t storage = 8) {
  io::ZipWriter z(file);
  z.add("archive/data.pkl", bytes(pickle), {}, false);
  z.add("archive/data/0", Bytes(storage), {}, false);
  z.add("archive/data/1", Bytes(storage), {}, true);
  z.commit();
  return file;
}
std::string pickle_of(const std::string& s) { return "\x80\x02" + s + "."; }
std::string string(const std::string& s) {
  return "X" + std::string(1, static_cast<char>(s.size())) + std::string(3, '\0') + s;
}
std::string number(std::int32_t v) {
  std::string r = "J";
  for (int i = 0; i < 4; ++i) r += static_cast<char>(static_cast<std::uint32_t>(v) >> 8 * i);
  return r;
}
std::string storage(const std::string& type = "FloatStorage", std::int32_t numel = 2,
                    const std::string& key = "0") {
  return "(" + string("storage") + "ctorch\n" + type + "\n" + string(key) + string("cpu") + number(numel) +
         "tQ";
}
std::string tensor(const std::string& s, std::int32_t offset, const std::string& size,
                   const std::string& stride) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + s + number(offset) + "(" + size + "t(" + stride +
         "t\x89"
         "ccollections\nOrderedDict\n)RtR";
}
std::string error(const std::string& file, const std::string& pickle) {
  with_pickle(file, pickle);
  return error_of([&] { TensorFile(file).read_all(); });
}

TEST_F(Torch, PicklesByHand) {
  with_pickle(path("a"), pickle_of("}(" + string("x") + tensor(storage(), 0, number(2), number(1)) + "u"));
  EXPECT_EQ(TensorFile(path("a")).read("x").shape(), (Shape{2}));
  with_pickle(path("a"), pickle_of(tensor(storage("FloatStorage", 2, "1"), 1, "", "")));
  EXPECT_EQ(TensorFile(path("a")).read("").shape(), Shape{});
  // An expanded tensor of a terabyte is a view of eight bytes.
  EXPECT_LT(most_memory([&] {
              with_pickle(path("a"), pickle_of(tensor(storage(), 0, number(1 << 20) + number(1 << 18),
                                                      number(0) + number(0))));
              EXPECT_EQ(TensorFile(path("a")).read("").numel(), std::int64_t{1} << 38);
            }),
            1u << 20);
}

TEST_F(Torch, TensorsThatReachBeyondTheirStorage) {
  const auto bad = [&](std::int32_t offset, const std::string& size, const std::string& stride) {
    return error(path("a"), pickle_of(tensor(storage(), offset, size, stride)));
  };
  EXPECT_TRUE(has(bad(0, number(3), number(1)), "reaches beyond its storage of 2 elements"));
  EXPECT_TRUE(has(bad(1, number(2), number(1)), "reaches beyond"));
  EXPECT_TRUE(has(bad(2, "", ""), "reaches beyond"));
  EXPECT_TRUE(has(bad(3, number(0), number(1)), "reaches beyond"));
  EXPECT_TRUE(has(bad(0, number(2), number(2)), "reaches beyond"));
  EXPECT_TRUE(has(bad(-1, number(1), number(1)), "offset is not a number from 0 up"));
  EXPECT_TRUE(has(bad(0, number(-1), number(1)), "size is not a number from 0 up"));
  EXPECT_TRUE(has(bad(1, number(2), number(-1)), "stride is not a number from 0 up"));
  EXPECT_TRUE(has(bad(0, number(2), ""), "1 sizes and 0 strides"));
  const std::string eight = "\x8a\x08" + std::string(7, '\xff') + "\x7f";  // 2^63 - 1
  EXPECT_TRUE(has(bad(0, eight + eight, number(0) + number(0)), "too many elements"));
  EXPECT_TRUE(has(bad(0, number(2) + number(2), eight + eight), "reaches beyond"));
  std::string nine, ones;
  for (int i = 0; i < 9; ++i) nine += number(1), ones += number(1);
  EXPECT_TRUE(has(bad(0, nine, ones), "more than 8 dimensions"));
  EXPECT_TRUE(has(error(path("a"), pickle_of(tensor(storage("FloatStorage", 3), 0, number(1), number(1)))),
                  "its storage of 3 elements of 4 bytes has 8 bytes"));
  EXPECT_TRUE(
      has(error(path("a"), pickle_of(tensor(storage("FloatStorage", 2, "7"), 0, number(1), number(1)))),
          "its storage \"7\" is not in the archive"));
  EXPECT_TRUE(has(error(path("a"), pickle_of(tensor(storage("Storage"), 0, number(1), number(1)))),
                  "a storage of an unknown type"));
}

TEST_F(Torch, NothingIsExecuted) {
  // cos.system runs a shell in Python.
  const std::string call = "cos\nsystem\n(" + string("touch " + path("executed")) + "tR";
  EXPECT_TRUE(has(error(path("a"), pickle_of(call)), "objects of the class \"os.system\""));
  EXPECT_FALSE(std::filesystem::exists(path("executed")));
  with_pickle(path("a"), pickle_of("}(" + string("bad") + call + string("x") +
                                   tensor(storage(), 0, number(2), number(1)) + "u"));
  EXPECT_EQ(TensorFile(path("a")).tensors().size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(path("executed")));
}

TEST_F(Torch, PicklesThatAreBroken) {
  for (const char* opcode : {"i", "o", "S", "V", "F", "I", "L", "P", "p", "g", "\x82", "\x97", "\xff"})
    EXPECT_TRUE(has(error(path("a"), pickle_of(opcode)), "which torch.save does not write")) << opcode;
  for (const char* empty :
       {"", "0", "2", "a", "s", "e", "u", "t", "1", "R", "b", "Q", "\x85", "\x93", "q\1", "]a"})
    EXPECT_TRUE(has(error(path("a"), pickle_of(empty)), "its pickle, at byte")) << empty;
  EXPECT_TRUE(has(error(path("a"), "\x80\x06."), "protocol 6"));
  EXPECT_TRUE(has(error(path("a"), pickle_of("h\5")), "recalls value 5"));
  EXPECT_TRUE(
      has(error(path("a"), pickle_of("Nr\xff\xff\xff\xff")), "remembers a value as number 4294967295"));
  EXPECT_TRUE(has(error(path("a"), pickle_of("K\1K\2a")), "appends to something that is not a list"));
  EXPECT_TRUE(has(error(path("a"), pickle_of("](NNNu")), "not a dictionary"));
  EXPECT_TRUE(has(error(path("a"), pickle_of("X\xff\xff\xff\xff")), "truncated"));
  EXPECT_TRUE(has(error(path("a"), pickle_of("\x8d" + std::string(8, '\xff'))), "truncated"));
  const std::string whole = pickle_of("}(" + string("x") + tensor(storage(), 0, number(2), number(1)) + "u");
  for (std::size_t n = 0; n < whole.size(); ++n) error(path("a"), whole.substr(0, n));
}

TEST_F(Torch, ListsInsideLists) {
  EXPECT_TRUE(has(error(path("a"), pickle_of("]q\1h\1a")), "contains itself"));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "]";
  for (int i = 1; i < 100'000; ++i) deep += "a";
  EXPECT_TRUE(has(error(path("a"), pickle_of(deep)), "more than 64 deep"));
  // Sixty lists, each with the one before twice: 2^60 ways to the tensor.
  std::string laughs = "]q" + std::string(1, '\0');
  for (int i = 1; i < 60; ++i) {
    laughs += "](h" + std::string(1, static_cast<char>(i - 1)) + "h" +
              std::string(1, static_cast<char>(i - 1)) + "eq" + std::string(1, static_cast<char>(i));
  }
  EXPECT_TRUE(has(error(path("a"), pickle_of(laughs)), "repeats the same values too often"));
  EXPECT_TRUE(
      has(error(path("a"), pickle_of("}(" + string("a") + "}(" + string("b") + tensor(storage(), 0, "", "") +
                                     "u" + string("a.b") + tensor(storage(), 0, "", "") + "u")),
          "tensor \"a.b\" is there twice"));
}

TEST_F(Torch, NotTorch) {
  io::ZipWriter z(path("a"));
  z.add("x/data.pkl", {}, {}, false);
  z.add("y/data.pkl", {}, {}, false);
  z.commit();
  EXPECT_TRUE(has(error_of([&] { TensorFile f(path("a")); }), "has two pickles"));
}

}  // namespace
