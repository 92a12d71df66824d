#include "knet/kernels/kernels.hpp"

#include <atomic>

#include "knet/base/text.hpp"

namespace knet {
namespace {

std::atomic<const Kernels*> installed{nullptr};

}  // namespace

const Kernels& kernels(Device d) {
  if (d == cpu) [[likely]] {
    if (const Kernels* k = installed.load(std::memory_order_relaxed)) [[likely]]
      return *k;
    const Kernels& best = cpu_kernels();
    installed.store(&best, std::memory_order_relaxed);
    return best;
  }
  fail<DeviceError>("kernels: this build has none for ", d);
}

void set_cpu_kernels(const Kernels* k) { installed.store(k, std::memory_order_release); }

}  // namespace knet
