#include "knet/text/word_vectors.hpp"

#include <cmath>
#include <cstring>

#include "knet/io/gzip.hpp"
#include "knet/knet.hpp"
#include "knet/text/json_file.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using io_test::has;

std::string file(const std::string& name) { return std::string(KNET_SOURCE_DIR "/tests/data/text/") + name; }
WordVectors parse(const std::string& s, WordVectorOptions o = {}) {
  const auto b = io_test::bytes(s);
  return parse_word_vectors(b, "memory", nullptr, o);
}
WordVectors parse(const std::string& s, const IndexedDict<std::string>& v, WordVectorOptions o = {}) {
  const auto b = io_test::bytes(s);
  return parse_word_vectors(b, "memory", &v, o);
}
const std::string glove = "the 1 2 3\n, -1e0 0.5 .25\nNew York 4 5 6\nthe 9 9 9\nçok 1e-60 0 -0\n";
const std::string binary = [] {
  std::string s = "3 2\n";
  const float rows[3][2] = {{1, 2}, {3, -4}, {0, 0.5}};
  const char* words[] = {"a", "b c", "ç"};
  for (int i = 0; i < 3; ++i) {
    s += std::string(words[i]).substr(0, 1 + (i == 2)) + " ";
    s.append(reinterpret_cast<const char*>(rows[i]), 8);
    if (i < 2) s += "\n";
  }
  return s;
}();

