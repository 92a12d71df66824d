// libFuzzer: any bytes are a tokenizer.json or an Error. What is read encodes and decodes a text without
// harm, and byte-level tokenizers give it back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "knet/base/error.hpp"
#include "knet/text/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view s(reinterpret_cast<const char*>(data), size);
  try {
    const auto t = knet::parse_tokenizer(s);
    const auto text = std::string("It's a caf\xC3\xA9, \xE4\xB8\xAD\xF0\x9F\x98\x80 12!\xFF ") +
                      std::string(s.substr(0, 200));
    const auto ids = t.ids(text);
    static_cast<void>(t.decode(ids, true));
    static_cast<void>(t.encode(text, "second", {.max_length = 9}));
  } catch (const knet::Error&) {
  }
  return 0;
}
