#include "knet/device/device.hpp"

#include <atomic>
#include <ostream>

#include "knet/base/text.hpp"

namespace knet {
namespace {
std::atomic<DType> the_dtype{DType::f32};
std::atomic<Device> the_device{cpu};
}  // namespace

std::string to_string(Device d) { return text(d); }

std::ostream& operator<<(std::ostream& o, Device d) {
  if (d.kind == Device::CPU) return o << "cpu";
  return o << "cuda(" << d.index << ")";
}

bool available(Device d) { return d == cpu; }

void require(const char* who, Device d) {
  if (!available(d)) {
    fail<DeviceError>(who, ": no device ", d, ": ",
                      d.kind == Device::CUDA ? "this build of knet has no CUDA" : "there is one cpu, cpu(0)");
  }
}

Device default_device() { return the_device; }
DType default_dtype() { return the_dtype; }

void set_default(Device d) {
  require("set_default", d);
  the_device = d;
}

void set_default(DType t) {
  if (t != f32 && t != f64) fail<DTypeError>("set_default: expects f32 or f64, not ", t);
  the_dtype = t;
}

}  // namespace knet
