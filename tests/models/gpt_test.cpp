// The first GPT: against PyTorch, and its published form on disk.
#include "knet/io/npy.hpp"
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

const GPT2Config tiny{
    .vocabulary = 61, .positions = 24, .size = 128, .layers = 2, .heads = 2, .norm_first = false};
GPT2 filled() {
  GPT2 m{.config = tiny};
  fill_by_name(m);
  return m;
}

TEST(GPT, LogitsArePyTorchs) {
  const Reference r = load_reference("programs");
  const GPT2 m = filled();
  expect_close(m(r.at("gpt.ids")), r.at("gpt.logits"), "gpt", 1e-4);
  EXPECT_EQ(count_params(m), 61 * 128 + 24 * 128 + 2 * (12 * 128 * 128 + 13 * 128));
  EXPECT_FALSE(m.ln_f);
  GPT2Cache cache;
  const Tensor ids = r.at("gpt.ids");
  expect_close(cat({m(ids.narrow(1, 0, 5), &cache), m(ids.narrow(1, 5, 6), &cache)}, 1), r.at("gpt.logits"),
               "with a cache", 1e-4);
}

// Files as OpenAI's: arrays in their order, cut into pieces without regard to their borders.
struct Published {
  Folder folder{"gpt-published"};
  GPT2 model = filled();
  std::vector<std::string> order{"wpe.weight", "wte.weight"};
  std::string shapes = "[[24, 128], [61, 128]";
  Published() {
    for (const char* h : {"h.0.", "h.1."}) {
      for (const char* part : {"attn.c_attn", "attn.c_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2"}) {
        order.push_back(std::string(h) + part + ".weight");
        order.push_back(std::string(h) + part + ".bias");
      }
      shapes +=
          ", [1, 128, 384], [384], [1, 128, 128], [128], [128], [128], [1, 128, 512], [512], [1, 512, 128], "
          "[128], [128], [128]";
    }
    shapes += "]";
    std::vector<Tensor> flat;
    const auto named = named_params(model);
    for (const auto& name : order) {
      for (const auto& e : named) {
        if (e.name == name) flat.push_back(e.param->value().flatten());
      }
    }
    const Tensor all = cat(flat);
    const std::int64_t n = all.numel(), piece = n / 10;
    for (int i = 0; i < 10; ++i)
      io::save_npy(file(i), all.narrow(0, i * piece, i < 9 ? piece : n - 9 * piece).contiguous());
    folder.write("params_shapes.json", shapes);
    folder.write(
        "encoder_bpe_40000.json",
        R"({"<unk>": 0, "t": 1, "h": 2, "e": 3, "e</w>": 4, ".</w>": 5, "th": 6, "the</w>": 7, "n": 8,
                     "-</w>": 9, "'</w>": 10, "n</w>": 11, "c": 12, "a": 13, "ca": 14, "t</w>": 15})");
    folder.write("vocab_40000.bpe", "#version: 0.2\nt h\nth e</w>\nc a\n");
  }
  std::string file(int i) const { return folder / ("params_" + std::to_string(i) + ".npy"); }
};

TEST(GPT, LoadsThePublishedFiles) {
  const Published p;
  const auto [m, t] = load_gpt(p.folder.path);
  EXPECT_EQ(m.config.positions, 24);
  EXPECT_EQ(m.config.heads, 2);
  EXPECT_EQ(m.config.hidden, 512);
  EXPECT_FALSE(m.config.norm_first);
  const auto theirs = named_params(m), ours = named_params(p.model);
  ASSERT_EQ(theirs.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i)
    EXPECT_TRUE(equal(theirs[i].param->value(), ours[i].param->value())) << ours[i].name;
  EXPECT_EQ(t.ids("The cat."), (std::vector<std::int64_t>{7, 14, 15, 5}));
  EXPECT_EQ(t.ids("th\xc3\xa9\xe2\x80\x94n"), (std::vector<std::int64_t>{7, 9, 11})) << "accents and dashes";
  EXPECT_EQ(t.ids("the 7"), (std::vector<std::int64_t>{7, 0})) << "no token";
  EXPECT_EQ(t.decode({7, 14, 15, 5}), "the cat .");
  expect_error<ValueError>([&] { save_gpt2(p.folder.path, p.model, t); }, {"GPT-2"});
  // What the endings' program makes of it.
  Tokenizer more = t;
  add_story_tokens(more);
  EXPECT_EQ(with_vocabulary(m, 64).wte.weight.shape(), (Shape{64, 128}));
}

TEST(GPT, FilesThatAreNot) {
  const auto fails = [](const Published& p, std::initializer_list<const char*> parts) {
    expect_error<IoError>([&] { load_gpt(p.folder.path); }, parts);
  };
  Published p;
  const auto shapes = [&](const std::string& json, std::initializer_list<const char*> parts) {
    p.folder.write("params_shapes.json", json);
    fails(p, parts);
  };
  shapes("{}", {"params_shapes.json", "list of shapes"});
  shapes("[[24, 128], [61, -1]]", {"array 1", "[61,-1]"});
  shapes("[[24, 128], 3]", {"array 1"});
  shapes("[[24, 128], [61, 128]]", {"2 shapes"});
  std::string other = p.shapes;
  other.replace(other.find("[384]"), 5, "[385]");
  shapes(other, {"h.0.attn.c_attn.bias", "[385]", "[384]"});
  other = p.shapes;
  other.replace(other.find("[1, 128, 128]"), 13, "[1, 128, 129]");
  shapes(other, {"h.0.attn.c_proj.weight"});
  other = p.shapes;
  other.replace(1, 9, "[24, 100]");
  shapes(other, {"100", "64"});
  p.folder.write("params_shapes.json", p.shapes);

  std::filesystem::remove(p.file(9));
  fails(p, {"params_9.npy"});
  io::save_npy(p.file(9), zeros({3}));
  fails(p, {"params_10.npy"});
  io::save_npy(p.file(9), zeros({1000000}));
  fails(p, {"more numbers"});
  io::save_npy(p.file(3), zeros({10}, f64));
  fails(p, {"params_3.npy", "f64"});
  p.folder.write("params_3.npy", "no array");
  fails(p, {"params_3.npy"});
  p.folder.write("vocab_40000.bpe", "#version: 0.2\nt h e\n");
  fails(p, {"vocab_40000.bpe", "line 2"});
  p.folder.write("vocab_40000.bpe", "#version: 0.2\nx y\n");
  fails(p, {"encoder_bpe_40000.json", "x"});
  std::filesystem::remove(p.folder / "encoder_bpe_40000.json");
  fails(p, {"encoder_bpe_40000.json"});
  std::filesystem::remove(p.folder / "params_shapes.json");
  fails(p, {"params_shapes.json"});
}

}  // namespace
