// What is done to a text before it is cut into words: the normalisers of Hugging Face's tokenizer.json files,
// as plain structs that are called.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knet/text/unicode.hpp"

namespace knet::normalizers {

/// BERT's: control characters leave, blanks become spaces, Chinese characters get spaces around them, accents
/// and capitals go.
struct Bert {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  std::optional<bool> strip_accents = std::nullopt;  ///< nullopt: as `lowercase`
  bool lowercase = true;
  std::string operator()(std::string_view) const;
};
struct Lowercase {
  unicode::Language language = unicode::Language::any;
  std::string operator()(std::string_view s) const { return unicode::lower(s, language); }
};
struct Normal {
  unicode::Form form = unicode::Form::nfc;
  std::string operator()(std::string_view s) const { return unicode::normalize(s, form); }
};
/// Removes all marks. Composed letters have none: put Normal{nfd} before it.
struct StripAccents {
  std::string operator()(std::string_view) const;
};
/// Removes blanks at the ends.
struct Strip {
  bool left = true, right = true;
  std::string operator()(std::string_view) const;
};
/// Every `pattern` (a text, not empty) becomes `content`.
struct Replace {
  std::string pattern, content;
  std::string operator()(std::string_view) const;
};
/// Puts a text before every text that is not empty.
struct Prepend {
  std::string text;
  std::string operator()(std::string_view) const;
};

}  // namespace knet::normalizers

namespace knet {

using TextNormalizer =
    std::variant<normalizers::Bert, normalizers::Lowercase, normalizers::Normal, normalizers::StripAccents,
                 normalizers::Strip, normalizers::Replace, normalizers::Prepend>;

/// One after the other.
std::string normalize(const std::vector<TextNormalizer>& list, std::string_view text);

}  // namespace knet
