// The MAC network: answers a question about an image in a fixed number of reasoning steps. Every step attends
// to words of the question (control), with them to cells of the image (read), and puts what it found into a
// memory (write). Hudson & Manning 2018, arXiv:1803.03067.
//
//   models::MAC net{.config = {.words = 90, .answers = 28}};
//   models::MACAttention seen;
//   Tensor scores = net(features, Sequences{{3, 17, 4}, {8, 2}}, {}, &seen);   // [2, 28]
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "knet/layers/conv.hpp"
#include "knet/layers/dense.hpp"
#include "knet/layers/rnn.hpp"

namespace knet::models {

/// Which control a step's read and write units see: the one it has just made (the paper), or the one of the
/// step before (a later Julia version; published results of the two are alike).
enum class MACControl : std::uint8_t { current, previous };

/// What is dropped while training.
struct MACDropout {
  double stem = 0.18;       ///< input of each convolution of the feature stem
  double embedding = 0.15;  ///< the words
  double question = 0.08;   ///< the question's vector
  double knowledge = 0.15;  ///< the image's cells
  double state = 0.15;      ///< control and memory, at the beginning of each step
  double read = 0.15;       ///< what cells are scored by
};

/// The sizes; the defaults are those for CLEVR with features of ResNet-101.
struct MACConfig {
  std::int64_t words = 90;       ///< different ones
  std::int64_t answers = 28;     ///< classes
  std::int64_t channels = 1024;  ///< of the images (features)
  std::int64_t size = 512;       ///< d: of control, memory and cells
  std::int64_t steps = 12;       ///< p
  std::int64_t embedding = 300;  ///< of words
  bool self_attention = true;    ///< memories of earlier steps count, by how their controls resemble
  bool gating = true;            ///< a step may leave the memory as it was
  MACControl control = MACControl::current;
  MACDropout dropout = {};
};
/// The two published configurations: 1 without self-attention and gate, 2 with both. ValueError for others.
MACConfig mac_config(int number);

/// What the steps looked at: values, through which no gradient flows.
struct MACAttention {
  Tensor words;  ///< [batch, steps, longest question], rows sum to 1; zeros after a question's end
  Tensor cells;  ///< [batch, steps, height, width] of the stem's result, maps sum to 1
};

/// Adds two channels, column and row from -1 to 1: [N, C, H, W] -> [N, C + 2, H, W].
struct Coordinates {
  Tensor operator()(const Tensor& x) const;
};

/// Two 3x3 convolutions with elu over features of a trained network, [N, channels, H, W] -> [N, size, H, W].
Sequence mac_feature_stem(const MACConfig&, DType = default_dtype());
/// Four 3x3 convolutions with batch normalisation over pixels, of strides 3, 2, 2 and 1, the last with
/// coordinates, which questions about places need: [N, channels, H, W] -> [N, size, about H / 12, W / 12].
Sequence mac_pixel_stem(const MACConfig&, DType = default_dtype());

/// Formulas, of one example; [a; b] joins vectors, . multiplies element by element, "Linear" is W x + b.
///   KB = stem(image), K' = keys(KB), K'' = keys2(K') for every cell
///   q = the two last states of the LSTM, cw = Linear of its outputs, q_i = part i of queries(q)
///   control  a = softmax over words t of control_score (control([c; q_i]) . cw_t), c' = sum_t a_t cw_t
///   read     I = elu(interaction (memory(m) . K') + K''), b = softmax over cells of read_score elu(c . I),
///            r = sum b K'
///   write    m' = write([r; m]);
///            self-attention: m' += history_memory sum_j s_j m_j over all earlier steps j and the start, with
///            s = softmax over j of history_score (history(c) . c_j);
///            gate: g = sigm(gate(c)) (one number), m' = g m + (1 - g) m'
///   answer   output(answer([question(q); m_p])), question and answer with elu
/// Scores have no bias: softmax takes no notice of it.
struct MAC {
  MACConfig config = {};
  DType dtype = default_dtype();
  Sequence stem = mac_feature_stem(config, dtype);
  Embed embed = make_embed();
  LSTM lstm = make_lstm();
  Linear words = make_linear(2, 1), queries = make_linear(2, config.steps);
  Param first_control = make_state(true), first_memory = make_state(false);
  Linear keys = make_linear(1, 1), keys2 = make_linear(1, 1);
  Linear control = make_linear(2, 1);
  Multiply control_score = make_score();
  Linear memory = make_linear(1, 1);
  Multiply interaction = make_square(), read_score = make_score();
  Linear write = make_linear(2, 1);
  std::optional<Linear> history = make_history();
  std::optional<Multiply> history_score = make_history_score(), history_memory = make_history_memory();
  std::optional<Linear> gate = make_gate();
  Dense question = make_dense(), answer = make_dense();
  Linear output = make_output();

  /// Scores of the answers, [batch, answers]. images [n, channels, H, W]; question i is about image i, or
  /// about image image_of[i] (i64 [batch]), whose stem is then computed once for all its questions.
  /// ShapeError for other images; ValueError for an empty question, a word that is not there, an image that
  /// is not there.
  Tensor operator()(const Tensor& images, const Sequences& questions, const Tensor& image_of = {},
                    MACAttention* attention = nullptr) const;
  /// The scores after every step, [batch, steps, answers].
  Tensor all_steps(const Tensor& images, const Sequences& questions, const Tensor& image_of = {}) const;
  std::string describe() const;

  Embed make_embed() const;
  LSTM make_lstm() const;
  Linear make_linear(std::int64_t in, std::int64_t out) const;
  Tensor make_state(bool control_state) const;
  Multiply make_square() const;
  Multiply make_score() const;
  std::optional<Linear> make_history() const;
  std::optional<Multiply> make_history_score() const;
  std::optional<Multiply> make_history_memory() const;
  std::optional<Linear> make_gate() const;
  Dense make_dense() const;
  Linear make_output() const;
};

}  // namespace knet::models

template <>
inline constexpr bool knet::opaque<knet::models::MACConfig> = true;
