// What a Param points to, and how the tape sees it. Not installed.
#pragma once
#include <atomic>
#include <cstdint>

#include "knet/autograd/param.hpp"

namespace knet {

struct Param::Cell {
  explicit Cell(Tensor v);
  std::atomic<std::int32_t> references{1};
  bool frozen = false, tied = false;
  std::uint64_t id;
  Tensor value;

  void retain() { references.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

namespace tape {
/// The parameter's value: a leaf of the running tape, or a constant.
Tensor leaf(Param::Cell*);
/// Was the parameter read on a tape that is still being recorded by this thread?
bool is_leaf(const Param::Cell*);
}  // namespace tape

}  // namespace knet
