#include <chrono>
#include <random>

#include "knet/knet.hpp"
#include "knet/text/json_file.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;

std::string file(const std::string& name) { return std::string(KNET_SOURCE_DIR "/tests/data/text/") + name; }

// The text of the reference tokenizers (the script repeats it).
std::vector<std::string> training_text() {
  const detail::JsonFile f("test", file("cases.json.gz"));
  std::vector<std::string> once = f.root["text"], all;
  for (int i = 0; i < 3; ++i) all.insert(all.end(), once.begin(), once.end());
  for (int i = 0; i < 4; ++i)
    all.push_back(
        "the the the of of and and to in a is that it was for on are as with his they I at be this have "
        "from");
  return all;
}

TEST(BytePair, TrainingGivesTheMergesOfTheReference) {
  const Tokenizer theirs = load_tokenizer(file("gpt2.json"));
  const Tokenizer ours = train_byte_pair(training_text(), {.vocabulary = 700, .specials = {"<|endoftext|>"}});
  EXPECT_EQ(std::get<BytePair>(ours.model).merges(), std::get<BytePair>(theirs.model).merges());
  ASSERT_EQ(ours.vocabulary_size(), theirs.vocabulary_size());
  for (std::int64_t i = 0; i < ours.vocabulary_size(); ++i) EXPECT_EQ(ours.token(i), theirs.token(i));
}

TEST(BytePair, TrainingByCharacters) {
  const Tokenizer t = train_byte_pair({"low lower lowest", "new newer newest", "şişe şişeler"},
                                      {.vocabulary = 30,
                                       .specials = {"<unk>"},
                                       .pre_tokenizers = {pre_tokenizers::Metaspace{}},
                                       .unknown = "<unk>"});
  EXPECT_EQ(t.tokenize("q")[1], "<unk>");
  EXPECT_EQ(t.tokenize("low"), (std::vector<std::string>{"\u2581lo", "w"}));
  EXPECT_THROW(train_byte_pair({"abc"}, {.vocabulary = 100}), ValueError);
  EXPECT_THROW(train_byte_pair({"abc"}, {.vocabulary = 300, .unknown = "<u>"}), ValueError);
  EXPECT_THROW(train_byte_pair({"abc"}, {.vocabulary = 300, .specials = {"a", "a"}}), ValueError);
}

TEST(BytePair, AnyBytesComeBack) {
  std::mt19937 random(3);
  const Tokenizer t = train_byte_pair(training_text(), {.vocabulary = 600});
  const Tokenizer saved = [&] {
    const std::string v = testing::TempDir() + "knet-v.json", m = testing::TempDir() + "knet-m.txt";
    save_gpt2_tokenizer(v, m, t);
    return load_gpt2_tokenizer(v, m);
  }();
  const std::string alphabet = "the cat's \n\t12.é\xF0\x9F\x98\x80";
  for (int n = 0; n < 3000; ++n) {
    std::string s(random() % 200, ' ');
    const bool wild = n % 2;
    for (char& c : s) c = wild ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
    const auto ids = t.ids(s);
    ASSERT_EQ(t.decode(ids), s);
    ASSERT_EQ(saved.ids(s), ids);
    ASSERT_EQ(t.decode(Tensor(ids)), s);
  }
}

