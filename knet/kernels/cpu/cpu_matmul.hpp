// The CPU's matrix products; what each does is said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void matmul(const Array& a, const Array& b, const Array& c, const Epilogue& e);
std::size_t packed_bytes(std::int64_t rows, const Array& b);
void pack_b(const Array& b, void* packed);
void bias_act_grad(Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
                   const Array* dbias);

}  // namespace knet::cpu_impl
