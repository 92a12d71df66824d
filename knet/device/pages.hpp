// Memory straight from the system for large blocks: in pages of 2 MiB where the system has them, since a
// tensor of megabytes in pages of 4 KiB misses the processor's table of pages all the time; and given back
// entirely when it is freed, which a general allocator does not promise.
#pragma once
#include <cstddef>

namespace knet::memory {

/// `bytes` bytes, cleared, 64-byte aligned (from 2 MiB on aligned to 2 MiB). Null when the system has no
/// more.
void* map_pages(std::size_t bytes) noexcept;
/// Gives back a block of map_pages; `bytes` as asked for.
void unmap_pages(void* p, std::size_t bytes) noexcept;

}  // namespace knet::memory
