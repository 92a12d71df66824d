// Words with their morphological analyses, as Morse reads them: the one form that CoNLL-U treebanks and TrMor
// files are brought into, and their division into training, development and test sentences.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knet/data/datasets/conllu.hpp"
#include "knet/data/datasets/trmor.hpp"
#include "knet/text/unicode.hpp"

namespace knet::models {

enum class MorseFormat : std::uint8_t {
  conllu,  ///< tags are "Upos=NOUN", then "Case=Nom" and so on; one analysis a word
  trmor    ///< tags are "Noun", "A3sg", "^DB" ...; all analyses of a word, the right one first
};

/// A lemma and its tags.
struct MorseAnalysis {
  std::string lemma;  ///< in lower case
  std::vector<std::string> tags;
  /// In data: nobody knows. In predictions: the model did not come to an end.
  bool unknown = false;
  friend bool operator==(const MorseAnalysis&, const MorseAnalysis&) = default;
};
/// "et+Verb^DB+Verb+Able": "^DB" is glued to the tag before it.
std::string to_text(const MorseAnalysis&);

struct MorseWord {
  std::string form;                     ///< as written
  std::string word;                     ///< in lower case
  std::vector<MorseAnalysis> analyses;  ///< the first is right; none in raw text
  bool known() const { return !analyses.empty() && !analyses[0].unknown; }
  bool ambiguous() const { return analyses.size() > 1; }
};
struct MorseSentence {
  std::vector<MorseWord> words;
  std::string text = {};  ///< as written; "" where a file does not say
};

/// The words of sentences that have at least one with a known analysis, in lower case by the language's
/// rules. Multiword tokens and empty nodes of CoNLL-U are left out.
std::vector<MorseSentence> morse_sentences(const std::vector<datasets::ConlluSentence>&,
                                           unicode::Language = unicode::Language::any);
std::vector<MorseSentence> morse_sentences(const datasets::Trmor&);
/// A file of either format. IoError as the readers give it, and for text that is not UTF-8.
std::vector<MorseSentence> read_morse(const std::string& path, MorseFormat,
                                      unicode::Language = unicode::Language::any);
/// Raw text, words between blanks, without analyses. ValueError when it is not UTF-8.
MorseSentence morse_sentence(std::string_view text, unicode::Language = unicode::Language::any);

struct MorseSplits {
  std::vector<MorseSentence> train, dev, test;
};
struct MorseSplitOptions {
  std::int64_t train_size = 0;  ///< sentences to train on; 0: all
  std::uint64_t seed = 31;      ///< of the order that the first file is brought into
};
/// One file is divided 80 / 10 / 10 (with train_size: that many, and twice at most a tenth of the file); of
/// two, train and test, dev is cut from the end of the first (a tenth at most, and at most 2.5 times the
/// test); three are train, dev and test. ValueError for another number, or when a part would be empty.
MorseSplits morse_splits(std::vector<std::vector<MorseSentence>> files, const MorseSplitOptions& = {});

}  // namespace knet::models
