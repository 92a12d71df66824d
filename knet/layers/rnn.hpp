// Recurrent layers over sequences of equal length, made of plain operators, step by step. Batches come first:
// [batch, time, features].
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "knet/layers/dense.hpp"

namespace knet {

/// What a recurrent layer gives.
struct RNNOutput {
  Tensor y;       ///< [batch, time, hidden]: the last layer's state at every step
  Tensor hidden;  ///< [layers, batch, hidden]: the states after the last step
  Tensor memory;  ///< the same of an LSTM's cells
};
/// What it starts from; an empty tensor is zeros.
struct RNNState {
  Tensor hidden = {}, memory = {};
};

/// The embedding of integer inputs: .embed = 50 makes one of that size, .embed = Embed{...} takes one.
class EmbedOption {
 public:
  EmbedOption() = default;
  EmbedOption(std::integral auto size) : size_(static_cast<std::int64_t>(size)) {}
  EmbedOption(Embed e) : layer_(std::move(e)) {}
  /// The layer, or none. It must take `input` ids.
  std::optional<Embed> make(std::int64_t input, const Init& winit, DType) const;

 private:
  std::int64_t size_ = 0;
  std::optional<Embed> layer_;
};
template <>
inline constexpr bool opaque<EmbedOption> = true;

/// Long short-term memory (Hochreiter & Schmidhuber 1997): with the gates i, f, n, o = W x + R h + b,
///   c' = sigm(f) c + sigm(i) tanh(n),  h' = sigm(o) tanh(c').
/// The forget gates' biases start at 1 (Jozefowicz et al. 2015). Integers [batch, time] are ids of the
/// embedding, or one-hot vectors where there is none.
struct LSTM {
  Size<argument::input> input;
  Size<argument::hidden> hidden;
  EmbedOption embed = {};
  int layers = 1;
  double dropout = 0;  ///< of what one layer gives to the next, in training
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();

  /// Of one layer; rows in the order i, f, n, o.
  struct Weights {
    Param wi;  ///< [4 hidden, input]
    Param wh;  ///< [4 hidden, hidden]
    Param b;   ///< [4 hidden]
  };
  std::optional<Embed> embedding = embed.make(input, winit, dtype);
  std::vector<Weights> weights = make_weights();

  RNNOutput operator()(const Tensor& x, const RNNState& start = {}) const;
  std::string describe() const;
  std::vector<Weights> make_weights() const;
};

}  // namespace knet
