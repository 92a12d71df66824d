// Reading tokenizer.json: every object is asked for all of its fields, so that nothing in a file is
// overlooked.
#include <algorithm>

#include "knet/text/json_file.hpp"
#include "knet/text/tokenizer.hpp"

namespace knet {
namespace {

using detail::json;
using detail::JsonFile;
using detail::shown;

constexpr std::int64_t max_padding = 1 << 20;

// The parts of a list-like object {"type": "Sequence", NAME: [..]}, or the object alone; nothing when null.
// Sequences of sequences are no deeper than the parser lets a file be.
void flatten(const JsonFile& f, const json* j, const char* what, const char* name,
             std::vector<const json*>& to) {
  if (!j || j->is_null()) return;
  if (f.string(*j, "type") != "Sequence") return to.push_back(j);
  f.object(*j, what, {"type", name});
  for (const json& e : f.list(*j, name)) flatten(f, &e, what, name, to);
}

// A text that must not be empty.
std::string some_text(const JsonFile& f, const json& j, const char* field) {
  auto s = f.string(j, field);
  if (s.empty()) f.bad("\"", field, "\" is empty");
  return s;
}

// {"String": "..."} or {"Regex": "..."}
std::variant<std::string, SplitPattern> pattern(const JsonFile& f, const json& j, const char* what) {
  const json& p = f.at(j, "pattern");
  f.object(p, what, {"String", "Regex"});
  if (JsonFile::find(p, "String")) {
    if (JsonFile::find(p, "Regex")) f.bad(what, " has two patterns");
    return some_text(f, p, "String");
  }
  const auto regex = f.string(p, "Regex");
  if (const auto known = pattern_of(regex)) return *known;
  f.bad(what, " has the regular expression ", shown(regex),
        ", which is not supported (supported are those of GPT-2, GPT-4 and Qwen2, and \\s+)");
}

TextNormalizer read_normalizer(const JsonFile& f, const json& j) {
  namespace n = normalizers;
  const auto type = f.string(j, "type");
  const auto fields = [&](std::initializer_list<const char*> names) {
    f.object(j, "normalizer " + type, names);
  };
  if (type == "BertNormalizer") {
    fields({"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
    n::Bert b{.clean_text = f.boolean(j, "clean_text", true),
              .handle_chinese_chars = f.boolean(j, "handle_chinese_chars", true),
              .lowercase = f.boolean(j, "lowercase", true)};
    if (JsonFile::find(j, "strip_accents")) b.strip_accents = f.boolean(j, "strip_accents", false);
    return b;
  }
  if (type == "Strip") {
    fields({"type", "strip_left", "strip_right"});
    return n::Strip{f.boolean(j, "strip_left", true), f.boolean(j, "strip_right", true)};
  }
  if (type == "Replace") {
    fields({"type", "pattern", "content"});
    const auto p = pattern(f, j, "normalizer Replace");
    if (!std::holds_alternative<std::string>(p))
      f.bad("normalizer Replace with a regular expression is not supported");
    return n::Replace{std::get<std::string>(p), f.string(j, "content")};
  }
  if (type == "Prepend") {
    fields({"type", "prepend"});
    return n::Prepend{f.string(j, "prepend")};
  }
  const std::pair<const char*, TextNormalizer> plain[] = {{"Lowercase", n::Lowercase{}},
                                                          {"StripAccents", n::StripAccents{}},
                                                          {"NFC", n::Normal{unicode::Form::nfc}},
                                                          {"NFD", n::Normal{unicode::Form::nfd}},
                                                          {"NFKC", n::Normal{unicode::Form::nfkc}},
                                                          {"NFKD", n::Normal{unicode::Form::nfkd}}};
  for (const auto& [name, value] : plain) {
    if (type == name) {
      fields({"type"});
      return value;
    }
  }
  f.bad("normalizer ", shown(type), " is not supported");
}

pre_tokenizers::Behavior behavior(const JsonFile& f, const json& j) {
  const auto s = f.string(j, "behavior");
  constexpr const char* names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                   "Contiguous"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (s == names[i]) return static_cast<pre_tokenizers::Behavior>(i);
  }
  f.bad("behavior ", shown(s), " is not supported");
}

pre_tokenizers::Prepend prepend_scheme(const JsonFile& f, const json& j) {
  const bool legacy = f.boolean(j, "add_prefix_space", true);
  const auto s = f.string(j, "prepend_scheme", legacy ? "always" : "never");
  if (s == "always") return pre_tokenizers::Prepend::always;
  if (s == "never") return pre_tokenizers::Prepend::never;
  if (s == "first") return pre_tokenizers::Prepend::first;
  f.bad("prepend_scheme ", shown(s), " is not supported");
}

PreTokenizer read_pre_tokenizer(const JsonFile& f, const json& j) {
  namespace p = pre_tokenizers;
  const auto type = f.string(j, "type");
  const auto fields = [&](std::initializer_list<const char*> names) {
    f.object(j, "pre_tokenizer " + type, names);
  };
  if (type == "ByteLevel") {
    fields({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return p::ByteLevel{f.boolean(j, "add_prefix_space", true), f.boolean(j, "use_regex", true)};
  }
  if (type == "Punctuation") {
    fields({"type", "behavior"});
    return p::Punctuation{JsonFile::find(j, "behavior") ? behavior(f, j) : p::Behavior::isolated};
  }
  if (type == "Digits") {
    fields({"type", "individual_digits"});
    return p::Digits{f.boolean(j, "individual_digits", false)};
  }
  if (type == "Metaspace") {
    fields({"type", "replacement", "prepend_scheme", "add_prefix_space", "split"});
    return p::Metaspace{some_text(f, j, "replacement"), prepend_scheme(f, j), f.boolean(j, "split", true)};
  }
  if (type == "Split") {
    fields({"type", "pattern", "behavior", "invert"});
    return p::Split{pattern(f, j, "pre_tokenizer Split"), behavior(f, j), f.boolean(j, "invert", false)};
  }
  if (type == "CharDelimiterSplit") {
    fields({"type", "delimiter"});
    return p::Split{some_text(f, j, "delimiter"), p::Behavior::removed, false};
  }
  const std::pair<const char*, PreTokenizer> plain[] = {{"BertPreTokenizer", p::Bert{}},
                                                        {"Whitespace", p::Whitespace{}},
                                                        {"WhitespaceSplit", p::WhitespaceSplit{}}};
  for (const auto& [name, value] : plain) {
    if (type == name) {
      fields({"type"});
      return value;
    }
  }
  f.bad("pre_tokenizer ", shown(type), " is not supported");
}

TokenDecoder read_decoder(const JsonFile& f, const json& j) {
  const auto type = f.string(j, "type");
  const auto fields = [&](std::initializer_list<const char*> names) {
    f.object(j, "decoder " + type, names);
  };
  if (type == "ByteLevel") {
    fields({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return decoders::ByteLevel{};
  }
  if (type == "WordPiece") {
    fields({"type", "prefix", "cleanup"});
    return decoders::WordPiece{f.string(j, "prefix", "##"), f.boolean(j, "cleanup", true)};
  }
  if (type == "BPEDecoder") {
    fields({"type", "suffix"});
    return decoders::Suffix{f.string(j, "suffix", "</w>")};
  }
  if (type == "Metaspace") {
    fields({"type", "replacement", "prepend_scheme", "add_prefix_space", "split"});
    return decoders::Metaspace{some_text(f, j, "replacement"),
                               prepend_scheme(f, j) != pre_tokenizers::Prepend::never};
  }
  if (type == "Replace") {
    fields({"type", "pattern", "content"});
    const auto p = pattern(f, j, "decoder Replace");
    if (!std::holds_alternative<std::string>(p))
      f.bad("decoder Replace with a regular expression is not supported");
    return decoders::Replace{std::get<std::string>(p), f.string(j, "content")};
  }
  if (type == "ByteFallback") return fields({"type"}), TokenDecoder(decoders::ByteFallback{});
  if (type == "Fuse") return fields({"type"}), TokenDecoder(decoders::Fuse{});
  if (type == "Strip") {
    fields({"type", "content", "start", "stop"});
    return decoders::Strip{some_text(f, j, "content"), f.integer(j, "start", 0), f.integer(j, "stop", 0)};
  }
  f.bad("decoder ", shown(type), " is not supported");
}

// {"token": id, ...}. Ids may leave gaps, but not so large that the file's size would not explain the table.
TokenTable read_vocabulary(const JsonFile& f, const json& j) {
  if (!j.is_object()) f.bad("the vocabulary is ", j.type_name(), " (expected an object of tokens with ids)");
  const std::uint64_t limit = 16 * std::uint64_t{j.size()} + 1024;
  std::vector<std::pair<std::uint64_t, const std::string*>> order;
  order.reserve(j.size());
  for (const auto& [token, id] : j.get_ref<const json::object_t&>()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= limit)
      f.bad("the token ", shown(token), " has no id in [0, ", limit, ")");
    order.emplace_back(id.get<std::uint64_t>(), &token);
  }
  std::sort(order.begin(), order.end());
  TokenTable t;
  for (const auto& [id, token] : order) {
    if (t.has_id(static_cast<std::int64_t>(id))) f.bad("the id ", id, " belongs to two tokens");
    t.add(*token, static_cast<std::int64_t>(id));
  }
  return t;
}

BytePair::Merge merge_of(const JsonFile& f, const json& j, std::size_t n) {
  if (j.is_array() && j.size() == 2 && j[0].is_string() && j[1].is_string())
    return {j[0].get<std::string>(), j[1].get<std::string>()};
  if (j.is_string()) {
    const auto s = j.get<std::string>();
    const auto blank = s.find(' ');
    if (blank != std::string::npos && s.find(' ', blank + 1) == std::string::npos)
      return {s.substr(0, blank), s.substr(blank + 1)};
  }
  f.bad("merge ", n + 1, " is not two tokens");
}

std::variant<BytePair, WordPiece> read_model(const JsonFile& f, const json& j, bool byte_level) {
  // Old files leave the type out.
  const auto type = f.string(j, "type", JsonFile::find(j, "merges") ? "BPE" : "WordPiece");
  if (type == "WordPiece") {
    f.object(j, "model WordPiece",
             {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
    if (byte_level) f.bad("model WordPiece after the pre_tokenizer ByteLevel is not supported");
    return WordPiece(read_vocabulary(f, f.at(j, "vocab")),
                     {.unknown = f.string(j, "unk_token", "[UNK]"),
                      .prefix = f.string(j, "continuing_subword_prefix", "##"),
                      .max_characters = f.integer(j, "max_input_chars_per_word", 100)});
  }
  if (type != "BPE") f.bad("model ", shown(type), " is not supported (expected BPE or WordPiece)");
  f.object(j, "model BPE",
           {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
            "byte_fallback", "ignore_merges", "vocab", "merges"});
  if (const json* d = JsonFile::find(j, "dropout"); d && (!d->is_number() || d->get<double>() != 0))
    f.bad("model BPE with dropout is not supported");
  std::vector<BytePair::Merge> merges;
  for (const json& m : f.list(j, "merges")) merges.push_back(merge_of(f, m, merges.size()));
  return BytePair(read_vocabulary(f, f.at(j, "vocab")), merges,
                  {.byte_level = byte_level,
                   .unknown = f.string(j, "unk_token", ""),
                   .prefix = f.string(j, "continuing_subword_prefix", ""),
                   .suffix = f.string(j, "end_of_word_suffix", ""),
                   .fuse_unknown = f.boolean(j, "fuse_unk", false),
                   .byte_fallback = f.boolean(j, "byte_fallback", false),
                   .ignore_merges = f.boolean(j, "ignore_merges", false)});
}

using Template = std::vector<TemplatePiece>;

// ["[SEP]", 102]
TemplatePiece token_pair(const JsonFile& f, const json& j, const char* field) {
  const json& p = f.list(j, field);
  if (p.size() != 2 || !p[0].is_string() || !p[1].is_number_unsigned())
    f.bad("\"", field, "\" is not a token and its id");
  return {TemplatePiece::token, 0, p[1].get<std::int64_t>(), p[0].get<std::string>()};
}

Template read_template(const JsonFile& f, const json& j, const char* field, const json& specials) {
  Template r;
  for (const json& e : f.list(j, field)) {
    f.object(e, "a piece of the template", {"Sequence", "SpecialToken"});
    if (const json* s = JsonFile::find(e, "Sequence")) {
      f.object(*s, "Sequence", {"id", "type_id"});
      const auto id = f.string(*s, "id");
      if (id != "A" && id != "B") f.bad("the template has the sequence ", shown(id), " (expected A or B)");
      r.push_back({id == "A" ? TemplatePiece::first : TemplatePiece::second, f.integer(*s, "type_id", 0)});
      continue;
    }
    const json& s = f.at(e, "SpecialToken");
    f.object(s, "SpecialToken", {"id", "type_id"});
    const auto name = f.string(s, "id");
    const json& token = f.at(specials, name.c_str());
    f.object(token, "a special token of the template", {"id", "ids", "tokens"});
    const auto tokens = f.strings(token, "tokens");
    const json& ids = f.list(token, "ids");
    if (ids.size() != tokens.size())
      f.bad("the special token ", shown(name), " has as many ids as tokens not");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (!ids[i].is_number_unsigned()) f.bad("the special token ", shown(name), " has an id that is none");
      r.push_back({TemplatePiece::token, f.integer(s, "type_id", 0), ids[i].get<std::int64_t>(), tokens[i]});
    }
  }
  return r;
}

void read_post_processor(const JsonFile& f, const json& j, Tokenizer& t, int& templates) {
  const auto type = f.string(j, "type");
  const auto fields = [&](std::initializer_list<const char*> names) {
    f.object(j, "post_processor " + type, names);
  };
  if (type == "ByteLevel") return fields({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (++templates > 1) f.bad("two post_processors that add tokens are not supported");
  const TemplatePiece a{TemplatePiece::first}, b{TemplatePiece::second, 1}, b0{TemplatePiece::second, 0};
  if (type == "TemplateProcessing") {
    fields({"type", "single", "pair", "special_tokens"});
    static const json none = json::object();
    const json* specials = JsonFile::find(j, "special_tokens");
    t.single = read_template(f, j, "single", specials ? *specials : none);
    t.pair = read_template(f, j, "pair", specials ? *specials : none);
    for (const TemplatePiece& p : t.single) {
      if (p.kind == TemplatePiece::second) f.bad("the template for one text names the second");
    }
  } else if (type == "BertProcessing") {
    fields({"type", "sep", "cls"});
    const auto cls = token_pair(f, j, "cls"), sep = token_pair(f, j, "sep");
    auto sep1 = sep;
    sep1.type_id = 1;
    t.single = {cls, a, sep};
    t.pair = {cls, a, sep, b, sep1};
  } else if (type == "RobertaProcessing") {
    fields({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    const auto cls = token_pair(f, j, "cls"), sep = token_pair(f, j, "sep");
    t.single = {cls, a, sep};
    t.pair = {cls, a, sep, sep, b0, sep};
  } else {
    f.bad("post_processor ", shown(type), " is not supported");
  }
}

void check_template(const JsonFile& f, const Tokenizer& t, const Template& pieces) {
  for (const TemplatePiece& p : pieces) {
    if (p.kind == TemplatePiece::token && t.id(p.text) != p.id)
      f.bad("the post_processor has ", shown(p.text), " with id ", p.id, "; the vocabulary has ",
            t.id(p.text));
  }
}

bool is_left(const JsonFile& f, const json& j) {
  const auto s = f.string(j, "direction", "Right");
  if (s != "Left" && s != "Right") f.bad("direction ", shown(s), " (expected Left or Right)");
  return s == "Left";
}

TokenTruncation read_truncation(const JsonFile& f, const json& j) {
  f.object(j, "truncation", {"direction", "max_length", "strategy", "stride"});
  if (f.integer(j, "stride", 0) != 0) f.bad("truncation with a stride is not supported");
  const auto s = f.string(j, "strategy", "LongestFirst");
  const auto strategy = s == "LongestFirst" ? TruncationStrategy::longest_first
                        : s == "OnlyFirst"  ? TruncationStrategy::only_first
                        : s == "OnlySecond" ? TruncationStrategy::only_second
                                            : (f.bad("truncation strategy ", shown(s)), TruncationStrategy{});
  return {f.integer(j, "max_length"), strategy, is_left(f, j)};
}

BatchPadding read_padding(const JsonFile& f, const json& j) {
  f.object(j, "padding",
           {"strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token"});
  BatchPadding p{.id = f.integer(j, "pad_id"),
                 .type_id = f.integer(j, "pad_type_id", 0),
                 .token = f.string(j, "pad_token"),
                 .multiple_of = f.integer(j, "pad_to_multiple_of", 0),
                 .left = is_left(f, j)};
  const json& s = f.at(j, "strategy");
  if (s.is_object()) {
    f.object(s, "padding strategy", {"Fixed"});
    p.length = f.integer(s, "Fixed");
  } else if (f.string(j, "strategy") != "BatchLongest") {
    f.bad("padding strategy ", shown(f.string(j, "strategy")), " is not supported");
  }
  if (p.length > max_padding || p.multiple_of > max_padding)
    f.bad("padding to more than ", max_padding, " tokens");
  return p;
}

void read_added_tokens(const JsonFile& f, const json& j, Tokenizer& t) {
  if (!j.is_array()) f.bad("added_tokens is ", j.type_name(), " (expected a list)");
  for (const json& e : j) {
    f.object(e, "an added token",
             {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    const bool special = f.boolean(e, "special", false);
    t.add({.content = f.string(e, "content"),
           .id = f.integer(e, "id"),
           .special = special,
           .normalized = f.boolean(e, "normalized", !special),
           .single_word = f.boolean(e, "single_word", false),
           .lstrip = f.boolean(e, "lstrip", false),
           .rstrip = f.boolean(e, "rstrip", false)});
  }
}

Tokenizer read(const JsonFile& f) {
  const json& top = f.object(f.root, "the file",
                             {"version", "truncation", "padding", "added_tokens", "normalizer",
                              "pre_tokenizer", "post_processor", "decoder", "model"});
  f.expect(top, "version", "1.0");
  Tokenizer t;
  std::vector<const json*> parts;
  flatten(f, JsonFile::find(top, "normalizer"), "normalizer Sequence", "normalizers", parts);
  for (const json* p : parts) t.normalizers.push_back(read_normalizer(f, *p));
  parts.clear();
  flatten(f, JsonFile::find(top, "pre_tokenizer"), "pre_tokenizer Sequence", "pretokenizers", parts);
  bool byte_level = false;
  for (const json* p : parts) {
    if (byte_level) f.bad("the pre_tokenizer ByteLevel is not the last (not supported)");
    t.pre_tokenizers.push_back(read_pre_tokenizer(f, *p));
    byte_level = std::holds_alternative<pre_tokenizers::ByteLevel>(t.pre_tokenizers.back());
  }
  t.model = read_model(f, f.at(top, "model"), byte_level);
  if (const json* added = JsonFile::find(top, "added_tokens")) read_added_tokens(f, *added, t);
  parts.clear();
  flatten(f, JsonFile::find(top, "post_processor"), "post_processor Sequence", "processors", parts);
  int templates = 0;
  for (const json* p : parts) read_post_processor(f, *p, t, templates);
  check_template(f, t, t.single);
  check_template(f, t, t.pair);
  parts.clear();
  flatten(f, JsonFile::find(top, "decoder"), "decoder Sequence", "decoders", parts);
  for (const json* p : parts) t.decoders.push_back(read_decoder(f, *p));
  if (const json* j = JsonFile::find(top, "truncation")) t.truncation = read_truncation(f, *j);
  if (const json* j = JsonFile::find(top, "padding")) t.padding = read_padding(f, *j);
  return t;
}

Tokenizer read_checked(const JsonFile& f) {
  try {
    return read(f);
  } catch (const ValueError& e) {  // of a model or token that does not fit
    f.bad(e.what());
  }
}

}  // namespace

Tokenizer parse_tokenizer(std::string_view text, const std::string& name) {
  return read_checked(JsonFile("load_tokenizer", name, text));
}
Tokenizer load_tokenizer(const std::string& path) { return read_checked(JsonFile("load_tokenizer", path)); }

}  // namespace knet
