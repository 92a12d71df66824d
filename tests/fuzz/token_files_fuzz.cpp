// libFuzzer: vocab.json with merges.txt (split at the first zero byte) and vocab.txt; dictionaries and
// vocabularies share the reader of the first.
#include <cstddef>
#include <cstdint>
#include <string>

#include "knet/base/error.hpp"
#include "knet/text/vocabulary_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view s(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = s.find('\0');
  const std::string_view first = s.substr(0, cut),
                         second = cut == std::string_view::npos ? "" : s.substr(cut + 1);
  const auto use = [&](const knet::Tokenizer& t) { static_cast<void>(t.decode(t.ids(s))); };
  try {
    use(knet::detail::parse_gpt2(first, "vocab", second, "merges"));
  } catch (const knet::Error&) {
  }
  try {
    use(knet::detail::parse_bert(first, "vocab", {}));
  } catch (const knet::Error&) {
  }
  return 0;
}
