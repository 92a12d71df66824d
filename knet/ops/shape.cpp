// Views and joins on the tape: the gradient of a view is the same view backwards.
#include "knet/ops/shape.hpp"

#include <algorithm>

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/convolution.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/views.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace detail {

Tensor part(const char* who, const Tensor& x, const Part& p) {
  Tensor y = TensorAccess::view(x, p.shape, p.strides(x), TensorAccess::offset(x) + p.offset(x));
  if (Node* n = track(y, who, {&x})) {
    n->backward([p, s = x.shape()](const Tensor& dy, Gradients& g) { g.add(0, unpart(dy, p, s)); });
  }
  return y;
}
Tensor unpart(const Tensor& dy, const Part& p, const Shape& s) {
  Tensor dx = zeros(s, dy.dtype());
  if (dy.numel() > 0) {
    const Tensor at = TensorAccess::view(dx, p.shape, p.strides(dx), p.offset(dx));
    kernels(dx.device()).copy(array(dy), array(at));
  }
  if (Node* n = track(dx, "part", {&dy})) {
    n->backward([p](const Tensor& d, Gradients& g) { g.add(0, part("part", d, p)); });
  }
  return dx;
}
Strides Part::strides(const Tensor& x) const {
  Strides r;
  for (int i = 0, k = 0; i < x.ndim(); ++i) {
    if (!dropped[i]) r[k++] = x.strides()[i] * step[i];
  }
  return r;
}
std::int64_t Part::offset(const Tensor& x) const {
  std::int64_t r = 0;
  if (shape.numel() == 0) return 0;
  for (int i = 0; i < x.ndim(); ++i) r += start[i] * x.strides()[i];
  return r;
}
Part whole(const Tensor& x) {
  Part p;
  p.shape = x.shape();
  for (int i = 0; i < x.ndim(); ++i) p.step[i] = 1;
  return p;
}

}  // namespace detail

