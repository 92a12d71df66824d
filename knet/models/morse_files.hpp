// Morse in files: a model with its vocabulary, what it says about a text in the text's own format, and the
// way from a model of one language to one of another.
#pragma once
#include <string>
#include <vector>

#include "knet/models/morse.hpp"

namespace knet::models {

/// One safetensors file: the parameters, and configuration and vocabulary as JSON under "knet.morse" in its
/// metadata. The old file stays whole if anything fails. IoError.
void save_morse(const std::string& file, const Morse&, const MorseVocabulary&);
/// IoError when the file is not one that save_morse has written, whole.
MorseWithVocabulary load_morse(const std::string& file);

/// Writes the analyses of sentences, one file for all: CoNLL-U lines with form, lemma ("X" without lemmas),
/// UPOS and FEATS; or TrMor lines, "word<TAB>lemma+tags" between <S> and </S>. IoError; ValueError when
/// sentences and predictions do not have the same words.
void write_morse(const std::string& file, const MorseVocabulary&, const std::vector<MorseSentence>&,
                 const std::vector<std::vector<MorseAnalysis>>& predictions);

/// What was copied.
struct MorseTransfer {
  std::int64_t characters = 0, letters = 0, tags = 0;  ///< shared symbols (the specials not counted)
};
/// Starts a model from another language's: recurrent layers and the dense layer of the context are copied;
/// of embeddings and output those rows (and biases) whose character, letter or tag both have. Neither may be
/// a classifier. ValueError unless the types' parameters and all sizes of the configurations are equal.
MorseTransfer morse_transfer(const MorseWithVocabulary& from, Morse& to, const MorseVocabulary&);

}  // namespace knet::models
