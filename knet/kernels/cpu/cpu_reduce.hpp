// The CPU's reductions, softmax and its loss, layer and batch norm, and rows by number; what each does is
// said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void reduce(Reduce op, const Array& x, const Array& y);

void softmax(SoftmaxKind kind, const Array& x, int dim, const Array& y);
void softmax_grad(SoftmaxKind kind, const Array& y, const Array& dy, int dim, const Array& dx);
void nll(const Array& scores, const Array& labels, std::int64_t ignore, bool average, double* loss,
         std::int64_t* count, const Array* dscores);

void layer_norm(const Array& x, const void* gamma, const void* beta, double eps, const Array& y, void* mean,
                void* rstd);
void layer_norm_grad(const Array& x, const void* gamma, const void* mean, const void* rstd, const Array& dy,
                     const Array& dx, void* dgamma, void* dbeta);

void channel_moments(const Array& x, void* mean, void* var);
void channel_affine(bool relu, const Array& x, const void* scale, const void* shift, const Array& other,
                    const Array& y);
void batch_norm_grad(bool relu, bool constant, const Array& x, const Array& y, const Array& dy,
                     const void* mean, const void* rstd, const void* gamma, const Array& dx, void* dgamma,
                     void* dbeta);

void index_select(const Array& x, int dim, const Array& ids, const Array& y);
void index_add(const Array& src, int dim, const Array& ids, const Array& y);

}  // namespace knet::cpu_impl
