// GPT-2 against PyTorch, with and without its cache, on disk and on bad input.
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;
using Ids = std::vector<std::int64_t>;

GPT2 filled(const GPT2Config& c = tiny_gpt2()) {
  GPT2 m{.config = c};
  fill_by_name(m);
  return m;
}
const GPT2Config other{.vocabulary = 29, .positions = 16, .size = 24, .layers = 2, .heads = 3, .hidden = 40};

TEST(GPT2, LogitsArePyTorchs) {
  const Reference r = load_reference("language");
  expect_close(filled()(r.at("gpt2.a.ids")), r.at("gpt2.a.logits"), "gpt2.a", 1e-4);
  expect_close(filled(other)(r.at("gpt2.b.ids")), r.at("gpt2.b.logits"), "gpt2.b", 1e-4);
}

TEST(GPT2, NamesAndSizesOfThePublishedModels) {
  const GPT2 m;
  EXPECT_EQ(count_params(m), 124'439'808);
  const auto names = named_params(m);
  EXPECT_EQ(names[0].name, "wte.weight");
  EXPECT_EQ(names[1].name, "wpe.weight");
  EXPECT_EQ(names[2].name, "h.0.ln_1.weight");
  EXPECT_EQ(names[4].name, "h.0.attn.c_attn.weight");
  EXPECT_EQ(names[4].param->shape(), (Shape{768, 2304}));
  EXPECT_EQ(names[names.size() - 1].name, "ln_f.bias");
  EXPECT_EQ(gpt2_config("gpt2-xl").size, 1600);
  expect_error<ValueError>([] { gpt2_config("gpt5"); }, {"gpt5", "gpt2-medium"});
}

TEST(GPT2, TheCacheChangesNothing) {
  const GPT2 m = filled();
  const Tensor ids = load_reference("language").at("gpt2.a.ids"), whole = m(ids);
  GPT2Cache cache;
  std::vector<Tensor> parts;
  for (const auto& [from, length] : {std::pair(0, 4), std::pair(4, 1), std::pair(5, 1), std::pair(6, 5)})
    parts.push_back(m(ids.narrow(1, from, length), &cache));
  EXPECT_EQ(cache.length(), 11);
  expect_close(cat(parts, 1), whole, "in four pieces", 1e-5);
  const GenerateOptions o{.max_tokens = 60, .sampling = {.temperature = 0.9, .top_k = 20}, .seed = 3};
  GenerateOptions slow = o;
  slow.cache = false;
  EXPECT_EQ(generate(m, {1, 2, 3}, o), generate(m, {1, 2, 3}, slow)) << "beyond the positions, too";
}

TEST(GPT2, Generating) {
  const GPT2 m = filled();
  const Ids greedy = generate(m, {5}, {.max_tokens = 8, .sampling = {.temperature = 0}});
  ASSERT_EQ(greedy.size(), 8u);
  Ids so_far{5};
  for (const auto id : greedy) {
    EXPECT_EQ(id, m(Tensor(so_far)).select(0, -1).argmax().item<std::int64_t>());
    so_far.push_back(id);
  }
  const auto cut = generate(m, {5}, {.max_tokens = 8, .sampling = {.temperature = 0}, .stop = {greedy[3]}});
  EXPECT_LE(cut.size(), 3u);
  int seen = 0;
  EXPECT_EQ(generate(m, {5}, {.on_token = [&](std::int64_t) { return ++seen < 4; }}).size(), 4u);
  EXPECT_EQ(generate(m, {5}, {.max_tokens = 0}).size(), 0u);
  EXPECT_EQ(generate(m, {5}, {.seed = 8}), generate(m, {5}, {.seed = 8}));
  EXPECT_NE(generate(m, {5}, {.seed = 8}), generate(m, {5}, {.seed = 9}));
}

TEST(GPT2, PerplexityCountsEveryTokenOnce) {
  const GPT2 m = filled();
  Ids ids;
  for (std::int64_t i = 0; i < 50; ++i) ids.push_back(i * i % 61);
  // By hand: windows of 10, 4 apart.
  double sum = 0;
  for (std::int64_t at = 1; at < 50; ++at) {
    std::int64_t from = 0;
    while (from + 10 <= at) from += 4;
    const Ids context(ids.begin() + from, ids.begin() + at);
    sum += cross_entropy(m(Tensor(context)).select(0, -1).unsqueeze(0),
                         Tensor{ids[static_cast<std::size_t>(at)]})
               .item();
  }
  const TextScore p = perplexity(m, ids, 10, 4);
  EXPECT_EQ(p.tokens, 49);
  EXPECT_NEAR(p.nats, sum / 49, 1e-4);
  EXPECT_NEAR(p.value(), std::exp(sum / 49), 1e-2);
  expect_error<ValueError>([&] { perplexity(m, {1}); }, {"1 tokens"});
  expect_error<ValueError>([&] { perplexity(m, ids, 25); }, {"25", "24"});
}