TEST(WordVectors, Text) {
  const WordVectors v = parse(glove);
  EXPECT_EQ(v.words.size(), 4u);
  EXPECT_EQ(v.words.element(2), "New York");
  EXPECT_TRUE(equal(v.vectors, Tensor(std::vector<float>{1, 2, 3, -1, 0.5, .25, 4, 5, 6, 0, 0, 0}, {4, 3})));
  EXPECT_EQ(parse(glove, {.max_words = 2}).words.size(), 2u);
  const WordVectors w = parse("2 3 \r\na 1 2 3 \r\nb 4 5 6 \r\n");
  EXPECT_EQ(w.words.size(), 2u);
  EXPECT_EQ(w.vectors(1, 2).item(), 6);
  const std::string zipped = [] {
    const auto z = io::gzip(io_test::bytes(glove));
    return std::string(reinterpret_cast<const char*>(z.data()), z.size());
  }();
  EXPECT_TRUE(equal(parse(zipped).vectors, v.vectors));
}
TEST(WordVectors, Word2vecBinary) {
  const WordVectors v = parse(binary);
  EXPECT_EQ(v.words.ids({"a", "b", "ç"}), (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_TRUE(equal(v.vectors, Tensor(std::vector<float>{1, 2, 3, -4, 0, 0.5}, {3, 2})));
  EXPECT_EQ(parse(binary, {.max_words = 1}).words.size(), 1u);
}
TEST(WordVectors, SpecialsAndMissingWords) {
  const WordVectors v =
      parse(glove, {.specials = {"<pad>", "<unk>", "çok"}, .pad = "<pad>", .missing = MissingVector::mean});
  EXPECT_EQ(v.words.element(2), "çok");
  EXPECT_EQ(v.words.size(), 6u);
  EXPECT_EQ(v.known.to_vector<bool>(), (std::vector<bool>{0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(abs(v.vectors(0)).sum().item(), 0);
  EXPECT_FLOAT_EQ(v.vectors(1, 0).item<float>(), (1 - 1 + 4 + 0) / 4.0f);
  const IndexedDict<std::string> vocabulary{"zebra", "THE", "the", "Çok", ","};
  const WordVectors r = parse(glove, vocabulary, {.seed = 4});
  EXPECT_EQ(r.known.to_vector<bool>(), (std::vector<bool>{0, 0, 1, 0, 1}));
  EXPECT_GT(abs(r.vectors(0)).sum().item(), 0);
  EXPECT_TRUE(equal(r.vectors, parse(glove, vocabulary, {.seed = 4}).vectors));
  const WordVectors l = parse(glove, vocabulary, {.missing = MissingVector::zeros, .lower = true});
  EXPECT_TRUE(equal(l.vectors(1), l.vectors(2)));
  EXPECT_EQ(l.known.to_vector<bool>(), (std::vector<bool>{0, 1, 1, 1, 1}));
  EXPECT_EQ(abs(l.vectors(0)).sum().item(), 0);
  EXPECT_THROW(parse(glove, vocabulary, {.specials = {"x"}}), ValueError);
  EXPECT_THROW(parse(glove, {.pad = "nowhere"}), ValueError);
  // The deviation of many random rows is that of the numbers read.
  IndexedDict<std::string> many{"the", ",", "New York"};
  for (int i = 0; i < 3000; ++i) many.push_back("w" + std::to_string(i));
  const WordVectors m = parse(glove, many, {.seed = 9});
  const double wanted = var(m.vectors(slice(0, 3)).to(f64), {}, false, false).item();
  EXPECT_NEAR(var(m.vectors(slice(3, end)).to(f64)).item() / wanted, 1, 0.1);
}
TEST(WordVectors, AsALayer) {
  const WordVectors v = parse(glove);
  Embed fixed = embed(v), free = embed(v, false);
  EXPECT_TRUE(equal(fixed(Tensor{2, 0}), v.vectors(Tensor{2, 0})));
  EXPECT_TRUE(fixed.weight.frozen());
  Tape tape = diff([&] { return (fixed(Tensor{1}) + free(Tensor{1})).sum(); });
  EXPECT_FALSE(tape.uses(fixed.weight));
  EXPECT_TRUE(tape.uses(free.weight));
  EXPECT_THROW(embed(WordVectors{}), Error);
}
TEST(WordVectors, MalformedOnesAreRefused) {
  const auto error = [](const std::string& s) { return io_test::error_of([&] { parse(s); }); };
  EXPECT_TRUE(has(error("a 1 2\nb 1\n"), "memory: line 2"));
  EXPECT_TRUE(has(error("a 1 2\nb 1 x\n"), "line 2"));
  EXPECT_TRUE(has(error("a 1 2\nb 1 nan\n"), "line 2"));
  EXPECT_TRUE(has(error("a 1 2\nb 1 1e99\n"), "line 2"));
  EXPECT_TRUE(has(error("a 1 2\n 1 2\n"), "line 2"));
  EXPECT_TRUE(has(error("a 1 2\n\nb 1 2\n"), "line 2"));
  EXPECT_TRUE(has(error(""), "no vectors"));
  EXPECT_TRUE(has(error("word\n"), "line 1"));
  EXPECT_TRUE(has(error("2 2\na 1 2\n"), "has 1 words"));
  EXPECT_TRUE(has(error("1 2\na 1 2\nb 1 2\n"), "line 3: more than the 1 words"));
  EXPECT_TRUE(has(error("1 9999999\na 1 2\n"), "9999999"));
  EXPECT_TRUE(has(error("5 2\n" + binary.substr(4)), "ends"));
  EXPECT_TRUE(has(error("2 2\n" + binary.substr(4)), "something follows"));
  EXPECT_TRUE(has(error(binary.substr(0, binary.size() - 1)), "truncated"));
}
TEST(WordVectors, SavedAndLoaded) {
  const std::string path = testing::TempDir() + "knet-vectors.txt";
  WordVectors v = parse("a 0.1 -2.5e-7\nb 123456.7 3\n");
  save_word_vectors(path, v);
  const WordVectors w = load_word_vectors(path);
  EXPECT_TRUE(equal(v.vectors, w.vectors));
  EXPECT_EQ(w.words.id("b"), 1);
  v.words = IndexedDict<std::string>{"a b", "c"};
  EXPECT_THROW(save_word_vectors(path, v), ValueError);
  EXPECT_EQ(load_word_vectors(path).words.size(), 2u);
}
TEST(WordVectors, FastTextFilesMakeTheVectorsOfFastText) {
  const detail::JsonFile f("test", file("fasttext.json"));
  const WordVectors all = load_word_vectors(file("fasttext.bin"));
  const std::vector<std::string> words = f.root["words"];
  EXPECT_EQ(std::vector<std::string>(all.words.begin(), all.words.end()), words);
  IndexedDict<std::string> asked;
  for (const auto& [word, vector] : f.root["vectors"].items()) asked.push_back(word);
  const WordVectors v = load_word_vectors(file("fasttext.bin"), asked);
  for (const auto& [word, vector] : f.root["vectors"].items()) {
    const Tensor expected(vector.get<std::vector<double>>());
    EXPECT_TRUE(allclose(v.vectors(v.words.id(word)).to(f64), expected, 1e-5, 1e-6)) << word;
    if (all.words.contains(word)) {
      EXPECT_TRUE(allclose(all.vectors(all.words.id(word)).to(f64), expected, 1e-5, 1e-6)) << word;
    }
  }
  EXPECT_EQ(load_word_vectors(file("fasttext.bin"), {.max_words = 3}).words.size(), 3u);
  // Every shorter file is refused.
  const std::string whole = io_test::read(file("fasttext.bin"));
  for (std::size_t n = 4; n < 900; n += 3) EXPECT_THROW(parse(whole.substr(0, n)), IoError) << n;
  // A table for a vocabulary is not made for a file without words (found by fuzzing).
  std::string none = whole.substr(0, 64) + std::string(28, '\0') + std::string(17, '\0');
  EXPECT_TRUE(
      io_test::has(io_test::error_of([&] { parse(none, IndexedDict<std::string>{"a"}); }), "no words"));
  std::string damaged = whole;
  damaged[12] = '\x7f', damaged[9] = '\x7f';  // larger vectors
  EXPECT_THROW(parse(damaged), IoError);
}

std::string real_glove() {
  const char* data = std::getenv("KNET_DATA");
  for (const std::string& f :
       {data ? std::string(data) : std::string(), std::string(KNET_SOURCE_DIR "/../shared/data")}) {
    if (!f.empty() && std::filesystem::exists(f + "/glove/glove.20k.100d.txt.gz"))
      return f + "/glove/glove.20k.100d.txt.gz";
  }
  return "";
}
TEST(RealData, GloveKnowsItsNeighbours) {
  const std::string path = real_glove();
  if (path.empty()) GTEST_SKIP() << "no glove/glove.20k.100d.txt.gz in $KNET_DATA or ../shared/data";
  const WordVectors v = load_word_vectors(path);
  EXPECT_EQ(v.vectors.shape(), (Shape{20000, 100}));
  EXPECT_EQ(v.words.element(0), "the");
  const auto among = [](const std::vector<Neighbour>& n, const std::string& word) {
    return std::any_of(n.begin(), n.end(), [&](const Neighbour& x) { return x.word == word; });
  };
  EXPECT_TRUE(among(nearest(v, "france", 5), "belgium"));
  EXPECT_TRUE(among(nearest(v, "dog", 3), "cat"));
  EXPECT_TRUE(among(nearest(v, "red", 5), "blue"));
  EXPECT_TRUE(among(nearest(v, "monday", 6), "friday"));
  EXPECT_EQ(analogy(v, "king", "man", "woman").at(0).word, "queen");
  EXPECT_EQ(analogy(v, "paris", "france", "germany").at(0).word, "berlin");
  const auto n = nearest(v, "cat", 10);
  EXPECT_EQ(n.size(), 10u);
  for (std::size_t i = 1; i < n.size(); ++i) EXPECT_LE(n[i].similarity, n[i - 1].similarity);
  EXPECT_THROW(nearest(v, "notawordatall"), ValueError);
}
}  // namespace
