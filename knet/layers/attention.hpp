// Attention and transformers over [batch, time, features]. Vaswani et al. 2017, arXiv:1706.03762.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/layers/dense.hpp"
#include "knet/layers/norm.hpp"
#include "knet/ops/attention.hpp"

namespace knet {

/// Keys and values of the steps so far, for decoding step by step: give the same cache with every new step.
struct KeyValueCache {
  Tensor keys, values;      ///< [batch, heads, capacity, head size]
  std::int64_t length = 0;  ///< steps in it
  /// Adds the steps k and v, [batch, heads, steps, head size], behind those in it; gives all keys and values.
  /// Before anything is changed: ShapeError for steps that do not go with what is in it, ValueError for more
  /// than `most` in all and inside diff(). `who` complains.
  std::pair<Tensor, Tensor> append(const char* who, const Tensor& k, const Tensor& v,
                                   std::int64_t most = std::numeric_limits<std::int64_t>::max());
};
template <>
inline constexpr bool opaque<KeyValueCache> = true;

/// What a call of attention may be told besides its inputs.
struct AttentionContext {
  /// [batch, keys], boolean: false for keys that are padding.
  Tensor padding = {};
  /// [queries, keys], [batch, queries or 1, keys] or [batch, heads or 1, queries or 1, keys]. Boolean: true
  /// may be seen; floating: added to the scores.
  Tensor mask = {};
  /// Adds these keys and values to it, and attends to all that are in it. Not inside diff().
  KeyValueCache* cache = nullptr;
};

/// Attention of several heads between linear projections. Without dropout and masks the heads' outputs are
/// softmax(q k^T / sqrt(head size)) v.
struct MultiheadAttention {
  Size<argument::size> size;  ///< features of the queries
  Size<argument::heads> heads;
  bool causal = false;              ///< query i sees the keys up to i + keys - queries
  double dropout = 0.1;             ///< of the probabilities
  std::int64_t head_size = 0;       ///< 0: size / heads
  std::int64_t output_size = 0;     ///< 0: size
  std::int64_t key_size = 0;        ///< features of the keys and values; 0: size
  bool rotary = false;              ///< turns queries and keys by their position, see rotary()
  Activation activation = nullptr;  ///< of the four projections; KnetLayers' weights want relu
  Init winit = xavier_uniform, binit = zeros;
  DType dtype = default_dtype();
  Dense query = projection(0), key = projection(1), value = projection(2), output = projection(3);

  /// [batch, queries, size] and [batch, keys, key size] (or all without batch) -> [batch, queries, output
  /// size].
  Tensor operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                    const AttentionContext& = {}) const;
  /// Of x with itself.
  Tensor operator()(const Tensor& x, const AttentionContext& = {}) const;
  std::string describe() const;
  Dense projection(int which) const;
};

/// Attention of x with itself, then an MLP; each with dropout, added to its input and normalised: after the
/// addition, or before each part with norm_first (Xiong et al. 2020, arXiv:2002.04745).
struct Transformer {
  Size<argument::size> size;
  Size<argument::heads> heads;
  Size<argument::hidden> hidden;  ///< of the MLP
  Activation activation = relu;
  bool causal = false;
  double dropout = 0.1;
  bool norm_first = false;
  double eps = 1e-5;
  std::int64_t head_size = 0;  ///< 0: size / heads
  bool rotary = false;
  DType dtype = default_dtype();
  MultiheadAttention attention{.size = size,
                               .heads = heads,
                               .causal = causal,
                               .dropout = dropout,
                               .head_size = head_size,
                               .rotary = rotary,
                               .dtype = dtype};
  LayerNorm norm1{.size = size, .eps = eps, .dtype = dtype};
  MLP feedforward{.sizes = {size, hidden, size}, .activation = activation, .dtype = dtype};
  LayerNorm norm2{.size = size, .eps = eps, .dtype = dtype};

  /// [batch, time, size] -> the same.
  Tensor operator()(const Tensor& x, const AttentionContext& = {}) const;
  std::string describe() const;
};