TEST(GPT2, BadInput) {
  const GPT2 m = filled();
  const auto call = [&](const Tensor& ids) { return [&, ids] { m(ids); }; };
  expect_error<ValueError>(call(zeros({1, 25}, i64)), {"25", "24 positions"});
  expect_error<ValueError>(call(zeros({2, 0}, i64)), {"no token"});
  expect_error<ValueError>(call(Tensor{3, 61}), {"61", "0 to 60"});
  expect_error<ValueError>(call(Tensor{3, -2}), {"-2", "0 to 60"});
  expect_error<ShapeError>(call(zeros({2, 3})), {"f32", "[batch, time]"});
  expect_error<ShapeError>(call(zeros({1, 2, 3}, i64)), {"[1, 2, 3]"});
  expect_error<ShapeError>(call({}), {"empty"});
  expect_error<ValueError>([&] { generate(m, Ids{}); }, {"prompt is empty"});
  expect_error<ValueError>([&] { generate(m, Ids(25, 1)); }, {"25", "24"});
  expect_error<ValueError>([&] { generate(m, {99}); }, {"99"});
  GPT2Cache cache;
  m(zeros({1, 20}, i64), &cache);
  expect_error<ValueError>([&] { m(zeros({1, 5}, i64), &cache); }, {"25", "24"});
  expect_error<ShapeError>([&] { m(zeros({2, 1}, i64), &cache); }, {"1 sequences", "2"});
  EXPECT_EQ(cache.length(), 20);
  // A cache that another model filled, and more steps than positions without the model's own check.
  const Tensor keys = cache.blocks[0].keys, values = cache.blocks[0].values;
  GPT2Config fewer = tiny_gpt2();
  fewer.heads = 2;
  expect_error<ShapeError>([&] { filled(fewer)(Tensor{1}, &cache); },
                           {"GPT2", "20 steps", "[1, 4, 24, 8]", "[1, 2, 1, 16] of f32"});
  expect_error<ValueError>(
      [&] {
        m.h[1](zeros({1, 5, 32}), &cache.blocks[1]);
      },
      {"GPT2", "20", "5 more", "24"});
  for (const KeyValueCache& c : cache.blocks) EXPECT_EQ(c.length, 20);
  EXPECT_TRUE(equal(cache.blocks[0].keys.narrow(2, 0, 20), keys.narrow(2, 0, 20)));
  EXPECT_TRUE(equal(cache.blocks[0].values.narrow(2, 0, 20), values.narrow(2, 0, 20)));
  GPT2Cache fresh;
  expect_error<ValueError>([&] { diff([&] { return m(Tensor{1}, &fresh).sum(); }); }, {"diff()"});
  expect_error<ValueError>([] { (void)GPT2{.config = {.size = 30, .heads = 4}}; }, {"30", "4"});
  expect_error<ValueError>([] { (void)GPT2{.config = {.layers = 0}}; }, {".layers"});
}

const std::vector<std::string> corpus{"the cat sat on the mat", "the dog sat on the log",
                                      "a cat and a dog sat there"};
Tokenizer small_tokenizer() {
  return train_byte_pair(corpus, {.vocabulary = 280, .specials = {"<|endoftext|>"}});
}

