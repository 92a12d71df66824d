// The one way from an elementwise operator's number to a result on the tape. Not installed.
#pragma once
#include "knet/kernels/functors.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::detail {

/// op(x) with parameters a and b; the operator's name is in its errors.
Tensor unary(Unary op, const Tensor& x, double a = 0, double b = 0);
/// dy f'(x), differentiable itself.
Tensor unary_grad(Unary op, fn::Params p, const Tensor& x, const Tensor& y, const Tensor& dy);
Tensor binary(Binary op, const Tensor& a, const Tensor& b);
/// op(x, s), or op(s, x) when scalar_first.
Tensor binary(Binary op, const Tensor& x, double s, bool scalar_first = false);
/// The same for a value that nobody keeps: its memory becomes the result's, where x itself is not needed.
Tensor unary(Unary op, Tensor&& x, double a = 0, double b = 0);
Tensor binary(Binary op, Tensor&& x, double s, bool scalar_first = false);
/// May a result be written over x, if its caller does not need x any more? If so it is ready for that: what
/// was packed of its values is dropped. Who watches the tape tells values apart by their memory.
bool claim(const Tensor& x);
/// Does the derivative of a one-element function read x, read y?
bool grad_uses_x(Unary);
bool grad_uses_y(Unary);

}  // namespace knet::detail
