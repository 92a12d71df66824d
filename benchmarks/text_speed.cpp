// How many megabytes of text a second one thread encodes: byte-pair encoding (trained on the same text) and
// WordPiece (its vocabulary: the words and characters of the text by frequency), and reads of word vectors.
//   text_speed FILE... [--vectors FILE]
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "knet/knet.hpp"
using namespace knet;

namespace {

double seconds_of(const auto& f) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

std::vector<std::string> lines_of(const std::string& s) {
  std::vector<std::string> r;
  for (std::size_t i = 0; i < s.size();) {
    const std::size_t end = std::min(s.find('\n', i), s.size() - 1) + 1;
    r.push_back(s.substr(i, end - i));
    i = end;
  }
  return r;
}

Tokenizer word_piece(const std::vector<std::string>& lines) {
  VocabularyBuilder words;
  TextPieces pieces;
  for (const auto& line : lines) {
    const std::string normal = normalizers::Bert{}(line);
    pieces.list.clear();
    pre_tokenize({pre_tokenizers::Bert{}}, normal, true, pieces);
    for (const auto w : pieces.list) {
      words.add(std::string(w), 100);
      for (const std::string& c : CharTokenizer{}(w)) words.add(c, 200), words.add("##" + c, 200);
      if (w.size() > 3) words.add("##" + std::string(w.substr(w.size() - 3)));
    }
  }
  const Vocabulary v = words.build({.specials = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"},
                                    .pad = "[PAD]",
                                    .unknown = "[UNK]",
                                    .max_size = 8000});
  TokenTable tokens;
  for (const auto& t : v.tokens()) tokens.add(t);
  Tokenizer t;
  t.normalizers = {normalizers::Bert{}};
  t.pre_tokenizers = {pre_tokenizers::Bert{}};
  t.model = WordPiece(tokens);
  return t;
}

}  // namespace

int main(int argc, char** argv) {
  std::string text, vectors;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--vectors") == 0 && i + 1 < argc) {
      vectors = argv[++i];
      continue;
    }
    std::ifstream in(argv[i], std::ios::binary);
    text.append(std::istreambuf_iterator<char>(in), {});
  }
  if (text.empty() && vectors.empty()) {
    std::cerr << "text_speed FILE... [--vectors FILE]\n";
    return 1;
  }
  if (!text.empty()) {
    const auto lines = lines_of(text);
    const double mb = static_cast<double>(text.size()) / 1e6;
    std::printf("%.2f MB in %zu lines\n", mb, lines.size());
    Tokenizer bpe;
    std::printf("train byte-pair encoding, 8000 tokens: %.2f s\n",
                seconds_of([&] { bpe = train_byte_pair(lines, {.vocabulary = 8000}); }));
    const Tokenizer wp = word_piece(lines);
    for (const auto& [name, t] :
         {std::pair<const char*, const Tokenizer*>{"byte-pair encoding", &bpe}, {"WordPiece", &wp}}) {
      std::size_t n = 0;
      const double s = seconds_of([&] {
        n = 0;
        for (const auto& line : lines) n += t->ids(line).size();
      });
      std::vector<std::int64_t> ids;
      const double whole = seconds_of([&] { ids = t->ids(text); });
      const double back = seconds_of([&] { static_cast<void>(t->decode(ids)); });
      std::printf("%-20s %zu tokens: %.1f MB/s by lines, %.1f MB/s as one text; decode %.1f MB/s\n", name, n,
                  mb / s, mb / whole, mb / back);
    }
    std::printf("split by words       %.1f MB/s\n",
                mb / seconds_of([&] { static_cast<void>(WordTokenizer{}(text)); }));
  }
  if (!vectors.empty()) {
    WordVectors v;
    const double s = seconds_of([&] { v = load_word_vectors(vectors); });
    std::printf("word vectors         %zu words of %lld numbers in %.2f s: %.0f words/s\n", v.words.size(),
                static_cast<long long>(v.vectors.size(1)), s, static_cast<double>(v.words.size()) / s);
  }
}
