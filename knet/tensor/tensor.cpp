// Making, copying and reading tensors; what flows through a tape is in ops/.
#include "knet/tensor/tensor.hpp"

#include <cmath>
#include <cstring>

#include "knet/base/dispatch.hpp"
#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"

namespace knet {

Tensor::~Tensor() {
  if (storage_) storage_->release();
}
Tensor::Tensor(const Tensor& o) noexcept
    : storage_(o.storage_),
      offset_(o.offset_),
      shape_(o.shape_),
      strides_(o.strides_),
      dtype_(o.dtype_),
      node_(o.node_),
      epoch_(o.epoch_) {
  if (storage_) storage_->retain();
}
Tensor::Tensor(Tensor&& o) noexcept
    : storage_(o.storage_),
      offset_(o.offset_),
      shape_(o.shape_),
      strides_(o.strides_),
      dtype_(o.dtype_),
      node_(o.node_),
      epoch_(o.epoch_) {
  o.storage_ = nullptr;
  o.shape_ = Shape{};
  o.epoch_ = 0;
}
Tensor& Tensor::operator=(const Tensor& o) noexcept {
  if (o.storage_) o.storage_->retain();
  if (storage_) storage_->release();
  storage_ = o.storage_;
  offset_ = o.offset_;
  shape_ = o.shape_;
  strides_ = o.strides_;
  dtype_ = o.dtype_;
  node_ = o.node_;
  epoch_ = o.epoch_;
  return *this;
}
Tensor& Tensor::operator=(Tensor&& o) noexcept {
  if (this == &o) return *this;
  if (storage_) storage_->release();
  storage_ = o.storage_;
  offset_ = o.offset_;
  shape_ = o.shape_;
  strides_ = o.strides_;
  dtype_ = o.dtype_;
  node_ = o.node_;
  epoch_ = o.epoch_;
  o.storage_ = nullptr;
  o.shape_ = Shape{};
  o.epoch_ = 0;
  return *this;
}

Tensor Tensor::make(const Shape& s, DType t, Device d) {
  check_sizes("Tensor", s);
  const auto n = static_cast<std::size_t>(s.numel());
  if (n > (SIZE_MAX >> 4) / size_of(t)) fail<ShapeError>("Tensor: ", s, " ", t, " does not fit into memory");
  Tensor r;
  r.storage_ = Storage::make(n * size_of(t), d);
  r.shape_ = s;
  r.strides_ = row_major(s);
  r.dtype_ = t;
  return r;
}
Tensor Tensor::make_checked(std::size_t count, const Shape& s, DType t) {
  check_sizes("Tensor", s);
  if (static_cast<std::size_t>(s.numel()) != count)
    fail<ShapeError>("Tensor: ", count, " values for shape ", s, ", which has ", s.numel());
  return make(s, t, cpu);
}
Tensor Tensor::copy_of(const void* values, std::size_t count, const Shape& s, DType t) {
  Tensor r = make_checked(count, s, t);
  if (count > 0) std::memcpy(TensorAccess::data(r), values, count * size_of(t));
  return default_device() == cpu ? r : r.to(default_device());
}

namespace {
// The shape of nested braces, and whether every number in them is an integer.
void measure(const Nested& n, int depth, Shape& s, bool& integral) {
  if (n.leaf) {
    if (depth != s.ndim())
      fail<ShapeError>("Tensor: ragged braces: a number where depth ", s.ndim(), " was expected");
    integral = integral && n.integral;
    return;
  }
  if (depth >= s.ndim()) fail<ShapeError>("Tensor: ragged braces: a list where a number was expected");
  if (static_cast<std::int64_t>(n.list.size()) != s[depth])
    fail<ShapeError>("Tensor: ragged braces: a list of ", n.list.size(), " beside one of ", s[depth]);
  for (const Nested& e : n.list) measure(e, depth + 1, s, integral);
}
template <class T>
T* write(const Nested& n, T* p) {
  if (n.leaf) {
    *p = std::is_integral_v<T> ? static_cast<T>(n.integer) : static_cast<T>(n.value);
    return p + 1;
  }
  for (const Nested& e : n.list) p = write(e, p);
  return p;
}
}  // namespace

Tensor::Tensor(std::initializer_list<Nested> values) {
  const Nested top(values);
  Shape s;
  for (const Nested* n = &top; !n->leaf; n = n->list.data()) {
    s.push(static_cast<std::int64_t>(n->list.size()));
    if (n->list.empty()) break;
  }
  bool integral = s.numel() > 0;
  measure(top, 0, s, integral);
  Tensor t = make(s, integral ? i64 : default_dtype(), cpu);
  if (integral) {
    write(top, static_cast<std::int64_t*>(static_cast<void*>(TensorAccess::data(t))));
  } else {
    dispatch_float("Tensor", t.dtype_, [&]<class T>(type<T>) {
      write(top, static_cast<T*>(static_cast<void*>(TensorAccess::data(t))));
    });
  }
  *this = default_device() == cpu ? std::move(t) : t.to(default_device());
}

Device Tensor::device() const { return storage_ ? storage_->device : default_device(); }

bool Tensor::is_contiguous() const {
  std::int64_t expected = 1;
  for (int i = shape_.ndim() - 1; i >= 0; --i) {
    if (shape_[i] != 1 && strides_[i] != expected) return shape_.numel() == 0;
    expected *= shape_[i];
  }
  return true;
}
bool Tensor::is_channels_last() const {
  if (shape_.ndim() < 3) return false;
  std::int64_t expected = 1;
  const auto fits = [&](int i) {
    const bool ok = shape_[i] == 1 || strides_[i] == expected;
    expected *= shape_[i];
    return ok;
  };
  if (!fits(1)) return false;
  for (int i = shape_.ndim() - 1; i >= 2; --i) {
    if (!fits(i)) return false;
  }
  return fits(0);
}

double Tensor::item() const {
  check_defined("item", *this);
  if (numel() != 1) fail<ShapeError>("item: ", shape_, " has ", numel(), " elements, not one");
  double r = 0;
  const std::byte* p = TensorAccess::data(*this);
  if (dtype_ == f16 || dtype_ == bf16) return to(f64).item();
  dispatch_any("item", dtype_, [&]<class T>(type<T>) {
    T v;
    std::memcpy(&v, p, sizeof v);
    r = static_cast<double>(v);
  });
  return r;
}

void Tensor::fill_view(std::int64_t* extent, std::int64_t* stride, int n) const {
  for (int i = 0; i < n; ++i) extent[i] = shape_[i], stride[i] = strides_[i];
}
const void* Tensor::raw_view(DType t, int ndim) const {
  check_defined("view", *this);
  if (t != dtype_) fail<DTypeError>("view: the tensor holds ", dtype_, ", not ", t);
  if (ndim != shape_.ndim()) fail<ShapeError>("view: ", shape_, " has not ", ndim, " dimensions");
  return TensorAccess::data(*this);
}
const void* Tensor::raw(DType t) const {
  check_defined("data", *this);
  if (t != dtype_) fail<DTypeError>("data: the tensor holds ", dtype_, ", not ", t);
  if (!is_contiguous()) fail<ShapeError>("data: ", shape_, " is a strided view; use contiguous() first");
  return TensorAccess::data(*this);
}
void* Tensor::raw_mutable(DType t) {
  check_defined("data", *this);
  if (t != dtype_) fail<DTypeError>("data: the tensor holds ", dtype_, ", not ", t);
  raw::make_own(*this);
  epoch_ = 0;  // what is written through a pointer is a constant
  return TensorAccess::data(*this);
}

Tensor Tensor::detach() const {
  Tensor r = *this;
  r.epoch_ = 0;
  return r;
}

void check_defined(const char* who, const Tensor& t) {
  if (!t) fail<ValueError>(who, ": the tensor is empty (default constructed)");
}
void check_same(const char* who, const Tensor& a, const Tensor& b) {
  check_defined(who, a);
  check_defined(who, b);
  if (a.dtype() != b.dtype())
    fail<DTypeError>(who, ": ", a.dtype(), " ", a.shape(), " with ", b.dtype(), " ", b.shape(),
                     "; convert one with .to()");
  if (!(a.device() == b.device()))
    fail<DeviceError>(who, ": one tensor is on ", a.device(), ", the other on ", b.device());
}

bool equal(const Tensor& a, const Tensor& b) {
  if (!a || !b) return !a && !b;
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  if (is_floating(a.dtype()) && size_of(a.dtype()) == 2) return equal(a.to(f32), b.to(f32));
  const Tensor x = raw::contiguous(a.detach()), y = raw::contiguous(b.detach());
  bool same = true;
  dispatch_any("equal", x.dtype(), [&]<class T>(type<T>) {
    const T *p = x.data<T>(), *q = y.data<T>();
    for (std::int64_t i = 0, n = x.numel(); i < n && same; ++i) same = p[i] == q[i];
  });
  return same;
}
bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol) {
  check_defined("allclose", a);
  check_defined("allclose", b);
  if (a.shape() != b.shape()) fail<ShapeError>("allclose: ", a.shape(), " and ", b.shape(), " differ");
  const auto p = a.detach().to_vector<double>(), q = b.detach().to_vector<double>();
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] == q[i]) continue;  // infinities of one sign
    if (!(std::abs(p[i] - q[i]) <= atol + rtol * std::abs(q[i])) || std::isinf(q[i])) return false;
  }
  return true;
}

}  // namespace knet
