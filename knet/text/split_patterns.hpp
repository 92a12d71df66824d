// The regular expressions by which published byte-pair tokenizers cut text into words, written by hand:
// exactly what they match, in one pass, for any bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace knet {

/// A published pattern. Bytes that are not UTF-8 match where a symbol would.
enum class SplitPattern : std::uint8_t {
  gpt2,    ///< 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  gpt4,    ///< cl100k: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
           ///< ?[^\s\p{L}\p{N}]+[\r\n]*| \s*[\r\n]+|\s+(?!\S)|\s+   (Llama 3 too)
  qwen2,   ///< the same with one digit at a time: \p{N}
  spaces,  ///< \s+
};

/// The pattern's regular expression.
const char* regex_of(SplitPattern);
/// The pattern with that regular expression, if it is known.
std::optional<SplitPattern> pattern_of(std::string_view regex);
/// Where the match ends that begins at s[at], or `at` when none does; at < s.size(). The GPT patterns match
/// everywhere.
std::size_t match_end(SplitPattern, std::string_view s, std::size_t at);

}  // namespace knet
