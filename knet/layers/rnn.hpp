// Recurrent layers. Batches come first: [batch, time, features], or ids [batch, time]; sequences of unequal
// lengths come as Sequences, as a padded batch with lengths, or packed. Formulas, for the input x and the
// state h of one step, in every layer and direction:
//   SRNN  h' = f(W x + b + R h + r), f = relu, tanh or any other activation
//   LSTM  i, f, o = sigm(..), n = tanh(..) of W x + b + R h + r;  c' = f c + i n;  h' = o tanh(c')
//         (Hochreiter & Schmidhuber 1997)
//   GRU   r, u = sigm(..);  n = tanh(W x + b + r (R h + r));  h' = (1 - u) n + u h
//         (Cho et al. 2014, arXiv:1406.1078, as cuDNN and PyTorch compute it)
// Parameters are named and laid out as PyTorch's: weight_ih_l0 [gates hidden, input], weight_hh_l0,
// bias_ih_l0, bias_hh_l0, then ..._l0_reverse, ..._l1; published weights load as they are.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knet/device/random.hpp"
#include "knet/layers/dense.hpp"
#include "knet/layers/sequence.hpp"

namespace knet {

/// What a recurrent layer gives; `dirs` is 2 for bidirectional layers, else 1.
struct RNNOutput {
  /// The last layer's state at every step, [batch, time, dirs hidden] (forward state first): zeros after the
  /// end of a shorter sequence. Of a packed batch [rows, dirs hidden]; of a single step [batch, dirs hidden].
  Tensor y;
  /// The final states, [layers dirs, batch, hidden], the directions of a layer side by side. A backward
  /// direction ends at the first step.
  Tensor hidden;
  Tensor memory;                               ///< an LSTM's final cells
  std::vector<std::int64_t> lengths = {};      ///< of the sequences, where they are not equal
  std::vector<std::int64_t> batch_sizes = {};  ///< of a packed batch

  /// [batch, time] boolean: true where y belongs to a sequence, false after its end. Not of packed outputs.
  Tensor mask() const;
  /// Of a packed batch: the rows of y that belong to every sequence, in order.
  std::vector<std::vector<std::int64_t>> indices() const;
};
/// A packed output as a padded one, whose mask() says what is real; others stay as they are.
RNNOutput pad_rnn_output(const RNNOutput&);

/// What a recurrent layer starts from, [layers dirs, batch, hidden]; an empty tensor is zeros.
struct RNNState {
  Tensor hidden = {}, memory = {};
};

/// The embedding of integer inputs: .embed = 50 makes one of that size, .embed = Embed{...} takes one. Two
/// layers share a table after tie(b.embedding->weight, a.embedding->weight).
class EmbedOption {
 public:
  EmbedOption() = default;
  EmbedOption(std::integral auto size) : size_(static_cast<std::int64_t>(size)) {}
  EmbedOption(Embed e) : layer_(std::move(e)) {}
  /// Hands the layer over, or makes it, or none. It must take `input` ids.
  std::optional<Embed> make(std::int64_t input, const Init& winit, DType);

 private:
  std::int64_t size_ = 0;
  std::optional<Embed> layer_;
};
template <>
inline constexpr bool opaque<EmbedOption> = true;
template <>
inline constexpr bool opaque<Generator> = true;

/// Of one layer in one direction. Rows in the order of the gates; without biases the two are empty.
struct RNNWeights {
  Param wi;  ///< weight_ih [gates hidden, input]; empty with skip_input
  Param wh;  ///< weight_hh [gates hidden, hidden]
  Param b;   ///< bias_ih [gates hidden]
  Param bh;  ///< bias_hh [gates hidden]
};

namespace detail {
/// "weight_ih_l" and so on; the name under which a parameter is saved.
std::string rnn_name(const char* what, std::size_t index, bool bidirectional);
/// f(name, parameter) for everything in a recurrent layer.
template <class L, class F>
void visit_rnn(L& l, F&& f) {
  if (l.embedding) f("embedding", *l.embedding);
  for (std::size_t i = 0; i < l.weights.size(); ++i) {
    auto& w = l.weights[i];
    if (w.wi) f(rnn_name("weight_ih", i, l.bidirectional), w.wi);
    f(rnn_name("weight_hh", i, l.bidirectional), w.wh);
    if (w.b) f(rnn_name("bias_ih", i, l.bidirectional), w.b);
    if (w.bh) f(rnn_name("bias_hh", i, l.bidirectional), w.bh);
  }
}
}  // namespace detail

/// Long short-term memory. Gates in the order i, f, n, o.
struct LSTM {
  Size<argument::input> input;    ///< features, or how many ids there are
  Size<argument::hidden> hidden;  ///< size of the state
  EmbedOption embed = {};         ///< turns ids (and weights of all ids) into features first
  Count layers = 1;               ///< each reads what the one before gives
  bool bidirectional = false;     ///< a second state reads every sequence from its end
  double dropout = 0;             ///< of what one layer gives to the next, in training
  bool skip_input = false;        ///< the first layer adds its input to the gates as it is: input = hidden
  std::uint64_t seed = 0;         ///< of the dropout; 0: the process-wide generator
  Init winit = xavier_uniform, binit = zeros;
  /// Bias of the forget gates, in bias_ih. 1 as in Jozefowicz et al. 2015; Knet's two biases make 2.
  double forget_bias = 1;
  DType dtype = default_dtype();

