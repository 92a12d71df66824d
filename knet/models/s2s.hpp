// Sequence to sequence: an LSTM reads, another starts from its final state and writes a token after the other
// (Sutskever et al. 2014, arXiv:1409.3215); with attention it looks back at what was read at every step
// (Luong et al. 2015, arXiv:1508.04025, score "general").
//
//   models::Seq2Seq model{.tokens = 11, .hidden = 128, .attention = true};
//   Tensor scores = model(x, before);                    // training: the answer so far is given
//   auto answers = models::decode_greedy(model, x, {.start = 0, .stop = 10});
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "knet/layers/dense.hpp"
#include "knet/layers/rnn.hpp"

namespace knet::models {

/// What a step of a decoder sees of a memory. For the decoder's state h and the memory's states m:
/// a = softmax(h W m), c = a m, and the new state is tanh(combine [c, h]).
struct LuongAttention {
  Size<argument::size> size;
  DType dtype = default_dtype();
  Multiply key{.input = size, .output = size, .dtype = dtype};
  Dense combine{.input = 2 * size, .output = size, .activation = Tanh{}, .binit = nullptr, .dtype = dtype};

  /// states [batch, steps, size] and memory [batch, time, size] -> [batch, steps, size]. `mask`, boolean
  /// [batch, time], is false for padding of the memory.
  Tensor operator()(const Tensor& states, const Tensor& memory, const Tensor& mask = {}) const;
  /// The probabilities a, [batch, steps, time].
  Tensor probabilities(const Tensor& states, const Tensor& memory, const Tensor& mask = {}) const;
  std::string describe() const;
};

/// What the encoder hands over, and the decoder's state as it goes on.
struct Seq2SeqState {
  RNNState rnn = {};
  Tensor memory = {};  ///< the encoder's states, [batch, time, hidden]; empty without attention
  Tensor mask = {};    ///< [batch, time], where lengths were given
};
struct Seq2Seq {
  std::int64_t tokens = 0;  ///< of both sides
  std::int64_t hidden = 128;
  std::int64_t embed = 32;
  bool attention = false;
  std::int64_t layers = 1;
  double dropout = 0;  ///< between layers
  DType dtype = default_dtype();
  LSTM encoder = lstm(), decoder = lstm();
  std::optional<LuongAttention> look = make_attention();
  Linear output{.input = hidden, .output = tokens, .dtype = dtype};

  /// Ids [batch, time], of which the first `lengths` count (all, without).
  Seq2SeqState encode(const Tensor& x, const std::vector<std::int64_t>& lengths = {}) const;
  /// Scores of the tokens after `before` [batch, steps]: [batch, steps, tokens]; the state goes on.
  Tensor step(const Tensor& before, Seq2SeqState& state) const;
  /// Both: x [batch, time] and the answer so far [batch, steps] -> [batch, steps, tokens].
  Tensor operator()(const Tensor& x, const Tensor& before,
                    const std::vector<std::int64_t>& lengths = {}) const;
  std::string describe() const;
  LSTM lstm() const;
  std::optional<LuongAttention> make_attention() const;
};

struct DecodeOptions {
  std::int64_t start = 0;    ///< the token before the first one
  std::int64_t stop = 0;     ///< ends an answer, and is not part of it
  std::int64_t longest = 0;  ///< tokens of an answer; 0: twice those of x
  std::int64_t beam = 1;     ///< paths of the beam search
};
/// The most probable token at every step, for every row of x [batch, time]. ValueError for tokens out of
/// range.
std::vector<std::vector<std::int64_t>> decode_greedy(const Seq2Seq&, const Tensor& x, const DecodeOptions&);
/// For one sequence x [1, time] the most probable answer among those that grow from the `beam` best at every
/// step. ShapeError for more than one.
std::vector<std::int64_t> decode_beam(const Seq2Seq&, const Tensor& x, const DecodeOptions&);

}  // namespace knet::models
