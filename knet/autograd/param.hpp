// Param: a trainable tensor. It is a value like Tensor, with an identity beside: gradients and optimiser
// memory are keyed by it. Copying makes a new parameter with the same numbers; moving keeps the identity.
#pragma once
#include <cstdint>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet {

class Param {
 public:
  struct Cell;

  Param() noexcept {}
  ~Param();
  /// Param weight = xavier_uniform({3, 4});  An empty tensor makes an empty Param ("no bias").
  Param(Tensor value);
  /// A new parameter with the same value (O(1)). A tied one throws: copy the whole model with clone(model).
  Param(const Param&);
  Param(Param&&) noexcept;
  /// The other's value; this one's identity stays.
  Param& operator=(const Param&);
  Param& operator=(Param&&) noexcept;
  /// A new value of the same shape, same identity. Throws inside diff() once the parameter was read there.
  Param& operator=(const Tensor&);

  /// Inside diff() a value that gradients flow back to, outside a constant.
  operator Tensor() const;
  /// The value as a constant.
  const Tensor& value() const;
  /// For writing; throws inside diff() once the parameter was read there.
  Tensor& mutable_value();
  explicit operator bool() const { return cell_ != nullptr; }

  const Shape& shape() const { return value().shape(); }
  std::int64_t size(int i) const { return value().size(i); }
  std::int64_t numel() const { return value().numel(); }
  int ndim() const { return value().ndim(); }
  DType dtype() const { return value().dtype(); }
  Tensor T() const { return Tensor(*this).T(); }
  template <class... I>
  requires(sizeof...(I) > 0) Tensor operator()(const I&... i) const { return Tensor(*this)(i...); }
  /// A part to be written: w.ref(_, 0) = 1.0
  template <class... I>
  TensorRef ref(const I&... i) {
    return mutable_value().ref(i...);
  }
  Param& operator-=(const Tensor&);
  Param& operator+=(const Tensor&);
  Param& operator*=(double);

  /// Unique for as long as the program runs; 0 for an empty one.
  std::uint64_t id() const;
  /// A frozen parameter is a constant for diff(), and optimisers leave it alone.
  bool frozen() const;
  void freeze(bool on = true);

  /// Makes `to` the same parameter as `from`: one value, one gradient.
  friend void tie(Param& to, const Param& from);

 private:
  friend class ParamHandle;
  friend struct CloneScope;
  Cell* cell_ = nullptr;  // counted
};
void tie(Param& to, const Param& from);

/// Another hand on the same parameter, which follows it through moves of the model; what optimisers keep.
class ParamHandle {
 public:
  explicit ParamHandle(const Param&);
  ParamHandle(const ParamHandle&);
  ParamHandle& operator=(const ParamHandle&);
  Param& operator*() { return p_; }
  const Param& operator*() const { return p_; }
  Param* operator->() { return &p_; }
  const Param* operator->() const { return &p_; }

 private:
  Param p_;
};

/// While it lives, copies of Params on this thread keep their ties among each other.
struct CloneScope {
  CloneScope();
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;
};
/// A copy of a model in which parameters tied to each other are tied again.
template <class M>
M clone(const M& model) {
  CloneScope scope;
  return M(model);
}

}  // namespace knet
