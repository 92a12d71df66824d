// The CPU's matrix products and dense solvers; what each does is said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void matmul(const Array& a, const Array& b, const Array& c, const Epilogue& e);
std::size_t packed_bytes(const Array& b);
void pack_b(const Array& b, void* packed);
void bias_act_grad(Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
                   const Array* dbias);
int lu(const Array& a, std::int64_t* pivots);
void lu_solve(const Array& lu, const std::int64_t* pivots, const Array& b);
int cholesky(const Array& a);

}  // namespace knet::cpu_impl
