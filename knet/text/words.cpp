#include "knet/text/words.hpp"

namespace knet {
namespace {

// Calls f(text in the wished case).
template <class F>
auto in_case(LetterCase c, std::string_view text, const F& f) {
  if (c == LetterCase::keep) return f(text);
  return f(unicode::lower(
      text, c == LetterCase::lower_turkish ? unicode::Language::turkish : unicode::Language::any));
}

// The runs of code points of the same class; class 0 is left out, class 3 is never joined.
template <class F>
std::vector<std::string> runs(std::string_view s, const F& classify) {
  std::vector<std::string> r;
  int last = 0;
  for (std::size_t i = 0; i < s.size();) {
    const auto d = unicode::decode(s, i);
    const int c = classify(d);
    if (c != 0) {
      if (c != last || c == 3) r.emplace_back();
      r.back().append(s, i, d.bytes);
    }
    last = c;
    i += d.bytes;
  }
  return r;
}

}  // namespace

std::vector<std::string> WhitespaceTokenizer::operator()(std::string_view text) const {
  return in_case(letters, text, [](std::string_view s) {
    return runs(s, [](const unicode::Decoded& d) { return unicode::kinds(d) & unicode::space ? 0 : 1; });
  });
}
std::vector<std::string> WordTokenizer::operator()(std::string_view text) const {
  return in_case(letters, text, [this](std::string_view s) {
    return runs(s, [this](const unicode::Decoded& d) {
      const int k = unicode::kinds(d);
      return k & unicode::space ? 0 : k & unicode::word ? 1 : single_punctuation ? 3 : 2;
    });
  });
}
std::vector<std::string> CharTokenizer::operator()(std::string_view text) const {
  return in_case(letters, text,
                 [](std::string_view s) { return runs(s, [](const unicode::Decoded&) { return 3; }); });
}

}  // namespace knet
