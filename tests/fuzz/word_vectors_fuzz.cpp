// libFuzzer: any bytes are word vectors (text, word2vec's or fastText's binary; gzip) or an Error, with the
// words of the file and with a vocabulary.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "knet/text/word_vectors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  static const knet::IndexedDict<std::string> words{"the", "A", "b", "w"};
  for (const auto* vocabulary : {static_cast<const knet::IndexedDict<std::string>*>(nullptr), &words}) {
    try {
      const auto v = knet::parse_word_vectors(bytes, "fuzz", vocabulary, {.lower = true, .seed = 1});
      if (v.vectors.size(0) != static_cast<std::int64_t>(v.words.size())) std::abort();
      if (!vocabulary && v.words.size() > 0) static_cast<void>(knet::nearest(v, v.words.element(0), 3));
    } catch (const knet::Error&) {
    }
  }
  return 0;
}
