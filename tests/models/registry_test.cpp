// Networks by name: what the table says is true, and files load or are refused.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "formula.hpp"

using namespace knet;

namespace {

struct Registry : testing::Test {
  std::string folder =
      std::filesystem::temp_directory_path() / ("knet_models_test." + std::to_string(::getpid()));
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
};
std::string message(auto&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// docs/models.md: what is between its two marks.
std::string table() {
  std::ostringstream o;
  o << "| name | network | paper | parameters | image | weights | top-1 | top-5 | resize | licence |\n"
       "|---|---|---|---:|---:|---|---:|---:|---:|---|\n";
  for (const models::ModelInfo& m : models::list()) {
    const auto row = [&](const models::Weights* w) {
      o << "| `" << m.name << "` | " << m.title << " | " << m.paper << " | " << m.parameters << " | "
        << m.input << " | ";
      if (!w) {
        o << "none | | | | |\n";
        return;
      }
      o << "[" << w->name << "](" << w->url << ") | ";
      o.setf(std::ios::fixed);
      o.precision(3);
      o << w->top1 << " | " << w->top5 << " | " << w->resize << " | " << m.licence << " |\n";
    };
    for (const models::Weights& w : m.weights) row(&w);
    if (m.weights.empty()) row(nullptr);
  }
  return o.str();
}

std::string text_table() {
  std::ostringstream o;
  o << "| name | model | paper | parameters | tokens | positions | size | layers | accuracy | licence |\n"
       "|---|---|---|---:|---:|---:|---:|---:|---|---|\n";
  for (const models::TextModelInfo& m : models::text_models())
    o << "| [`" << m.name << "`](" << m.url << ") | " << m.title << " | " << m.paper << " | " << m.parameters
      << " | " << m.vocabulary << " | " << m.positions << " | " << m.size << " | " << m.layers << " | "
      << m.accuracy << " | " << m.licence << " |\n";
  return o.str();
}

TEST_F(Registry, TablesInDocsAreCurrent) {
  const std::string path = KNET_SOURCE_DIR "/docs/models.md";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::pair<std::string, std::string> tables[] = {{"<!-- table -->\n", table()},
                                                        {"<!-- text table -->\n", text_table()}};
  for (const auto& [begin, expected] : tables) {
    const auto a = text.find(begin);
    ASSERT_NE(a, text.npos) << begin;
    const auto from = a + begin.size(), to = text.find("<!-- end -->", a);
    ASSERT_NE(to, text.npos);
    if (std::getenv("KNET_WRITE_DOCS"))
      text.replace(from, to - from, expected);
    else
      EXPECT_EQ(text.substr(from, to - from), expected) << "KNET_WRITE_DOCS=1 models_test writes it anew";
  }
  if (std::getenv("KNET_WRITE_DOCS")) std::ofstream(path) << text;
}

TEST_F(Registry, TextModelsAreWhatTheTableSays) {
  for (const models::TextModelInfo& m : models::text_models()) {
    const std::int64_t d = m.size, tables = (m.vocabulary + m.positions) * d,
                       blocks = m.layers * (12 * d * d + 13 * d);
    std::int64_t count = tables + blocks;
    if (m.name.find("gpt2") != std::string_view::npos) {
      const models::GPT2Config c = models::gpt2_config(m.name);
      EXPECT_EQ(c.vocabulary, m.vocabulary);
      EXPECT_EQ(c.positions, m.positions);
      EXPECT_EQ(c.size, m.size);
      EXPECT_EQ(c.layers, m.layers);
      count += 2 * d;  // the last normalisation
    } else if (m.name != "openai-gpt") {
      count += 2 * d + 2 * d + d * d + d;  // segments, a normalisation, the pooler
    }
    EXPECT_EQ(count, m.parameters) << m.name;
  }
  // The formulas themselves: one of each family, made.
  const auto parameters = [](std::string_view name) {
    return std::ranges::find(models::text_models(), name, &models::TextModelInfo::name)->parameters;
  };
  const models::BertConfig mini{.size = 384, .layers = 6, .hidden = 1536};
  EXPECT_EQ(count_params(models::Bert{.config = mini}), parameters("all-MiniLM-L6-v2"));
  models::GPT2Config distil = models::gpt2_config("distilgpt2");
  distil.init = 0;
  EXPECT_EQ(count_params(models::GPT2{.config = distil}), parameters("distilgpt2"));
}

TEST_F(Registry, LooksForFoldersOfTextModels) {
  EXPECT_EQ(models::text_model_folder(folder), folder);
  ::setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  const std::string none = message([] { models::load_gpt2("gpt2-medium"); });
  EXPECT_NE(none.find("https://huggingface.co/openai-community/gpt2-medium"), std::string::npos) << none;
  EXPECT_NE(none.find("merges.txt"), std::string::npos) << none;
  EXPECT_NE(message([] { models::load_gpt(); }).find("params_shapes.json"), std::string::npos);
  EXPECT_NE(message([] { models::load_sentence_encoder("all-MiniLM-L6"); }).find("known are gpt2"),
            std::string::npos);
  std::filesystem::create_directories(models::weights_folder() + "/gpt2-medium");
  const std::string empty = message([] { models::load_gpt2("gpt2-medium"); });
  EXPECT_NE(empty.find("knetlayers/models/gpt2-medium has no config.json"), std::string::npos) << empty;
  ::unsetenv("XDG_CACHE_HOME");
}

TEST_F(Registry, ParametersAreAsManyAsTheTableSays) {
  for (const models::ModelInfo& m : models::list()) {
    const bool large = m.parameters > 30'000'000;
    if (large && !std::getenv("KNET_ALL_MODELS")) continue;
    EXPECT_EQ(count_params(models::make(m.name)), m.parameters) << m.name;
  }
  EXPECT_NE(message([] { models::info("resnet51"); }).find("known are resnet18"), std::string::npos);
}

TEST_F(Registry, LoadsWeightsByName) {
  auto net = models::resnet(18, {.classes = 7, .winit = zeros});
  test::fill(net);
  const std::string file = folder + "/some.safetensors";
  save(file, net);
  const models::Classifier c = models::load("resnet18", file);
  const Tensor x = test::formula("x", {2, 3, 64, 64}, -1, 1);
  EXPECT_EQ(c(x).shape(), (Shape{2, 7}));
  EXPECT_TRUE(allclose(c(x), net(x)));
  EXPECT_EQ(c.input.resize, 256);
  // Another architecture; what is no model at all; a name that is none.
  const std::string other = message([&] { models::load("resnet34", file); });
  EXPECT_NE(other.find("does not hold the weights of resnet34"), std::string::npos) << other;
  EXPECT_NE(other.find("missing (the first: layer1.2.conv1.weight)"), std::string::npos) << other;
  EXPECT_THROW(models::load("googlenet", file), IoError);
  EXPECT_THROW(models::load("resnet18", KNET_SOURCE_DIR "/README.md"), IoError);
  EXPECT_THROW(models::load("resnet18", folder + "/none"), IoError);
  EXPECT_THROW(models::load("alexnet", file), ValueError);
}

// Published files hold auxiliary heads, which are left out; their normalisation is transformed.
TEST_F(Registry, LoadsInceptionWithoutItsHeads) {
  models::GoogLeNet net({.classes = 7, .aux = true, .transform_input = true, .winit = zeros});
  test::fill(net);
  const std::string file = folder + "/googlenet.safetensors";
  save(file, net);
  auto c = models::load("googlenet", file);
  const Tensor x = test::formula("x", {1, 3, 64, 64}, -1, 1);
  EXPECT_TRUE(allclose(c(x), net(x)));
  EXPECT_FALSE(c.network.as<models::GoogLeNet>().aux1);
}

TEST_F(Registry, LooksForPublishedWeights) {
  ::setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  EXPECT_EQ(models::weights_folder(), folder + "/knetlayers/models");
  const std::string none = message([] { models::load("resnet18"); });
  EXPECT_NE(none.find("https://download.pytorch.org/models/resnet18-f37072fd.pth"), std::string::npos)
      << none;
  EXPECT_NE(message([] { models::load("resnet50_v2"); }).find("no weights are published"), std::string::npos);
  std::filesystem::create_directories(models::weights_folder());
  auto net = models::resnet(18, {.classes = 3, .winit = zeros});
  save(models::weights_folder() + "/resnet18-f37072fd.pth", net);
  EXPECT_EQ(models::load("resnet18")(zeros({1, 3, 32, 32})).shape(), (Shape{1, 3}));
  ::unsetenv("XDG_CACHE_HOME");
}

TEST_F(Registry, GluonNamesReachEveryWeight) {
  for (const int depth : {18, 50}) {
    auto net = models::resnet_v2(depth, {.classes = 5, .winit = zeros});
    test::fill(net);
    const auto names = models::gluon_names(depth, "resnetv2_");
    io::NamedTensors theirs;
    for (const auto& e : named_tensors(net)) {
      const std::string& ours = e.first;
      const auto it =
          std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.second == ours; });
      ASSERT_NE(it, names.end()) << ours;
      theirs.emplace_back(it->first, e.second);
    }
    EXPECT_EQ(theirs.size(), names.size());
    const std::string file = folder + "/gluon.npz";
    io::save_npz(file, theirs);
    auto again = models::resnet_v2(depth, {.classes = 5, .winit = zeros});
    load(file, again, {.rename = names});
    const Tensor x = test::formula("x", {1, 3, 64, 64}, -1, 1);
    EXPECT_TRUE(allclose(again(x), net(x)));
  }
  // Counters run through a stage, and projections count.
  const auto names = models::gluon_names(50, "p_");
  const auto has = [&](const char* a, const char* b) {
    return std::find(names.begin(), names.end(), std::pair<std::string, std::string>(a, b)) != names.end();
  };
  EXPECT_TRUE(has("p_stage1_conv3_weight", "layer1.0.downsample.weight"));
  EXPECT_TRUE(has("p_stage1_conv4_weight", "layer1.1.conv1.weight"));
  EXPECT_TRUE(has("p_stage1_batchnorm3_gamma", "layer1.1.bn1.weight"));
}

TEST_F(Registry, Labels) {
  const std::string file = folder + "/labels.txt";
  std::ofstream(file) << "tench, Tinca tinca\r\ngoldfish\n\nlast";
  EXPECT_EQ(models::read_labels(file),
            (std::vector<std::string>{"tench, Tinca tinca", "goldfish", "", "last"}));
  std::ofstream(file, std::ios::trunc).flush();
  EXPECT_THROW(models::read_labels(file), IoError);
  EXPECT_THROW(models::read_labels(folder), IoError);
  const char* data = std::getenv("KNET_DATA");
  const std::string real =
      (data ? std::string(data) : KNET_SOURCE_DIR "/../shared/data") + "/imagenet/imagenet_labels.txt";
  if (!std::filesystem::exists(real)) GTEST_SKIP() << "no " << real;
  EXPECT_EQ(models::read_labels(real).size(), 1000U);
  EXPECT_EQ(models::read_labels(real)[0], "tench, Tinca tinca");
}

}  // namespace
