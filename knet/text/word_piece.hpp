// WordPiece (Schuster and Nakajima 2012; BERT, arXiv:1810.04805): a word is cut into the longest tokens from
// the left; all but the first carry a mark.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knet/text/token_table.hpp"

namespace knet {

struct WordPieceOptions {
  std::string unknown = "[UNK]";
  std::string prefix = "##";          ///< of parts that continue a word
  std::int64_t max_characters = 100;  ///< longer words are unknown; at most 1000
};

class WordPiece {
 public:
  WordPiece() = default;
  /// ValueError when `unknown` is not among the tokens, or max_characters is out of range.
  explicit WordPiece(TokenTable tokens, WordPieceOptions o = {});
  /// Adds the ids of a word: the id of `unknown` when it can not be cut.
  void encode(std::string_view word, std::vector<std::int64_t>& ids) const;
  const TokenTable& tokens() const { return tokens_; }
  const WordPieceOptions& options() const { return o_; }

 private:
  TokenTable tokens_;
  WordPieceOptions o_;
  std::int64_t unknown_ = -1;
};

}  // namespace knet
