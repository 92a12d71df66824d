// Views and copies below the tape: new strides over the same memory.
#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"

namespace knet::raw {

Tensor empty_like(const Tensor& x, DType t) {
  Tensor r = Tensor::make(x.shape(), t, x.device());
  if (x.is_contiguous()) return r;
  // Dense in another order (a transpose, channels-last): keep the order. Strides sorted, largest first.
  const int n = x.ndim();
  int order[max_dims];
  for (int i = 0; i < n; ++i) {
    int j = i;
    for (; j > 0 && x.strides()[order[j - 1]] < x.strides()[i]; --j) order[j] = order[j - 1];
    order[j] = i;
  }
  Strides s;
  std::int64_t step = 1;
  for (int k = n - 1; k >= 0; --k) {
    const int i = order[k];
    if (x.shape()[i] != 1 && x.strides()[i] != step) return r;  // holes or repetition: row-major
    s[i] = step;
    step *= x.shape()[i];
  }
  return TensorAccess::view(r, x.shape(), s, 0);
}

Tensor copy(const Tensor& x, DType t) {
  Tensor r = Tensor::make(x.shape(), t, x.device());
  kernels(x.device()).copy(array(x), array(r));
  return r;
}
Tensor copy_divided(const Tensor& x, double divisor, DType t) {
  Tensor r = Tensor::make(x.shape(), t, x.device());
  kernels(x.device()).copy_divided(array(x), divisor, array(r));
  return r;
}
Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : copy(x, x.dtype()); }

Shape resolve(const char* who, Shape s, const Shape& from) {
  const std::int64_t numel = from.numel();
  int unknown = -1;
  std::int64_t known = 1;
  const Shape asked = s;
  for (int i = 0; i < s.ndim(); ++i) {
    if (s[i] == -1) {
      if (unknown >= 0) fail<ShapeError>(who, ": ", asked, " leaves more than one size open");
      unknown = i;
    } else if (s[i] < 0) {
      fail<ShapeError>(who, ": negative size in ", asked);
    } else if (__builtin_mul_overflow(known, s[i], &known)) {
      fail<ShapeError>(who, ": ", asked, " is too large");
    }
  }
  if (unknown >= 0) {
    if (known == 0 || numel % known != 0) fail<ShapeError>(who, ": ", from, " does not fit ", asked);
    s[unknown] = numel / known;
  } else if (known != numel) {
    fail<ShapeError>(who, ": ", from, " does not fit ", asked);
  }
  return s;
}

namespace {
// Strides that see x's elements in the new shape without moving them, if there are any: dimensions of x are
// grouped with new ones of the same product, and a group must be dense in itself.
bool reshaped(const Tensor& x, const Shape& s, Strides& out) {
  int i = x.ndim() - 1, j = s.ndim() - 1;
  while (i >= 0 || j >= 0) {
    if (i >= 0 && x.shape()[i] == 1) {
      --i;
      continue;
    }
    if (j >= 0 && s[j] == 1) {
      out[j--] = 1;
      continue;
    }
    if (i < 0 || j < 0) return false;
    const std::int64_t step = x.strides()[i];
    std::int64_t have = x.shape()[i], want = s[j], stride = step;
    out[j--] = stride;
    std::int64_t below = want;
    while (have != want) {
      if (have < want) {
        do {
          if (--i < 0) return false;
        } while (x.shape()[i] == 1);
        if (x.strides()[i] != step * have) return false;
        have *= x.shape()[i];
      } else {
        while (s[j] == 1) out[j--] = 1;
        out[j] = step * below;
        below *= s[j];
        want *= s[j--];
      }
    }
    --i;
  }
  return true;
}
}  // namespace

Tensor reshape(const char* who, const Tensor& x, Shape s) {
  check_defined(who, x);
  s = resolve(who, s, x.shape());
  if (x.numel() == 0) return TensorAccess::view(x, s, row_major(s), TensorAccess::offset(x));
  if (x.is_contiguous()) return TensorAccess::view(x, s, row_major(s), TensorAccess::offset(x));
  Strides st;
  if (reshaped(x, s, st)) return TensorAccess::view(x, s, st, TensorAccess::offset(x));
  const Tensor c = copy(x, x.dtype());
  return TensorAccess::view(c, s, row_major(s), 0);
}

