// Subword tokenizers as models publish them: text is normalised, cut into pieces, each piece is taken apart
// by byte-pair encoding or WordPiece, and special tokens are put around. Everything is a plain field; nothing
// is changed by encoding, so that threads may share one.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "knet/tensor/tensor.hpp"
#include "knet/text/byte_pair.hpp"
#include "knet/text/normalizers.hpp"
#include "knet/text/pre_tokenizers.hpp"
#include "knet/text/word_piece.hpp"

namespace knet {

/// Ways back from tokens to text, one after the other: Hugging Face's decoders.
namespace decoders {
struct ByteLevel {};  ///< GPT-2's alphabet to bytes
struct WordPiece {  ///< tokens without the prefix are words of their own; `cleanup` removes blanks before , .
                    ///< n't ...
  std::string prefix = "##";
  bool cleanup = true;
};
struct Suffix {  ///< the end of a word becomes a blank (HF: BPEDecoder)
  std::string suffix = "</w>";
};
struct Metaspace {
  std::string replacement = "\u2581";
  bool prepended = true;  ///< the first token's came from encoding
};
struct Replace {
  std::string pattern, content;
};
struct ByteFallback {};  ///< <0x41> to A
struct Fuse {};          ///< all tokens to one
struct Strip {           ///< at most so many `content` at the ends of every token
  std::string content = " ";
  std::int64_t start = 0, stop = 0;
};
}  // namespace decoders
using TokenDecoder =
    std::variant<decoders::ByteLevel, decoders::WordPiece, decoders::Suffix, decoders::Metaspace,
                 decoders::Replace, decoders::ByteFallback, decoders::Fuse, decoders::Strip>;

/// A token that is found in the text as it stands, before anything else.
struct AddedToken {
  std::string content;
  std::int64_t id = -1;                 ///< -1: that of the model's token, or a new one
  bool special = true;                  ///< left out by decode()
  bool normalized = false;              ///< looked for in the normalised text
  bool single_word = false;             ///< only between other characters than letters, digits and such
  bool lstrip = false, rstrip = false;  ///< takes the blanks before / behind it along
};

/// What is put around one text, or two: texts ("A", "B") and tokens.
struct TemplatePiece {
  enum Kind : std::uint8_t { first, second, token } kind = first;
  std::int64_t type_id = 0;
  std::int64_t id = -1;   ///< of the token
  std::string text = "";  ///< the token
};

enum class TruncationStrategy : std::uint8_t { longest_first, only_first, only_second };
struct TokenTruncation {
  std::int64_t max_length = 512;  ///< special tokens included
  TruncationStrategy strategy = TruncationStrategy::longest_first;
  bool left = false;  ///< cut at the beginning
};
struct BatchPadding {
  std::int64_t id = 0, type_id = 0;
  std::string token = "[PAD]";
  std::int64_t length = 0;       ///< 0: the longest of the batch
  std::int64_t multiple_of = 0;  ///< rounds the length up; 0: no
  bool left = false;
};

struct EncodeOptions {
  bool special_tokens = true;   ///< use the templates
  std::int64_t max_length = 0;  ///< with the special tokens; 0: as `truncation` says, -1: no limit
};
struct EncodedText {
  std::vector<std::int64_t> ids, type_ids;
};
/// Sentences as tensors [B, T]: i64, i64 and boolean (true where there is a token).
struct EncodedBatch {
  Tensor ids, type_ids, mask;
};

/// Added tokens and where they are in a text: the leftmost, of several the longest.
class AddedTokens {
 public:
  /// A part of a text: a token's id, or -1 for what is left to be encoded.
  struct Part {
    std::string_view text;
    std::int64_t id;
  };
  /// `search`: what is looked for, the content or its normalised form.
  void add(AddedToken token, const std::string& search);
  std::vector<Part> split(std::string_view text, bool normalized) const;
  bool any(bool normalized) const { return !groups_[normalized].ids.empty(); }
  /// By id.
  const std::map<std::int64_t, AddedToken>& list() const { return list_; }
  /// Null when there is none.
  const AddedToken* find(std::int64_t id) const;
  const AddedToken* find(const std::string& content) const;

