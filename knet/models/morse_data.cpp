#include "knet/models/morse_data.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/tensor/factories.hpp"
#include "knet/text/words.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using unicode::Language;

std::string lowered(const std::string& s, Language language) { return unicode::lower(s, language); }

/// Keeps it if anything is known about it.
void keep(std::vector<MorseSentence>& all, MorseSentence s) {
  if (std::any_of(s.words.begin(), s.words.end(), [](const MorseWord& w) { return w.known(); }))
    all.push_back(std::move(s));
}

void check_utf8(const std::string& path, const std::vector<MorseSentence>& sentences) {
  for (const MorseSentence& s : sentences) {
    for (const MorseWord& w : s.words) {
      bool good = unicode::is_utf8(w.form);
      for (const MorseAnalysis& a : w.analyses) good = good && unicode::is_utf8(to_text(a));
      if (!good)
        fail<IoError>("read_morse: ", path, ": sentence ", &s - sentences.data() + 1, ", word ",
                      &w - s.words.data() + 1, " is not UTF-8");
    }
  }
}

}  // namespace

std::string to_text(const MorseAnalysis& a) {
  std::string r = a.lemma;
  for (const std::string& tag : a.tags) r += tag == "^DB" ? tag : "+" + tag;
  return r;
}

std::vector<MorseSentence> morse_sentences(const std::vector<datasets::ConlluSentence>& file,
                                           Language language) {
  std::vector<MorseSentence> r;
  for (const auto& s : file) {
    MorseSentence now{.words = {}, .text = std::string(s.comment("text"))};
    for (const datasets::ConlluToken* t : s.words()) {
      MorseAnalysis a{.lemma = lowered(t->lemma, language), .tags = {"Upos=" + t->upos}};
      for (const auto& [name, value] : t->feats) a.tags.push_back(name + "=" + value);
      now.words.push_back({.form = t->form, .word = lowered(t->form, language), .analyses = {std::move(a)}});
    }
    keep(r, std::move(now));
  }
  return r;
}

std::vector<MorseSentence> morse_sentences(const datasets::Trmor& file) {
  std::vector<MorseSentence> r;
  for (const auto& s : file.sentences) {
    MorseSentence now;
    for (const auto& w : s.words) {
      MorseWord word{.form = w.word, .word = lowered(w.word, Language::turkish), .analyses = {}};
      for (const auto& a : w.analyses)
        word.analyses.push_back(
            {.lemma = lowered(a.lemma, Language::turkish), .tags = a.tags, .unknown = a.unknown});
      now.words.push_back(std::move(word));
    }
    keep(r, std::move(now));
  }
  return r;
}

std::vector<MorseSentence> read_morse(const std::string& path, MorseFormat format, Language language) {
  auto r = format == MorseFormat::trmor ? morse_sentences(datasets::read_trmor(path))
                                        : morse_sentences(datasets::read_conllu(path), language);
  check_utf8(path, r);
  return r;
}

MorseSentence morse_sentence(std::string_view text, Language language) {
  if (!unicode::is_utf8(text)) fail<ValueError>("morse: the text is not UTF-8");
  MorseSentence s{.words = {}, .text = std::string(text)};
  for (std::string& w : WhitespaceTokenizer{}(text)) {
    std::string low = lowered(w, language);
    s.words.push_back({.form = std::move(w), .word = std::move(low), .analyses = {}});
  }
  return s;
}

MorseSplits morse_splits(std::vector<std::vector<MorseSentence>> files, const MorseSplitOptions& o) {
  const char* who = "morse_splits";
  if (files.empty() || files.size() > 3)
    fail<ValueError>(who, ": ", files.size(), " files: expected one to three");
  if (o.train_size < 0) fail<ValueError>(who, ": .train_size = ", o.train_size, ": expected at least 0");
  auto& first = files[0];
  const auto n = static_cast<Int>(first.size());
  Generator g(o.seed);
  std::vector<MorseSentence> shuffled;
  for (const Int i : randperm(n, g).to_vector<Int>())
    shuffled.push_back(std::move(first[static_cast<std::size_t>(i)]));
  const auto part = [&](Int from, Int count) {
    from = std::min(from, n), count = std::min(count, n - from);
    const auto at = std::make_move_iterator(shuffled.begin() + from);
    return std::vector<MorseSentence>(at, at + count);
  };
  MorseSplits r;
  if (files.size() == 1) {
    const Int train = o.train_size > 0 ? std::min(o.train_size, n) : n * 8 / 10,
              rest = o.train_size > 0 ? std::min((n - train) / 2, n / 10) : n / 10;
    r = {part(0, train), part(train, rest), part(train + rest, o.train_size > 0 ? rest : n - train - rest)};
  } else if (files.size() == 2) {
    const Int train = n * 9 / 10, dev = std::min(n - train, static_cast<Int>(files[1].size()) * 5 / 2);
    r = {part(0, train), part(train, dev), std::move(files[1])};
  } else {
    r = {part(0, n), std::move(files[1]), std::move(files[2])};
  }
  if (o.train_size > 0 && static_cast<Int>(r.train.size()) > o.train_size)
    r.train.resize(static_cast<std::size_t>(o.train_size));
  if (r.train.empty() || r.dev.empty() || r.test.empty())
    fail<ValueError>(who, ": ", r.train.size(), " sentences to train on, ", r.dev.size(), " and ",
                     r.test.size(), " to measure by: too few for a division");
  return r;
}

}  // namespace knet::models
