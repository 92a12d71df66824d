// Every tensor of a model, parameters and state, by name: what is saved, averaged or put back. Not for users.
#pragma once
#include <string>
#include <vector>

#include "knet/autograd/model.hpp"
#include "knet/io/safetensors.hpp"

namespace knet::detail {

struct ModelTensor {
  std::string name;
  Param* param;  // or
  Tensor* state;
  const Tensor& value() const { return param ? param->value() : *state; }
  /// Of the same shape and dtype; moved to the device of the old one.
  void set(const Tensor&) const;
};
/// In the order of the fields; a parameter that is there twice (tied) once.
std::vector<ModelTensor> model_tensors(AnyModel);

/// The values as they are now. Copies are cheap: memory is shared until it is written.
io::NamedTensors snapshot(AnyModel);
/// Puts a snapshot back; ValueError when the model has other tensors now.
void restore(AnyModel, const io::NamedTensors&);

}  // namespace knet::detail
