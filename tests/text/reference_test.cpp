// What Hugging Face's library makes of nasty strings, byte for byte (tests/reference/text_reference.py).
#include <map>

#include "knet/text/json_file.hpp"
#include "knet/text/tokenizer.hpp"
#include "knet/text/unicode.hpp"
#include "tests/io/io_test.hpp"

namespace {
using namespace knet;
using nlohmann::json;

std::string file(const std::string& name) { return std::string(KNET_SOURCE_DIR "/tests/data/text/") + name; }

class Reference : public testing::Test {
 protected:
  static const json& root() {
    static const detail::JsonFile f("test", file("cases.json.gz"));
    return f.root;
  }
  // A file, or one with some of its parts replaced.
  static Tokenizer make(const std::string& name) {
    if (!root()["variants"].contains(name)) return load_tokenizer(file(name + ".json"));
    const json& v = root()["variants"][name];
    detail::JsonFile f("test", file(v[0].get<std::string>() + ".json"));
    for (const auto& [part, value] : v[1].items()) {
      if (part == "model")
        f.root["model"].update(value);
      else
        f.root[part] = value;
    }
    return parse_tokenizer(f.root.dump(), name);
  }
  static void run(const std::map<std::string, Tokenizer>& tokenizers) {
    int n = 0;
    for (const json& c : root()["cases"]) {
      const auto name = c[0].get<std::string>();
      const auto found = tokenizers.find(name);
      ASSERT_NE(found, tokenizers.end()) << name;
      Tokenizer t = found->second;
      const auto a = c[1].get<std::string>();
      const json& options = c[3];
      const EncodeOptions o{.special_tokens = options.value("special_tokens", true),
                            .max_length = options.value("max_length", std::int64_t{0})};
      if (o.max_length > 0) {
        const auto s = options.value("strategy", "longest_first");
        t.truncation = TokenTruncation{.strategy = s == "only_first"    ? TruncationStrategy::only_first
                                                   : s == "only_second" ? TruncationStrategy::only_second
                                                                        : TruncationStrategy::longest_first,
                                       .left = options.value("direction", "right") == "left"};
      }
      const EncodedText e = c[2].is_null() ? t.encode(a, o) : t.encode(a, c[2].get<std::string>(), o);
      EXPECT_EQ(e.ids, c[4].get<std::vector<std::int64_t>>()) << name << ": " << c[1] << " " << c[2];
      EXPECT_EQ(e.type_ids, c[5].get<std::vector<std::int64_t>>()) << name << ": " << c[1] << " " << c[2];
      const auto text = t.decode(e.ids, options.value("keep", false));
      // Theirs replaces what is not UTF-8.
      if (unicode::is_utf8(text)) {
        EXPECT_EQ(text, c[6].get<std::string>()) << name << ": " << c[1];
      }
      ++n;
    }
    EXPECT_GT(n, 900);
  }
  static std::map<std::string, Tokenizer> all() {
    std::map<std::string, Tokenizer> r;
    for (const json& c : root()["cases"]) {
      const auto name = c[0].get<std::string>();
      if (!r.contains(name)) r.emplace(name, make(name));
    }
    return r;
  }
};

TEST_F(Reference, EveryCase) { run(all()); }

TEST_F(Reference, TheSameAfterSavingAndLoading) {
  std::map<std::string, Tokenizer> again;
  const std::string path = testing::TempDir() + "knet-tokenizer.json";
  for (const auto& [name, t] : all()) {
    save_tokenizer(path, t);
    again.emplace(name, load_tokenizer(path));
    const auto first = io_test::read(path);
    save_tokenizer(path, again.at(name));
    EXPECT_EQ(first, io_test::read(path)) << name;
  }
  std::filesystem::remove(path);
  run(again);
}

TEST_F(Reference, OlderFilesMakeTheSameTokenizers) {
  const Tokenizer gpt2 = load_gpt2_tokenizer(file("gpt2-vocab.json"), file("gpt2-merges.txt"));
  const Tokenizer bert = load_bert_tokenizer(file("bert-vocab.txt"));
  std::map<std::string, Tokenizer> t = all();
  t["gpt2"] = gpt2;
  t["bert"] = bert;
  run(t);
}
}  // namespace