Tensor permute(const Tensor& x, std::span<const int> order) {
  check_defined("permute", x);
  if (static_cast<int>(order.size()) != x.ndim())
    fail<ShapeError>("permute: ", order.size(), " positions for ", x.shape());
  Shape s = x.shape();
  Strides st;
  unsigned seen = 0;
  for (int i = 0; i < x.ndim(); ++i) {
    const int d = check_dim("permute", order[static_cast<std::size_t>(i)], x.ndim());
    if (seen & (1u << d)) fail<ShapeError>("permute: dimension ", d, " of ", x.shape(), " is named twice");
    seen |= 1u << d;
    s[i] = x.shape()[d];
    st[i] = x.strides()[d];
  }
  return TensorAccess::view(x, s, st, TensorAccess::offset(x));
}
Tensor transpose(const Tensor& x, int a, int b) {
  check_defined("transpose", x);
  a = check_dim("transpose", a, x.ndim());
  b = check_dim("transpose", b, x.ndim());
  Shape s = x.shape();
  Strides st = x.strides();
  std::swap(s[a], s[b]);
  std::swap(st[a], st[b]);
  return TensorAccess::view(x, s, st, TensorAccess::offset(x));
}

Tensor expand(const char* who, const Tensor& x, const Shape& to) {
  check_defined(who, x);
  Shape s = to;
  Strides st;
  const int lead = s.ndim() - x.ndim();
  if (lead < 0) fail<ShapeError>(who, ": ", x.shape(), " to ", to, ": fewer dimensions");
  for (int i = 0; i < s.ndim(); ++i) {
    const int j = i - lead;
    if (j < 0) {
      if (s[i] < 0) fail<ShapeError>(who, ": ", x.shape(), " to ", to, ": a new dimension needs a size");
      st[i] = 0;
      continue;
    }
    if (s[i] == -1) s[i] = x.shape()[j];
    if (s[i] == x.shape()[j])
      st[i] = x.strides()[j];
    else if (x.shape()[j] == 1 && s[i] >= 0)
      st[i] = 0;
    else
      fail<ShapeError>(who, ": ", x.shape(), " to ", to, ": only sizes of 1 can be repeated");
  }
  check_sizes(who, s);
  return TensorAccess::view(x, s, st, TensorAccess::offset(x));
}

Tensor narrow(const char* who, const Tensor& x, int dim, std::int64_t start, std::int64_t length,
              std::int64_t step) {
  check_defined(who, x);
  dim = check_dim(who, dim, x.ndim());
  const std::int64_t n = x.shape()[dim];
  if (start < 0) start += n;
  if (length < 0 || start < 0 || start > n ||
      (length > 0 && (start >= n || start + (length - 1) * step >= n || start + (length - 1) * step < 0)))
    fail<ShapeError>(who, ": ", length, " positions from ", start, " of dimension ", dim, " of ", x.shape());
  Shape s = x.shape();
  Strides st = x.strides();
  s[dim] = length;
  const std::int64_t offset = TensorAccess::offset(x) + (length > 0 ? start * st[dim] : 0);
  st[dim] *= step;
  return TensorAccess::view(x, s, st, offset);
}

Tensor select(const char* who, const Tensor& x, int dim, std::int64_t i) {
  check_defined(who, x);
  dim = check_dim(who, dim, x.ndim());
  const std::int64_t n = x.shape()[dim], p = i < 0 ? i + n : i;
  if (p < 0 || p >= n) fail<ShapeError>(who, ": position ", i, " of dimension ", dim, " of ", x.shape());
  Shape s;
  Strides st;
  for (int k = 0; k < x.ndim(); ++k) {
    if (k == dim) continue;
    st[s.ndim()] = x.strides()[k];
    s.push(x.shape()[k]);
  }
  return TensorAccess::view(x, s, st, TensorAccess::offset(x) + p * x.strides()[dim]);
}

Tensor squeeze(const Tensor& x, int dim) {
  check_defined("squeeze", x);
  dim = check_dim("squeeze", dim, x.ndim());
  if (x.shape()[dim] != 1) fail<ShapeError>("squeeze: dimension ", dim, " of ", x.shape(), " is not 1");
  return select("squeeze", x, dim, 0);
}
Tensor unsqueeze(const Tensor& x, int dim) {
  check_defined("unsqueeze", x);
  dim = check_dim("unsqueeze", dim, x.ndim() + 1);
  Shape s;
  Strides st;
  for (int k = 0; k <= x.ndim(); ++k) {
    if (k == dim) {
      st[s.ndim()] = 1;
      s.push(1);
    }
    if (k == x.ndim()) break;
    st[s.ndim()] = x.strides()[k];
    s.push(x.shape()[k]);
  }
  return TensorAccess::view(x, s, st, TensorAccess::offset(x));
}

void make_own(Tensor& t) {
  if (t.is_contiguous() && TensorAccess::sole_owner(t)) {
    TensorAccess::storage(t)->drop_packed();
    return;
  }
  const std::uint64_t epoch = TensorAccess::epoch(t);
  const std::int32_t node = TensorAccess::node(t);
  t = copy(t, t.dtype());
  TensorAccess::mark(t, epoch, node);
}
void detach_memory(Tensor& t) {
  if (TensorAccess::sole_owner(t)) {
    TensorAccess::storage(t)->drop_packed();
    return;
  }
  make_own(t);
}

}  // namespace knet::raw
