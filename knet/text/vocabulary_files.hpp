// GPT-2's and BERT's files from memory; for tests, and for the loaders. Not installed.
#pragma once
#include <string_view>

#include "knet/text/tokenizer.hpp"

namespace knet::detail {

Tokenizer parse_gpt2(std::string_view vocab, const std::string& vocab_name, std::string_view merges,
                     const std::string& merges_name);
Tokenizer parse_bert(std::string_view vocab, const std::string& name, const BertOptions& o);

}  // namespace knet::detail
