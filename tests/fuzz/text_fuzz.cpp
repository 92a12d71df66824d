// libFuzzer: any bytes through the functions of text. Byte-level encoding gives them back; the patterns cut
// without a gap; what was normalised once stays so.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "knet/text/byte_pair_training.hpp"
#include "knet/text/words.hpp"

using namespace knet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Tokenizer bytes =
      train_byte_pair({"the cat sat on the mat, the end of the matter"}, {.vocabulary = 300});
  const std::string s(reinterpret_cast<const char*>(data), size);
  if (bytes.decode(bytes.ids(s)) != s) std::abort();
  for (const auto pattern : {SplitPattern::gpt2, SplitPattern::gpt4, SplitPattern::qwen2}) {
    for (std::size_t i = 0; i < s.size();) {
      const std::size_t end = match_end(pattern, s, i);
      if (end <= i || end > s.size()) std::abort();
      i = end;
    }
  }
  std::string joined;
  for (const auto& c : CharTokenizer{}(s)) joined += c;
  if (joined != s) std::abort();
  for (const auto form : {unicode::Form::nfc, unicode::Form::nfd, unicode::Form::nfkc, unicode::Form::nfkd}) {
    const auto once = unicode::normalize(s, form);
    if (unicode::normalize(once, form) != once) std::abort();
  }
  static_cast<void>(WordTokenizer{.letters = LetterCase::lower_turkish}(s));
  static_cast<void>(normalizers::Bert{}(s));
  TextPieces pieces;
  for (const PreTokenizer& p :
       {PreTokenizer(pre_tokenizers::Bert{}), PreTokenizer(pre_tokenizers::Whitespace{}),
        PreTokenizer(pre_tokenizers::Metaspace{}), PreTokenizer(pre_tokenizers::Digits{}),
        PreTokenizer(pre_tokenizers::Punctuation{pre_tokenizers::Behavior::merged_with_next}),
        PreTokenizer(pre_tokenizers::Punctuation{pre_tokenizers::Behavior::merged_with_previous})})
    pre_tokenize({p}, s, true, pieces);
  return 0;
}
