// Attention as one operator, which never stores the whole matrix of scores: memory grows with the length of
// the sequences, not with its square. Vaswani et al. 2017, arXiv:1706.03762.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

struct AttentionOptions {
  bool causal = false;  ///< query i sees the keys up to i + keys - queries
  /// [.., queries, keys] or what broadcasts to it. Boolean: true may be seen; floating: added to the scores.
  Tensor mask = {};
  double scale = 0;    ///< of the scores; 0: 1 / sqrt(size)
  double dropout = 0;  ///< of the probabilities, while training
};

/// softmax(scale q k^T + mask) v: q [batch, heads, queries, size], k [.., keys, size], v [.., keys, value
/// size]
/// -> [batch, heads, queries, value size]; or one head alone, [queries, size] and so on. A query that sees no
/// key gives zeros.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& = {});

/// Turns pairs of features of x [.., time, features] by angles that grow with the position, so that products
/// of two of them depend on their distance: pair i at position p by (p + start) base^(-2i / features). The
/// pair is features i and i + features / 2, or 2i and 2i + 1 when `interleaved`. Su et al. 2021,
/// arXiv:2104.09864.
struct RotaryOptions {
  std::int64_t start = 0;
  double base = 10000;
  bool interleaved = false;
};
Tensor rotary(const Tensor& x, const RotaryOptions& = {});

}  // namespace knet
