// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909; over bytes: Radford et al. 2019): a word starts
// as its characters or bytes, and the pair that was merged first in training is joined until no pair is
// known.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knet/text/token_table.hpp"

namespace knet {

struct BytePairOptions {
  bool byte_level =
      false;  ///< tokens are written in GPT-2's alphabet, where each byte is one visible character
  std::string unknown = "";    ///< token for characters without one; "": such a character is a ValueError
  std::string prefix = "";     ///< before parts that continue a word ("##")
  std::string suffix = "";     ///< behind the last part of a word ("</w>")
  bool fuse_unknown = false;   ///< unknown characters in a row are one token
  bool byte_fallback = false;  ///< a character without a token becomes its bytes' tokens <0x00> ... <0xFF>
  bool ignore_merges = false;  ///< a word that is a token is that token, whatever the merges make of it
};

/// The character that GPT-2's alphabet has for each byte, as UTF-8; and back: the byte of a code point, or
/// -1.
const std::array<std::string, 256>& byte_alphabet();
int byte_of(char32_t);

class BytePair {
 public:
  using Merge = std::pair<std::string, std::string>;
  BytePair() = default;
  /// Merges in the order of training. ValueError when a part, or what they make, is not among the tokens, or
  /// `unknown` is not.
  BytePair(TokenTable tokens, const std::vector<Merge>& merges, BytePairOptions o = {});

  /// Adds the ids of a word. Linear in short words, n log n in long ones.
  void encode(std::string_view word, std::vector<std::int64_t>& ids) const;
  const TokenTable& tokens() const { return tokens_; }
  const BytePairOptions& options() const { return o_; }
  std::vector<Merge> merges() const;

 private:
  struct Rule {
    std::uint64_t pair;
    std::uint32_t rank;
    std::int32_t made;
  };
  const Rule* find(std::int32_t left, std::int32_t right) const;
  void symbols(std::string_view word, std::vector<std::int32_t>& to) const;
  void merge_short(std::int32_t* ids, std::size_t n, std::vector<std::int64_t>& to) const;
  void merge_long(const std::vector<std::int32_t>& ids, std::vector<std::int64_t>& to) const;

  TokenTable tokens_;
  BytePairOptions o_;
  std::vector<Rule> rules_;  // open addressing; rank 2^32 - 1 is free
  std::vector<std::pair<std::int32_t, std::int32_t>> merges_;
  std::int32_t unknown_ = -1;
  std::array<std::array<std::int32_t, 256>, 4> bytes_{};  // id of a byte: [first?][last?], -1: none
  std::array<std::int32_t, 256> fallback_{};
};

}  // namespace knet
