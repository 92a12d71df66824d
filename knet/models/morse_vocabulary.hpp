// What Morse knows by number: the characters of words, the symbols it writes (lemma characters, tags), whole
// lists of tags, and words.
//
//   const MorseVocabulary v(train, {.lemma = true});
//   for (const MorseSentence& s : train) sentences.push_back(v.encode(s));
//   const MorseBatch batch = morse_batch(sentences);
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "knet/models/morse_data.hpp"
#include "knet/text/indexed_dict.hpp"

namespace knet::models {

/// Ids that every vocabulary begins with: what is not in it, nothing, the end and the start of an output.
namespace morse_symbol {
inline constexpr std::int64_t unknown = 0, mask = 1, end = 2, start = 3, count = 4;
}

/// How many of each there are, the four special ones not counted.
struct MorseSizes {
  std::int64_t characters = 0;  ///< of words
  std::int64_t letters = 0;     ///< of lemmas
  std::int64_t tags = 0;
  std::int64_t composites = 0;  ///< different lists of tags
  std::int64_t inputs() const { return morse_symbol::count + characters; }
  /// Outputs of a decoder: the specials, then letters, then tags.
  std::int64_t symbols() const { return first_tag() + tags; }
  std::int64_t first_tag() const { return morse_symbol::count + letters; }
  std::int64_t classes() const { return morse_symbol::count + composites; }
  friend bool operator==(const MorseSizes&, const MorseSizes&) = default;
};

/// A word as numbers.
struct MorseItem {
  struct Candidate {
    std::vector<std::int64_t> symbols;  ///< lemma letters, then tags
    std::int64_t source = 0;            ///< which of the word's analyses it is
  };
  std::vector<std::int64_t> characters;
  std::vector<Candidate> candidates = {};  ///< the word's known analyses
  bool known = false;                      ///< is the first candidate the right one?
  std::int64_t composite = morse_symbol::unknown;
};

/// What a model says about a word.
struct MorseOutput {
  std::vector<std::int64_t> symbols = {};  ///< without the end
  bool ended = false;                      ///< did the end come before the limit?
  std::int64_t composite = -1;             ///< a classifier's answer
  std::int64_t source = -1;                ///< a disambiguator's answer: which analysis
};

struct MorseVocabularyOptions {
  MorseFormat format = MorseFormat::conllu;
  unicode::Language language = unicode::Language::any;
  bool lemma = true;           ///< outputs begin with the lemma
  std::int64_t threshold = 0;  ///< characters and symbols that come less often are unknown
};

struct MorseVocabulary {
  MorseFormat format = MorseFormat::conllu;
  unicode::Language language = unicode::Language::any;
  bool lemma = true;
  IndexedDict<std::string> characters = {}, letters = {}, tags = {}, words = {};
  /// Whole lists, joined with tabs, and how often each came in training.
  IndexedDict<std::string> composites = {};
  std::vector<std::int64_t> composite_counts = {};

  MorseVocabulary() = default;
  /// Of the training sentences alone: what comes only later is unknown. (The seed's vocabularies knew the
  /// symbols of development and test sentences: hand those over too for that.) ValueError without a sentence.
  explicit MorseVocabulary(const std::vector<MorseSentence>& train, const MorseVocabularyOptions& = {});

  MorseSizes sizes() const;
  /// ValueError for an empty word.
  MorseItem encode(const MorseWord&) const;
  std::vector<MorseItem> encode(const MorseSentence&) const;
  /// The answer in letters; of a disambiguator the word's own analysis.
  MorseAnalysis decode(const MorseOutput&, const MorseWord&) const;
};

/// Sentences side by side: their first words, then their second words ..., the longest sentence first, so
/// that the words at a position are neighbours.
struct MorseBatch {
  std::vector<MorseItem> words;
  std::vector<std::int64_t> sizes;  ///< words at every position: never growing
  /// Where each came from: sentence and word.
  std::vector<std::pair<std::size_t, std::size_t>> places;
};
/// ValueError when there is no sentence, or one without words.
MorseBatch morse_batch(const std::vector<std::vector<MorseItem>>& sentences);

}  // namespace knet::models
