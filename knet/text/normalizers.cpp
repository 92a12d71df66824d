#include "knet/text/normalizers.hpp"

#include <algorithm>

namespace knet::normalizers {
namespace {

// The blocks that BERT's authors call Chinese characters.
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_ascii(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Appends the code points that `keep` lets through; bytes that are not UTF-8 stay.
template <class F>
std::string filter(std::string_view s, const F& keep) {
  std::string r;
  r.reserve(s.size());
  for (std::size_t i = 0; i < s.size();) {
    const auto d = unicode::decode(s, i);
    if (!d.valid || keep(d.value)) r.append(s, i, d.bytes);
    i += d.bytes;
  }
  return r;
}

}  // namespace

std::string Bert::operator()(std::string_view s) const {
  std::string r;
  r.reserve(s.size() + s.size() / 8);
  const bool strip = strip_accents.value_or(lowercase);
  bool plain = true;  // nothing but ASCII was written
  for (std::size_t i = 0; i < s.size();) {
    const auto d = unicode::decode(s, i);
    if (d.bytes == 1 && d.valid) {
      const char c = s[i++];
      if (!clean_text) {
        r += c;
      } else if (unicode::ascii_kinds[d.value] & unicode::space &&
                 (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
        r += ' ';
      } else if (!(unicode::ascii_kinds[d.value] & unicode::control)) {
        r += c;
      }
      continue;
    }
    plain = false;
    if (!d.valid) {
      r += s[i++];
      continue;
    }
    const auto piece = s.substr(i, d.bytes);
    i += d.bytes;
    if (clean_text) {
      const auto k = unicode::kinds(d.value);
      if (d.value == 0xFFFD || k & unicode::control) continue;
      if (k & unicode::space) {
        r += ' ';
        continue;
      }
    }
    if (handle_chinese_chars && is_chinese(d.value)) {
      r += ' ';
      r += piece;
      r += ' ';
    } else {
      r += piece;
    }
  }
  if (strip && !plain)
    r = filter(unicode::normalize(r, unicode::Form::nfd),
               [](char32_t c) { return !(unicode::kinds(c) & unicode::mark); });
  if (!lowercase) return r;
  if (!plain && !is_ascii(r)) return unicode::lower(r);
  for (char& c : r) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return r;
}

std::string StripAccents::operator()(std::string_view s) const {
  return filter(s, [](char32_t c) { return !(unicode::kinds(c) & unicode::any_mark); });
}

std::string Strip::operator()(std::string_view s) const {
  std::size_t begin = 0, end = s.size();
  while (left && begin < end) {
    const auto d = unicode::decode(s, begin);
    if (!(unicode::kinds(d) & unicode::space)) break;
    begin += d.bytes;
  }
  while (right && begin < end) {
    const std::size_t p = unicode::previous(s, end);
    if (p < begin || !(unicode::kinds(unicode::decode(s, p)) & unicode::space)) break;
    end = p;
  }
  return std::string(s.substr(begin, end - begin));
}

std::string Replace::operator()(std::string_view s) const {
  std::string r;
  r.reserve(s.size());
  for (std::size_t i = 0;;) {
    const std::size_t at = pattern.empty() ? std::string_view::npos : s.find(pattern, i);
    if (at == std::string_view::npos) return r.append(s, i, s.size() - i);
    r.append(s, i, at - i).append(content);
    i = at + pattern.size();
  }
}

std::string Prepend::operator()(std::string_view s) const {
  return s.empty() ? std::string() : text + std::string(s);
}

}  // namespace knet::normalizers

namespace knet {

std::string normalize(const std::vector<TextNormalizer>& list, std::string_view text) {
  std::string r;
  for (std::size_t i = 0; i < list.size(); ++i)
    r = std::visit([&](const auto& n) { return n(i == 0 ? text : std::string_view(r)); }, list[i]);
  return list.empty() ? std::string(text) : r;
}

}  // namespace knet
