#include "knet/text/pre_tokenizers.hpp"

#include "knet/text/unicode.hpp"

namespace knet::pre_tokenizers {
namespace {

using unicode::decode;
using unicode::kinds;

bool is_bert_punctuation(const unicode::Decoded& d) {
  return d.valid && (unicode::is_ascii_symbol(d.value) || kinds(d.value) & unicode::punctuation);
}

// The runs of characters of the same class. Class 0 is left out, class 2 is never joined.
template <class F>
void runs(std::string_view s, TextPieces& to, const F& classify) {
  std::size_t begin = 0;
  int last = 0;
  const auto emit = [&](std::size_t end) {
    if (last != 0) to.list.push_back(s.substr(begin, end - begin));
  };
  for (std::size_t i = 0; i < s.size();) {
    const auto d = decode(s, i);
    const int c = classify(d);
    if (c != last || c == 2) {
      if (i > 0) emit(i);
      begin = i, last = c;
    }
    i += d.bytes;
  }
  if (!s.empty()) emit(s.size());
}

// Cuts s where `next` finds matches: next(at, begin, end) gives the first non-empty match from `at` on, or
// false.
template <class F>
void cut(std::string_view s, Behavior behavior, bool invert, TextPieces& to, const F& next) {
  const std::size_t base = to.list.size();
  bool previous = false;
  std::size_t open = 0;  // merged_with_next: where the pending piece begins
  bool pending = false;
  const auto piece = [&](std::size_t begin, std::size_t end, bool match) {
    if (begin == end) return;
    match = match != invert;
    const auto text = s.substr(begin, end - begin);
    const bool some = to.list.size() > base;
    const auto extend = [&] {
      auto& back = to.list.back();
      back = {back.data(), back.size() + text.size()};
    };
    switch (behavior) {
      case Behavior::removed:
        if (!match) to.list.push_back(text);
        break;
      case Behavior::isolated: to.list.push_back(text); break;
      case Behavior::merged_with_previous:
        if (match && !previous && some)
          extend();
        else
          to.list.push_back(text);
        break;
      case Behavior::merged_with_next:
        // A match waits for what follows it; of several in a row only the last is joined.
        if (pending && !match) {
          to.list.push_back(s.substr(open, end - open));
          pending = false;
        } else {
          if (pending) to.list.push_back(s.substr(open, begin - open));
          pending = match;
          open = begin;
          if (!match) to.list.push_back(text);
        }
        break;
      case Behavior::contiguous:
        if (some && match == previous)
          extend();
        else
          to.list.push_back(text);
        break;
    }
    previous = match;
  };
  std::size_t at = 0, begin = 0, end = 0;
  while (at < s.size() && next(at, begin, end)) {
    piece(at, begin, false);
    piece(begin, end, true);
    at = end;
  }
  piece(at, s.size(), false);
  if (pending) to.list.push_back(s.substr(open));
}

// The next character for which f holds, as a match.
template <class F>
auto each(std::string_view s, const F& f) {
  return [s, f](std::size_t at, std::size_t& begin, std::size_t& end) {
    while (at < s.size()) {
      const auto d = decode(s, at);
      if (f(d)) {
        begin = at, end = at + d.bytes;
        return true;
      }
      at += d.bytes;
    }
    return false;
  };
}
auto occurrences(std::string_view s, std::string_view of) {
  return [s, of](std::size_t at, std::size_t& begin, std::size_t& end) {
    begin = s.find(of, at);
    end = begin + of.size();
    return begin != std::string_view::npos;
  };
}

}  // namespace

void Bert::operator()(std::string_view s, bool, TextPieces& to) const {
  runs(s, to, [](const unicode::Decoded& d) {
    if (kinds(d) & unicode::space) return 0;
    return is_bert_punctuation(d) ? 2 : 1;
  });
}
void Whitespace::operator()(std::string_view s, bool, TextPieces& to) const {
  runs(s, to, [](const unicode::Decoded& d) {
    const int k = kinds(d);
    return k & unicode::word ? 1 : k & unicode::space ? 0 : 3;
  });
}
void WhitespaceSplit::operator()(std::string_view s, bool, TextPieces& to) const {
  runs(s, to, [](const unicode::Decoded& d) { return kinds(d) & unicode::space ? 0 : 1; });
}
void ByteLevel::operator()(std::string_view s, bool, TextPieces& to) const {
  if (add_prefix_space && !s.empty() && s[0] != ' ') s = to.made.emplace_back(" " + std::string(s));
  if (!use_regex) {
    if (!s.empty()) to.list.push_back(s);
    return;
  }
  for (std::size_t i = 0; i < s.size();) {
    const std::size_t end = match_end(SplitPattern::gpt2, s, i);
    to.list.push_back(s.substr(i, end - i));
    i = end;
  }
}
void Punctuation::operator()(std::string_view s, bool, TextPieces& to) const {
  cut(s, behavior, false, to, each(s, is_bert_punctuation));
}
void Digits::operator()(std::string_view s, bool, TextPieces& to) const {
  cut(s, individual_digits ? Behavior::isolated : Behavior::contiguous, false, to,
      each(s, [](const unicode::Decoded& d) { return (kinds(d) & unicode::number) != 0; }));
}
void Metaspace::operator()(std::string_view s, bool first, TextPieces& to) const {
  if (s.empty()) return;
  std::string& r = to.made.emplace_back();
  for (const char c : s) c == ' ' ? r.append(replacement) : r += c;
  const bool wanted = prepend_scheme == Prepend::always || (prepend_scheme == Prepend::first && first);
  if (wanted && !r.starts_with(replacement)) r.insert(0, replacement);
  if (split)
    cut(r, Behavior::merged_with_next, false, to, occurrences(r, replacement));
  else
    to.list.push_back(r);
}
void Split::operator()(std::string_view s, bool, TextPieces& to) const {
  if (const auto* text = std::get_if<std::string>(&pattern))
    return cut(s, behavior, invert, to, occurrences(s, *text));
  const auto known = std::get<SplitPattern>(pattern);
  cut(s, behavior, invert, to, [&](std::size_t at, std::size_t& begin, std::size_t& end) {
    for (begin = at; begin < s.size(); begin += decode(s, begin).bytes) {
      end = match_end(known, s, begin);
      if (end > begin) return true;
    }
    return false;
  });
}

}  // namespace knet::pre_tokenizers

namespace knet {

void pre_tokenize(const std::vector<PreTokenizer>& list, std::string_view text, bool first, TextPieces& to) {
  if (list.empty()) {
    if (!text.empty()) to.list.push_back(text);
    return;
  }
  const auto call = [](const PreTokenizer& p, std::string_view s, bool is_first, TextPieces& out) {
    std::visit([&](const auto& f) { f(s, is_first, out); }, p);
  };
  if (list.size() == 1) return call(list[0], text, first, to);
  std::vector<std::string_view> pieces{text}, given = std::move(to.list);
  for (const PreTokenizer& p : list) {
    to.list.clear();
    for (std::size_t i = 0; i < pieces.size(); ++i) call(p, pieces[i], first && i == 0, to);
    pieces.swap(to.list);
  }
  to.list = std::move(given);
  to.list.insert(to.list.end(), pieces.begin(), pieces.end());
}

}  // namespace knet
