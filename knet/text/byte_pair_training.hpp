// Learning byte-pair encoding from text: the most frequent pair of neighbouring symbols becomes one, again
// and again, until the vocabulary is as large as wished.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "knet/text/tokenizer.hpp"

namespace knet {

struct BytePairTraining {
  std::int64_t vocabulary = 30000;         ///< tokens in the end, special ones included
  std::int64_t min_frequency = 2;          ///< rarer pairs are not merged
  std::vector<std::string> specials = {};  ///< get the first ids
  std::vector<TextNormalizer> normalizers = {};
  /// Byte-level when the last one is ByteLevel: then no text is unknown and any bytes come back as they were.
  std::vector<PreTokenizer> pre_tokenizers = {pre_tokenizers::ByteLevel{.add_prefix_space = false}};
  std::string unknown =
      "";  ///< without ByteLevel: token for characters that the text did not have (a special one)
};

/// Counts words text by text, then trains:  BytePairTrainer t;  for (auto& line : lines) t.add(line);
/// t.train(); Words of equal frequency make no difference: of equally frequent pairs the one with the smaller
/// ids comes first, as in Hugging Face's trainer, which gives the same merges.
class BytePairTrainer {
 public:
  explicit BytePairTrainer(BytePairTraining o = {});
  void add(std::string_view text);
  /// ValueError when the vocabulary has no room for the alphabet and the special tokens, or `unknown` is not
  /// one.
  Tokenizer train() const;

 private:
  BytePairTraining o_;
  std::unordered_map<std::string, std::int64_t> words_;
};

/// The same over a list of texts.
Tokenizer train_byte_pair(const std::vector<std::string>& texts, BytePairTraining o = {});

}  // namespace knet