Tensor Tensor::to(DType t) const {
  check_defined("to", *this);
  if (t == dtype_) return *this;
  Tensor y = raw::empty_like(*this, t);
  if (numel() > 0) kernels(device()).copy(array(*this), array(y));
  if (!is_floating(t)) return y;
  if (Node* n = track(y, "to", {this})) {
    n->backward([from = dtype_](const Tensor& dy, Gradients& g) { g.add(0, dy.to(from)); });
  }
  return y;
}
Tensor Tensor::to(Device d) const {
  check_defined("to", *this);
  require("to", d);
  return *this;  // one device is built in so far
}
Tensor Tensor::contiguous() const {
  check_defined("contiguous", *this);
  if (is_contiguous()) return *this;
  Tensor y = raw::copy(*this, dtype_);
  if (Node* n = track(y, "contiguous", {this}))
    n->backward([](const Tensor& dy, Gradients& g) { g.add(0, dy); });
  return y;
}
Tensor Tensor::reshape(const Shape& s) const {
  if (s == shape_ && storage_) return *this;
  Tensor y = raw::reshape("reshape", *this, s);
  if (Node* n = track(y, "reshape", {this})) {
    n->backward([from = shape_](const Tensor& dy, Gradients& g) { g.add(0, dy.reshape(from)); });
  }
  return y;
}
Tensor Tensor::flatten(int first, int last) const {
  check_defined("flatten", *this);
  if (ndim() == 0) return reshape({1});
  first = check_dim("flatten", first, ndim());
  last = check_dim("flatten", last, ndim());
  if (first > last) fail<ShapeError>("flatten: dimensions ", first, " to ", last, " of ", shape_);
  Shape s;
  for (int i = 0; i < ndim(); ++i) {
    if (i > first && i <= last)
      s[s.ndim() - 1] *= shape_[i];
    else
      s.push(shape_[i]);
  }
  return reshape(s);
}
Tensor Tensor::permute(std::span<const int> order) const {
  Tensor y = raw::permute(*this, order);
  if (Node* n = track(y, "permute", {this})) {
    struct Order {
      int d[max_dims];
    } back{};
    for (int i = 0; i < ndim(); ++i) {
      const int k = order[static_cast<std::size_t>(i)];
      back.d[k < 0 ? k + ndim() : k] = i;
    }
    n->backward([back, m = static_cast<std::size_t>(ndim())](const Tensor& dy, Gradients& g) {
      g.add(0, dy.permute(std::span<const int>(back.d, m)));
    });
  }
  return y;
}
Tensor Tensor::permute(std::initializer_list<int> order) const {
  return permute(std::span<const int>(order.begin(), order.size()));
}
Tensor Tensor::transpose(int a, int b) const {
  Tensor y = raw::transpose(*this, a, b);
  if (Node* n = track(y, "transpose", {this}))
    n->backward([a, b](const Tensor& dy, Gradients& g) { g.add(0, dy.transpose(a, b)); });
  return y;
}
Tensor Tensor::T() const {
  check_defined("T", *this);
  if (ndim() != 2) fail<ShapeError>("T: ", shape_, " is not a matrix; use transpose(a, b) or permute");
  return transpose(0, 1);
}
Tensor Tensor::squeeze(int dim) const {
  Tensor y = raw::squeeze(*this, dim);
  if (Node* n = track(y, "squeeze", {this}))
    n->backward([s = shape_](const Tensor& dy, Gradients& g) { g.add(0, dy.reshape(s)); });
  return y;
}
Tensor Tensor::unsqueeze(int dim) const {
  Tensor y = raw::unsqueeze(*this, dim);
  if (Node* n = track(y, "unsqueeze", {this}))
    n->backward([s = shape_](const Tensor& dy, Gradients& g) { g.add(0, dy.reshape(s)); });
  return y;
}
Tensor Tensor::expand(const Shape& s) const {
  Tensor y = raw::expand("expand", *this, s);
  if (Node* n = track(y, "expand", {this}))
    n->backward([from = shape_](const Tensor& dy, Gradients& g) { g.add(0, sum_to(dy, from)); });
  return y;
}
Tensor Tensor::narrow(int dim, std::int64_t start, std::int64_t length) const {
  raw::narrow("narrow", *this, dim, start, length);  // checks
  dim = check_dim("narrow", dim, ndim());
  detail::Part p = detail::whole(*this);
  const auto at = static_cast<unsigned>(dim);
  p.start[at] = start < 0 ? start + shape_[dim] : start;
  p.shape[dim] = length;
  return detail::part("narrow", *this, p);
}
Tensor Tensor::select(int dim, std::int64_t i) const {
  raw::select("select", *this, dim, i);  // checks
  dim = check_dim("select", dim, ndim());
  detail::Part p = detail::whole(*this);
  p.start[dim] = i < 0 ? i + shape_[dim] : i;
  p.dropped[dim] = true;
  p.shape = Shape{};
  for (int k = 0; k < ndim(); ++k) {
    if (k != dim) p.shape.push(shape_[k]);
  }
  return detail::part("select", *this, p);
}

