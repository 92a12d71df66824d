// Tokenizer::decode: tokens to text.
#include <cstdlib>
#include <string>

#include "knet/base/text.hpp"
#include "knet/text/tokenizer.hpp"
#include "knet/text/unicode.hpp"

namespace knet {
namespace {

struct Part {
  std::string text;
  bool added;  // an added token stands for itself
};
using Parts = std::vector<Part>;

std::string replaced(const std::string& s, const std::string& pattern, const std::string& content) {
  return normalizers::Replace{pattern, content}(s);
}

void apply(const decoders::ByteLevel&, Parts& parts) {
  for (Part& p : parts) {
    if (p.added) continue;
    std::string bytes;
    bool all = true;
    for (std::size_t i = 0; all && i < p.text.size();) {
      const auto d = unicode::decode(p.text, i);
      const int b = d.valid ? byte_of(d.value) : -1;
      all = b >= 0;
      bytes += static_cast<char>(b);
      i += d.bytes;
    }
    if (all) p.text = std::move(bytes);
  }
}
void apply(const decoders::WordPiece& d, Parts& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string& s = parts[i].text;
    if (i > 0) {
      if (!d.prefix.empty() && s.starts_with(d.prefix))
        s.erase(0, d.prefix.size());
      else
        s.insert(0, " ");
    }
    if (!d.cleanup) continue;
    for (const auto& [from, to] : {std::pair{" .", "."},
                                   {" ?", "?"},
                                   {" !", "!"},
                                   {" ,", ","},
                                   {" ' ", "'"},
                                   {" n't", "n't"},
                                   {" 'm", "'m"},
                                   {" do not", " don't"},
                                   {" 's", "'s"},
                                   {" 've", "'ve"},
                                   {" 're", "'re"}})
      s = replaced(s, from, to);
  }
}
void apply(const decoders::Suffix& d, Parts& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i)
    parts[i].text = replaced(parts[i].text, d.suffix, i + 1 == parts.size() ? "" : " ");
}
void apply(const decoders::Metaspace& d, Parts& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i)
    parts[i].text = replaced(parts[i].text, d.replacement, i == 0 && d.prepended ? "" : " ");
}
void apply(const decoders::Replace& d, Parts& parts) {
  for (Part& p : parts) p.text = replaced(p.text, d.pattern, d.content);
}
void apply(const decoders::ByteFallback&, Parts& parts) {
  const auto digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  for (Part& p : parts) {
    const std::string& s = p.text;
    if (s.size() == 6 && s.starts_with("<0x") && digit(s[3]) && digit(s[4]) && s[5] == '>')
      p.text = std::string(1, static_cast<char>(std::strtol(s.substr(3, 2).c_str(), nullptr, 16)));
  }
}
void apply(const decoders::Fuse&, Parts& parts) {
  std::string all;
  for (const Part& p : parts) all += p.text;
  parts.assign(1, {std::move(all), false});
}
void apply(const decoders::Strip& d, Parts& parts) {
  if (d.content.empty()) return;
  for (Part& p : parts) {
    std::string_view s = p.text;
    for (std::int64_t i = 0; i < d.start && s.starts_with(d.content); ++i) s.remove_prefix(d.content.size());
    for (std::int64_t i = 0; i < d.stop && s.ends_with(d.content); ++i) s.remove_suffix(d.content.size());
    p.text = std::string(s);
  }
}

}  // namespace

std::string Tokenizer::decode(const std::vector<std::int64_t>& ids, bool special) const {
  Parts parts;
  parts.reserve(ids.size());
  for (const std::int64_t i : ids) {
    const AddedToken* a = added.find(i);
    if (!a || !a->special || special) parts.push_back({token(i), a != nullptr});
  }
  for (const TokenDecoder& d : decoders) std::visit([&](const auto& x) { apply(x, parts); }, d);
  std::string r;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && decoders.empty()) r += ' ';
    r += parts[i].text;
  }
  return r;
}
std::string Tokenizer::decode(const Tensor& ids, bool special) const {
  if (ids.dtype() != i64 && ids.dtype() != i32)
    fail<DTypeError>("Tokenizer::decode: ids are ", ids.dtype(), " (expected i64 or i32)");
  if (ids.ndim() != 1) fail<ShapeError>("Tokenizer::decode: ", ids.shape(), " (expected [T])");
  return decode(ids.to_vector<std::int64_t>(), special);
}

}  // namespace knet
