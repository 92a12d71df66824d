// Reductions over one, several or (default) all dimensions. `keep` leaves the reduced ones as size 1.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet {

Tensor sum(const Tensor&, Dims = {}, bool keep = false);
Tensor mean(const Tensor&, Dims = {}, bool keep = false);
Tensor prod(const Tensor&, Dims = {}, bool keep = false);
/// NaN where there is one. Elements that tie share the gradient. An empty dimension is a ShapeError.
Tensor max(const Tensor&, Dims = {}, bool keep = false);
Tensor min(const Tensor&, Dims = {}, bool keep = false);
/// Mean squared distance to the mean; divided by n - 1 when `unbiased`.
Tensor var(const Tensor&, Dims = {}, bool keep = false, bool unbiased = true);
Tensor std_dev(const Tensor&, Dims = {}, bool keep = false, bool unbiased = true);
/// sqrt of the sum of squares (p = 2), sum of absolute values (p = 1), or (sum |x|^p)^(1/p).
/// At zero the gradient is 0.
Tensor norm(const Tensor&, double p = 2, Dims = {}, bool keep = false);
/// log(sum(exp(x))) without overflow.
Tensor logsumexp(const Tensor&, Dims = {}, bool keep = false);
/// Is any (are all) element(s) other than 0? Boolean.
Tensor any(const Tensor&, Dims = {}, bool keep = false);
Tensor all(const Tensor&, Dims = {}, bool keep = false);
/// Running sum along a dimension.
Tensor cumsum(const Tensor&, int dim);
/// Positions (i64) of the largest or smallest along a dimension; the first of equal ones.
Tensor argmax(const Tensor&, int dim = -1, bool keep = false);
Tensor argmin(const Tensor&, int dim = -1, bool keep = false);
/// The gradient of broadcasting: sums x down to a shape that broadcasts to x's.
Tensor sum_to(const Tensor&, const Shape&);

}  // namespace knet
