#include "knet/text/byte_pair_training.hpp"

#include <algorithm>
#include <queue>
#include <set>

#include "knet/base/text.hpp"
#include "knet/text/json_file.hpp"
#include "knet/text/unicode.hpp"

namespace knet {
namespace {

struct Word {
  std::vector<std::int32_t> symbols;
  std::int64_t count;
};
struct Pair {
  std::int64_t count = 0;
  std::vector<std::uint32_t> words;  // where it may be
};
std::uint64_t key(std::int32_t a, std::int32_t b) {
  return std::uint64_t{static_cast<std::uint32_t>(a)} << 32 | static_cast<std::uint32_t>(b);
}
struct Candidate {
  std::int64_t count;
  std::uint64_t pair;
  bool operator<(const Candidate& o) const { return count != o.count ? count < o.count : pair > o.pair; }
};

}  // namespace

BytePairTrainer::BytePairTrainer(BytePairTraining o) : o_(std::move(o)) {}

void BytePairTrainer::add(std::string_view text) {
  std::string normal;
  if (!o_.normalizers.empty()) text = normal = normalize(o_.normalizers, text);
  TextPieces pieces;
  pre_tokenize(o_.pre_tokenizers, text, true, pieces);
  for (const std::string_view p : pieces.list) ++words_[std::string(p)];
}

Tokenizer BytePairTrainer::train() const {
  const bool byte_level = !o_.pre_tokenizers.empty() &&
                          std::holds_alternative<pre_tokenizers::ByteLevel>(o_.pre_tokenizers.back());
  TokenTable tokens;
  for (const std::string& s : o_.specials) {
    if (tokens.contains(s))
      fail<ValueError>("BytePairTrainer: the special token ", detail::shown(s), " is there twice");
    tokens.add(s);
  }
  if (!o_.unknown.empty() && !tokens.contains(o_.unknown))
    fail<ValueError>("BytePairTrainer: unknown is ", detail::shown(o_.unknown),
                     ", which is no special token");

  // The alphabet, by code point. Bytes that are not UTF-8 have no characters and are left out.
  std::set<char32_t> alphabet;
  const auto each_symbol = [&](const std::string& word, const auto& f) {
    for (std::size_t i = 0; i < word.size();) {
      const auto d = unicode::decode(word, i);
      if (byte_level) {
        f(byte_alphabet()[static_cast<unsigned char>(word[i++])]);
        continue;
      }
      if (d.valid) f(word.substr(i, d.bytes));
      i += d.bytes;
    }
  };
  for (const std::string& c : byte_alphabet()) {
    if (byte_level) alphabet.insert(unicode::decode(c, 0).value);
  }
  if (!byte_level) {
    for (const auto& [word, count] : words_)
      each_symbol(word, [&](const std::string& c) { alphabet.insert(unicode::decode(c, 0).value); });
  }
  for (const char32_t c : alphabet) {
    std::string s;
    unicode::append(s, c);
    tokens.add(s);
  }
  const auto wished = static_cast<std::size_t>(std::max<std::int64_t>(o_.vocabulary, 0));
  if (tokens.size() > wished)
    fail<ValueError>("BytePairTrainer: a vocabulary of ", o_.vocabulary, " has no room for ", tokens.size(),
                     " special tokens and characters");

  std::vector<Word> words;
  words.reserve(words_.size());
  std::unordered_map<std::uint64_t, Pair> pairs;
  for (const auto& [text, count] : words_) {
    Word w{{}, count};
    each_symbol(text,
                [&](const std::string& c) { w.symbols.push_back(static_cast<std::int32_t>(tokens.id(c))); });
    words.push_back(std::move(w));
  }
  const auto count_pairs = [&](std::uint32_t word, std::int64_t sign, const auto& f) {
    const Word& w = words[word];
    for (std::size_t i = 0; i + 1 < w.symbols.size(); ++i) {
      const auto k = key(w.symbols[i], w.symbols[i + 1]);
      Pair& p = pairs[k];
      p.count += sign * w.count;
      if (sign > 0 && (p.words.empty() || p.words.back() != word)) p.words.push_back(word);
      f(k);
    }
  };
  for (std::uint32_t i = 0; i < words.size(); ++i) count_pairs(i, 1, [](std::uint64_t) {});
  std::priority_queue<Candidate> queue;
  for (const auto& [pair, p] : pairs) queue.push({p.count, pair});

  std::vector<BytePair::Merge> merges;
  const std::int64_t least = std::max<std::int64_t>(o_.min_frequency, 1);
  while (tokens.size() < wished && !queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const auto found = pairs.find(best.pair);
    if (found == pairs.end()) continue;
    if (found->second.count != best.count) {  // counted before other merges
      if (found->second.count > 0) queue.push({found->second.count, best.pair});
      continue;
    }
    if (best.count < least) break;
    const auto a = static_cast<std::int32_t>(best.pair >> 32),
               b = static_cast<std::int32_t>(best.pair & UINT32_MAX);
    const std::string left = tokens.token(a), right = tokens.token(b);
    const auto made = static_cast<std::int32_t>(tokens.add(left + right));
    merges.emplace_back(left, right);
    std::vector<std::uint32_t> where = std::move(found->second.words);
    std::sort(where.begin(), where.end());
    where.erase(std::unique(where.begin(), where.end()), where.end());
    std::set<std::uint64_t> grown;
    for (const std::uint32_t i : where) {
      auto& s = words[i].symbols;
      std::vector<std::int32_t> merged;
      merged.reserve(s.size());
      for (std::size_t k = 0; k < s.size(); ++k) {
        if (k + 1 < s.size() && s[k] == a && s[k + 1] == b)
          merged.push_back(made), ++k;
        else
          merged.push_back(s[k]);
      }
      if (merged.size() == s.size()) continue;
      count_pairs(i, -1, [](std::uint64_t) {});
      s = std::move(merged);
      count_pairs(i, 1, [&](std::uint64_t k) { grown.insert(k); });
    }
    pairs.erase(best.pair);
    for (const std::uint64_t k : grown) {
      const auto p = pairs.find(k);
      if (p != pairs.end() && p->second.count > 0) queue.push({p->second.count, k});
    }
  }

  Tokenizer t;
  t.normalizers = o_.normalizers;
  t.pre_tokenizers = o_.pre_tokenizers;
  t.model = BytePair(std::move(tokens), merges, {.byte_level = byte_level, .unknown = o_.unknown});
  if (byte_level)
    t.decoders = {decoders::ByteLevel{}};
  else
    t.decoders = {decoders::Fuse{}};
  for (const std::string& s : o_.specials) t.add({.content = s});
  return t;
}

Tokenizer train_byte_pair(const std::vector<std::string>& texts, BytePairTraining o) {
  BytePairTrainer t(std::move(o));
  for (const std::string& s : texts) t.add(s);
  return t.train();
}

}  // namespace knet