TEST(GPT2, FoldersAsHuggingFaceHasThem) {
  const Folder f("gpt2-folder");
  const Tokenizer t = small_tokenizer();
  GPT2 m{.config = {.vocabulary = t.vocabulary_size(), .positions = 20, .size = 16, .layers = 2, .heads = 2}};
  save_gpt2(f.path, m, t);
  const auto [again, tokenizer] = load_gpt2(f.path);
  EXPECT_EQ(again.config, m.config);
  const Tensor ids(t.ids("the cat sat"));
  EXPECT_EQ(tokenizer.ids("the cat sat"), t.ids("the cat sat"));
  EXPECT_TRUE(equal(again(ids), m(ids)));
  const GenerateOptions o{.max_tokens = 5, .seed = 4};
  EXPECT_EQ(generate(again, tokenizer, "the cat", o), generate(m, t, "the cat", o));
  EXPECT_NO_THROW(generate(m, t, "", o)) << "stands for the end of a document";
  expect_error<ValueError>([&] { generate(m, t, "caf\xe9", o); }, {"UTF-8"});

  // Old files have a prefix, buffers, and the output table once more.
  io::NamedTensors old;
  for (const auto& [name, tensor] : named_tensors(m)) old.emplace_back("transformer." + name, tensor);
  old.emplace_back("transformer.h.0.attn.bias", ones({1, 1, 20, 20}));
  old.emplace_back("transformer.h.1.attn.masked_bias", scalar(-1e4));
  old.emplace_back("lm_head.weight", m.wte.weight.value());
  io::save_safetensors(f / "model.safetensors", old);
  EXPECT_TRUE(equal(load_gpt2(f.path).model(ids), m(ids)));

  // What is not this model's is said.
  old.emplace_back("transformer.h.2.ln_1.weight", ones({16}));
  io::save_safetensors(f / "more.safetensors", old);
  expect_error<IoError>([&] { load_gpt2_weights(f / "more.safetensors", m.config); },
                        {"h.2.ln_1.weight is not part"});
  GPT2Config larger = m.config;
  larger.size = 32;
  expect_error<IoError>([&] { load_gpt2_weights(f / "model.safetensors", larger); }, {"wte.weight", ", 16]"});
  larger = m.config;
  larger.layers = 3;
  expect_error<IoError>([&] { load_gpt2_weights(f / "model.safetensors", larger); }, {"h.2.mlp"});
  larger = m.config;
  larger.positions = 1'000'000;
  expect_error<IoError>([&] { load_gpt2_weights(f / "model.safetensors", larger); },
                        {"wpe.weight", "[20, 16]"});
}

TEST(GPT2, FoldersThatAreNot) {
  const Folder f("gpt2-broken");
  expect_error<IoError>([&] { load_gpt2(f.path); }, {"config.json"});
  const auto config = [&](const std::string& json, std::initializer_list<const char*> parts) {
    f.write("config.json", json);
    expect_error<IoError>([&] { load_gpt2_config(f / "config.json"); }, parts);
  };
  config("[]", {"not an object"});
  config("{", {"config.json"});
  config(R"({"model_type": "bert"})", {"bert", "gpt2"});
  config(R"({"model_type": "gpt2", "n_embd": 0})", {"n_embd"});
  config(R"({"model_type": "gpt2", "n_embd": 770})", {"770", "12"});
  config(R"({"model_type": "gpt2", "n_layer": 1e30})", {"n_layer"});
  config(R"({"model_type": "gpt2", "activation_function": "relu"})", {"relu"});
  config(R"({"model_type": "gpt2", "tie_word_embeddings": false})", {"tie_word_embeddings"});
  f.write("config.json", R"({"model_type": "gpt2", "vocab_size": 10})");
  expect_error<IoError>([&] { load_gpt2(f.path); }, {"vocab.json", "tokenizer.json"});
  const Tokenizer t = small_tokenizer();
  save_gpt2_tokenizer(f / "vocab.json", f / "merges.txt", t);
  expect_error<IoError>([&] { load_gpt2(f.path); }, {"271", "10"});
  f.write("config.json", R"({"model_type": "gpt2", "vocab_size": 271})");
  expect_error<IoError>([&] { load_gpt2(f.path); }, {"model.safetensors"});
  f.write("model.safetensors", "not one");
  EXPECT_THROW(load_gpt2(f.path), IoError);
}

TEST(GPT2, Learns) {
  seed(1);
  GPT2 m{.config = {.vocabulary = 32, .positions = 16, .size = 32, .layers = 2, .heads = 2, .dropout = 0}};
  // Counting upwards from anywhere.
  std::vector<Batch> data;
  for (int i = 0; i < 80; ++i) {
    Tensor ids = zeros({16, 12}, i64);
    for (int b = 0; b < 16; ++b) {
      for (int t = 0; t < 12; ++t) ids.ref(b, t) = (7 * b + 3 * i + t) % 32;
    }
    data.push_back({ids(_, slice(0, -1)), ids(_, slice(1, end))});
  }
  const TrainLog log = train(adam(m, nll, data, {.lr = 5e-3, .gclip = 1}));
  EXPECT_GT(log.first, 3.2);
  EXPECT_LT(log.last, 0.6);
  EXPECT_EQ(generate(m, {5, 6}, {.max_tokens = 6, .sampling = {.temperature = 0}}),
            (Ids{7, 8, 9, 10, 11, 12}));
}

TEST(GPT2, GradientsAreRight) {
  GPT2 m{.config = {.vocabulary = 7, .positions = 5, .size = 4, .layers = 1, .heads = 2, .dropout = 0},
         .dtype = f64};
  for (auto& p : params(m)) p = normal(p.shape(), 0.1, 0.5, f64);
  const Tensor ids{{1, 2, 6, 0}, {3, 3, 5, 4}};
  EXPECT_TRUE(gradcheck(m, [&] { return nll(m(ids.narrow(1, 0, 3)), ids.narrow(1, 1, 3)); }));
}

}  // namespace
