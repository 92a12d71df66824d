// GPT with two heads, fine-tuned to choose the right ending of a story: the language model goes on learning
// while a classifier scores each ending (Radford et al. 2018, "Improving language understanding by generative
// pre-training").
//
//   auto [gpt, tokenizer] = models::load_gpt2("gpt2/");
//   const auto tokens = models::add_story_tokens(tokenizer);
//   models::GPTDoubleHeads model{models::with_vocabulary(gpt, tokenizer.vocabulary_size())};
//   const auto loss = [](auto& m, const models::StoryBatch& b) { return models::double_heads_loss(m, b); };
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "knet/data/datasets/stories.hpp"
#include "knet/layers/dense.hpp"
#include "knet/models/gpt2.hpp"
#include "knet/ops/loss.hpp"

namespace knet::models {

/// Tokens that frame a story: _start_ the four sentences _deli_ the ending _clf_.
struct StoryTokens {
  std::int64_t start, delimiter, classify;
};
/// Adds the three as special tokens (those that the tokenizer has already stay) and gives their ids.
StoryTokens add_story_tokens(Tokenizer&);

/// Stories, each with every of its endings.
struct StoryBatch {
  Tensor ids;     ///< [batch, endings, time] i64, filled up behind with the classify token
  Tensor mask;    ///< [batch, endings, time] boolean, true where there is a token
  Tensor labels;  ///< [batch] i64, which ending is right; ignore (-1) where nobody knows
};
/// max_length: tokens of the longest sequence; the beginning of a longer story is left out, an ending never.
/// ValueError when there is no story, a text is not UTF-8, or an ending alone is too long.
StoryBatch story_batch(const Tokenizer&, const StoryTokens&, std::span<const datasets::ClozeStory>,
                       std::int64_t max_length = 512);

/// The model with a larger table: new tokens get normal values of deviation 0.02 (or config.init). ValueError
/// for a smaller one.
GPT2 with_vocabulary(const GPT2&, std::int64_t vocabulary);

struct GPTDoubleHeads {
  GPT2 transformer;
  double dropout = 0.1;  ///< before the classifier
  Linear classifier{
      .input = transformer.config.size, .output = 1, .winit = gaussian(0, 0.02), .dtype = transformer.dtype};

  /// How well each ending fits, read from the last token: ids and mask [batch, endings, time] -> [batch,
  /// endings].
  Tensor operator()(const Tensor& ids, const Tensor& mask) const;
  /// The states of all tokens, [batch endings, time, size]. ShapeError for ids and a mask of other shapes;
  /// ValueError when a sequence is empty or its mask has gaps.
  Tensor states(const Tensor& ids, const Tensor& mask) const;
  /// Scores of those states.
  Tensor choices(const Tensor& states, const Tensor& mask) const;
};

struct DoubleHeadsOptions {
  double language = 0.5;  ///< weight of the language model's loss; 0 leaves it out
};
/// Cross entropy of the choice plus, weighted, the language model's loss of each ending's sequence: the mean
/// over the batch's tokens, added up over the endings.
Tensor double_heads_loss(const GPTDoubleHeads&, const StoryBatch&, const DoubleHeadsOptions& = {});

}  // namespace knet::models
