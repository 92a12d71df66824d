#include "knet/data/datasets/conllu.hpp"

#include <span>

#include "knet/data/datasets/text_lines.hpp"
#include "knet/io/atomic_file.hpp"

namespace knet::datasets {
namespace {

std::string value_of(std::string_view s) { return s == "_" ? std::string() : std::string(s); }
std::string_view shown(const std::string& s) { return s.empty() ? "_" : std::string_view(s); }

// A number without sign or spaces.
bool to_id(std::string_view s, std::int64_t& value) {
  return !s.empty() && s[0] >= '0' && s[0] <= '9' && s.back() >= '0' && s.back() <= '9' &&
         to_integer(s, value);
}

// The first column; `last` is the word before, `covered` the last word of the multiword token before.
void read_id(ConlluToken& t, std::string_view s, const Place& place, std::int64_t& last,
             std::int64_t& covered, std::int64_t& node) {
  const std::size_t mark = s.find_first_of("-.");
  const std::string_view a = s.substr(0, mark);
  const std::int64_t before = last;
  bool ok = to_id(a, t.id);
  if (mark == std::string_view::npos) {
    ok = ok && t.id == last + 1;
    last = t.id;
    node = 0;
  } else {
    ok = ok && to_id(s.substr(mark + 1), t.second);
    if (s[mark] == '-') {
      t.kind = ConlluKind::multiword;
      ok = ok && t.id == last + 1 && t.second > t.id && t.id > covered;
      covered = t.second;
    } else {
      t.kind = ConlluKind::empty;
      ok = ok && t.id == last && t.second == node + 1;
      node = t.second;
    }
  }
  if (!ok) bad_line(place, "id \"", excerpt(s), "\" behind word ", before, " (expected ids in order)");
}

void read_features(ConlluToken& t, std::string_view s, const Place& place) {
  if (s == "_") return;
  for (const std::string_view f : fields_of(s, '|')) {
    const std::size_t equals = f.find('=');
    if (equals == std::string_view::npos || equals == 0)
      bad_line(place, "feature \"", excerpt(f), "\" (expected Name=Value)");
    t.feats.emplace_back(f.substr(0, equals), f.substr(equals + 1));
  }
}

// What can only be said at the end of a sentence.
void check(const ConlluSentence& s, const Place& place, std::int64_t words, std::int64_t covered) {
  if (words == 0) bad_line(place, "a sentence without words ends here");
  if (covered > words) bad_line(place, "a multiword token ends at word ", covered, " of ", words);
  for (const ConlluToken& t : s.tokens) {
    if (t.head > words)
      bad_line({place.who, place.file, t.line}, "head ", t.head, " in a sentence of ", words, " words");
  }
}

}  // namespace

std::string_view ConlluToken::feature(std::string_view name) const {
  for (const auto& [key, value] : feats) {
    if (key == name) return value;
  }
  return {};
}

std::vector<const ConlluToken*> ConlluSentence::words() const {
  std::vector<const ConlluToken*> r;
  for (const ConlluToken& t : tokens) {
    if (t.kind == ConlluKind::word) r.push_back(&t);
  }
  return r;
}

std::string_view ConlluSentence::comment(std::string_view key) const {
  for (const std::string& c : comments) {
    const std::size_t equals = c.find('=');
    if (equals != std::string::npos && trimmed(std::string_view(c).substr(0, equals)) == key)
      return trimmed(std::string_view(c).substr(equals + 1));
  }
  return {};
}

std::vector<ConlluSentence> parse_conllu(std::string_view text, const std::string& name) {
  std::vector<ConlluSentence> all;
  ConlluSentence now;
  std::int64_t last = 0, covered = 0, node = 0;
  Lines lines(text);
  std::string_view line;
  const auto finish = [&] {
    check(now, {"read_conllu", name, lines.number()}, last, covered);
    all.push_back(std::move(now));
    now = {};
    last = covered = node = 0;
  };
  while (lines.next(line)) {
    const Place place{"read_conllu", name, lines.number()};
    if (line.empty()) {
      if (now.tokens.empty() && now.comments.empty())
        bad_line(place, "an empty line without a sentence before it");
      finish();
      continue;
    }
    if (line[0] == '#') {
      if (!now.tokens.empty()) bad_line(place, "a comment inside a sentence");
      now.comments.emplace_back(line.substr(1));
      continue;
    }
    const auto f = fields_of(line, '\t');
    if (f.size() != 10) bad_line(place, f.size(), " columns (expected 10)");
    for (std::size_t i = 0; i < 10; ++i) {
      if (f[i].empty()) bad_line(place, "column ", i + 1, " is empty (expected \"_\")");
    }
    ConlluToken t;
    t.line = lines.number();
    read_id(t, f[0], place, last, covered, node);
    t.form = f[1];
    t.lemma = f[2];
    t.upos = value_of(f[3]);
    t.xpos = value_of(f[4]);
    read_features(t, f[5], place);
    if (f[6] != "_" && !to_id(f[6], t.head))
      bad_line(place, "head \"", excerpt(f[6]), "\" (expected a number)");
    t.deprel = value_of(f[7]);
    t.deps = value_of(f[8]);
    t.misc = value_of(f[9]);
    now.tokens.push_back(std::move(t));
  }
  if (!now.tokens.empty() || !now.comments.empty()) finish();
  return all;
}

std::vector<ConlluSentence> read_conllu(const std::string& path) {
  return parse_conllu(TextFile("read_conllu", path).view(), path);
}

std::string to_conllu(const std::vector<ConlluSentence>& sentences) {
  std::string r;
  const auto column = [&](std::string_view s) { r.append(s).push_back('\t'); };
  for (const ConlluSentence& s : sentences) {
    for (const std::string& c : s.comments) r.append("#").append(c).push_back('\n');
    for (const ConlluToken& t : s.tokens) {
      std::string id = std::to_string(t.id);
      if (t.kind != ConlluKind::word)
        id += (t.kind == ConlluKind::empty ? '.' : '-') + std::to_string(t.second);
      column(id);
      column(shown(t.form));
      column(shown(t.lemma));
      column(shown(t.upos));
      column(shown(t.xpos));
      std::string feats;
      for (const auto& [key, value] : t.feats) feats += (feats.empty() ? "" : "|") + key + "=" + value;
      column(shown(feats));
      column(t.head < 0 ? "_" : std::to_string(t.head));
      column(shown(t.deprel));
      column(shown(t.deps));
      r.append(shown(t.misc)).push_back('\n');
    }
    r.push_back('\n');
  }
  return r;
}

void write_conllu(const std::string& path, const std::vector<ConlluSentence>& sentences) {
  const std::string text = to_conllu(sentences);
  io::write_file(path, std::as_bytes(std::span(text)));
}

}  // namespace knet::datasets
