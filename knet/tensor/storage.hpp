// Storage: one counted block of the memory pool. Tensors that are views of each other share it; whoever is
// alone with it may write. Header and data are one block, the data 64-byte aligned behind the header.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "knet/device/device.hpp"

namespace knet {

struct Storage {
  std::atomic<std::int32_t> references{1};
  Device device;
  /// Set for the values of parameters: their packed form (below) is worth keeping.
  std::atomic<bool> is_parameter{false};
  std::atomic<bool> used{false};  ///< at inference, since anybody wrote to it
  std::size_t bytes = 0;
  std::byte* data = nullptr;
  /// The weight as a kernel likes it, behind a Packed; made on the second use at inference, dropped on any
  /// write.
  struct alignas(64) Packed {
    int form;
    std::size_t bytes;  ///< with this header
  };
  std::atomic<Packed*> packed{nullptr};

  static Storage* make(std::size_t bytes, Device);
  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  bool shared() const { return references.load(std::memory_order_acquire) != 1; }
  void drop_packed();

 private:
  void destroy();
};

}  // namespace knet
