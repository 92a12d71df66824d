// Tensors over memory that somebody else owns, such as a mapped file: no copy is made, and the owner is held
// as long as a tensor uses the memory. Copy on write works as for any other storage.
// Not installed.
#pragma once
#include <cstddef>
#include <memory>

#include "knet/tensor/tensor.hpp"

namespace knet {

/// Keeps the memory alive; lies where an ordinary storage has its data.
using ExternalOwner = std::shared_ptr<const void>;

/// A row-major tensor on the CPU over the elements at `data`, aligned for the dtype. The memory must be
/// writable and nobody else may read it: a tensor that is alone with its storage is written in place.
Tensor external_tensor(const Shape&, DType, std::byte* data, ExternalOwner);

}  // namespace knet
