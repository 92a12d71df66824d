#include "knet/tensor/storage.hpp"

#include <new>

#include "knet/device/pool.hpp"

namespace knet {
namespace {
constexpr std::size_t header = 64;
static_assert(sizeof(Storage) <= header);
}  // namespace

Storage* Storage::make(std::size_t bytes, Device device) {
  require("Tensor", device);
  auto* block = static_cast<std::byte*>(memory::allocate(header + bytes));
  auto* s = new (block) Storage;
  s->device = device;
  s->bytes = bytes;
  s->data = block + header;
  return s;
}

void Storage::drop_packed() {
  if (void* p = packed.exchange(nullptr)) memory::deallocate(p, packed_bytes);
}

void Storage::destroy() {
  drop_packed();
  const std::size_t n = header + bytes;
  this->~Storage();
  memory::deallocate(this, n);
}

}  // namespace knet
