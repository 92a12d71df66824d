// Writing tokenizer.json, in the form that Hugging Face's library writes and reads.
#include "knet/text/json_file.hpp"
#include "knet/text/tokenizer.hpp"

namespace knet {
namespace {

using Json = nlohmann::ordered_json;

Json pattern(const std::variant<std::string, SplitPattern>& p) {
  if (const auto* s = std::get_if<std::string>(&p)) return {{"String", *s}};
  return {{"Regex", regex_of(std::get<SplitPattern>(p))}};
}

// One normaliser may become several.
struct NormalizerWriter {
  Json& to;
  void plain(const char* type) const { to.push_back({{"type", type}}); }
  void replace(const std::string& from, const std::string& content) const {
    to.push_back({{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", content}});
  }
  void operator()(const normalizers::Bert& n) const {
    to.push_back({{"type", "BertNormalizer"},
                  {"clean_text", n.clean_text},
                  {"handle_chinese_chars", n.handle_chinese_chars},
                  {"strip_accents", n.strip_accents ? Json(*n.strip_accents) : Json()},
                  {"lowercase", n.lowercase}});
  }
  void operator()(const normalizers::Lowercase& n) const {
    if (n.language == unicode::Language::turkish) {
      replace("I\xCC\x87", "i");
      replace("\xC4\xB0", "i");  // İ
      replace("I", "\xC4\xB1");  // ı
    }
    plain("Lowercase");
  }
  void operator()(const normalizers::Normal& n) const {
    constexpr const char* names[] = {"NFC", "NFD", "NFKC", "NFKD"};
    plain(names[static_cast<std::size_t>(n.form)]);
  }
  void operator()(const normalizers::StripAccents&) const { plain("StripAccents"); }
  void operator()(const normalizers::Strip& n) const {
    to.push_back({{"type", "Strip"}, {"strip_left", n.left}, {"strip_right", n.right}});
  }
  void operator()(const normalizers::Replace& n) const { replace(n.pattern, n.content); }
  void operator()(const normalizers::Prepend& n) const {
    to.push_back({{"type", "Prepend"}, {"prepend", n.text}});
  }
};

const char* behavior(pre_tokenizers::Behavior b) {
  constexpr const char* names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                   "Contiguous"};
  return names[static_cast<std::size_t>(b)];
}
struct PreTokenizerWriter {
  Json operator()(const pre_tokenizers::Bert&) const { return {{"type", "BertPreTokenizer"}}; }
  Json operator()(const pre_tokenizers::Whitespace&) const { return {{"type", "Whitespace"}}; }
  Json operator()(const pre_tokenizers::WhitespaceSplit&) const { return {{"type", "WhitespaceSplit"}}; }
  Json operator()(const pre_tokenizers::ByteLevel& p) const {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", p.add_prefix_space},
            {"trim_offsets", true},
            {"use_regex", p.use_regex}};
  }
  Json operator()(const pre_tokenizers::Punctuation& p) const {
    return {{"type", "Punctuation"}, {"behavior", behavior(p.behavior)}};
  }
  Json operator()(const pre_tokenizers::Digits& p) const {
    return {{"type", "Digits"}, {"individual_digits", p.individual_digits}};
  }
  Json operator()(const pre_tokenizers::Metaspace& p) const {
    constexpr const char* schemes[] = {"always", "never", "first"};
    return {{"type", "Metaspace"},
            {"replacement", p.replacement},
            {"prepend_scheme", schemes[static_cast<std::size_t>(p.prepend_scheme)]},
            {"split", p.split}};
  }
  Json operator()(const pre_tokenizers::Split& p) const {
    return {{"type", "Split"},
            {"pattern", pattern(p.pattern)},
            {"behavior", behavior(p.behavior)},
            {"invert", p.invert}};
  }
};

struct DecoderWriter {
  Json operator()(const decoders::ByteLevel&) const {
    return {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  }
  Json operator()(const decoders::WordPiece& d) const {
    return {{"type", "WordPiece"}, {"prefix", d.prefix}, {"cleanup", d.cleanup}};
  }
  Json operator()(const decoders::Suffix& d) const { return {{"type", "BPEDecoder"}, {"suffix", d.suffix}}; }
  Json operator()(const decoders::Metaspace& d) const {
    return {{"type", "Metaspace"},
            {"replacement", d.replacement},
            {"prepend_scheme", d.prepended ? "always" : "never"},
            {"split", true}};
  }
  Json operator()(const decoders::Replace& d) const {
    return {{"type", "Replace"}, {"pattern", {{"String", d.pattern}}}, {"content", d.content}};
  }
  Json operator()(const decoders::ByteFallback&) const { return {{"type", "ByteFallback"}}; }
  Json operator()(const decoders::Fuse&) const { return {{"type", "Fuse"}}; }
  Json operator()(const decoders::Strip& d) const {
    return {{"type", "Strip"}, {"content", d.content}, {"start", d.start}, {"stop", d.stop}};
  }
};

// Nothing, the only one, or a sequence.
Json listed(Json all, const char* name) {
  if (all.empty()) return nullptr;
  if (all.size() == 1) return all[0];
  return {{"type", "Sequence"}, {name, std::move(all)}};
}

Json vocabulary(const TokenTable& t) {
  Json r = Json::object();
  auto& entries = r.get_ref<Json::object_t&>();
  for (std::int64_t i = 0; i < t.end_id(); ++i) {
    // The table holds each token once: no search for one that is there.
    if (t.has_id(i)) entries.emplace_back(t.token(i), i);
  }
  return r;
}

struct ModelWriter {
  static Json optional(const std::string& s) { return s.empty() ? Json() : Json(s); }
  Json operator()(const BytePair& m) const {
    const auto& o = m.options();
    Json merges = Json::array();
    for (auto& [a, b] : m.merges()) merges.push_back({a, b});
    return {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", optional(o.unknown)},
            {"continuing_subword_prefix", optional(o.prefix)},
            {"end_of_word_suffix", optional(o.suffix)},
            {"fuse_unk", o.fuse_unknown},
            {"byte_fallback", o.byte_fallback},
            {"ignore_merges", o.ignore_merges},
            {"vocab", vocabulary(m.tokens())},
            {"merges", std::move(merges)}};
  }
  Json operator()(const WordPiece& m) const {
    const auto& o = m.options();
    return {{"type", "WordPiece"},
            {"unk_token", o.unknown},
            {"continuing_subword_prefix", o.prefix},
            {"max_input_chars_per_word", o.max_characters},
            {"vocab", vocabulary(m.tokens())}};
  }
};

Json added_tokens(const Tokenizer& t) {
  Json r = Json::array();
  for (const auto& [id, a] : t.added.list()) {
    r.push_back({{"id", id},
                 {"content", a.content},
                 {"single_word", a.single_word},
                 {"lstrip", a.lstrip},
                 {"rstrip", a.rstrip},
                 {"normalized", a.normalized},
                 {"special", a.special}});
  }
  return r;
}

Json pieces(const std::vector<TemplatePiece>& list, Json& specials) {
  Json r = Json::array();
  for (const TemplatePiece& p : list) {
    if (p.kind == TemplatePiece::token) {
      r.push_back({{"SpecialToken", {{"id", p.text}, {"type_id", p.type_id}}}});
      specials[p.text] = {{"id", p.text}, {"ids", Json::array({p.id})}, {"tokens", Json::array({p.text})}};
    } else {
      const char* name = p.kind == TemplatePiece::first ? "A" : "B";
      r.push_back({{"Sequence", {{"id", name}, {"type_id", p.type_id}}}});
    }
  }
  return r;
}
Json post_processor(const Tokenizer& t) {
  const Tokenizer plain;
  const auto same = [](const auto& a, const auto& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i].kind != b[i].kind || a[i].type_id != b[i].type_id) return false;
    }
    return true;
  };
  if (same(t.single, plain.single) && same(t.pair, plain.pair)) return nullptr;
  Json specials = Json::object(), single = pieces(t.single, specials), pair = pieces(t.pair, specials);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(specials)}};
}

