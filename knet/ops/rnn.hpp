// One direction of one recurrent layer over packed sequences as one operator. Not installed; the recurrent
// layers use it, and say the formulas.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "knet/kernels/kernels.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

/// How many sequences are alive at every step, never more than at the step before.
using BatchSizes = std::shared_ptr<const std::vector<std::int64_t>>;

/// All of one dtype; what is empty is left out.
struct RNNInputs {
  Tensor x;       ///< [rows, input], or [rows, hidden] without wi
  Tensor wi, wh;  ///< [G hidden, input], [G hidden, hidden]
  Tensor bi, bh;  ///< [G hidden]
  Tensor h0, c0;  ///< [batch, hidden]
};
struct RNNResults {
  Tensor y;       ///< [rows, hidden]
  Tensor hy, cy;  ///< [batch, hidden]: every sequence's last state; cy of LSTM only
};

/// Checked by the caller.
RNNResults rnn_layer(const char* who, RNNKind, const RNNInputs&, const BatchSizes&, bool reverse);
/// The same of plain operators, step by step: can be differentiated any number of times. `activation` takes
/// the place of relu and tanh in a simple recurrent layer.
RNNResults rnn_layer_by_steps(RNNKind, const RNNInputs&, const BatchSizes&, bool reverse,
                              const std::function<Tensor(const Tensor&)>& activation = {});

}  // namespace knet
