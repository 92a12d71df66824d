#include "knet/device/pages.hpp"

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

std::size_t whole_pages(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}
}  // namespace

void* map_pages(std::size_t bytes) noexcept {
  const std::size_t size = whole_pages(bytes), extra = size >= huge ? huge : 0;
  void* mapped = mmap(nullptr, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (!extra) return mapped;
  // What lies before the first and behind the last byte of the aligned block goes back at once.
  auto* begin = static_cast<char*>(mapped);
  const std::size_t before = (huge - reinterpret_cast<std::uintptr_t>(begin) % huge) % huge;
  if (before) munmap(begin, before);
  begin += before;
  if (extra > before) munmap(begin + size, extra - before);
#ifdef MADV_HUGEPAGE
  madvise(begin, size, MADV_HUGEPAGE);  // a wish; where it is not granted, small pages do
#endif
  return begin;
}

void unmap_pages(void* p, std::size_t bytes) noexcept { munmap(p, whole_pages(bytes)); }

#else

void* map_pages(std::size_t bytes) noexcept {
  void* p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (p) std::memset(p, 0, bytes);
  return p;
}
void unmap_pages(void* p, std::size_t) noexcept { std::free(p); }

#endif

}  // namespace knet::memory
