#include "knet/io/npy_header.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "knet/base/text.hpp"

namespace knet::io {
namespace {

constexpr std::uint64_t max_header = 1 << 20;

// Python's literal {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. Not more of the language than
// numpy writes.
struct Literal {
  const ByteSource& s;
  const std::string& what;
  std::string_view text;
  std::size_t at = 0;

  template <class... A>
  [[noreturn]] void bad(const A&... why) const {
    s.bad(what, "the npy header, at its character ", at, ": ", why...);
  }
  void blank() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t')) ++at;
  }
  char peek() {
    blank();
    return at < text.size() ? text[at] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at;
    return true;
  }
  void expect(char c) {
    if (!take(c)) bad("expected '", c, "'");
  }
  std::string_view quoted() {
    const char q = peek();
    if (q != '\'' && q != '"') bad("expected a text in quotes");
    const auto close = text.find(q, at + 1);
    if (close == std::string_view::npos) bad("a text without an end");
    const auto r = text.substr(at + 1, close - at - 1);
    at = close + 1;
    return r;
  }
  bool truth() {
    blank();
    for (const bool v : {true, false}) {
      const std::string_view word = v ? "True" : "False";
      if (text.substr(at).starts_with(word)) {
        at += word.size();
        return v;
      }
    }
    bad("expected True or False");
  }
  Shape tuple() {
    Shape r;
    expect('(');
    while (!take(')')) {
      if (r.ndim() == max_dims) bad("more than ", max_dims, " dimensions");
      blank();
      std::int64_t v = 0;
      const char* begin = text.data() + at;
      const auto [p, error] = std::from_chars(begin, text.data() + text.size(), v);
      if (error != std::errc() || v < 0) bad("expected a size from 0 up");
      at += static_cast<std::size_t>(p - begin);
      take('L');  // a long of Python 2
      r.push(v);
      if (!take(',') && peek() != ')') bad("expected ',' or ')'");
    }
    return r;
  }
};

void set_type(NpyHeader& h) {
  static constexpr std::pair<std::string_view, Stored> types[] = {
      {"f4", Stored::f32}, {"f8", Stored::f64}, {"f2", Stored::f16}, {"i4", Stored::i32},
      {"i8", Stored::i64}, {"u1", Stored::u8},  {"i1", Stored::i8},  {"i2", Stored::i16},
      {"u2", Stored::u16}, {"u4", Stored::u32}, {"u8", Stored::u64}, {"b1", Stored::boolean}};
  std::string_view t = h.type;
  if (t.empty()) return;
  if (t[0] == '>') h.order = std::endian::big;
  if (t[0] == '=') h.order = std::endian::native;
  if (t[0] == '<' || t[0] == '>' || t[0] == '|' || t[0] == '=') t.remove_prefix(1);
  for (auto& [name, stored] : types) {
    if (name == t) h.stored = stored;
  }
}

}  // namespace

std::uint64_t npy_header_length(const ByteSource& s, const std::string& what,
                                std::span<const std::byte> first, std::uint64_t size) {
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint64_t>(first[i]); };
  if (first.size() < 10 || std::memcmp(first.data(), "\x93NUMPY", 6) != 0)
    s.bad(what, "is not an npy array: it does not begin with 93 N U M P Y");
  if (at(6) < 1 || at(6) > 3)
    s.bad(what, "is npy of version ", at(6), ".", at(7), " (expected 1.0, 2.0 or 3.0)");
  if (at(6) > 1 && first.size() < 12) s.bad(what, "truncated in the npy header");
  const std::uint64_t n =
      at(6) == 1 ? 10 + (at(8) | at(9) << 8) : 12 + (at(8) | at(9) << 8 | at(10) << 16 | at(11) << 24);
  if (n > size || n > max_header)
    s.bad(what, "claims an npy header of ", n, " bytes (expected at most ", std::min(size, max_header), ")");
  return n;
}

NpyHeader parse_npy_header(const ByteSource& s, const std::string& what, std::span<const std::byte> header,
                           std::uint64_t size) {
  const std::size_t start = std::to_integer<int>(header[6]) == 1 ? 10 : 12;
  Literal l{s, what, {reinterpret_cast<const char*>(header.data()) + start, header.size() - start}};
  NpyHeader h;
  h.length = header.size();
  int seen = 0;
  const auto once = [&](int key) {
    if (seen & key) l.bad("a key twice");
    seen |= key;
  };
  l.expect('{');
  while (!l.take('}')) {
    const auto key = l.quoted();
    l.expect(':');
    if (key == "descr") {
      once(1);
      if (l.peek() == '[' || l.peek() == '(') l.bad("an array of records, which is not supported");
      h.type = l.quoted().substr(0, 80);
      set_type(h);
    } else if (key == "fortran_order") {
      once(2);
      h.fortran = l.truth();
    } else if (key == "shape") {
      once(4);
      h.shape = l.tuple();
    } else {
      l.bad("the key ", shown(key), " (expected descr, fortran_order and shape)");
    }
    if (!l.take(',') && l.peek() != '}') l.bad("expected ',' or '}'");
  }
  if (l.peek() != '\0') l.bad("something behind the dictionary");
  if (seen != 7) s.bad(what, "the npy header lacks descr, fortran_order or shape");
  const std::uint64_t rest = size - h.length;
  if (!byte_count(h.shape, std::max<std::size_t>(size_of(h.stored), 1), h.bytes))
    s.bad(what, "shape ", h.shape, " has too many elements");
  if (h.stored == Stored::unknown)
    h.bytes = 0;
  else if (h.bytes != rest)
    s.bad(what, "has ", rest, " bytes of elements; shape ", h.shape, " of ", shown(h.type), " needs ",
          h.bytes);
  return h;
}

Tensor from_fortran(const Tensor& t) {
  std::vector<int> order;
  for (int i = t.ndim() - 1; i >= 0; --i) order.push_back(i);
  return t.permute(order).contiguous();
}

}  // namespace knet::io
