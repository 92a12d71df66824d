// Products of vectors, matrices and batches of matrices.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

/// [.., m, k] x [k, n] -> [.., m, n]; batches [.., m, k] x [.., k, n] broadcast; vectors as in NumPy:
/// [k] x [k] -> [], [m, k] x [k] -> [m], [k] x [k, n] -> [n].
Tensor matmul(const Tensor& a, const Tensor& b);
/// [b, m, k] x [b, k, n] with either operand transposed in its last two dimensions.
Tensor bmm(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);
/// [n] . [n] -> []
Tensor dot(const Tensor& a, const Tensor& b);
/// [m] x [n] -> [m, n]
Tensor outer(const Tensor& a, const Tensor& b);

}  // namespace knet
