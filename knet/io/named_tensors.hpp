// Tensors with names, what files of weights hold.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// Tensors with their names, in order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
/// Free-form remarks about a file.
using Metadata = std::map<std::string, std::string>;

}  // namespace knet::io
