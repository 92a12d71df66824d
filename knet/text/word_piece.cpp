#include "knet/text/word_piece.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/text/json_file.hpp"
#include "knet/text/unicode.hpp"

namespace knet {

WordPiece::WordPiece(TokenTable tokens, WordPieceOptions o) : tokens_(std::move(tokens)), o_(std::move(o)) {
  unknown_ = tokens_.id(o_.unknown);
  if (unknown_ < 0)
    fail<ValueError>("WordPiece: the unknown token ", detail::shown(o_.unknown), " is not among the tokens");
  // Cutting a word takes cubic time at worst.
  if (o_.max_characters < 1 || o_.max_characters > 1000)
    fail<ValueError>("WordPiece: max_characters ", o_.max_characters, " (expected 1 to 1000)");
}

void WordPiece::encode(std::string_view word, std::vector<std::int64_t>& ids) const {
  if (word.empty()) return;
  const auto continues = [&](std::size_t i) { return (static_cast<unsigned char>(word[i]) & 0xC0) == 0x80; };
  if (static_cast<std::int64_t>(word.size()) > o_.max_characters) {
    std::int64_t n = 0;
    for (std::size_t i = 0; i < word.size() && n <= o_.max_characters; i += unicode::decode(word, i).bytes)
      ++n;
    if (n > o_.max_characters) return ids.push_back(unknown_);
  }
  if (const auto id = tokens_.id(word); id >= 0) return ids.push_back(id);
  const std::size_t start = ids.size();
  std::string part;
  for (std::size_t at = 0; at < word.size();) {
    part = at == 0 ? "" : o_.prefix;
    const std::size_t mark = part.size();
    part += word.substr(at, tokens_.longest());
    std::int64_t id = -1;
    std::size_t length = part.size() - mark;
    for (; length > 0; --length) {
      if (at + length < word.size() && continues(at + length)) continue;  // not inside a character
      id = tokens_.id(std::string_view(part).substr(0, mark + length));
      if (id >= 0) break;
    }
    if (id < 0) {
      ids.resize(start);
      return ids.push_back(unknown_);
    }
    ids.push_back(id);
    at += length;
  }
}

}  // namespace knet
