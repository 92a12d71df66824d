// Cutting text into words or characters. A tokeniser is a struct of options and a call; what it returns is
// fed to a Vocabulary.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "knet/text/unicode.hpp"

namespace knet {

/// Whether to lower the case, and by whose rules.
enum class LetterCase : std::uint8_t { keep, lower, lower_turkish };

/// What stands between blanks (of any kind Unicode knows).
struct WhitespaceTokenizer {
  LetterCase letters = LetterCase::keep;
  std::vector<std::string> operator()(std::string_view text) const;
};

/// Words (letters with their marks, digits, underscores) and runs of punctuation: "don't!!" gives don ' t !!.
/// Bytes that are not UTF-8 count as punctuation.
struct WordTokenizer {
  LetterCase letters = LetterCase::keep;
  bool single_punctuation = false;  ///< every punctuation character alone: !!  gives ! !
  std::vector<std::string> operator()(std::string_view text) const;
};

/// Code points, blanks included; joined they are the text. Bytes that are not UTF-8 stand alone.
struct CharTokenizer {
  LetterCase letters = LetterCase::keep;
  std::vector<std::string> operator()(std::string_view text) const;
};

}  // namespace knet
