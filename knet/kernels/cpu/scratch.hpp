// Memory of the pool for the time of one kernel.
#pragma once
#include <cstddef>
#include <cstdint>

#include "knet/device/pool.hpp"

namespace knet::cpu_impl {

/// n elements, not initialised; nothing is allocated for n = 0.
template <class T>
class PoolBuffer {
 public:
  explicit PoolBuffer(std::int64_t n) : bytes_(static_cast<std::size_t>(n) * sizeof(T)) {
    if (n > 0) p_ = static_cast<T*>(memory::allocate(bytes_));
  }
  ~PoolBuffer() {
    if (p_) memory::deallocate(p_, bytes_);
  }
  PoolBuffer(const PoolBuffer&) = delete;
  PoolBuffer& operator=(const PoolBuffer&) = delete;
  T* get() const { return p_; }

 private:
  std::size_t bytes_;
  T* p_ = nullptr;
};

}  // namespace knet::cpu_impl
