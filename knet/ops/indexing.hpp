// Picking elements by ids (i32, i64 or u8; negative ids are a ValueError unless said otherwise).
#pragma once
#include <cstdint>

#include "knet/tensor/tensor.hpp"

namespace knet {

/// Positions ids [n] along dim.
Tensor index_select(const Tensor& x, int dim, const Tensor& ids);
/// y[i][j] = x[i][ids[i][j]] for dim 1: ids has x's shape except along dim.
Tensor gather(const Tensor& x, int dim, const Tensor& ids);
/// x with src added at ids along dim (the reverse of gather); repeated ids add up.
Tensor scatter_add(const Tensor& x, int dim, const Tensor& ids, const Tensor& src);
/// Rows of a table [n, ...] for ids of any shape -> [ids..., ...]. The gradient is row-sparse.
Tensor lookup(const Tensor& table, const Tensor& ids, const char* who = "lookup");
/// ids of any shape -> [ids..., classes] with one 1 each, none where an id is negative; the classes take
/// place `dim` of the result. Ids of `classes` and more are a ValueError.
Tensor one_hot(const Tensor& ids, std::int64_t classes, DType = default_dtype(), int dim = -1);
/// Positions (i64, row-major) of the elements other than 0: [count, ndim].
Tensor nonzero(const Tensor& x);
/// The elements below (or above) the k-th diagonal of the last two dimensions set to 0.
Tensor triu(const Tensor& x, std::int64_t k = 0);
Tensor tril(const Tensor& x, std::int64_t k = 0);

struct Sorted {
  Tensor values, indices;
};
/// Stable; NaN counts as the largest.
Sorted sorted(const Tensor& x, int dim = -1, bool descending = false);
Tensor sort(const Tensor& x, int dim = -1, bool descending = false);
Tensor argsort(const Tensor& x, int dim = -1, bool descending = false);
/// The k largest (or smallest) along dim, in order, and where they were (i64).
Sorted topk(const Tensor& x, std::int64_t k, int dim = -1, bool largest = true);

}  // namespace knet
