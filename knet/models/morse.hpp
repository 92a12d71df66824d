// Morse, a morphological analyser (Akyürek, Dayanık & Yuret 2019, TACL 7:567-579, arXiv:1805.07946): reads
// the characters of the words of a sentence and writes each word's lemma, letter by letter, and its tags.
//
//   characters -> h_w, c_w          an LSTM over a word's characters
//   words      -> x_w               a bidirectional LSTM over h_1 .. h_W, a dense layer with relu
//   tags       -> g_w, d_w          an LSTM over the tags of the last two words
//   decoder    two LSTMs, one on the other, from (x_w, 0) and (h_w + g_w, c_w + d_w), which read the symbol
//              before; a linear layer scores the next one
//
// All words of a batch are computed together. Where a word's start depends on the tags written before it, and
// they are not given, position after position of all sentences is.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knet/layers/rnn.hpp"
#include "knet/models/morse_vocabulary.hpp"

namespace knet::models {

enum class MorseType : std::uint8_t {
  morse,           ///< all of the above
  s2s_context,     ///< without the tags of earlier words
  s2s,             ///< without context too: the first decoder starts from zeros
  classifier,      ///< no decoder: a linear layer on x_w and h_w chooses among the lists of tags; no lemma
  morse_dis,       ///< morse, choosing the most probable of a word's given analyses
  s2s_context_dis  ///< the same on s2s_context
};
/// "MorseModel", "S2SContext", "S2S", "Classifier", "MorseDis" or "S2SContextDis"; ValueError, with these,
/// for another.
MorseType morse_type(std::string_view name);
const char* morse_type_name(MorseType);
bool is_disambiguator(MorseType);

struct MorseConfig {
  MorseType type = MorseType::morse;
  /// Sizes of the LSTMs over characters, context, decoder and tags; the first, third and fourth are equal
  /// where they are added up.
  std::array<std::int64_t, 4> hidden = {512, 512, 512, 512};
  std::array<std::int64_t, 2> embed = {64, 256};  ///< of characters and of symbols
  double dropout = 0.3;                           ///< of what every part reads, in training
  std::int64_t previous = 2;                      ///< words whose tags are read
  /// While training, the second decoder's dropped-out output is its next state as well, as in the seed: step
  /// by step, and slower. Otherwise only what is read from it is dropped out.
  bool drop_state = false;
  friend bool operator==(const MorseConfig&, const MorseConfig&) = default;
};

struct MorsePredictOptions {
  std::int64_t limit = 100;  ///< symbols at most: a word that has no end by then has none
};

/// The network. Parameters have the names of the fields; those of LSTMs are PyTorch's.
struct Morse {
  MorseConfig config = {};
  MorseSizes sizes = {};
  DType dtype = default_dtype();
  Embed character_embed = make_character_embed();
  LSTM character_lstm{.input = config.embed[0], .hidden = config.hidden[0], .dtype = dtype};
  std::optional<LSTM> context_lstm = make_context_lstm();
  std::optional<Dense> context_output = make_context_output();
  std::optional<Embed> symbol_embed = make_symbol_embed();
  std::optional<LSTM> tag_lstm = make_tag_lstm();
  std::optional<LSTM> decoder1 = make_decoder(config.embed[1]);
  std::optional<LSTM> decoder2 = make_decoder(config.hidden[2]);
  Linear output = make_output();

  /// Scores of every symbol of the known words' analyses, given the symbols before it, and what the symbols
  /// are: [rows, symbols] and [rows], step after step. Of a classifier [words, classes], and `ignore` where a
  /// word is not known.
  struct Scores {
    Tensor scores, labels;
  };
  /// ValueError when no word is known.
  Scores operator()(const MorseBatch&) const;
  /// The mean of -log p over the symbols (of a classifier: over the words).
  Tensor loss(const MorseBatch&) const;
  /// What the model makes of each word, the most probable symbol after the other. A disambiguator needs words
  /// with known analyses, and gives an empty output for one without.
  std::vector<MorseOutput> predict(const MorseBatch&, const MorsePredictOptions& = {}) const;
  std::string describe() const;

  Embed make_character_embed() const;
  std::optional<LSTM> make_context_lstm() const;
  std::optional<Dense> make_context_output() const;
  std::optional<Embed> make_symbol_embed() const;
  std::optional<LSTM> make_tag_lstm() const;
  std::optional<LSTM> make_decoder(std::int64_t input) const;
  Linear make_output() const;
};

/// A model with its vocabulary: what a file holds.
struct MorseWithVocabulary {
  Morse model;
  MorseVocabulary vocabulary;

  /// Raw text, a sentence with blanks between its words: a lemma and tags for each. Empty text gives nothing.
  /// ValueError for text that is not UTF-8, and of a disambiguator.
  std::vector<MorseAnalysis> operator()(std::string_view text) const;
};

}  // namespace knet::models

template <>
inline constexpr bool knet::opaque<knet::models::MorseConfig> = true;
template <>
inline constexpr bool knet::opaque<knet::models::MorseSizes> = true;
