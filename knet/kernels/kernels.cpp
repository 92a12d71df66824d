#include "knet/kernels/kernels.hpp"

#include "knet/base/text.hpp"

namespace knet {

const Kernels& kernels(Device d) {
  if (d == cpu) [[likely]]
    return cpu_kernels();
  fail<DeviceError>("kernels: this build has none for ", d);
}

}  // namespace knet
