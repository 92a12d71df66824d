// Tensor: a value. Copies are O(1), share memory and never alias: writing detaches first (copy on write).
// Element type and device are chosen at run time, shapes are row-major; views (transposes, slices, expanded
// dimensions) are strides over the same memory. The same type is a float array, an array of ids or a mask.
#pragma once
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/base/dtype.hpp"
#include "knet/base/error.hpp"
#include "knet/base/shape.hpp"
#include "knet/device/device.hpp"

namespace knet {

class Tensor;
struct Storage;

// ---- indexing: x(_, 3)  x(0, slice(1, 5))  x(-1)  x(ids)  x(mask)  x(_, slice(0, end, 2)) ----
struct all_t {};
/// A whole dimension in an index: x(_, 3).
inline constexpr all_t _{};
/// The last position of a dimension, in slice().
inline constexpr std::int64_t end = INT64_MAX;
/// Positions start, start + step, ... before stop; negative ones count from the end. step may be negative.
struct slice {
  std::int64_t start = 0, stop = end, step = 1;
  constexpr slice(std::int64_t a, std::int64_t b, std::int64_t s = 1) : start(a), stop(b), step(s) {}
};
/// One entry of an index. Holds a pointer to an index tensor, so it must not outlive the call.
struct Index {
  enum Kind : std::uint8_t { one, range, tensor } kind = range;
  std::int64_t a = 0, b = end, step = 1;
  const Tensor* ids = nullptr;
  Index() = default;
  Index(std::integral auto i) : kind(one), a(static_cast<std::int64_t>(i)) {}
  Index(all_t) {}
  Index(slice s) : a(s.start), b(s.stop), step(s.step) {}
  Index(const Tensor& t) : kind(tensor), ids(&t) {}
};

/// Values in nested braces: Tensor{{1, 2}, {3, 4}}. Integers make i64, anything else the default dtype.
struct Nested {
  double value = 0;
  std::int64_t integer = 0;
  bool integral = true, leaf = true;
  std::span<const Nested> list;
  template <class T>
  requires std::is_arithmetic_v<T> Nested(T v)
      : value(static_cast<double>(v)),
        integer(static_cast<std::int64_t>(v)),
        integral(std::is_integral_v<T>) {}
  Nested(std::initializer_list<Nested> l) : leaf(false), list(l.begin(), l.size()) {}
};

/// A typed door for loops: auto v = x.view<float, 2>(); v(i, j).
template <class T, int N>
struct View {
  T* data;
  std::int64_t extent[N], stride[N];
  template <class... I>
  requires(sizeof...(I) == N) T& operator()(I... i) const {
    std::int64_t o = 0, k = 0;
    ((o += static_cast<std::int64_t>(i) * stride[k++]), ...);
    return data[o];
  }
  std::int64_t size(int i) const { return extent[i]; }
};

/// Dimensions to work over: one, several, or (default) all. Negative ones count from the end.
struct Dims {
  std::int8_t d[max_dims]{};
  std::int8_t n = 0;
  bool all = true;
  Dims() = default;
  Dims(int one) : n(1), all(false) { d[0] = static_cast<std::int8_t>(one); }
  Dims(std::initializer_list<int> l) : all(false) {
    for (int v : l) {
      if (n == max_dims) throw ShapeError("Dims: more than 8 dimensions");
      d[n++] = static_cast<std::int8_t>(v);
    }
  }
};

class TensorRef;

/// A dense array of up to eight dimensions. Default constructed it is empty (`!x`).
class Tensor {
 public:
  Tensor() noexcept {}
  ~Tensor();
  Tensor(const Tensor&) noexcept;
  Tensor(Tensor&&) noexcept;
  Tensor& operator=(const Tensor&) noexcept;
  Tensor& operator=(Tensor&&) noexcept;
  /// Nested braces; ragged ones are a ShapeError.
  Tensor(std::initializer_list<Nested> values);
  /// A vector of numbers, shape [n] or as given; float f32, double f64, int i32, 64-bit integers i64.
  template <class T>
  requires std::is_arithmetic_v<T> Tensor(const std::vector<T>& v)
      : Tensor(v, Shape{static_cast<std::int64_t>(v.size())}) {}
  template <class T>
  requires std::is_arithmetic_v<T> Tensor(const std::vector<T>& v, const Shape& s) {
    if constexpr (std::same_as<T, bool>) {
      *this = make_checked(v.size(), s, boolean);
      for (std::size_t i = 0; i < v.size(); ++i) data<bool>()[i] = v[i];
    } else {
      *this = copy_of(v.data(), v.size(), s, dtype_of<T>);
    }
  }
  template <class T>
  requires std::is_arithmetic_v<T> Tensor(std::span<const T> v, const Shape& s)
      : Tensor(copy_of(v.data(), v.size(), s, dtype_of<T>)) {}

