// Turkish words with their morphological analyses in the TrMor forms of 2006, 2016 and 2018: a word a line,
// then its analyses, the right one first, separated by tabs (2016: spaces, with a byte-order mark); lines
// such as <S>, </S> and <DOC> mark borders.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knet::datasets {

/// "kitap+Noun+A3sg+Pnon+Nom^DB+Adj+With".
struct TrmorAnalysis {
  std::string text;   ///< as in the file
  std::string lemma;  ///< "" when unknown
  /// In order; "Nom^DB" gives the two tags "Nom" and "^DB"; "Prop" is left out, as Morse does it (`text` has
  /// it).
  std::vector<std::string> tags;
  /// The analysis is "?" alone (2018) or contains "*UNKNOWN" (2006, 2016). The punctuation mark "?+Punct" is
  /// not unknown.
  bool unknown = false;
};
/// An analysis that contains "++" is of the word "+". Never fails.
TrmorAnalysis parse_trmor_analysis(std::string_view);

struct TrmorWord {
  std::string word;                     ///< as written: not lower-cased
  std::vector<TrmorAnalysis> analyses;  ///< at least one; the first is right
  bool ambiguous() const { return analyses.size() > 1; }
};
struct TrmorSentence {
  std::vector<TrmorWord> words;
  std::int64_t document = 0;  ///< from 0, counted by <DOC>
};
struct Trmor {
  std::vector<TrmorSentence> sentences;  ///< those with at least one word
  std::int64_t documents = 0;
};

/// Any of the three forms, which it tells by the separator. IoError with the line for a word without an
/// analysis.
Trmor read_trmor(const std::string& path);
Trmor parse_trmor(std::string_view text, const std::string& name = "memory");

}  // namespace knet::datasets
