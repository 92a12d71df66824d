// Sizes of a tensor, row-major, inline up to eight dimensions.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

namespace knet {

inline constexpr int max_dims = 8;

/// Up to eight sizes. An empty shape is a scalar with one element. Negative positions count from the end.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {
    for (auto v : sizes) push(v);
  }
  explicit Shape(std::span<const std::int64_t> sizes) {
    for (auto v : sizes) push(v);
  }
  /// Appends a size; more than eight is a ShapeError.
  void push(std::int64_t v) {
    if (n_ == max_dims) too_many();
    d_[n_++] = v;
  }
  int ndim() const { return n_; }
  /// Product of the sizes.
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (int i = 0; i < n_; ++i) n *= d_[i];
    return n;
  }
  std::int64_t operator[](int i) const { return d_[i < 0 ? i + n_ : i]; }
  std::int64_t& operator[](int i) { return d_[i < 0 ? i + n_ : i]; }
  /// operator[] with the range checked.
  std::int64_t at(int i) const;
  const std::int64_t* begin() const { return d_; }
  const std::int64_t* end() const { return d_ + n_; }
  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.n_ != b.n_) return false;
    for (int i = 0; i < a.n_; ++i) {
      if (a.d_[i] != b.d_[i]) return false;
    }
    return true;
  }

 private:
  [[noreturn]] static void too_many();
  std::int64_t d_[max_dims]{};
  int n_ = 0;
};

/// "[2, 3]"
std::string to_string(const Shape&);
std::ostream& operator<<(std::ostream&, const Shape&);

/// Distance in elements between neighbours along each dimension. 0 repeats (an expanded dimension).
struct Strides {
  std::int64_t d[max_dims]{};
  std::int64_t operator[](int i) const { return d[i]; }
  std::int64_t& operator[](int i) { return d[i]; }
};
/// Strides of a dense row-major block.
Strides row_major(const Shape&);
/// The shape both broadcast to (sizes equal, or one of them 1, aligned at the end); ShapeError names `who`.
Shape broadcast(const char* who, const Shape& a, const Shape& b);
/// dim in [-ndim, ndim) as [0, ndim); ShapeError names `who`.
int check_dim(const char* who, int dim, int ndim);
/// Throws ShapeError for a negative size or one whose product overflows.
void check_sizes(const char* who, const Shape&);

}  // namespace knet
