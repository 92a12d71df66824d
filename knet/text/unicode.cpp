#include "knet/text/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "knet/base/text.hpp"

namespace knet::unicode {

std::size_t previous(std::string_view s, std::size_t end) {
  const std::size_t from = end < 4 ? 0 : end - 4;
  for (std::size_t i = from; i + 1 < end; ++i) {
    const Decoded d = decode(s, i);
    if (d.valid && i + d.bytes == end) return i;
  }
  return end - 1;
}

void append(std::string& to, char32_t c) {
  const auto put = [&](char32_t b) { to += static_cast<char>(b); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

bool is_utf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    const Decoded d = decode(s, i);
    if (!d.valid) return false;
    i += d.bytes;
  }
  return true;
}

namespace {

constexpr std::uint8_t kinds_of_ascii(int c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return letter | word;
  if (c >= '0' && c <= '9') return number | word;
  if (c == ' ') return space;
  if (c >= 9 && c <= 13) return space | control;
  if (c < 32 || c == 127) return control;
  if (c == '_') return punctuation | word;
  for (char symbol : {'$', '+', '<', '=', '>', '^', '`', '|', '~'}) {
    if (c == symbol) return 0;
  }
  return punctuation;
}
bool is_white_space(char32_t c) {
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
// Circled and squared letters are symbols by category, alphabetic by property.
bool is_letter_like(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
}

}  // namespace

static constexpr std::array<std::uint8_t, 128> make_ascii_kinds() {
  std::array<std::uint8_t, 128> t{};
  for (int c = 0; c < 128; ++c) t[static_cast<std::size_t>(c)] = kinds_of_ascii(c);
  return t;
}
constinit const std::array<std::uint8_t, 128> ascii_kinds = make_ascii_kinds();

std::uint8_t kinds_of_rare(char32_t c) {
  std::uint8_t k = 0;
  if (is_white_space(c)) k |= space;
  if (is_letter_like(c)) k |= word;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return k | letter | word;
    case UTF8PROC_CATEGORY_MN: return k | mark | any_mark | word;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return k | any_mark | word;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: return k | number | word;
    case UTF8PROC_CATEGORY_NO: return k | number;
    case UTF8PROC_CATEGORY_PC: return k | punctuation | word;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return k | punctuation;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO: return k | control;
    default: return k;
  }
}

void append_lower(std::string& to, char32_t c, Language language) {
  if (c < 0x80) {
    if (c == 'I' && language == Language::turkish) return append(to, 0x131);
    to += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  } else if (c == 0x130) {
    to += 'i';
    if (language == Language::any) append(to, 0x307);
  } else {
    append(to, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

std::string lower(std::string_view s, Language language) {
  std::string r;
  r.reserve(s.size());
  for (std::size_t i = 0; i < s.size();) {
    const Decoded d = decode(s, i);
    i += d.bytes;
    if (!d.valid) {
      r += static_cast<char>(d.value);
    } else if (language == Language::turkish && d.value == 'I' && s.substr(i, 2) == "\xCC\x87") {
      r += 'i';  // I and a dot above: the decomposed İ
      i += 2;
    } else {
      append_lower(r, d.value, language);
    }
  }
  return r;
}

namespace {

// The pieces between ASCII characters, each with the one before it: nothing composes with an ASCII character
// that follows.
void normalize_piece(std::string_view s, Form form, std::vector<utf8proc_int32_t>& buffer, std::string& to) {
  const bool compose = form == Form::nfc || form == Form::nfkc;
  int options = UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (form == Form::nfkc || form == Form::nfkd) options |= UTF8PROC_COMPAT;
  buffer.clear();
  for (std::size_t i = 0; i < s.size();) {
    const Decoded d = decode(s, i);
    i += d.bytes;
    std::array<utf8proc_int32_t, 32> out;  // the longest decomposition has 18
    int boundary = 0;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(d.value), out.data(), out.size(),
                                           static_cast<utf8proc_option_t>(options), &boundary);
    if (n < 0 || n > static_cast<utf8proc_ssize_t>(out.size()))
      fail<ValueError>("normalize: utf8proc can not decompose code point ",
                       static_cast<std::uint32_t>(d.value));
    buffer.insert(buffer.end(), out.begin(), out.begin() + n);
  }
  // Marks in canonical order. (utf8proc's own function takes quadratic time for long runs of them.)
  const auto order = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto i = buffer.begin(); i != buffer.end();) {
    if (order(*i) == 0) {
      ++i;
      continue;
    }
    const auto stop = std::find_if(i, buffer.end(), [&](auto c) { return order(c) == 0; });
    std::stable_sort(i, stop, [&](auto a, auto b) { return order(a) < order(b); });
    i = stop;
  }
  auto n = static_cast<utf8proc_ssize_t>(buffer.size());
  if (compose) {
    n = utf8proc_normalize_utf32(buffer.data(), n, static_cast<utf8proc_option_t>(options));
    if (n < 0) fail<ValueError>("normalize: ", utf8proc_errmsg(n));
  }
  for (utf8proc_ssize_t i = 0; i < n; ++i)
    append(to, static_cast<char32_t>(buffer[static_cast<std::size_t>(i)]));
}

}  // namespace

std::string normalize(std::string_view s, Form form) {
  std::string r;
  r.reserve(s.size());
  std::vector<utf8proc_int32_t> buffer;
  const auto plain = [&](std::size_t i) { return static_cast<unsigned char>(s[i]) < 0x80; };
  for (std::size_t i = 0; i < s.size();) {
    std::size_t stop = i;
    while (stop < s.size() && plain(stop)) ++stop;
    if (stop < s.size() && stop > i) --stop;  // its last character may be the base of a mark
    r.append(s, i, stop - i);
    i = stop;
    if (i == s.size()) break;
    stop = i + (plain(i) ? 1 : 0);
    while (stop < s.size() && !plain(stop)) {
      const Decoded d = decode(s, stop);
      if (!d.valid) break;
      stop += d.bytes;
    }
    normalize_piece(s.substr(i, stop - i), form, buffer, r);
    i = stop;
    while (i < s.size() && !plain(i) && !decode(s, i).valid) r += s[i++];
  }
  return r;
}

}  // namespace knet::unicode
