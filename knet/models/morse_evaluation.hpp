// How good Morse's analyses are: lemmas, tags and both, of all words, of ambiguous ones and of words that
// training did not have; F1 of features; and by how often a list of tags came in training.
#pragma once
#include <array>
#include <vector>

#include "knet/models/morse.hpp"

namespace knet::models {

/// Words of known analysis, and how many are right.
struct MorseCounts {
  std::int64_t words = 0, lemmas = 0, tags = 0, complete = 0;
  /// A share in per cent, NaN when there are no words.
  double percent(std::int64_t part) const;
};
struct MorseScore {
  MorseCounts all;
  MorseCounts ambiguous;  ///< with more than one analysis in the data; none in CoNLL-U
  MorseCounts unseen;     ///< words that the training sentences did not have
  /// By how often the word's list of tags came in training: never, 1 to 4 times, 5 times and more (table 10
  /// of the paper).
  std::array<MorseCounts, 3> by_count = {};
  /// Of features, in per cent. CoNLL-U: a feature is right when its value is; TrMor: when the tag is there.
  /// Micro: of all features together; macro: the mean over features, weighted by how often they should be
  /// there.
  double f1_micro = 0, f1_macro = 0;
  double loss = 0;  ///< mean -log p of a symbol, given the right symbols (and tags) before it
};

/// Predictions beside the right analyses (the first ones). A lemma is right when all its letters are, where
/// digits of the right one stand for any letter; tags are right when all are, in their order, and the output
/// ended there. Without lemmas in the vocabulary every lemma is right. `loss` is left alone. ValueError when
/// sentences and predictions do not have the same words.
MorseScore morse_score(const MorseVocabulary&, const std::vector<MorseSentence>&,
                       const std::vector<std::vector<MorseAnalysis>>& predictions);

struct MorseEvaluateOptions {
  std::int64_t batch = 128;  ///< sentences at a time, of similar lengths
  MorsePredictOptions predict = {};
};
/// The model's analyses of every word.
std::vector<std::vector<MorseAnalysis>> morse_predict(const Morse&, const MorseVocabulary&,
                                                      const std::vector<MorseSentence>&,
                                                      const MorseEvaluateOptions& = {});
/// Mean -log p per symbol (of a classifier per word).
double morse_loss(const Morse&, const MorseVocabulary&, const std::vector<MorseSentence>&,
                  const MorseEvaluateOptions& = {});
/// All of it.
MorseScore morse_evaluate(const Morse&, const MorseVocabulary&, const std::vector<MorseSentence>&,
                          const MorseEvaluateOptions& = {});

}  // namespace knet::models
