// Where tensors live, and the process-wide defaults for new ones.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>

#include "knet/base/dtype.hpp"

namespace knet {

/// A place that holds and computes tensors: `cpu`, `cuda`, `cuda(1)`.
struct alignas(4) Device {  // so aligned, an atomic one is a plain load
  enum Kind : std::uint8_t { CPU, CUDA } kind = CPU;
  std::int16_t index = 0;
  constexpr Device operator()(int i) const { return {kind, static_cast<std::int16_t>(i)}; }
  friend constexpr bool operator==(Device, Device) = default;
};
inline constexpr Device cpu{Device::CPU, 0}, cuda{Device::CUDA, 0};

std::string to_string(Device);
std::ostream& operator<<(std::ostream&, Device);

/// Whether the device can be used; false for cuda when the library was built without it.
bool available(Device);
/// Throws DeviceError, naming `who`, when the device is not available.
void require(const char* who, Device);

/// Device of new tensors; cpu at start.
Device default_device();
/// Element type of new floating tensors and parameters; f32 at start.
DType default_dtype();
/// Sets the default device; DeviceError when it is not available.
void set_default(Device);
/// Sets the default element type; f32 or f64, anything else is a DTypeError.
void set_default(DType);

}  // namespace knet
