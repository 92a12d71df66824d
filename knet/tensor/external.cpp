#include "knet/tensor/external.hpp"

#include <new>
#include <utility>

#include "knet/tensor/access.hpp"

namespace knet {

Tensor external_tensor(const Shape& s, DType t, std::byte* data, ExternalOwner owner) {
  check_sizes("Tensor", s);
  const auto n = static_cast<std::int64_t>(sizeof(ExternalOwner) / size_of(t));
  const Tensor block = Tensor::make({n}, t, cpu);
  Storage* storage = TensorAccess::storage(block);
  new (storage->data) ExternalOwner(std::move(owner));
  storage->data = data;
  storage->bytes = static_cast<std::size_t>(s.numel()) * size_of(t);
  return TensorAccess::view(block, s, row_major(s), 0);
}

}  // namespace knet
