// From recorded calls to a program that can be repeated: what does not depend on the inputs is a constant,
// weights are folded and packed, and everything else gets a place in one block of memory. Not installed.
#pragma once
#include <cstddef>
#include <vector>

#include "knet/layers/plan_calls.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::plan {

/// Bytes that calls reach together: a tensor's memory, or a part of it.
struct Buffer {
  enum class Kind : std::uint8_t { constant, scratch, input, output } kind = Kind::constant;
  const std::byte *low, *high;  ///< while the model was recorded
  std::vector<int> users = {};  ///< calls, in order
  std::size_t place = 0;        ///< in the plan's memory, or of a constant in Program::constants
  std::size_t bytes() const { return static_cast<std::size_t>(high - low); }
  bool varies() const { return kind != Kind::constant; }
};
/// An input or output: dense, row-major.
struct Port {
  Shape shape;
  DType dtype;
  Tensor value;      ///< that of the recording
  bool own = false;  ///< an output whose memory nothing else uses
  int buffer = -1;
};
struct Program {
  std::vector<Call> calls;
  std::vector<Port> inputs, outputs;
  std::vector<Buffer> buffers;
  std::vector<Tensor> made;       ///< by the planner, to last until place()
  std::vector<Tensor> packed;     ///< weights
  Tensor constants;               ///< all others
  std::size_t memory = 0;         ///< bytes of a plan
  std::size_t intermediates = 0;  ///< bytes of all results between inputs and outputs, if each had its own
};

/// Sizes and steps alike, and elements of one size?
bool same_form(const Array&, const Array&);
/// Finds the buffers and who uses them, and drops calls that no output needs.
void analyse(Program&);
/// Batch normalisation and activations after convolutions and products become part of them.
void fold(Program&);
/// Weights in the form that kernels like.
void pack(Program&);
/// Places for everything; the recording's memory is not needed afterwards.
void place(Program&);

}  // namespace knet::plan
