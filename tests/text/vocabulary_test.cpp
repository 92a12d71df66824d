#include "knet/text/vocabulary.hpp"

#include "knet/knet.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using io_test::has;
using Words = std::vector<std::string>;

VocabularyBuilder counted() {
  VocabularyBuilder b;
  for (const char* line : {"the cat and the dog", "a dog and a bird and the cat", "the end"})
    b.add(WhitespaceTokenizer{}(line));
  return b;
}

TEST(Vocabulary, ByFrequencyThenByBytes) {
  const Vocabulary v = counted().build();
  EXPECT_EQ(Words(v.tokens().begin(), v.tokens().end()),
            (Words{"<pad>", "<unk>", "the", "and", "a", "cat", "dog", "bird", "end"}));
  EXPECT_EQ(counted().build({.min_count = 2}).size(), 7u);
  const Vocabulary small = counted().build({.max_size = 4});
  EXPECT_EQ(small.size(), 4u);
  EXPECT_EQ(small.id("cat"), 1);
  EXPECT_THROW(counted().build({.max_size = 1}), ValueError);
}
TEST(Vocabulary, UnknownWords) {
  const Vocabulary v = counted().build();
  EXPECT_EQ(v.encode({"the", "zebra"}), (std::vector<std::int64_t>{2, 1}));
  const Vocabulary strict = counted().build({.specials = {"<pad>"}, .unknown = ""});
  EXPECT_THROW(strict.encode({"zebra"}), ValueError);
  EXPECT_EQ(strict.encode({"the"}), (std::vector<std::int64_t>{1}));
  EXPECT_THROW(counted().build({.specials = {"<pad>"}}), ValueError);
  EXPECT_THROW(counted().build({.specials = {"<pad>", "<unk>", "<pad>"}}), ValueError);
}
TEST(Vocabulary, BatchesThereAndBack) {
  const Vocabulary v =
      counted().build({.specials = {"<pad>", "<unk>", "<s>", "</s>"}, .begin = "<s>", .end = "</s>"});
  const std::vector<Words> sentences{{"the", "cat"}, {}, {"a", "dog", "and", "zebra"}};
  const TokenBatch b = v.encode_batch(sentences);
  EXPECT_EQ(b.ids.shape(), (Shape{3, 6}));
  EXPECT_EQ(b.lengths, (std::vector<std::int64_t>{4, 2, 6}));
  EXPECT_TRUE(equal(b.ids(1), Tensor{2, 3, 0, 0, 0, 0}));
  EXPECT_EQ(b.mask.to_vector<bool>(),
            (std::vector<bool>{1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(v.decode_batch(b.ids), (std::vector<Words>{{"the", "cat"}, {}, {"a", "dog", "and", "<unk>"}}));
  const TokenBatch cut = v.encode_batch(sentences, 4);
  EXPECT_EQ(cut.ids.shape(), (Shape{3, 4}));
  EXPECT_EQ(cut.ids(2, 3).item(), 3);
  EXPECT_THROW(v.encode_batch(sentences, 1), ValueError);
  EXPECT_EQ(v.encode_batch({}).ids.shape(), (Shape{0, 0}));
  EXPECT_THROW(v.decode_batch(Tensor{1, 2}), ShapeError);
  EXPECT_THROW(v.decode({99}), ValueError);
}

using VocabularyFile = io_test::Folder;
TEST_F(VocabularyFile, SavedAndLoaded) {
  VocabularyBuilder b = counted();
  b.add("quote\" \\ \n \u0001 😀 İ", 5);
  const Vocabulary v = b.build({.specials = {"<pad>", "<unk>", "</s>"}, .end = "</s>"});
  save_vocabulary(path("v.json"), v);
  const Vocabulary w = load_vocabulary(path("v.json"));
  EXPECT_EQ(Words(v.tokens().begin(), v.tokens().end()), Words(w.tokens().begin(), w.tokens().end()));
  EXPECT_EQ(w.options().end, "</s>");
  EXPECT_EQ(w.encode({"zebra"}), v.encode({"zebra"}));
  EXPECT_EQ(files(), 1u);
}
TEST_F(VocabularyFile, ErrorsNameTheFile) {
  const auto error = [&](const std::string& content) {
    io_test::write(path("v.json"), content);
    return io_test::error_of([&] { load_vocabulary(path("v.json")); });
  };
  const std::string good =
      R"({"format":"knet vocabulary","version":1,"pad":"<pad>","unknown":"","begin":"","end":"","specials":1,"tokens":["<pad>","a"]})";
  io_test::write(path("v.json"), good);
  EXPECT_EQ(load_vocabulary(path("v.json")).size(), 2u);
  const auto with = [&](std::string s, const std::string& from, const std::string& to) {
    return s.replace(s.find(from), from.size(), to);
  };
  EXPECT_TRUE(has(error(with(good, "vocabulary", "thing")), "v.json: \"format\" is \"knet thing\""));
  EXPECT_TRUE(has(error(with(good, "\"version\":1", "\"version\":2")), "version 2"));
  EXPECT_TRUE(has(error(with(good, "\"a\"", "\"<pad>\"")), "twice"));
  EXPECT_TRUE(has(error(with(good, "\"specials\":1", "\"specials\":7")), "7 special"));
  EXPECT_TRUE(has(error(with(good, "\"a\"", "3")), "expected texts"));
  EXPECT_TRUE(has(error(with(good, "\"end\":\"\"", "\"end\":\"<e>\"")), "no"));
  EXPECT_TRUE(has(error(with(good, "\"end\"", "\"pad\"")), "twice"));
  EXPECT_TRUE(has(error(with(good, "\"end\"", "\"ende\"")), "\"ende\""));
  EXPECT_TRUE(has(error(good.substr(0, 40)), "not JSON"));
  EXPECT_TRUE(has(error(std::string(100000, '[')), "nested"));
  EXPECT_TRUE(has(io_test::error_of([&] { load_vocabulary(path("none")); }), "none"));
}

TEST_F(VocabularyFile, DictionariesOfOtherTypes) {
  IndexedDict<char> letters{'b', 'a', '\xFF', '\n', '\0'};
  save_dict(path("c"), letters);
  const auto c = load_dict<char>(path("c"));
  EXPECT_EQ(std::string(c.begin(), c.end()), std::string(letters.begin(), letters.end()));
  IndexedDict<double> numbers{0.5, -3};
  save_dict(path("d"), numbers);
  EXPECT_EQ(load_dict<double>(path("d")).element(1), -3.0);
  IndexedDict<std::string> words{"a b", "", "ç"};
  save_dict(path("w"), words);
  EXPECT_EQ(load_dict<std::string>(path("w")).id("ç"), 2);
  EXPECT_THROW(load_dict<double>(path("w")), IoError);
  EXPECT_THROW(load_dict<char>(path("w")), IoError);
  EXPECT_THROW(save_dict(path("w"), IndexedDict<std::string>{"\xFF"}), ValueError);
  EXPECT_EQ(load_dict<std::string>(path("w")).size(), 3u);  // the old file stays
}
struct Point {
  int x, y;
  bool operator==(const Point&) const = default;
};
struct PointHash {
  std::size_t operator()(const Point& p) const { return static_cast<std::size_t>(p.x * 31 + p.y); }
};
TEST(IndexedDictOfStructs, NeedOnlyAHash) {
  IndexedDict<Point, PointHash> d{{1, 2}, {3, 4}, {1, 2}};
  EXPECT_EQ(d.size(), 2u);
  EXPECT_EQ(d.id({3, 4}), 1);
  EXPECT_THROW(d.id({5, 5}), ValueError);
}
}  // namespace
