#include "knet/models/morse_vocabulary.hpp"

#include <algorithm>
#include <numeric>

#include "knet/base/text.hpp"
#include "knet/text/words.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using Dict = IndexedDict<std::string>;

std::string joined(const std::vector<std::string>& tags) {
  std::string r;
  for (const std::string& t : tags) r += (r.empty() ? "" : "\t") + t;
  return r;
}
Int id_in(const Dict& d, const std::string& s) {
  const Int i = d.get(s, -1);
  return i < 0 ? morse_symbol::unknown : morse_symbol::count + i;
}

/// Elements with their counts, in the order in which they came first.
struct Counter {
  Dict dict;
  std::vector<Int> counts;
  void add(const std::string& s) {
    const auto i = static_cast<std::size_t>(dict.push_back(s));
    if (i == counts.size()) counts.push_back(0);
    ++counts[i];
  }
  Dict at_least(Int n) const {
    Dict r;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] >= n) r.push_back(dict[static_cast<Int>(i)]);
    }
    return r;
  }
};

}  // namespace

MorseVocabulary::MorseVocabulary(const std::vector<MorseSentence>& train, const MorseVocabularyOptions& o)
    : format(o.format), language(o.language), lemma(o.lemma) {
  if (train.empty()) fail<ValueError>("MorseVocabulary: there are no sentences");
  Counter all_characters, all_letters, all_tags, all_composites;
  const CharTokenizer split;
  for (const MorseSentence& s : train) {
    for (const MorseWord& w : s.words) {
      words.push_back(w.word);
      for (const std::string& c : split(w.word)) all_characters.add(c);
      if (w.known()) all_composites.add(joined(w.analyses[0].tags));
      for (const MorseAnalysis& a : w.analyses) {
        if (a.unknown) continue;
        if (lemma)
          for (const std::string& c : split(a.lemma)) all_letters.add(c);
        for (const std::string& t : a.tags) all_tags.add(t);
      }
    }
  }
  characters = all_characters.at_least(o.threshold);
  letters = all_letters.at_least(o.threshold);
  tags = all_tags.at_least(o.threshold);
  composites = all_composites.dict;
  composite_counts = all_composites.counts;
}

MorseSizes MorseVocabulary::sizes() const {
  const auto n = [](const Dict& d) { return static_cast<Int>(d.size()); };
  return {n(characters), n(letters), n(tags), n(composites)};
}

MorseItem MorseVocabulary::encode(const MorseWord& w) const {
  MorseItem r;
  const CharTokenizer split;
  for (const std::string& c : split(w.word)) r.characters.push_back(id_in(characters, c));
  if (r.characters.empty()) fail<ValueError>("morse: a word is empty");
  const Int first_tag = sizes().first_tag();
  for (std::size_t i = 0; i < w.analyses.size(); ++i) {
    const MorseAnalysis& a = w.analyses[i];
    if (a.unknown) continue;
    MorseItem::Candidate c{.symbols = {}, .source = static_cast<Int>(i)};
    if (lemma)
      for (const std::string& letter : split(a.lemma)) c.symbols.push_back(id_in(letters, letter));
    for (const std::string& t : a.tags) {
      const Int tag = tags.get(t, -1);
      c.symbols.push_back(tag < 0 ? morse_symbol::unknown : first_tag + tag);
    }
    r.candidates.push_back(std::move(c));
  }
  r.known = w.known();
  if (r.known) r.composite = id_in(composites, joined(w.analyses[0].tags));
  return r;
}
std::vector<MorseItem> MorseVocabulary::encode(const MorseSentence& s) const {
  std::vector<MorseItem> r;
  r.reserve(s.words.size());
  for (const MorseWord& w : s.words) r.push_back(encode(w));
  return r;
}

MorseAnalysis MorseVocabulary::decode(const MorseOutput& o, const MorseWord& w) const {
  if (o.source >= 0) {
    if (o.source >= static_cast<Int>(w.analyses.size()))
      fail<ValueError>("morse: analysis ", o.source, " of \"", w.word, "\", which has ", w.analyses.size());
    MorseAnalysis a = w.analyses[static_cast<std::size_t>(o.source)];
    if (!lemma) a.lemma.clear();
    return a;
  }
  MorseAnalysis a{.lemma = {}, .tags = {}, .unknown = !o.ended};
  if (o.composite >= morse_symbol::count) {
    const std::string& list = composites[o.composite - morse_symbol::count];
    for (std::size_t at = 0; at < list.size();) {
      const std::size_t tab = std::min(list.find('\t', at), list.size());
      a.tags.push_back(list.substr(at, tab - at));
      at = tab + 1;
    }
    return a;
  }
  const Int first_tag = sizes().first_tag();
  for (const Int s : o.symbols) {
    if (s >= first_tag)
      a.tags.push_back(tags[s - first_tag]);
    else
      a.lemma += s >= morse_symbol::count ? letters[s - morse_symbol::count] : "\xEF\xBF\xBD";  // U+FFFD
  }
  return a;
}

MorseBatch morse_batch(const std::vector<std::vector<MorseItem>>& sentences) {
  if (sentences.empty()) fail<ValueError>("morse_batch: there are no sentences");
  std::vector<std::size_t> order(sentences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sentences[a].size() > sentences[b].size(); });
  MorseBatch r;
  for (std::size_t i = 0; i < sentences[order[0]].size(); ++i) {
    Int n = 0;
    for (const std::size_t s : order) {
      if (sentences[s].size() <= i) break;
      r.words.push_back(sentences[s][i]);
      r.places.emplace_back(s, i);
      ++n;
    }
    r.sizes.push_back(n);
  }
  if (sentences[order.back()].empty())
    fail<ValueError>("morse_batch: sentence ", order.back(), " has no words");
  return r;
}

}  // namespace knet::models
