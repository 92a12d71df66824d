// vocab.json with merges.txt, and vocab.txt.
#include "knet/text/vocabulary_files.hpp"

#include "knet/io/atomic_file.hpp"
#include "knet/text/json_file.hpp"

namespace knet {
namespace detail {
namespace {

// Calls f(line, number from 1) for every line, without its end; "\r\n" ends one too.
template <class F>
void each_line(std::string_view s, const F& f) {
  std::size_t number = 0;
  while (!s.empty()) {
    const std::size_t end = s.find('\n');
    std::string_view line = s.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    f(line, ++number);
    s.remove_prefix(end == std::string_view::npos ? s.size() : end + 1);
  }
}

// {"token": id, ...} and a merge per line.
BytePair read_pairs(const char* who, std::string_view vocab, const std::string& vocab_name,
                    std::string_view merges, const std::string& merges_name, const BytePairOptions& o) {
  const JsonFile f(who, vocab_name, vocab);
  if (!f.root.is_object()) f.bad("is ", f.root.type_name(), " (expected an object of tokens with ids)");
  const std::uint64_t limit = 16 * std::uint64_t{f.root.size()} + 1024;
  std::vector<BytePair::Merge> list;
  each_line(merges, [&](std::string_view line, std::size_t number) {
    if ((number == 1 && line.starts_with("#version")) || line.empty()) return;
    const auto blank = line.find(' ');
    if (blank == std::string_view::npos || line.find(' ', blank + 1) != std::string_view::npos)
      fail<IoError>(who, ": ", merges_name, ": line ", number, ": ", shown(line), " (expected two tokens)");
    list.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  });
  TokenTable tokens;
  try {
    for (const auto& [token, id] : f.root.get_ref<const json::object_t&>()) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= limit)
        f.bad("the token ", shown(token), " has no id in [0, ", limit, ")");
      tokens.add(token, id.get<std::int64_t>());
    }
    return BytePair(std::move(tokens), list, o);
  } catch (const ValueError& e) {
    f.bad(e.what());
  }
}

}  // namespace

Tokenizer parse_gpt2(std::string_view vocab, const std::string& vocab_name, std::string_view merges,
                     const std::string& merges_name) {
  Tokenizer t;
  t.pre_tokenizers = {pre_tokenizers::ByteLevel{.add_prefix_space = false}};
  t.decoders = {decoders::ByteLevel{}};
  t.model = read_pairs("load_gpt2_tokenizer", vocab, vocab_name, merges, merges_name, {.byte_level = true});
  if (t.tokens().contains("<|endoftext|>")) t.add({.content = "<|endoftext|>"});
  return t;
}

Tokenizer parse_bert(std::string_view vocab, const std::string& name, const BertOptions& o) {
  const char* who = "load_bert_tokenizer";
  TokenTable tokens;
  each_line(vocab, [&](std::string_view line, std::size_t number) {
    if (tokens.contains(line))
      fail<IoError>(who, ": ", name, ": line ", number, ": ", shown(line), " is there twice");
    tokens.add(line);
  });
  for (const char* needed : {"[UNK]", "[CLS]", "[SEP]"}) {
    if (!tokens.contains(needed)) fail<IoError>(who, ": ", name, ": the token ", needed, " is missing");
  }
  Tokenizer t;
  t.normalizers = {normalizers::Bert{.handle_chinese_chars = o.chinese_characters,
                                     .strip_accents = o.strip_accents,
                                     .lowercase = o.lowercase}};
  t.pre_tokenizers = {pre_tokenizers::Bert{}};
  t.model = WordPiece(std::move(tokens));
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    if (t.tokens().contains(special)) t.add({.content = special});
  }
  const auto piece = [&](const char* token, std::int64_t type) {
    return TemplatePiece{TemplatePiece::token, type, t.id(token), token};
  };
  const TemplatePiece a{TemplatePiece::first}, b{TemplatePiece::second, 1};
  t.single = {piece("[CLS]", 0), a, piece("[SEP]", 0)};
  t.pair = {piece("[CLS]", 0), a, piece("[SEP]", 0), b, piece("[SEP]", 1)};
  t.decoders = {decoders::WordPiece{}};
  return t;
}

}  // namespace detail

Tokenizer load_gpt2_tokenizer(const std::string& vocab_json, const std::string& merges_txt) {
  const char* who = "load_gpt2_tokenizer";
  return detail::parse_gpt2(detail::read_text(who, vocab_json), vocab_json,
                            detail::read_text(who, merges_txt), merges_txt);
}
Tokenizer load_gpt_tokenizer(const std::string& encoder_json, const std::string& merges_bpe) {
  const char* who = "load_gpt_tokenizer";
  Tokenizer t;
  for (const char* dash : {"\u2014", "\u2013", "\u2015"})
    t.normalizers.emplace_back(normalizers::Replace{dash, "-"});
  t.normalizers.emplace_back(normalizers::Replace{"\u2026", "..."});
  t.normalizers.emplace_back(normalizers::Replace{"\u00b4", "'"});
  t.normalizers.emplace_back(normalizers::Bert{});
  t.pre_tokenizers = {pre_tokenizers::Bert{}};
  t.model = detail::read_pairs(who, detail::read_text(who, encoder_json), encoder_json,
                               detail::read_text(who, merges_bpe), merges_bpe,
                               {.unknown = "<unk>", .suffix = "</w>"});
  t.decoders = {decoders::Suffix{"</w>"}};
  return t;
}
Tokenizer load_bert_tokenizer(const std::string& vocab_txt, BertOptions o) {
  return detail::parse_bert(detail::read_text("load_bert_tokenizer", vocab_txt), vocab_txt, o);
}

void save_gpt2_tokenizer(const std::string& vocab_json, const std::string& merges_txt, const Tokenizer& t) {
  const char* who = "save_gpt2_tokenizer";
  const auto* m = std::get_if<BytePair>(&t.model);
  if (!m || !m->options().byte_level || !m->options().prefix.empty() || !m->options().suffix.empty())
    fail<ValueError>(who, ": the tokenizer is not byte-level byte-pair encoding");
  std::string vocab = "{", merges = "#version: 0.2\n";
  for (std::int64_t i = 0; i < t.vocabulary_size(); ++i) {
    if (!t.added.find(i) && !m->tokens().has_id(i)) continue;
    (vocab += vocab.size() == 1 ? "\n" : ",\n") += detail::json_text(who, vocab_json, t.token(i));
    vocab += ": " + std::to_string(i);
  }
  for (const auto& [a, b] : m->merges()) merges += a + " " + b + "\n";
  vocab += "\n}\n";
  // Both are on the disk before either takes its place: one alone fits nothing.
  io::AtomicFile vocab_file(vocab_json), merges_file(merges_txt);
  vocab_file.write(vocab.data(), vocab.size());
  merges_file.write(merges.data(), merges.size());
  vocab_file.commit();
  merges_file.commit();
}

}  // namespace knet
