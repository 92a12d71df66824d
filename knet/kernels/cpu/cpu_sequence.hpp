// The CPU's recurrent layers and attention; what each does is said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void rnn(const RNNShape&, const RNNForward&);
void rnn_grad(const RNNShape&, const RNNBackward&);

}  // namespace knet::cpu_impl
