// Loading files into models: any format, renames, strict and partial, conversion; on failure nothing changes.
#include "knet/io/model_file.hpp"

#include "io_test.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/io/npy.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/tensor/factories.hpp"

using namespace io_test;
using namespace knet;

namespace {

struct Linear {
  Param weight = zeros({2, 3}), bias = zeros({2});
};
struct Net {
  Linear fc;
  Tensor mean = zeros({2});
};
struct Quantised {
  Param f32 = zeros({2, 3}), f16 = zeros({2, 3}), f64 = zeros({2, 3});
};
using Names = std::vector<std::string>;
using ModelFiles = Folder;

const Tensor weight(std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 1.5f}, {2, 3});
const Tensor bias(std::vector<float>{0.5f, 0.25f});

io::NamedTensors net() { return {{"fc.weight", weight}, {"fc.bias", bias}, {"mean", bias}}; }
void expect_loaded(const Net& m) {
  EXPECT_TRUE(equal(m.fc.weight.value(), weight));
  EXPECT_TRUE(equal(m.fc.bias.value(), bias));
  EXPECT_TRUE(equal(m.mean, bias));
}
void expect_untouched(const Net& m) {
  EXPECT_TRUE(equal(m.fc.weight.value(), zeros({2, 3})));
  EXPECT_TRUE(equal(m.fc.bias.value(), zeros({2})));
  EXPECT_TRUE(equal(m.mean, zeros({2})));
}

TEST_F(ModelFiles, FromEveryFormat) {
  io::save_safetensors(path("a.safetensors"), net());
  io::save_sharded(path("a.safetensors.index.json"), net(), {.max_bytes = 10});
  io::save_npz(path("a.npz"), net());
  io::save_npz(path("b.npz"), net(), {.compress = true});
  for (const char* name : {"a.safetensors", "a.safetensors.index.json", "a.npz", "b.npz"}) {
    for (const bool map : {false, true}) {
      Net m;
      const auto r = load(path(name), m, {.map = map});
      expect_loaded(m);
      EXPECT_EQ(r.loaded, (Names{"fc.weight", "fc.bias", "mean"}));
      EXPECT_TRUE(r.missing.empty() && r.unexpected.empty() && r.misfits.empty());
    }
  }
  Linear l;
  load(test_data("files/linear_half.pt"), l);
  EXPECT_TRUE(equal(l.weight.value(), weight));
  EXPECT_EQ(l.weight.dtype(), f32);
  EXPECT_TRUE(equal(l.bias.value(), bias));
  Quantised g;
  const auto r = load(test_data("files/all.gguf"), g, {.strict = false});
  EXPECT_EQ(r.loaded.size(), 3u);
  EXPECT_TRUE(equal(g.f16.value(), weight));
}

TEST_F(ModelFiles, NamedTensorsSaveElsewhere) {
  Net m;
  io::save_safetensors(path("a"), net());
  load(path("a"), m);
  io::save_npz(path("m.npz"), named_tensors(m));
  Net again;
  load(path("m.npz"), again);
  expect_loaded(again);
}

TEST_F(ModelFiles, TrainingAMappedModelLeavesTheFile) {
  io::save_safetensors(path("a"), net());
  const std::string before = read(path("a"));
  Net m, other;
  load(path("a"), m, {.map = true});
  load(path("a"), other, {.map = true});
  m.fc.weight *= 2.0;
  m.fc.bias.ref(0) = 7.0;
  m.mean += 1.0;
  EXPECT_EQ(read(path("a")), before);
  expect_loaded(other);
}

TEST_F(ModelFiles, EverythingWrongIsListedAtOnce) {
  io::save_safetensors(path("a"), {{"fc.weight", zeros({3, 2})}, {"fc.bais", bias}, {"mean", arange(2)}});
  Net m;
  const std::string e = error_of([&] { load(path("a"), m); });
  EXPECT_TRUE(has(e, "\n  missing: fc.bias [2]"));
  EXPECT_TRUE(has(e, "\n  unexpected: fc.bais [2]"));
  EXPECT_TRUE(has(e, "\n  fc.weight is f32 [3, 2] in the file and f32 [2, 3] in the model"));
  EXPECT_TRUE(has(e, "\n  mean is i64 [2] in the file and f32 [2] in the model"));
  expect_untouched(m);
}

