#include "knet/autograd/param.hpp"

#include <atomic>
#include <memory>
#include <unordered_map>

#include "knet/autograd/cell.hpp"
#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"

namespace knet {
namespace {
std::atomic<std::uint64_t> last_id{0};
using Copies = std::unordered_map<const Param::Cell*, Param>;
thread_local std::unique_ptr<Copies> copies;  // set inside clone()
}  // namespace

Param::Cell::Cell(Tensor v) : id(++last_id), value(std::move(v)) {
  // Models are built before their optimisers and used in that order: the layout of identities helps nobody.
  value = value.detach();
}

Param::~Param() {
  if (cell_) cell_->release();
}
Param::Param(Tensor v) {
  if (!v) return;
  if (!v.floating()) fail<DTypeError>("Param: parameters are f32 or f64, not ", v.dtype());
  cell_ = new Cell(std::move(v));
}
Param::Param(const Param& o) {
  if (!o.cell_) return;
  if (copies) {
    if (auto it = copies->find(o.cell_); it != copies->end()) {
      cell_ = it->second.cell_;
      cell_->retain();
      return;
    }
  } else if (o.cell_->tied) {
    fail<ValueError>("Param ", o.shape(),
                     " is tied to another: copy the whole model with knet::clone(model)");
  }
  cell_ = new Cell(o.cell_->value);
  cell_->frozen = o.cell_->frozen;
  cell_->tied = o.cell_->tied;
  if (copies) {
    Param& kept = (*copies)[o.cell_];
    kept.cell_ = cell_;
    cell_->retain();
  }
}
Param::Param(Param&& o) noexcept : cell_(std::exchange(o.cell_, nullptr)) {}
Param& Param::operator=(Param&& o) noexcept {
  std::swap(cell_, o.cell_);
  return *this;
}
Param& Param::operator=(const Param& o) {
  if (this == &o) return *this;
  if (cell_ && o.cell_ && shape() == o.shape() && dtype() == o.dtype()) return *this = o.value();
  Param p(o);
  std::swap(cell_, p.cell_);
  return *this;
}
Param& Param::operator=(const Tensor& t) {
  check_defined("Param =", t);
  if (!cell_) return *this = Param(t);
  if (t.shape() != shape()) fail<ShapeError>("Param ", shape(), " = Tensor ", t.shape(), ": shapes differ");
  if (t.dtype() != dtype())
    fail<DTypeError>("Param of ", dtype(), " = Tensor of ", t.dtype(), ": dtypes differ");
  mutable_value() = t.detach();
  return *this;
}

const Tensor& Param::value() const {
  if (!cell_) fail<ValueError>("Param: it is empty; its layer was not constructed, or has no such parameter");
  return cell_->value;
}
Tensor& Param::mutable_value() {
  value();
  if (tape::is_leaf(cell_))
    fail<ValueError>("Param ", shape(),
                     ": written inside diff() after it was read there; update it when the tape is made");
  return cell_->value;
}
Param& Param::operator-=(const Tensor& g) {
  mutable_value() -= g.detach();
  return *this;
}
Param& Param::operator+=(const Tensor& g) {
  mutable_value() += g.detach();
  return *this;
}
Param& Param::operator*=(double k) {
  mutable_value() *= k;
  return *this;
}
std::uint64_t Param::id() const { return cell_ ? cell_->id : 0; }
bool Param::frozen() const { return cell_ && cell_->frozen; }
void Param::freeze(bool on) {
  if (cell_) cell_->frozen = on;
}
Param::operator Tensor() const {
  const Tensor& v = value();
  TensorAccess::storage(v)->is_parameter.store(true, std::memory_order_relaxed);
  return tape::leaf(cell_);
}

void tie(Param& to, const Param& from) {
  from.value();
  if (to.cell_ == from.cell_) return;
  if (to.cell_ && to.shape() != from.shape()) fail<ShapeError>("tie: ", to.shape(), " with ", from.shape());
  from.cell_->retain();
  if (to.cell_) to.cell_->release();
  to.cell_ = from.cell_;
  to.cell_->tied = true;
}

ParamHandle::ParamHandle(const Param& p) {
  p_.cell_ = p.cell_;
  if (p_.cell_) p_.cell_->retain();
}
ParamHandle::ParamHandle(const ParamHandle& o) : ParamHandle(o.p_) {}
ParamHandle& ParamHandle::operator=(const ParamHandle& o) {
  if (o.p_.cell_) o.p_.cell_->retain();
  if (p_.cell_) p_.cell_->release();
  p_.cell_ = o.p_.cell_;
  return *this;
}

CloneScope::CloneScope() { copies = std::make_unique<Copies>(); }
CloneScope::~CloneScope() { copies.reset(); }

}  // namespace knet