Tensor cat(std::span<const Tensor> ts, int dim) {
  if (ts.empty()) fail<ValueError>("cat: no tensors");
  check_defined("cat", ts[0]);
  const Tensor& first = ts[0];
  if (first.ndim() == 0) fail<ShapeError>("cat: scalars have no dimension to join along; use stack");
  dim = check_dim("cat", dim, first.ndim());
  Shape s = first.shape();
  std::int64_t total = 0;
  for (const Tensor& t : ts) {
    check_same("cat", first, t);
    bool fits = t.ndim() == s.ndim();
    for (int i = 0; fits && i < s.ndim(); ++i) fits = i == dim || t.shape()[i] == s[i];
    if (!fits) fail<ShapeError>("cat: ", t.shape(), " beside ", first.shape(), " along dimension ", dim);
    total += t.shape()[dim];
  }
  s[dim] = total;
  // Images with their channels last stay so: branches of a convolutional network meet here.
  const bool channels_last = s.ndim() >= 4 && std::ranges::any_of(ts, [](const Tensor& t) {
                               return t.shape()[1] > 1 && t.strides()[1] == 1 && !t.is_contiguous();
                             });
  Tensor y = channels_last ? detail::make_channels_last(s, first.dtype(), first.device())
                           : Tensor::make(s, first.dtype(), first.device());
  std::int64_t at = 0;
  std::vector<const Tensor*> inputs;
  std::vector<std::int64_t> sizes;
  for (const Tensor& t : ts) {
    const std::int64_t n = t.shape()[dim];
    if (t.numel() > 0) kernels(y.device()).copy(array(t), array(raw::narrow("cat", y, dim, at, n)));
    at += n;
    inputs.push_back(&t);
    sizes.push_back(n);
  }
  if (Node* n = track(y, "cat", inputs.data(), static_cast<int>(inputs.size()))) {
    n->backward([sizes, dim](const Tensor& dy, Gradients& g) {
      std::int64_t from = 0;
      for (std::size_t i = 0; i < sizes.size(); from += sizes[i++]) {
        if (g.wants(static_cast<int>(i))) g.add(static_cast<int>(i), dy.narrow(dim, from, sizes[i]));
      }
    });
  }
  return y;
}
Tensor cat1d(std::span<const Tensor> all) {
  std::vector<Tensor> rows;
  for (const Tensor& t : all) {
    check_defined("cat1d", t);
    rows.push_back(t.reshape({-1}));
  }
  return cat(rows);
}
Tensor stack(std::span<const Tensor> ts, int dim) {
  if (ts.empty()) fail<ValueError>("stack: no tensors");
  std::vector<Tensor> parts;
  parts.reserve(ts.size());
  for (const Tensor& t : ts) parts.push_back(t.unsqueeze(dim));
  if (dim < 0) dim += parts[0].ndim();
  return cat(parts, dim);
}
std::vector<Tensor> split(const Tensor& x, std::span<const std::int64_t> sizes, int dim) {
  check_defined("split", x);
  dim = check_dim("split", dim, x.ndim());
  std::int64_t total = 0;
  for (auto n : sizes) {
    if (n < 0) fail<ValueError>("split: size ", n, " is negative");
    total += n;
  }
  if (total != x.size(dim))
    fail<ShapeError>("split: sizes add up to ", total, ", dimension ", dim, " of ", x.shape(), " does not");
  std::vector<Tensor> r;
  std::int64_t at = 0;
  for (auto n : sizes) {
    r.push_back(x.narrow(dim, at, n));
    at += n;
  }
  return r;
}
std::vector<Tensor> split(const Tensor& x, std::int64_t size, int dim) {
  check_defined("split", x);
  if (size < 1) fail<ValueError>("split: size ", size, " is not positive");
  const std::int64_t n = x.size(check_dim("split", dim, x.ndim()));
  std::vector<std::int64_t> sizes;
  for (std::int64_t at = 0; at < n; at += size) sizes.push_back(std::min(size, n - at));
  return split(x, sizes, dim);
}
Tensor pad(const Tensor& x, int dim, std::int64_t before, std::int64_t after, double value) {
  check_defined("pad", x);
  dim = check_dim("pad", dim, x.ndim());
  if (before < 0 || after < 0) fail<ValueError>("pad: ", before, " before and ", after, " after: negative");
  Shape s = x.shape();
  const std::int64_t n = s[dim];
  s[dim] += before + after;
  Tensor y = full(s, value, x.dtype());
  if (x.numel() > 0) kernels(y.device()).copy(array(x), array(raw::narrow("pad", y, dim, before, n)));
  if (Node* node = track(y, "pad", {&x})) {
    node->backward([dim, before, n](const Tensor& dy, Gradients& g) { g.add(0, dy.narrow(dim, before, n)); });
  }
  return y;
}
Tensor Mat::operator()(const Tensor& x, int keep) const {
  check_defined("mat", x);
  if (keep < 0 || keep >= std::max(x.ndim(), 1) + 1)
    fail<ShapeError>("mat: keep = ", keep, " of ", x.shape());
  Shape s{1, 1};
  for (int i = 0; i < x.ndim(); ++i) s[i < keep ? 0 : 1] *= x.shape()[i];
  return x.reshape(s);
}
Tensor flip(const Tensor& x, int dim) {
  check_defined("flip", x);
  dim = check_dim("flip", dim, x.ndim());
  detail::Part p = detail::whole(x);
  p.step[dim] = -1;
  p.start[dim] = x.size(dim) - 1;
  return detail::part("flip", x, p);
}

}  // namespace knet
