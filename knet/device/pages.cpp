#include "knet/device/pages.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#include <unistd.h>
#define KNET_HAS_MMAP 1
#endif

namespace knet::memory {

#ifdef KNET_HAS_MMAP

namespace {
constexpr std::size_t huge = std::size_t{1} << 21;
// Blocks begin at different places in their first page: were all alike, element i of every tensor would want
// the same lines of a cache (a sum of three tensors of 4 MB is a fifth slower).
constexpr std::size_t places = 16, apart = 4096 + 192;

std::size_t whole_pages(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}
// What is mapped for a block in huge pages.
std::size_t size_with_places(std::size_t bytes) { return whole_pages(bytes + (places - 1) * apart); }
}  // namespace

void* map_pages(std::size_t bytes) noexcept {
  const bool is_huge = bytes >= huge;
  const std::size_t size = is_huge ? size_with_places(bytes) : whole_pages(bytes), extra = is_huge ? huge : 0;
  void* mapped = mmap(nullptr, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (!is_huge) return mapped;
  // What lies before and behind the part that starts with a huge page goes back at once.
  auto* begin = static_cast<char*>(mapped);
  const std::size_t before = (huge - reinterpret_cast<std::uintptr_t>(begin) % huge) % huge;
  if (before) munmap(begin, before);
  begin += before;
  if (extra > before) munmap(begin + size, extra - before);
#ifdef MADV_HUGEPAGE
  madvise(begin, size, MADV_HUGEPAGE);  // a wish; where it is not granted, small pages do
#endif
  static constinit std::atomic<std::size_t> turn{0};
  return begin + turn.fetch_add(1, std::memory_order_relaxed) % places * apart;
}

void unmap_pages(void* p, std::size_t bytes) noexcept {
  if (bytes < huge) {
    munmap(p, whole_pages(bytes));
  } else {
    auto* begin = static_cast<char*>(p);
    begin -= reinterpret_cast<std::uintptr_t>(begin) % huge;
    munmap(begin, size_with_places(bytes));
  }
}

#else

void* map_pages(std::size_t bytes) noexcept {
  void* p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (p) std::memset(p, 0, bytes);
  return p;
}
void unmap_pages(void* p, std::size_t) noexcept { std::free(p); }

#endif

}  // namespace knet::memory