Json truncation(const TokenTruncation& t) {
  constexpr const char* strategies[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
  return {{"direction", t.left ? "Left" : "Right"},
          {"max_length", t.max_length},
          {"strategy", strategies[static_cast<std::size_t>(t.strategy)]},
          {"stride", 0}};
}
Json padding(const BatchPadding& p) {
  return {{"strategy", p.length > 0 ? Json{{"Fixed", p.length}} : Json("BatchLongest")},
          {"direction", p.left ? "Left" : "Right"},
          {"pad_to_multiple_of", p.multiple_of > 0 ? Json(p.multiple_of) : Json()},
          {"pad_id", p.id},
          {"pad_type_id", p.type_id},
          {"pad_token", p.token}};
}

}  // namespace

void save_tokenizer(const std::string& path, const Tokenizer& t) {
  Json normalizers = Json::array(), pre = Json::array(), decoders = Json::array();
  for (const auto& n : t.normalizers) std::visit(NormalizerWriter{normalizers}, n);
  for (const auto& p : t.pre_tokenizers) pre.push_back(std::visit(PreTokenizerWriter{}, p));
  for (const auto& d : t.decoders) decoders.push_back(std::visit(DecoderWriter{}, d));
  const Json top = {{"version", "1.0"},
                    {"truncation", t.truncation ? truncation(*t.truncation) : Json()},
                    {"padding", t.padding ? padding(*t.padding) : Json()},
                    {"added_tokens", added_tokens(t)},
                    {"normalizer", listed(std::move(normalizers), "normalizers")},
                    {"pre_tokenizer", listed(std::move(pre), "pretokenizers")},
                    {"post_processor", post_processor(t)},
                    {"decoder", listed(std::move(decoders), "decoders")},
                    {"model", std::visit(ModelWriter{}, t.model)}};
  std::string text;
  try {
    text = top.dump(2);
  } catch (const nlohmann::json::exception&) {  // the only thing it refuses
    fail<ValueError>("save_tokenizer: ", path, ": a token is not UTF-8");
  }
  detail::write_text(path, text + "\n");
}

}  // namespace knet