  std::optional<Embed> embedding = embed.make(input, winit, dtype);
  /// Of layer l in direction d: weights[l dirs + d].
  std::vector<RNNWeights> weights = make_weights();
  mutable Generator generator = Generator(seed);

  /// One-hot or embedded ids [batch, time], one sequence of ids [time]; features [batch, time, input], one
  /// step of a batch [batch, input] or of one sequence [input].
  RNNOutput operator()(const Tensor& x, const RNNState& start = {}) const;
  /// Sequences of unequal lengths, in any order.
  RNNOutput operator()(const Sequences& x, const RNNState& start = {}) const;
  /// A padded batch [batch, time] or [batch, time, input] of which only so many steps count.
  RNNOutput operator()(const Tensor& x, const std::vector<std::int64_t>& lengths,
                       const RNNState& start = {}) const;
  /// A packed batch; y stays packed.
  RNNOutput operator()(const PackedSequence& x, const RNNState& start = {}) const;

  /// A named gate, to be read or written: w or b, then i (of the input) or h (of the state), then i, f, n or
  /// o, then the layer from 1, then r for the backward direction: "wif1", "bhn2r". "bf1" is "bif1".
  TensorRef gate(std::string_view name);
  /// The names that there are.
  std::vector<std::string> gates() const;
  std::string describe() const;
  std::vector<RNNWeights> make_weights() const;
  static void visit(auto& self, auto&& f) { detail::visit_rnn(self, f); }
};

/// Gated recurrent unit. Gates in the order r, u, n.
struct GRU {
  Size<argument::input> input;
  Size<argument::hidden> hidden;
  EmbedOption embed = {};
  Count layers = 1;
  bool bidirectional = false;
  double dropout = 0;
  bool skip_input = false;
  std::uint64_t seed = 0;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();

  std::optional<Embed> embedding = embed.make(input, winit, dtype);
  std::vector<RNNWeights> weights = make_weights();
  mutable Generator generator = Generator(seed);

  RNNOutput operator()(const Tensor& x, const RNNState& start = {}) const;
  RNNOutput operator()(const Sequences& x, const RNNState& start = {}) const;
  RNNOutput operator()(const Tensor& x, const std::vector<std::int64_t>& lengths,
                       const RNNState& start = {}) const;
  RNNOutput operator()(const PackedSequence& x, const RNNState& start = {}) const;

  TensorRef gate(std::string_view name);  ///< as of LSTM, with the gates r, u and n
  std::vector<std::string> gates() const;
  std::string describe() const;
  std::vector<RNNWeights> make_weights() const;
  static void visit(auto& self, auto&& f) { detail::visit_rnn(self, f); }
};

/// Simple recurrent network (Elman 1990). relu and tanh run fused; any other activation step by step.
struct SRNN {
  Size<argument::input> input;
  Size<argument::hidden> hidden;
  Activation activation = relu;
  EmbedOption embed = {};
  Count layers = 1;
  bool bidirectional = false;
  double dropout = 0;
  bool skip_input = false;
  std::uint64_t seed = 0;
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();

  std::optional<Embed> embedding = embed.make(input, winit, dtype);
  std::vector<RNNWeights> weights = make_weights();
  mutable Generator generator = Generator(seed);

  RNNOutput operator()(const Tensor& x, const RNNState& start = {}) const;
  RNNOutput operator()(const Sequences& x, const RNNState& start = {}) const;
  RNNOutput operator()(const Tensor& x, const std::vector<std::int64_t>& lengths,
                       const RNNState& start = {}) const;
  RNNOutput operator()(const PackedSequence& x, const RNNState& start = {}) const;

  TensorRef gate(std::string_view name);  ///< as of LSTM, with the gate h
  std::vector<std::string> gates() const;
  std::string describe() const;
  std::vector<RNNWeights> make_weights() const;
  static void visit(auto& self, auto&& f) {
    detail::visit_rnn(self, f);
    f("activation", self.activation);
  }
};

}  // namespace knet