  /// A tensor whose values are not set yet.
  static Tensor make(const Shape&, DType, Device = default_device());
  explicit operator bool() const { return storage_ != nullptr; }

  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }
  /// Size of a dimension; negative ones count from the end.
  std::int64_t size(int i) const { return shape_.at(i); }
  std::int64_t numel() const { return shape_.numel(); }
  int ndim() const { return shape_.ndim(); }
  DType dtype() const { return dtype_; }
  Device device() const;
  bool floating() const { return is_floating(dtype_); }
  /// Dense in row-major order?
  bool is_contiguous() const;
  /// Dense with the channel (dimension 1) fastest: the memory order of images [N, C, H, W] after
  /// convolutions.
  bool is_channels_last() const;

  // ---- reading and writing parts ----
  /// The part of this tensor that the index names: integers drop their dimension, ranges keep it, an i32/i64
  /// tensor of ids (any shape, one per index) takes its place, a boolean mask of the leading shape selects
  /// rows.
  template <class... I>
  requires(sizeof...(I) > 0 && (std::constructible_from<Index, const I&> && ...)) Tensor operator()(
      const I&... i) const {
    const Index a[] = {Index(i)...};
    return index(a);
  }
  Tensor operator[](std::int64_t i) const { return (*this)(i); }
  /// The same part, to be written: x.ref(_, 3) = 0.0; x.ref(mask) += y;
  template <class... I>
  TensorRef ref(const I&... i);
  Tensor index(std::span<const Index>) const;
  void assign(std::span<const Index>, const Tensor&);

