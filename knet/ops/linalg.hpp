// Dense linear algebra on square matrices [n, n], f32 and f64, differentiable.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

/// The inverse; a singular matrix is a ValueError.
Tensor inverse(const Tensor& a);
/// a^-1 b for b [n] or [n, m].
Tensor solve(const Tensor& a, const Tensor& b);
/// The lower factor L of a = L L^T; a matrix that is not positive definite is a ValueError. Only the lower
/// half is read.
Tensor cholesky(const Tensor& a);
Tensor det(const Tensor& a);
/// log |det a|
Tensor logdet(const Tensor& a);
/// Sum of the diagonal.
Tensor trace(const Tensor& a);
/// The diagonal of a matrix, or a matrix with the given diagonal.
Tensor diag(const Tensor& a);

}  // namespace knet
