// The plain-loop kernels, one declaration per entry of the table in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::reference {

void unary(Unary, double a, double b, const Array& x, const Array& y);
void unary_grad(Unary, double a, double b, const Array& x, const Array& y, const Array& dy, const Array& dx);
void binary(Binary, const Array& a, const Array& b, const Array& y);
void binary_scalar(Binary, const Array& x, double s, bool scalar_first, const Array& y);
void where(const Array& mask, const Array& a, const Array& b, const Array& y);
void copy(const Array& x, const Array& y);
void copy_divided(const Array& x, double divisor, const Array& y);
void fill(double value, const Array& y);
void arange(double start, double step, const Array& y);

void reduce(Reduce, const Array& x, const Array& y);
void arg_reduce(bool largest, const Array& x, int dim, const Array& y);
void cumsum(const Array& x, int dim, bool reverse, const Array& y);
void sort(const Array& x, int dim, bool descending, const Array& values, const Array& indices);

void softmax(SoftmaxKind, const Array& x, int dim, const Array& y);
void softmax_grad(SoftmaxKind, const Array& y, const Array& dy, int dim, const Array& dx);
void nll(const Array& scores, const Array& labels, std::int64_t ignore, bool average, double* loss,
         std::int64_t* count, const Array* dscores);

void matmul(const Array& a, const Array& b, const Array& c, const Epilogue&);
std::size_t packed_bytes(std::int64_t rows, const Array& b);
void pack_b(const Array& b, void* packed);
void bias_act_grad(Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
                   const Array* dbias);

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

void conv(const ConvShape&, const Array& x, const Array& w, const Array& y, const Epilogue&);
void conv_grad_input(const ConvShape&, const Array& dy, const Array& w, const Array& dx);
void conv_grad_weight(const ConvShape&, const Array& x, const Array& dy, const Array& dw);

void max_pool(const PoolShape&, bool propagate_nan, const Array& x, const Array& y, std::int32_t* index);
void max_pool_grad(const PoolShape&, const Array& dy, const std::int32_t* index, const Array& dx);
void pool_gather(const PoolShape&, const Array& x, const std::int32_t* index, const Array& y);
void avg_pool(const PoolShape&, const Array& x, const Array& y);
void avg_pool_grad(const PoolShape&, const Array& dy, const Array& dx);

void rnn(const RNNShape&, const RNNForward&);
void rnn_grad(const RNNShape&, const RNNBackward&);

void attention(const AttentionShape&, const AttentionInputs&, const Array& y, void* lse);
void attention_grad(const AttentionShape&, const AttentionInputs&, const Array& y, const void* lse,
                    const Array& dy, const Array& dq, const Array& dk, const Array& dv);

void index_select(const Array& x, int dim, const Array& ids, const Array& y);
void index_add(const Array& src, int dim, const Array& ids, const Array& y);
void gather(const Array& x, int dim, const Array& ids, const Array& y);
void scatter_add(const Array& src, int dim, const Array& ids, const Array& y);

void random(Distribution, RandomKey, double a, double b, const Array& y);
void dropout(RandomKey, double p, const Array& x, const Array& y);
void optimize(const OptimStep&, DType, std::int64_t n, void* w, const void* g, void* s0, void* s1);

int lu(const Array& a, std::int64_t* pivots);
void lu_solve(const Array& lu, const std::int64_t* pivots, const Array& b);
int cholesky(const Array& a);

}  // namespace knet::reference
