// Everything knet throws derives from knet::Error. A message says who complained, what came and what was
// expected: "matmul: [2, 3] x [4, 5]: inner sizes differ (3 and 4)".
#pragma once
#include <stdexcept>

namespace knet {

/// Base of all exceptions of the library; catch this one.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Shapes or sizes that do not fit together.
struct ShapeError : Error {
  using Error::Error;
};
/// An element type the function does not take, or two that differ.
struct DTypeError : Error {
  using Error::Error;
};
/// A device that is missing, or tensors on different devices.
struct DeviceError : Error {
  using Error::Error;
};
/// A value outside its range: a label, a probability, a learning rate.
struct ValueError : Error {
  using Error::Error;
};
/// A file that is missing, truncated or malformed.
struct IoError : Error {
  using Error::Error;
};

}  // namespace knet
