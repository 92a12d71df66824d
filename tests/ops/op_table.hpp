// The operator table: every operator under the name of its case in tests/data/ops.safetensors (made by
// tests/reference/ops_reference.py). The tests go through it for values, gradients and second derivatives.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "knet/knet.hpp"

namespace knet::test {

using Inputs = std::vector<Tensor>;

struct Op {
  std::string name;
  std::function<Tensor(const Inputs&)> f;
  /// Is the second derivative defined and not a jump?
  bool twice = true;
};

const std::vector<Op>& op_table();

/// The part of the table that layers are made of: convolutions, pooling, normalisation, attention.
std::vector<Op> layer_ops();

}  // namespace knet::test