 private:
  struct Group {
    std::unordered_map<std::string, std::int64_t> ids;
    std::array<std::vector<std::size_t>, 256> lengths;  // of the texts with that first byte, longest first
  };
  std::map<std::int64_t, AddedToken> list_;
  std::unordered_map<std::string, std::int64_t> by_content_;
  std::array<Group, 2> groups_;  // looked for in the raw and in the normalised text
};

struct Tokenizer {
  std::vector<TextNormalizer> normalizers = {};
  std::vector<PreTokenizer> pre_tokenizers = {};
  std::variant<BytePair, WordPiece> model = {};
  std::vector<TemplatePiece> single = {{TemplatePiece::first}};
  std::vector<TemplatePiece> pair = {{TemplatePiece::first}, {TemplatePiece::second, 1}};
  std::vector<TokenDecoder> decoders = {};  ///< none: tokens are joined with blanks
  std::optional<TokenTruncation> truncation = std::nullopt;
  std::optional<BatchPadding> padding =
      std::nullopt;  ///< of encode_batch; else a token [PAD] or <pad> is used
  AddedTokens added = {};

  /// Adds a token (after `normalizers` and `model` are set) and gives its id. ValueError when the content is
  /// empty or known with another id, or the id belongs to another token.
  std::int64_t add(AddedToken token);

  /// A text, or two ("[CLS] a [SEP] b [SEP]"). ValueError when a character has no token and there is none for
  /// unknown ones, or the special tokens alone are longer than max_length.
  EncodedText encode(std::string_view text, EncodeOptions o = {}) const;
  EncodedText encode(std::string_view first, std::string_view second, EncodeOptions o = {}) const;
  /// Padded. ValueError when nothing says with what.
  EncodedBatch encode_batch(const std::vector<std::string>& texts, EncodeOptions o = {}) const;
  EncodedBatch encode_batch(const std::vector<std::pair<std::string, std::string>>& texts,
                            EncodeOptions o = {}) const;
  /// The ids of the tokens alone.
  std::vector<std::int64_t> ids(std::string_view text) const;
  /// The tokens themselves, as they are in the vocabulary.
  std::vector<std::string> tokenize(std::string_view text) const;

  /// Back to text, without special tokens unless `special`. Byte-level tokenizers give back what was encoded,
  /// byte for byte, valid UTF-8 or not, as long as no normaliser, prefix blank or added token changed it.
  /// ValueError for an id without a token.
  std::string decode(const std::vector<std::int64_t>& ids, bool special = false) const;
  std::string decode(std::initializer_list<std::int64_t> ids, bool special = false) const {
    return decode(std::vector<std::int64_t>(ids), special);
  }
  std::string decode(const Tensor& ids, bool special = false) const;

  /// The model's tokens.
  const TokenTable& tokens() const;
  /// The id of a token, added or of the model; -1 when there is none.
  std::int64_t id(std::string_view token) const;
  /// The token of an id. ValueError when there is none.
  const std::string& token(std::int64_t id) const;
  /// One more than the largest id: the rows that an Embed needs.
  std::int64_t vocabulary_size() const;
};

/// GPT-2's files: tokens with ids, and merges in order. Its pattern, no blank before the text; a token
/// "<|endoftext|>" is special. IoError, with the file, line or token and what was expected, for anything
/// else.
Tokenizer load_gpt2_tokenizer(const std::string& vocab_json, const std::string& merges_txt);
/// The same files from a byte-level tokenizer; ValueError for another. (What only tokenizer.json can say is
/// left out.)
void save_gpt2_tokenizer(const std::string& vocab_json, const std::string& merges_txt, const Tokenizer&);

/// The first GPT's files, encoder_bpe_40000.json and vocab_40000.bpe, in the same form: tokens that end a
/// word end in "</w>", and "<unk>" stands for characters without one. Text is lowered and loses its accents;
/// punctuation characters stand alone, dashes are "-". (OpenAI cut words with spaCy and ftfy, for which this
/// is Hugging Face's stand-in too.) IoError.
Tokenizer load_gpt_tokenizer(const std::string& encoder_json, const std::string& merges_bpe);

struct BertOptions {
  bool lowercase = true;                             ///< and no accents; false for "cased" models
  std::optional<bool> strip_accents = std::nullopt;  ///< nullopt: as `lowercase`
  bool chinese_characters = true;                    ///< each is a word
};
/// BERT's vocab.txt, one token a line, which must have [UNK], [CLS] and [SEP]. IoError.
Tokenizer load_bert_tokenizer(const std::string& vocab_txt, BertOptions o = {});

/// A tokenizer.json of Hugging Face's library, with a BPE or WordPiece model. Whatever in it is not supported
/// is an IoError that names it: nothing is ignored but `trim_offsets`, which changes no id.
Tokenizer load_tokenizer(const std::string& tokenizer_json);
/// The same from memory; `name` stands for the path in messages.
Tokenizer parse_tokenizer(std::string_view json, const std::string& name = "memory");
/// Writes such a file, which Python's `tokenizers` reads. ValueError when a token is not UTF-8; IoError.
void save_tokenizer(const std::string& path, const Tokenizer&);

}  // namespace knet
