// The next token from a model's scores: temperature, the k best, the nucleus, a penalty on repetition.
#pragma once
#include <cstdint>
#include <span>

#include "knet/device/random.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::models {

struct SamplingOptions {
  double temperature = 1;  ///< the scores are divided by it; 0: always the best token
  std::int64_t top_k = 0;  ///< only the k best tokens (and what equals the k-th); 0: all
  /// Only the best tokens that together have at least this probability. Holtzman et al. 2020,
  /// arXiv:1904.09751.
  double top_p = 1;
  /// Scores of tokens that were there before are divided by it where positive, multiplied where negative.
  /// Keskar et al. 2019, arXiv:1909.05858.
  double repetition_penalty = 1;
};

/// ValueError for options out of range.
void check(const SamplingOptions&);

/// One token from scores [tokens] (or with leading dimensions of 1). The penalty comes first, then the
/// temperature, top_k and top_p. The same scores and generator state give the same token; of equal scores the
/// first wins. ValueError when a score is NaN or none is finite, or an id in `before` is no token.
std::int64_t sample_token(const Tensor& scores, const SamplingOptions&, Generator&,
                          std::span<const std::int64_t> before = {});

}  // namespace knet::models
