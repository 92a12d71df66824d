// Cutting normalised text into the pieces that a subword model takes apart: the pre-tokenizers of Hugging
// Face's tokenizer.json files, as plain structs that are called.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knet/text/split_patterns.hpp"

namespace knet {

/// Parts of a text. They point into it, or into `made` where they had to be changed.
struct TextPieces {
  std::vector<std::string_view> list;
  std::deque<std::string> made;
};

}  // namespace knet

namespace knet::pre_tokenizers {

/// What becomes of the text that a pattern matches.
enum class Behavior : std::uint8_t { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// Words and single punctuation characters (BERT); ASCII symbols count as punctuation.
struct Bert {
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
/// \w+|[^\w\s]+
struct Whitespace {
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
/// What stands between blanks.
struct WhitespaceSplit {
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
/// GPT-2's: the text's bytes, cut by its pattern. Only as the last one.
struct ByteLevel {
  bool add_prefix_space = true;  ///< a blank before a text that has none
  bool use_regex = true;         ///< cut by SplitPattern::gpt2; false: leave the pieces
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
struct Punctuation {
  Behavior behavior = Behavior::isolated;
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
/// Cuts numbers off.
struct Digits {
  bool individual_digits = false;
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
enum class Prepend : std::uint8_t { always, never, first };
/// SentencePiece's: blanks become a visible character that words begin with.
struct Metaspace {
  std::string replacement = "\u2581";
  Prepend prepend_scheme = Prepend::always;
  bool split = true;
  void operator()(std::string_view, bool first, TextPieces& to) const;
};
/// Cuts at a text (not empty) or a known pattern.
struct Split {
  std::variant<std::string, SplitPattern> pattern;
  Behavior behavior = Behavior::isolated;
  bool invert = false;  ///< what is not matched counts as the match
  void operator()(std::string_view, bool first, TextPieces& to) const;
};

}  // namespace knet::pre_tokenizers

namespace knet {

using PreTokenizer =
    std::variant<pre_tokenizers::Bert, pre_tokenizers::Whitespace, pre_tokenizers::WhitespaceSplit,
                 pre_tokenizers::ByteLevel, pre_tokenizers::Punctuation, pre_tokenizers::Digits,
                 pre_tokenizers::Metaspace, pre_tokenizers::Split>;

/// One after the other. `first`: the text is the beginning of the input. The pieces are added to `to` and
/// point into `text`, which must outlive them.
void pre_tokenize(const std::vector<PreTokenizer>& list, std::string_view text, bool first, TextPieces& to);

}  // namespace knet
