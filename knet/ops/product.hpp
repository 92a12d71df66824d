// Matrix products of checked operands. Not installed.
#pragma once
#include "knet/autograd/record.hpp"
#include "knet/tensor/access.hpp"

namespace knet::detail {

/// [m, k] x [k, n] or [b, m, k] x [b, k, n]; a constant, with the kernel's epilogue.
Tensor raw_product(const Tensor& a, const Tensor& b, const Epilogue&);
/// The same on the tape.
Tensor product(const Tensor& a, const Tensor& b);
/// Adds product(a, b) to the gradient of input i if anybody wants it, in place where that may be.
void add_product(Gradients& g, int i, const Tensor& a, const Tensor& b);

}  // namespace knet::detail
