// What the library's own sources may do with a tensor's insides: raw views, kernel arrays, tape marks.
// Not installed; users have Tensor's members.
#pragma once
#include "knet/kernels/kernels.hpp"
#include "knet/tensor/storage.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

struct TensorAccess {
  static Storage* storage(const Tensor& t) { return t.storage_; }
  static std::int64_t offset(const Tensor& t) { return t.offset_; }
  static std::uint64_t epoch(const Tensor& t) { return t.epoch_; }
  static std::int32_t node(const Tensor& t) { return t.node_; }
  static void mark(Tensor& t, std::uint64_t epoch, std::int32_t node) { t.epoch_ = epoch, t.node_ = node; }
  /// Same storage, other geometry; constant (not tracked).
  static Tensor view(const Tensor& t, const Shape& s, const Strides& st, std::int64_t offset) {
    Tensor r;
    r.storage_ = t.storage_;
    if (r.storage_) r.storage_->retain();
    r.offset_ = offset;
    r.shape_ = s;
    r.strides_ = st;
    r.dtype_ = t.dtype_;
    return r;
  }
  static std::byte* data(const Tensor& t) {
    return t.storage_->data + t.offset_ * static_cast<std::int64_t>(size_of(t.dtype_));
  }
  /// May this tensor's memory be written without anybody noticing?
  static bool sole_owner(const Tensor& t) { return t.storage_ && !t.storage_->shared(); }
};

/// The tensor as kernels see it.
inline Array array(const Tensor& t) {
  Array a;
  a.data = TensorAccess::data(t);
  a.dtype = t.dtype();
  a.ndim = t.ndim();
  for (int i = 0; i < a.ndim; ++i) a.size[i] = t.shape()[i], a.stride[i] = t.strides()[i];
  return a;
}
/// The tensor expanded to a shape it broadcasts to (stride 0), as kernels see it.
inline Array array_as(const Tensor& t, const Shape& s) {
  Array a;
  a.data = TensorAccess::data(t);
  a.dtype = t.dtype();
  a.ndim = s.ndim();
  const int lead = a.ndim - t.ndim();
  for (int i = 0; i < a.ndim; ++i) {
    a.size[i] = s[i];
    const int j = i - lead;
    a.stride[i] = j < 0 || t.shape()[j] != s[i] ? 0 : t.strides()[j];
  }
  return a;
}

/// Views and copies that nothing flows back through; the differentiable ones in ops/ are built on them.
namespace raw {
Tensor empty_like(const Tensor&, DType);  ///< same shape and, when dense, the same memory order
Tensor copy(const Tensor&, DType);        ///< a dense row-major copy
Tensor copy_divided(const Tensor&, double divisor, DType);  ///< the same, divided as f32 or f64
Tensor contiguous(const Tensor&);
/// Row-major or channels last.
inline bool is_dense(const Tensor& t) { return t.is_contiguous() || t.is_channels_last(); }
Tensor reshape(const char* who, const Tensor&, Shape);
Tensor permute(const Tensor&, std::span<const int> order);
Tensor transpose(const Tensor&, int a, int b);
Tensor expand(const char* who, const Tensor&, const Shape&);
Tensor narrow(const char* who, const Tensor&, int dim, std::int64_t start, std::int64_t length,
              std::int64_t step = 1);
Tensor select(const char* who, const Tensor&, int dim, std::int64_t i);
Tensor squeeze(const Tensor&, int dim);
Tensor unsqueeze(const Tensor&, int dim);
/// The shape with its -1 worked out; ShapeError when the sizes do not fit.
Shape resolve(const char* who, Shape, std::int64_t numel);
/// Makes t contiguous and the only owner of its memory, ready to be written.
void make_own(Tensor& t);
/// t's memory may be written (t keeps its strides): copies when shared.
void detach_memory(Tensor& t);
}  // namespace raw

/// Throws unless both have one dtype and one device.
void check_same(const char* who, const Tensor& a, const Tensor& b);
/// Throws for an empty (default constructed) tensor.
void check_defined(const char* who, const Tensor& t);

}  // namespace knet