TEST_F(ModelFiles, Partly) {
  io::save_safetensors(path("a"), {{"fc.weight", weight}, {"fc.bias", zeros({3})}, {"extra", bias}});
  Net m;
  const auto r = load(path("a"), m, {.strict = false});
  EXPECT_EQ(r.loaded, (Names{"fc.weight"}));
  EXPECT_EQ(r.missing, (Names{"mean"}));
  EXPECT_EQ(r.unexpected, (Names{"extra"}));
  EXPECT_EQ(r.misfits, (Names{"fc.bias is f32 [3] in the file and f32 [2] in the model"}));
  EXPECT_TRUE(equal(m.fc.weight.value(), weight));
  EXPECT_TRUE(equal(m.fc.bias.value(), zeros({2})));
}

TEST_F(ModelFiles, Renames) {
  const auto loads = [&](const Names& names, std::vector<std::pair<std::string, std::string>> rename) {
    io::save_safetensors(path("a"), {{names[0], weight}, {names[1], bias}, {names[2], bias}});
    Net m;
    load(path("a"), m, {.rename = std::move(rename)});
    expect_loaded(m);
  };
  loads({"module.fc.weight", "module.fc.bias", "module.mean"}, {{"module", ""}});
  loads({"classifier.weight", "classifier.bias", "m"}, {{"classifier", "fc"}, {"m", "mean"}});
  loads({"a.b.gamma", "a.b.beta", "mean"}, {{"a.b.gamma", "fc.weight"}, {"a.b.beta", "fc.bias"}});
  loads({"layer.fc.output.weight", "layer.fc.output.bias", "mean"}, {{"layer.*.output", "*"}});
  loads({"weight", "bias", "fc.mean"}, {{"fc", ""}, {"", "fc"}});  // the first that fits
  loads({"fc.weight", "fc.bias", "mean"}, {{"f", "x"}, {"fc.weight.x", "y"}});
}

TEST_F(ModelFiles, RenamesThatMakeNoSense) {
  io::save_safetensors(path("a"), net());
  Net m;
  EXPECT_THROW(load(path("a"), m, {.rename = {{"fc.", ""}}}), ValueError);
  EXPECT_THROW(load(path("a"), m, {.rename = {{"a..b", ""}}}), ValueError);
  EXPECT_THROW(load(path("a"), m, {.rename = {{"*", "a"}}}), ValueError);
  EXPECT_TRUE(has(error_of([&] {
                    load(path("a"), m, {.rename = {{"fc.bias", "mean"}}});
                  }),
                  "\"fc.bias\" and \"mean\" are both renamed to \"mean\""));
  expect_untouched(m);
}

TEST_F(ModelFiles, Conversion) {
  io::NamedTensors half;
  for (auto& [name, t] : net()) half.emplace_back(name, t.to(name == "mean" ? bf16 : f16));
  io::save_safetensors(path("a"), half);
  Net m;
  EXPECT_TRUE(has(error_of([&] { load(path("a"), m, {.convert = false}); }),
                  "fc.weight is f16 [2, 3] in the file and f32 [2, 3] in the model"));
  expect_untouched(m);
  load(path("a"), m);
  expect_loaded(m);
  EXPECT_EQ(m.mean.dtype(), f32);
}

TEST_F(ModelFiles, CountersOfTorchAreLeftOut) {
  auto named = net();
  named.emplace_back("fc.num_batches_tracked", scalar(1));
  io::save_safetensors(path("a"), named);
  Net m;
  load(path("a"), m);
  expect_loaded(m);
}

TEST_F(ModelFiles, UntouchedWhenReadingFails) {
  io::save_safetensors(path("a"), net());
  std::string f = read(path("a"));
  write(path("short"), f.substr(0, f.size() - 1));
  Net m;
  error_of([&] { load(path("short"), m); });
  expect_untouched(m);
  // A member that is damaged behind one that is not.
  io::save_npz(path("a.npz"), net());
  f = read(path("a.npz"));
  f[f.find("PK\1\2") - 1] ^= 1;
  write(path("b.npz"), f);
  EXPECT_TRUE(has(error_of([&] { load(path("b.npz"), m); }), "wrong checksum"));
  expect_untouched(m);
}

TEST_F(ModelFiles, UntouchedInsideDiff) {
  io::save_safetensors(path("a"), net());
  Net m;
  Tape t = diff([&] {
    const Tensor y = Tensor(m.fc.bias).sum();
    EXPECT_THROW(load(path("a"), m), ValueError);
    return y;
  });
  expect_untouched(m);
}

}  // namespace