/// What a call of a decoder may be told besides its inputs.
struct DecoderContext {
  Tensor padding = {};         ///< [batch, time], boolean: false for padding of x
  Tensor memory_padding = {};  ///< [batch, memory], boolean: false for padding of the memory
  Tensor memory_mask = {};     ///< of the attention to the memory, see AttentionContext
  KeyValueCache* cache = nullptr;
};

/// Causal attention of x with itself, attention to a memory, then an MLP; each added and normalised as in
/// Transformer.
struct TransformerDecoder {
  Size<argument::size> size;
  Size<argument::heads> heads;
  Size<argument::hidden> hidden;
  Activation activation = relu;
  double dropout = 0.1;
  bool norm_first = false;
  double eps = 1e-5;
  std::int64_t head_size = 0;  ///< 0: size / heads
  DType dtype = default_dtype();
  MultiheadAttention attention{.size = size,
                               .heads = heads,
                               .causal = true,
                               .dropout = dropout,
                               .head_size = head_size,
                               .dtype = dtype};
  LayerNorm norm1{.size = size, .eps = eps, .dtype = dtype};
  MultiheadAttention cross{
      .size = size, .heads = heads, .dropout = dropout, .head_size = head_size, .dtype = dtype};
  LayerNorm norm2{.size = size, .eps = eps, .dtype = dtype};
  MLP feedforward{.sizes = {size, hidden, size}, .activation = activation, .dtype = dtype};
  LayerNorm norm3{.size = size, .eps = eps, .dtype = dtype};

  /// x [batch, time, size], memory [batch, memory, size] -> [batch, time, size].
  Tensor operator()(const Tensor& x, const Tensor& memory, const DecoderContext& = {}) const;
  std::string describe() const;
};

enum class PositionKind : std::uint8_t {
  trainable,   ///< a parameter, of max_length positions
  sinusoidal,  ///< position p from 0: feature 2i is sin(p / 10000^(2i / size)), 2i + 1 the cosine
  knet  ///< position p and feature i from 1: sin(p / 10000^(i / size)) for even i, else cosine of i - 1
};

/// A vector for every position of a sequence. What is not trained grows with the sequence.
struct PositionEmbedding {
  Size<argument::size> size;
  Size<argument::max_length> max_length = 1024;
  PositionKind kind = PositionKind::trainable;
  Init winit = default_init();
  DType dtype = default_dtype();
  Param weight = kind == PositionKind::trainable ? winit({max_length, size}, dtype) : Tensor();

  /// x [.., time, size] plus the positions from `start` on; ids [.., time] -> [time, size].
  Tensor operator()(const Tensor& x, std::int64_t start = 0) const;
  /// The first n positions, [n, size].
  Tensor positions(std::int64_t n, std::int64_t start = 0) const;
  std::string describe() const;
  static Init default_init();  ///< normal, standard deviation 0.02
};

/// An embedding, blocks (one, a Chain or a range of them) and a classifier, one after the other.
///   TransformerModel model{Chain{Embed{...}, PositionEmbedding{...}}, std::vector<Transformer>{...},
///   Linear{...}};
template <class Embedding, class Blocks, class Classifier = NonAct>
struct TransformerModel {
  Embedding embed;
  Blocks transformers;
  Classifier classifier = none();

  Tensor operator()(const Tensor& ids) const {
    Tensor h = embed(ids);
    if constexpr (requires { transformers(h); }) {
      h = transformers(h);
    } else {
      for (const auto& block : transformers) h = block(h);
    }
    return classifier(h);
  }
  static Classifier none() {
    if constexpr (std::is_default_constructible_v<Classifier>)
      return {};
    else
      throw ValueError("TransformerModel: a classifier of this type must be given");
  }
};
template <class E, class B>
TransformerModel(E, B) -> TransformerModel<E, B>;
template <class E, class B, class C>
TransformerModel(E, B, C) -> TransformerModel<E, B, C>;

}  // namespace knet
