// Weights in the form that a kernel likes best, kept beside them between calls without a tape. Not installed.
#pragma once
#include <new>

#include "knet/device/pool.hpp"
#include "knet/tensor/access.hpp"

namespace knet::detail {

/// The weight's values as `pack(void*)` writes them into form.bytes (0: there is no such form), or nullptr.
/// Only for parameters, whose values live for many calls: made for the second caller (a weight may be used
/// once between two steps of its optimiser, as a GAN's are), dropped by the storage when anybody writes to
/// it. The number tells forms apart; a weight keeps the form that was made first.
template <class Pack>
const void* packed(const Tensor& weight, const PackedForm& form, const Pack& pack) {
  using Packed = Storage::Packed;
  Storage* s = TensorAccess::storage(weight);
  if (form.bytes == 0 || !s->is_parameter.load(std::memory_order_relaxed) || !weight.is_contiguous() ||
      TensorAccess::offset(weight) != 0 ||
      static_cast<std::size_t>(weight.numel()) * size_of(weight.dtype()) != s->bytes)
    return nullptr;
  const auto of_form = [&](Packed* p) -> const void* { return p->form == form.number ? p + 1 : nullptr; };
  if (Packed* p = s->packed.load(std::memory_order_acquire)) return of_form(p);
  if (!s->used.exchange(true, std::memory_order_relaxed)) return nullptr;
  const std::size_t bytes = form.bytes + sizeof(Packed);
  auto* fresh = new (memory::allocate(bytes)) Packed{form.number, bytes};
  pack(static_cast<void*>(fresh + 1));
  Packed* made = nullptr;
  if (s->packed.compare_exchange_strong(made, fresh, std::memory_order_acq_rel)) return fresh + 1;
  memory::deallocate(fresh, bytes);
  return of_form(made);
}

}  // namespace knet::detail
