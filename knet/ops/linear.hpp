// x W^T + b and an activation in one kernel and one node on the tape. Not installed; layers use it.
#pragma once
#include "knet/kernels/kernels.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

/// x [.., in], weight [out, in], bias [out] or empty -> act(x weight^T + bias) [.., out]. `who` names the
/// layer.
Tensor linear(const char* who, const Tensor& x, const Tensor& weight, const Tensor& bias,
              Unary activation = Unary::identity, double alpha = 0);

}  // namespace knet
