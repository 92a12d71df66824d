// Text as UTF-8: code points one by one, what kind of character each is, case and normal forms. Bytes that
// are not UTF-8 are never lost: each stands for itself, and is of no kind at all.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace knet::unicode {

/// A code point and how many bytes it took. A byte that is not UTF-8 there is its own value with valid =
/// false.
struct Decoded {
  char32_t value;
  std::uint8_t bytes;
  bool valid;
};

/// The code point at s[at]; at < s.size(). Overlong forms, surrogates and values beyond U+10FFFF are not
/// valid.
inline Decoded decode(std::string_view s, std::size_t at) {
  const auto b = [&](std::size_t i) { return static_cast<unsigned char>(s[at + i]); };
  const auto tail = [&](std::size_t i) { return (b(i) & 0xC0) == 0x80; };
  const char32_t c = b(0);
  const std::size_t left = s.size() - at;
  if (c < 0x80) return {c, 1, true};
  if (c < 0xC2 || c > 0xF4) return {c, 1, false};
  if (c < 0xE0) {
    if (left < 2 || !tail(1)) return {c, 1, false};
    return {(c & 0x1F) << 6 | (b(1) & 0x3Fu), 2, true};
  }
  if (c < 0xF0) {
    if (left < 3 || !tail(1) || !tail(2)) return {c, 1, false};
    const char32_t v = (c & 0xF) << 12 | (b(1) & 0x3Fu) << 6 | (b(2) & 0x3Fu);
    if (v < 0x800 || (v >= 0xD800 && v < 0xE000)) return {c, 1, false};
    return {v, 3, true};
  }
  if (left < 4 || !tail(1) || !tail(2) || !tail(3)) return {c, 1, false};
  const char32_t v = (c & 7) << 18 | (b(1) & 0x3Fu) << 12 | (b(2) & 0x3Fu) << 6 | (b(3) & 0x3Fu);
  if (v < 0x10000 || v > 0x10FFFF) return {c, 1, false};
  return {v, 4, true};
}
/// Where the code point begins that ends before s[end]; end > 0.
std::size_t previous(std::string_view s, std::size_t end);
/// Adds a code point as UTF-8.
void append(std::string& to, char32_t c);
bool is_utf8(std::string_view s);

/// Kinds of characters, by Unicode's general categories. One character may be of several.
enum Kind : std::uint8_t {
  letter = 1,       ///< L
  number = 2,       ///< N
  space = 4,        ///< White_Space: blanks, tabs, ends of lines
  punctuation = 8,  ///< P
  mark = 16,        ///< Mn: marks that take no room, such as accents
  any_mark = 32,    ///< M: all marks
  control = 64,     ///< Cc, Cf, Co
  word = 128  ///< what regular expressions call \w: letters, marks, decimal digits, letter-like numbers, Pc
};
/// The kinds of a code point, or-ed.
std::uint8_t kinds_of_rare(char32_t c);
extern const std::array<std::uint8_t, 128> ascii_kinds;
inline std::uint8_t kinds(char32_t c) { return c < 128 ? ascii_kinds[c] : kinds_of_rare(c); }
inline std::uint8_t kinds(const Decoded& d) { return d.valid ? kinds(d.value) : std::uint8_t{0}; }
/// ASCII's symbols and punctuation: everything printable that is neither letter, digit nor blank.
inline bool is_ascii_symbol(char32_t c) {
  return (c > 32 && c < 48) || (c > 57 && c < 65) || (c > 90 && c < 97) || (c > 122 && c < 127);
}

/// In Turkish (and Azeri) I is the capital of dotless ı, and İ that of i.
enum class Language : std::uint8_t { any, turkish };
/// Lower case, code point by code point (a final sigma is not special).
std::string lower(std::string_view s, Language = Language::any);
/// Adds one code point in lower case.
void append_lower(std::string& to, char32_t c, Language = Language::any);

/// Unicode's normal forms (UAX 15): composed or decomposed, canonical or compatible.
enum class Form : std::uint8_t { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view s, Form form);

}  // namespace knet::unicode
