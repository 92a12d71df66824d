#include "knet/data/datasets/trmor.hpp"

#include "knet/data/datasets/text_lines.hpp"

namespace knet::datasets {
namespace {

// "<S>", "</S>", "<DOC id=...>": a letter or a slash behind the angle, and an end. A word "<" is a word.
bool is_markup(std::string_view word) {
  return word.size() > 2 && word[0] == '<' && word.find('>') != std::string_view::npos &&
         (word[1] == '/' || (word[1] >= 'A' && word[1] <= 'Z') || (word[1] >= 'a' && word[1] <= 'z'));
}
std::string_view tag_name(std::string_view markup) {
  markup.remove_prefix(1);
  return markup.substr(0, markup.find_first_of("> \t"));
}

}  // namespace

TrmorAnalysis parse_trmor_analysis(std::string_view s) {
  TrmorAnalysis a;
  a.text = s;
  if (s == "?" || s.find("*UNKNOWN") != std::string_view::npos) {
    a.unknown = true;
    return a;
  }
  if (const std::size_t plus = s.find("++"); plus != std::string_view::npos) {
    a.lemma = "+";
    a.tags.emplace_back(s.substr(plus + 2));
    return a;
  }
  const auto parts = fields_of(s, '+');
  a.lemma = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    std::string_view tag = parts[i];
    const bool derived = tag.ends_with("^DB");
    if (derived) tag.remove_suffix(3);
    if (!tag.empty() && tag != "Prop") a.tags.emplace_back(tag);
    if (derived) a.tags.emplace_back("^DB");
  }
  return a;
}

Trmor parse_trmor(std::string_view text, const std::string& name) {
  Trmor r;
  TrmorSentence now;
  const auto finish = [&] {
    if (!now.words.empty()) r.sentences.push_back(std::move(now));
    now = {};
    now.document = r.documents > 0 ? r.documents - 1 : 0;
  };
  Lines lines(text);
  std::string_view line;
  while (lines.next(line)) {
    if (trimmed(line).empty()) {
      finish();
      continue;
    }
    const char separator = line.find('\t') != std::string_view::npos ? '\t' : ' ';
    if (is_markup(line)) {
      const std::string_view tag = tag_name(line);
      if (tag == "DOC") ++r.documents;
      finish();
      continue;
    }
    auto f = fields_of(line, separator);
    while (f.size() > 1 && trimmed(f.back()).empty()) f.pop_back();
    if (f.size() < 2 || f[0].empty())
      bad_line({"read_trmor", name, lines.number()}, "\"", excerpt(line),
               "\": expected a word and its analyses");
    TrmorWord w;
    w.word = f[0];
    for (std::size_t i = 1; i < f.size(); ++i) {
      if (!f[i].empty()) w.analyses.push_back(parse_trmor_analysis(f[i]));
    }
    now.words.push_back(std::move(w));
  }
  finish();
  return r;
}

Trmor read_trmor(const std::string& path) { return parse_trmor(TextFile("read_trmor", path).view(), path); }

}  // namespace knet::datasets