// Long words go another way through the code: the same merges, and no quadratic time.
TEST(BytePair, LongWordsAsShortOnes) {
  std::vector<BytePair::Merge> merges{{"b", "a"},   {"a", "b"}, {"ab", "ab"}, {"a", "a"},
                                      {"aa", "ba"}, {"c", "c"}, {"cc", "c"}};
  TokenTable tokens;
  for (const char* c : {"a", "b", "c"}) tokens.add(c);
  for (auto& [a, b] : merges) tokens.add(a + b);
  const BytePair bpe(tokens, merges);
  // The rule itself: the lowest rank, leftmost, again and again.
  const auto plain = [&](const std::string& s) {
    std::vector<std::string> p;
    for (const char c : s) p.emplace_back(1, c);
    for (;;) {
      std::size_t best = merges.size(), at = 0;
      for (std::size_t i = 0; i + 1 < p.size(); ++i) {
        const auto r = static_cast<std::size_t>(
            std::find(merges.begin(), merges.end(), BytePair::Merge{p[i], p[i + 1]}) - merges.begin());
        if (r < best) best = r, at = i;
      }
      if (best == merges.size()) break;
      p[at] += p[at + 1];
      p.erase(p.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    std::vector<std::int64_t> ids;
    for (auto& x : p) ids.push_back(tokens.id(x));
    return ids;
  };
  std::mt19937 random(5);
  for (const std::size_t length : {1, 2, 7, 47, 48, 49, 50, 100, 300}) {
    for (int n = 0; n < 20; ++n) {
      std::string s(length, 'a');
      for (char& c : s) c = "aabc"[random() % 4];
      std::vector<std::int64_t> ids;
      bpe.encode(s, ids);
      ASSERT_EQ(ids, plain(s)) << s;
    }
  }
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::int64_t> ids;
  bpe.encode(std::string(1'000'000, 'a'), ids);
  EXPECT_EQ(ids.size(), 500'000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(BytePair, ErrorsOfTheModel) {
  TokenTable t;
  t.add("a"), t.add("b");
  EXPECT_THROW(BytePair(t, {{"a", "b"}}), ValueError);  // ab is no token
  EXPECT_THROW(BytePair(t, {}, {.unknown = "<unk>"}), ValueError);
  std::vector<std::int64_t> ids;
  EXPECT_THROW(BytePair(t, {}).encode("abc", ids), ValueError);
  EXPECT_THROW(t.add("a", 7), ValueError);
  EXPECT_THROW(t.add("c", 1), ValueError);
  EXPECT_THROW(t.add("c", -1), ValueError);
  EXPECT_THROW(t.token(2), ValueError);
  EXPECT_THROW(WordPiece{t}, ValueError);
}

class TokenizerFile : public io_test::Folder {
 protected:
  // The GPT-2 reference file with a part replaced by JSON text.
  std::string error(const std::string& part, const std::string& value) {
    detail::JsonFile f("test", file("gpt2.json"));
    f.root[nlohmann::json::json_pointer(part)] = nlohmann::json::parse(value);
    io_test::write(path("t.json"), f.root.dump());
    return io_test::error_of([&] { load_tokenizer(path("t.json")); });
  }
};
TEST_F(TokenizerFile, WhatIsNotSupportedIsNamed) {
  using io_test::has;
  EXPECT_TRUE(has(error("/model/type", "\"Unigram\""), "t.json: model \"Unigram\" is not supported"));
  EXPECT_TRUE(has(error("/model/dropout", "0.1"), "dropout"));
  EXPECT_TRUE(has(error("/model/new_option", "1"), "\"new_option\""));
  EXPECT_TRUE(
      has(error("/normalizer", R"({"type":"Precompiled","precompiled_charsmap":""})"), "\"Precompiled\""));
  EXPECT_TRUE(has(error("/normalizer", R"({"type":"Replace","pattern":{"Regex":"a+"},"content":""})"), "a+"));
  EXPECT_TRUE(has(error("/normalizer", R"({"type":"Sequence","normalizers":[{"type":"Nmt"}]})"), "\"Nmt\""));
  EXPECT_TRUE(has(error("/pre_tokenizer", R"({"type":"UnicodeScripts"})"), "UnicodeScripts"));
  EXPECT_TRUE(has(error("/pre_tokenizer",
                        R"({"type":"Split","pattern":{"Regex":"x|y"},"behavior":"Removed","invert":false})"),
                  "x|y"));
  EXPECT_TRUE(has(error("/pre_tokenizer", R"({"type":"ByteLevel","surprise":true})"), "surprise"));
  EXPECT_TRUE(has(error("/decoder", R"({"type":"CTC"})"), "CTC"));
  EXPECT_TRUE(has(error("/post_processor", R"({"type":"Unheard"})"), "Unheard"));
  EXPECT_TRUE(has(error("/post_processor", R"({"type":"BertProcessing","sep":["x",1],"cls":["y",2]})"),
                  "\"y\" with id 2"));
  EXPECT_TRUE(has(error("/truncation", R"({"max_length":8,"stride":2})"), "stride"));
  EXPECT_TRUE(has(error("/padding", R"({"strategy":{"Fixed":9000000000},"pad_id":0,"pad_token":"x"})"),
                  "padding to more"));
  EXPECT_TRUE(has(error("/version", "\"2.0\""), "\"2.0\""));
  EXPECT_TRUE(has(error("/extra", "1"), "\"extra\""));
  EXPECT_TRUE(has(error("/model/vocab/a", "99999999"), "the token \"a\" has no id"));
  EXPECT_TRUE(has(error("/model/vocab/a", "-1"), "the token \"a\" has no id"));
  EXPECT_TRUE(has(error("/model/vocab/a", "5"), "the id 5 belongs to two"));
  EXPECT_TRUE(has(error("/model/merges/3", "\"a\""), "merge 4"));
  EXPECT_TRUE(has(error("/model/merges/3", R"(["zzz","y"])"), "\"zzz\" is not among the tokens"));
  EXPECT_TRUE(has(error("/added_tokens/0/id", "700000000000"), "has the id"));
  EXPECT_TRUE(has(error("/added_tokens/0/content", "\"\""), "empty"));
}
TEST_F(TokenizerFile, OlderFilesAreChecked) {
  using io_test::has;
  io_test::write(path("v"), R"({"a":0,"b":1,"ab":2})");
  const auto merges = [&](const std::string& m) {
    io_test::write(path("m"), m);
    return io_test::error_of([&] { load_gpt2_tokenizer(path("v"), path("m")); });
  };
  EXPECT_TRUE(has(merges("#version: 0.2\na b\nab\n"), "m: line 3: \"ab\" (expected two tokens)"));
  EXPECT_TRUE(has(merges("a x\n"), "\"x\" is not among the tokens"));
  io_test::write(path("v"), "[1]");
  EXPECT_TRUE(has(merges(""), "v: is array"));
  const auto bert = [&](const std::string& v) {
    io_test::write(path("v"), v);
    return io_test::error_of([&] { load_bert_tokenizer(path("v")); });
  };
  EXPECT_TRUE(has(bert("[UNK]\n[CLS]\na\n"), "[SEP] is missing"));
  EXPECT_TRUE(has(bert("[UNK]\n[CLS]\n[SEP]\na\na\n"), "line 5: \"a\" is there twice"));
  io_test::write(path("v"), "[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n##b");
  EXPECT_EQ(load_bert_tokenizer(path("v")).encode("AB x").ids, (std::vector<std::int64_t>{1, 3, 4, 0, 2}));
}

TEST(Tokenizer, BatchesOfTensors) {
  const Tokenizer t = load_tokenizer(file("bert.json"));
  const EncodedBatch b =
      t.encode_batch(std::vector<std::pair<std::string, std::string>>{{"the", "dog is"}, {"of", "and"}});
  EXPECT_EQ(b.ids.size(0), 2);
  EXPECT_EQ(b.ids.shape(), b.mask.shape());
  const auto row = t.encode("of", "and");
  const auto n = static_cast<std::int64_t>(row.ids.size());
  EXPECT_EQ(b.ids(1, slice(0, n)).to_vector<std::int64_t>(), row.ids);
  EXPECT_EQ(b.type_ids(1, slice(0, n)).to_vector<std::int64_t>(), row.type_ids);
  EXPECT_EQ(b.ids(1, -1).item(), 0);  // [PAD]
  EXPECT_EQ(b.mask.to(i64)(1).sum().item(), static_cast<double>(n));
  Tokenizer left = t;
  left.padding = BatchPadding{.id = 4, .type_id = 3, .length = 10, .multiple_of = 8, .left = true};
  const EncodedBatch c = left.encode_batch(std::vector<std::string>{"of", "the dog"}, {.max_length = 3});
  EXPECT_EQ(c.ids.shape(), (Shape{2, 16}));
  EXPECT_EQ(c.ids(0, 0).item(), 4);
  EXPECT_EQ(c.type_ids(0, 0).item(), 3);
  EXPECT_EQ(c.mask(0).to_vector<bool>(), (std::vector<bool>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1}));
  EXPECT_THROW(t.encode("a", {.max_length = 1}), ValueError);
  const Tokenizer gpt2 = load_tokenizer(file("gpt2.json"));
  EXPECT_THROW(gpt2.encode_batch(std::vector<std::string>{"a", "a long one"}), ValueError);
  EXPECT_THROW(t.decode({100000}), ValueError);
  EXPECT_EQ(t.encode_batch(std::vector<std::string>{}).ids.shape(), (Shape{0, 0}));
}

TEST(Tokenizer, TurkishLowerCaseSurvivesSaving) {
  Tokenizer t = train_byte_pair(
      {"ışık ılık İZMİR ilik"},
      {.vocabulary = 270, .normalizers = {normalizers::Lowercase{unicode::Language::turkish}}});
  const std::string path = testing::TempDir() + "knet-tr.json";
  save_tokenizer(path, t);
  const Tokenizer u = load_tokenizer(path);
  for (const char* s : {"IŞIK İzmir", "I\u0307lik", "ISPARTA ÇÖĞÜ"}) EXPECT_EQ(u.ids(s), t.ids(s));
  EXPECT_EQ(u.decode(u.ids("IŞIK İZMİR")), "ışık izmir");
}
}  // namespace