  // ---- numbers ----
  /// The only element as a number; ShapeError unless there is exactly one.
  double item() const;
  template <class T>
  T item() const {
    return static_cast<T>(item());
  }
  explicit operator double() const { return item(); }
  explicit operator float() const { return static_cast<float>(item()); }
  /// Row-major elements for reading. T must match the dtype; a strided view is a ShapeError (use
  /// contiguous()).
  template <class T>
  const T* data() const {
    return static_cast<const T*>(raw(dtype_of<T>));
  }
  /// Row-major elements for writing: makes the tensor contiguous and its memory its own first.
  template <class T>
  T* data() {
    return static_cast<T*>(raw_mutable(dtype_of<T>));
  }
  template <class T>
  std::span<const T> span() const&& = delete;  // for (float v : f(x).span<float>()) would dangle
  template <class T>
  std::span<const T> span() const& {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  /// All elements, converted to T, in row-major order.
  template <class T>
  std::vector<T> to_vector() const {
    const Tensor t = to(dtype_of<T>).contiguous();
    const T* p = t.data<T>();
    return std::vector<T>(p, p + t.numel());
  }
  /// Fast typed access in loops, any strides; the mutable one detaches first.
  template <class T, int N>
  View<const T, N> view() const {
    View<const T, N> v{static_cast<const T*>(raw_view(dtype_of<T>, N)), {}, {}};
    fill_view(v.extent, v.stride, N);
    return v;
  }
  template <class T, int N>
  View<T, N> view() {
    View<T, N> v{static_cast<T*>(raw_mutable(dtype_of<T>)), {}, {}};
    raw_view(dtype_of<T>, N);
    fill_view(v.extent, v.stride, N);
    return v;
  }

  // ---- other forms of the same values (differentiable) ----
  Tensor to(DType) const;
  Tensor to(Device) const;
  /// Row-major and dense; itself when it is already.
  Tensor contiguous() const;
  /// Same elements, other shape; one size may be -1. A copy only where the strides need one.
  Tensor reshape(const Shape&) const;
  /// Dimensions first..last joined into one.
  Tensor flatten(int first = 0, int last = -1) const;
  Tensor permute(std::initializer_list<int> order) const;
  Tensor permute(std::span<const int> order) const;
  Tensor transpose(int a, int b) const;
  /// The transpose of a matrix.
  Tensor T() const;
  Tensor squeeze(int dim) const;
  Tensor unsqueeze(int dim) const;
  /// Repeats dimensions of size 1 (and leading new ones) without copying; -1 keeps a size.
  Tensor expand(const Shape&) const;
  /// Positions start .. start + length of one dimension.
  Tensor narrow(int dim, std::int64_t start, std::int64_t length) const;
  /// One position of a dimension, which disappears.
  Tensor select(int dim, std::int64_t i) const;

  // ---- reductions; more of them are free functions in knet/ops/reduce.hpp ----
  Tensor sum(Dims = {}, bool keep = false) const;
  Tensor mean(Dims = {}, bool keep = false) const;
  Tensor max(Dims = {}, bool keep = false) const;
  Tensor min(Dims = {}, bool keep = false) const;
  Tensor argmax(int dim = -1, bool keep = false) const;
  Tensor argmin(int dim = -1, bool keep = false) const;

  Tensor& operator+=(const Tensor&);
  Tensor& operator-=(const Tensor&);
  Tensor& operator*=(const Tensor&);
  Tensor& operator/=(const Tensor&);
  Tensor& operator+=(double);
  Tensor& operator-=(double);
  Tensor& operator*=(double);
  Tensor& operator/=(double);

  /// The same values as a constant: nothing flows back through it.
  Tensor detach() const;

 private:
  friend struct TensorAccess;
  static Tensor copy_of(const void* values, std::size_t count, const Shape&, DType);
  static Tensor make_checked(std::size_t count, const Shape&, DType);
  const void* raw(DType) const;
  const void* raw_view(DType, int ndim) const;
  void* raw_mutable(DType);
  void fill_view(std::int64_t* extent, std::int64_t* stride, int n) const;

  Storage* storage_ = nullptr;
  std::int64_t offset_ = 0;  // in elements
  Shape shape_;
  Strides strides_;
  DType dtype_ = f32;
  // Where on this thread's tape the value was made; meaningless unless epoch_ is the running tape's.
  std::int32_t node_ = -1;
  std::uint64_t epoch_ = 0;
};

/// x.ref(...): a part of x that can be assigned. Made by ref() only and used at once.
class TensorRef {
 public:
  template <class... I>
  explicit TensorRef(Tensor& t, const I&... i) : t_(t), index_{Index(i)...}, n_(sizeof...(I)) {}
  TensorRef(const TensorRef&) = delete;
  operator Tensor() const { return value(); }
  Tensor value() const { return t_.index({index_, n_}); }
  const TensorRef& operator=(const Tensor& v) const {
    t_.assign({index_, n_}, v);
    return *this;
  }
  const TensorRef& operator=(double v) const;
  const TensorRef& operator+=(const Tensor& v) const;
  const TensorRef& operator+=(double v) const;
  const TensorRef& operator*=(double v) const;

 private:
  Tensor& t_;
  Index index_[max_dims];
  std::size_t n_;
};
template <class... I>
TensorRef Tensor::ref(const I&... i) {
  static_assert(sizeof...(I) >= 1 && sizeof...(I) <= max_dims);
  return TensorRef(*this, i...);
}

/// Shape, dtype and aligned values; large tensors are shortened with "...".
std::ostream& operator<<(std::ostream&, const Tensor&);
/// Same shape, dtype and elements (NaN differs from NaN).
bool equal(const Tensor&, const Tensor&);
/// |a - b| <= atol + rtol |b| everywhere; shapes must be equal. NaN is close to nothing.
bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8);

}  // namespace knet
