// Memory for tensors. Freed blocks are kept by size and handed out again, so that a training step in steady
// state asks the system for nothing: page faults cost more than arithmetic on fresh memory.
//
// Sizes are rounded up to four steps per power of two; each thread keeps a few blocks of its own and the rest
// wait in one locked list per size. Over 1 MiB a free block of up to twice the size serves as well. All
// blocks are aligned to 64 bytes.
#pragma once
#include <cstddef>
#include <cstdint>

#include "knet/device/device.hpp"

namespace knet {

/// What a device's pool holds and has done, in bytes and counts.
struct MemoryStats {
  std::size_t in_use = 0;      ///< bytes handed out now
  std::size_t peak = 0;        ///< largest in_use so far
  std::size_t cached = 0;      ///< bytes kept for reuse
  std::uint64_t requests = 0;  ///< blocks asked of the pool so far
  std::uint64_t system = 0;    ///< blocks the pool asked of the system so far
};
/// Counts of all threads together.
MemoryStats memory_stats(Device = default_device());
/// Gives the cached blocks back to the system (those of this thread and the shared ones).
void release_memory(Device = default_device());

namespace memory {
/// At least `bytes` bytes, 64-byte aligned, not cleared. std::bad_alloc becomes knet::Error with the size.
void* allocate(std::size_t bytes);
/// Returns a block; `bytes` as asked for.
void deallocate(void* p, std::size_t bytes) noexcept;

/// While it lives, what this thread gives back is not handed out again: an address names one block. One at a
/// time.
class Hoard {
 public:
  Hoard();
  ~Hoard();
  Hoard(const Hoard&) = delete;
  Hoard& operator=(const Hoard&) = delete;

 private:
  int capacity_;
};

/// Blocks over 1 MiB that its owner keeps: while in use by a thread, such blocks of that thread come from
/// here and return to here, without a lock.
class Reserve {
 public:
  Reserve() = default;
  ~Reserve();
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;

  class Use {
   public:
    explicit Use(Reserve&);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Reserve* outer_;
  };
  void* take(int size_class);
  bool keep(int size_class, void* block);

 private:
  struct Kept {
    int size_class;
    void* block;
  };
  static constexpr int most = 16;
  Kept kept_[most];
  int count_ = 0;
};

/// A standard allocator over the pool, for small bookkeeping that lives as long as a training step.
template <class T>
struct Allocator {
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(memory::allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { memory::deallocate(p, n * sizeof(T)); }
  template <class U>
  friend bool operator==(const Allocator&, const Allocator<U>&) {
    return true;
  }
};
}  // namespace memory

}  // namespace knet
