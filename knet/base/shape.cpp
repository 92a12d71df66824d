#include "knet/base/shape.hpp"

#include <algorithm>
#include <ostream>

#include "knet/base/text.hpp"

namespace knet {

void Shape::too_many() { throw ShapeError("Shape: more than 8 dimensions"); }

std::int64_t Shape::at(int i) const { return d_[check_dim("Shape", i, n_)]; }

std::string to_string(const Shape& s) { return text(s); }

std::ostream& operator<<(std::ostream& o, const Shape& s) {
  o << '[';
  for (int i = 0; i < s.ndim(); ++i) o << (i ? ", " : "") << s[i];
  return o << ']';
}

Strides row_major(const Shape& s) {
  Strides r;
  std::int64_t n = 1;
  for (int i = s.ndim() - 1; i >= 0; --i) {
    r[i] = n;
    n *= std::max<std::int64_t>(s[i], 1);
  }
  return r;
}

Shape broadcast(const char* who, const Shape& a, const Shape& b) {
  const int n = std::max(a.ndim(), b.ndim());
  Shape r;
  for (int i = 0; i < n; ++i) {
    const int ia = i - (n - a.ndim()), ib = i - (n - b.ndim());
    const std::int64_t x = ia < 0 ? 1 : a[ia], y = ib < 0 ? 1 : b[ib];
    if (x != y && x != 1 && y != 1) {
      fail<ShapeError>(who, ": shapes ", a, " and ", b, " do not broadcast: sizes ", x, " and ", y,
                       " differ (expected equal, or one of them 1)");
    }
    r.push(x == 1 ? y : x);
  }
  return r;
}

int check_dim(const char* who, int dim, int ndim) {
  if (dim < -ndim || dim >= ndim) {
    fail<ShapeError>(who, ": dimension ", dim, " of a tensor with ", ndim, " dimension",
                     ndim == 1 ? "" : "s");
  }
  return dim < 0 ? dim + ndim : dim;
}

void check_sizes(const char* who, const Shape& s) {
  std::int64_t n = 1;
  for (auto v : s) {
    if (v < 0) fail<ShapeError>(who, ": negative size in shape ", s);
    if (__builtin_mul_overflow(n, v, &n)) fail<ShapeError>(who, ": shape ", s, " has too many elements");
  }
  if (n > (std::int64_t{1} << 56)) fail<ShapeError>(who, ": shape ", s, " has too many elements");
}

}  // namespace knet
