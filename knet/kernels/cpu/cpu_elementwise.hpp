// The CPU's elementwise kernels; what each does is said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void unary(Unary, double a, double b, const Array& x, const Array& y);
void unary_grad(Unary, double a, double b, const Array& x, const Array& y, const Array& dy, const Array& dx);
void binary(Binary, const Array& a, const Array& b, const Array& y);
void binary_scalar(Binary, const Array& x, double s, bool scalar_first, const Array& y);
void copy(const Array& x, const Array& y);
void copy_divided(const Array& x, double divisor, const Array& y);
void fill(double value, const Array& y);
void where(const Array& mask, const Array& a, const Array& b, const Array& y);
void random(Distribution, RandomKey key, double a, double b, const Array& y);
void dropout(RandomKey key, double p, const Array& x, const Array& y);
/// Dropout of n numbers in place, which are elements first, first + 1, ... of the stream; first is a multiple
/// of 4.
void dropout_line(RandomKey key, double p, std::int64_t first, std::int64_t n, float* x);
void dropout_line(RandomKey key, double p, std::int64_t first, std::int64_t n, double* x);
void optimize(const OptimStep&, DType, std::int64_t n, void* w, const void* g, void* s0, void* s1);

}  // namespace knet::cpu_impl
