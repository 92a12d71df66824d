#include "knet/tensor/storage.hpp"

#include <memory>
#include <new>

#include "knet/device/pool.hpp"
#include "knet/tensor/external.hpp"

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
  used.store(false, std::memory_order_relaxed);
  if (!packed.load(std::memory_order_acquire)) return;
  if (Packed* p = packed.exchange(nullptr)) memory::deallocate(p, p->bytes);
}

void Storage::destroy() {
  drop_packed();
  std::byte* behind = reinterpret_cast<std::byte*>(this) + header;
  std::size_t n = header + bytes;
  if (data != behind) {  // somebody else's memory: the block holds who that is
    n = header + sizeof(ExternalOwner);
    std::destroy_at(std::launder(reinterpret_cast<ExternalOwner*>(behind)));
  }
  this->~Storage();
  memory::deallocate(this, n);
}

}  // namespace knet
