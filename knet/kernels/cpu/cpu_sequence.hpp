// The CPU's recurrent layers and attention; what each does is said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void rnn(const RNNShape&, const RNNForward&);
void rnn_grad(const RNNShape&, const RNNBackward&);

void attention(const AttentionShape&, const AttentionInputs&, const Array& y, void* lse);
void attention_grad(const AttentionShape&, const AttentionInputs&, const Array& y, const void* lse,
                    const Array& dy, const Array& dq, const Array& dk, const Array& dv);

}  // namespace knet::cpu_impl
