// A vocabulary of tokens for models: special tokens, words by frequency, what becomes of unknown words, and
// sentences as padded tensors.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "knet/tensor/tensor.hpp"
#include "knet/text/indexed_dict.hpp"

namespace knet {

struct VocabularyOptions {
  std::vector<std::string> specials = {"<pad>", "<unk>"};  ///< get the first ids, in this order
  std::string pad = "<pad>";                               ///< fills short sentences; must be a special
  std::string unknown = "<unk>";  ///< stands for words that are not there; "": such a word is a ValueError
  std::string begin = "";         ///< put before every sentence, unless ""; must be a special
  std::string end = "";           ///< put after every sentence, unless ""
  std::int64_t min_count = 1;     ///< rarer words are left out
  std::int64_t max_size = 0;      ///< the most tokens, specials included; 0: no limit
};

/// Sentences of unequal length as one tensor.
struct TokenBatch {
  Tensor ids;                         ///< [B, T] i64, filled up with the pad token
  Tensor mask;                        ///< [B, T] boolean, true where there is a token
  std::vector<std::int64_t> lengths;  ///< of every sentence
};

class Vocabulary {
 public:
  Vocabulary() : Vocabulary(IndexedDict<std::string>{}, {}) {}
  /// The specials, then the words that are not among them. ValueError when `pad`, `unknown`, `begin` or `end`
  /// is no special, or a special is there twice. The counts of the options are not looked at.
  explicit Vocabulary(const IndexedDict<std::string>& words, VocabularyOptions o = {});

  /// The id of a token, or of `unknown`.
  std::int64_t id(const std::string& token) const;
  const std::string& token(std::int64_t id) const { return tokens_.element(id); }
  bool contains(const std::string& token) const { return tokens_.contains(token); }
  std::size_t size() const { return tokens_.size(); }
  std::int64_t pad_id() const { return tokens_.id(o_.pad); }
  const IndexedDict<std::string>& tokens() const { return tokens_; }
  const VocabularyOptions& options() const { return o_; }

  /// One sentence; begin and end are added when they are set.
  std::vector<std::int64_t> encode(const std::vector<std::string>& sentence) const;
  /// Tokens of ids; pad, begin and end are left out unless `specials`.
  std::vector<std::string> decode(const std::vector<std::int64_t>& ids, bool specials = false) const;
  /// Many sentences, padded behind to the longest, or cut to max_length (0: no limit; `end` stays at the
  /// end).
  TokenBatch encode_batch(const std::vector<std::vector<std::string>>& sentences,
                          std::int64_t max_length = 0) const;
  /// Sentences of ids [B, T].
  std::vector<std::vector<std::string>> decode_batch(const Tensor& ids, bool specials = false) const;

 private:
  IndexedDict<std::string> tokens_;
  VocabularyOptions o_;
};

/// Counts words: a word more frequent than another comes before it, equally frequent ones by their bytes.
///   VocabularyBuilder b;  for (auto& line : lines) b.add(WordTokenizer{}(line));  Vocabulary v = b.build();
class VocabularyBuilder {
 public:
  void add(const std::vector<std::string>& sentence);
  void add(const std::string& word, std::int64_t count = 1);
  /// ValueError for options that do not fit (see Vocabulary).
  Vocabulary build(VocabularyOptions o = {}) const;

 private:
  std::unordered_map<std::string, std::int64_t> counts_;
};

/// One JSON file, which people can read and edit. ValueError when a token is not UTF-8; IoError.
void save_vocabulary(const std::string& path, const Vocabulary&);
Vocabulary load_vocabulary(const std::string& path);

}  // namespace knet
