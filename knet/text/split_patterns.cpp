#include "knet/text/split_patterns.hpp"

#include <utility>

#include "knet/text/unicode.hpp"

namespace knet {
namespace {

using unicode::decode;
using unicode::kinds;
using unicode::letter;
using unicode::number;
using unicode::space;

constexpr std::pair<SplitPattern, const char*> patterns[] = {
    {SplitPattern::gpt2, R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitPattern::gpt4,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitPattern::qwen2,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitPattern::spaces, R"(\s+)"},
};

// The end of the run of characters from `at` whose kinds among `mask` are `want` (0: none of them).
std::size_t run(std::string_view s, std::size_t at, int mask, int want) {
  while (at < s.size()) {
    const auto d = decode(s, at);
    if ((kinds(d) & mask) != want) break;
    at += d.bytes;
  }
  return at;
}

// 's 't 're 've 'm 'll 'd: the bytes it takes, or 0. Ignoring case, U+017F (long s) is an s too.
std::size_t contraction(std::string_view s, std::size_t at, bool any_case) {
  if (s[at] != '\'' || at + 1 >= s.size()) return 0;
  const auto fold = [&](char c) { return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const char a = fold(s[at + 1]);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (any_case && s.substr(at + 1, 2) == "\xC5\xBF") return 3;
  if (at + 2 >= s.size()) return 0;
  const char b = fold(s[at + 2]);
  return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

// \s+(?!\S)|\s+ : blanks up to the end of the text, else all but the last, else the only one.
std::size_t blanks(std::string_view s, std::size_t at) {
  const std::size_t end = run(s, at, space, space);
  if (end == s.size()) return end;
  const std::size_t last = unicode::previous(s, end);
  return last > at ? last : end;
}

constexpr int any = letter | number | space;

std::size_t gpt2(std::string_view s, std::size_t at) {
  if (const auto n = contraction(s, at, false)) return at + n;
  // An optional blank, then letters, numbers or neither.
  const std::size_t from = s[at] == ' ' ? at + 1 : at;
  if (from < s.size()) {
    const int k = kinds(decode(s, from)) & any;
    if (!(k & space)) return run(s, from, any, k);
  }
  return blanks(s, at);
}

std::size_t gpt4(std::string_view s, std::size_t at, int digits) {
  if (const auto n = contraction(s, at, true)) return at + n;
  const auto first = decode(s, at);
  const int k = kinds(first) & any;
  const bool line_end = s[at] == '\r' || s[at] == '\n';
  if (k & letter) return run(s, at, letter, letter);
  if (!(k & number) && !line_end && at + first.bytes < s.size()) {
    const std::size_t word = run(s, at + first.bytes, letter, letter);
    if (word > at + first.bytes) return word;
  }
  if (k & number) {
    std::size_t end = at;
    for (int i = 0; i < digits && end < s.size(); ++i) {
      const auto d = decode(s, end);
      if (!(kinds(d) & number)) break;
      end += d.bytes;
    }
    return end;
  }
  const std::size_t from = s[at] == ' ' ? at + 1 : at;
  if (from < s.size() && !(kinds(decode(s, from)) & any)) {
    std::size_t end = run(s, from, any, 0);
    while (end < s.size() && (s[end] == '\r' || s[end] == '\n')) ++end;
    return end;
  }
  // \s*[\r\n]+ : up to the last end of a line within the blanks.
  const std::size_t end = run(s, at, space, space);
  for (std::size_t i = end; i > at; --i) {
    if (s[i - 1] == '\r' || s[i - 1] == '\n') return i;
  }
  return blanks(s, at);
}

}  // namespace

const char* regex_of(SplitPattern p) { return patterns[static_cast<std::size_t>(p)].second; }

std::optional<SplitPattern> pattern_of(std::string_view regex) {
  for (const auto& [pattern, text] : patterns) {
    if (regex == text) return pattern;
  }
  return std::nullopt;
}

std::size_t match_end(SplitPattern p, std::string_view s, std::size_t at) {
  switch (p) {
    case SplitPattern::gpt2: return gpt2(s, at);
    case SplitPattern::gpt4: return gpt4(s, at, 3);
    case SplitPattern::qwen2: return gpt4(s, at, 1);
    case SplitPattern::spaces: break;
  }
  return run(s, at, space, space);
}

}  // namespace knet
