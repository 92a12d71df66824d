#include "knet/ops/indexing.hpp"

#include <vector>

#include "knet/autograd/record.hpp"
#include "knet/base/dispatch.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/views.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

// Checked ids, contiguous: every one in [0, n).
Tensor checked(const char* who, const Tensor& ids, std::int64_t n) {
  check_defined(who, ids);
  if (!is_integer(ids.dtype())) fail<DTypeError>(who, ": ids are ", ids.dtype(), ", not integers");
  Tensor r = raw::contiguous(ids);
  dispatch_index(who, r.dtype(), [&]<class T>(type<T>) {
    const T* p = std::as_const(r).data<T>();
    for (std::int64_t i = 0, m = r.numel(); i < m; ++i) {
      if (static_cast<std::int64_t>(p[i]) < 0 || static_cast<std::int64_t>(p[i]) >= n)
        fail<ValueError>(who, ": id ", static_cast<std::int64_t>(p[i]), " is outside 0 to ", n - 1);
    }
  });
  return r;
}
// In an index negative ids count from the end.
Tensor wrapped(const Tensor& ids, std::int64_t n) {
  Tensor r = raw::contiguous(ids).to(i64);
  const std::int64_t* p = std::as_const(r).data<std::int64_t>();
  bool negative = false;
  for (std::int64_t i = 0; i < r.numel(); ++i) {
    if (p[i] < -n || p[i] >= n) fail<ShapeError>("index: position ", p[i], " in a dimension of ", n);
    negative = negative || p[i] < 0;
  }
  if (!negative) return r;
  std::int64_t* q = r.data<std::int64_t>();
  for (std::int64_t i = 0; i < r.numel(); ++i) q[i] += q[i] < 0 ? n : 0;
  return r;
}

Tensor select_ids(const Tensor& x, int dim, const Tensor& ids);
Tensor add_ids(const Tensor& src, int dim, const Tensor& ids, const Shape& s) {
  Tensor y = zeros(s, src.dtype());
  if (src.numel() > 0) kernels(y.device()).index_add(array(src), dim, array(ids), array(y));
  if (Node* n = track(y, "index_add", {&src}))
    n->backward([dim, ids](const Tensor& dy, Gradients& g) { g.add(0, select_ids(dy, dim, ids)); });
  return y;
}
Tensor select_ids(const Tensor& x, int dim, const Tensor& ids) {
  if (dim == 0) return take_rows(x, ids);
  Shape s = x.shape();
  s[dim] = ids.numel();
  Tensor y = Tensor::make(s, x.dtype(), x.device());
  if (y.numel() > 0) kernels(x.device()).index_select(array(x), dim, array(ids), array(y));
  if (Node* n = track(y, "index_select", {&x}))
    n->backward(
        [dim, ids, s0 = x.shape()](const Tensor& dy, Gradients& g) { g.add(0, add_ids(dy, dim, ids, s0)); });
  return y;
}

// An index taken apart: first a rectangular part, then ids along some of its dimensions.
struct Plan {
  detail::Part part;
  bool moves = false;  // is the part anything but the whole?
  struct Ids {
    int dim;  // of the part
    Tensor ids;
  };
  std::vector<Ids> ids;
};

std::int64_t range_length(std::int64_t& a, std::int64_t b, std::int64_t step, std::int64_t n) {
  if (step == 0) fail<ValueError>("index: a slice with step 0");
  if (step > 0) {
    a = a < 0 ? std::max<std::int64_t>(a + n, 0) : std::min(a, n);
    b = b < 0 ? std::max<std::int64_t>(b + n, 0) : std::min(b, n);
    return b > a ? (b - a + step - 1) / step : 0;
  }
  // Backwards: slice(end, ...) starts at the last position, and a stop of `end` runs past the first.
  a = a == end ? n - 1 : a < 0 ? a + n : std::min(a, n - 1);
  b = b == end ? -1 : b < 0 ? b + n : b;
  return a > b && a >= 0 ? (a - b - step - 1) / -step : 0;
}

Plan plan(const Tensor& x, std::span<const Index> ix) {
  check_defined("index", x);
  int used = 0;
  for (const Index& i : ix) used += i.kind == Index::tensor && i.ids->dtype() == boolean ? i.ids->ndim() : 1;
  if (used > x.ndim()) fail<ShapeError>("index: ", used, " indices for ", x.shape());
  Plan p;
  p.part = detail::whole(x);
  p.part.shape = Shape{};
  int d = 0;
  for (const Index& i : ix) {
    const std::int64_t n = x.shape()[d];
    switch (i.kind) {
      case Index::one: {
        const std::int64_t at = i.a < 0 ? i.a + n : i.a;
        if (at < 0 || at >= n)
          fail<ShapeError>("index: position ", i.a, " of dimension ", d, " of ", x.shape());
        p.part.start[d] = at;
        p.part.dropped[d] = true;
        p.moves = true;
        break;
      }
      case Index::range: {
        std::int64_t a = i.a;
        const std::int64_t m = range_length(a, i.b, i.step, n);
        p.part.start[d] = m > 0 ? a : 0;
        p.part.step[d] = i.step;
        p.moves = p.moves || m != n || i.step != 1;
        p.part.shape.push(m);
        break;
      }
      case Index::tensor: {
        check_defined("index", *i.ids);
        if (i.ids->dtype() == boolean) {
          // A mask over several dimensions is handled by the caller, which joins them first.
          if (i.ids->size(0) != n)
            fail<ShapeError>("index: a mask of ", i.ids->shape(), " over dimension ", d, " of ", x.shape());
          p.ids.push_back({p.part.shape.ndim(), nonzero(*i.ids).reshape({-1})});
        } else {
          if (!is_integer(i.ids->dtype()))
            fail<DTypeError>("index: a tensor of ", i.ids->dtype(), "; ids are integers, masks boolean");
          p.ids.push_back({p.part.shape.ndim(), wrapped(*i.ids, n)});
        }
        p.part.shape.push(n);
        break;
      }
    }
    ++d;
  }
  for (; d < x.ndim(); ++d) p.part.shape.push(x.shape()[d]);
  return p;
}

// A mask over the first k > 1 dimensions: those joined into one, and the mask flat.
bool wide_mask(std::span<const Index> ix) {
  return ix.size() == 1 && ix[0].kind == Index::tensor && *ix[0].ids && ix[0].ids->dtype() == boolean &&
         ix[0].ids->ndim() != 1;
}
void check_mask(const Tensor& x, const Tensor& mask) {
  bool fits = mask.ndim() <= x.ndim();
  for (int i = 0; fits && i < mask.ndim(); ++i) fits = mask.shape()[i] == x.shape()[i];
  if (!fits) fail<ShapeError>("index: a mask of ", mask.shape(), " over ", x.shape());
}
Shape joined(const Shape& s, int n) {
  Shape r{1};
  for (int i = 0; i < s.ndim(); ++i) {
    if (i < n)
      r[0] *= s[i];
    else
      r.push(s[i]);
  }
  return r;
}

}  // namespace

Tensor Tensor::index(std::span<const Index> ix) const {
  if (wide_mask(ix)) {
    const Tensor& mask = *ix[0].ids;
    check_defined("index", *this);
    check_mask(*this, mask);
    return take_rows(reshape(joined(shape_, mask.ndim())), nonzero(mask.reshape({-1})).reshape({-1}));
  }
  const Plan p = plan(*this, ix);
  Tensor y = p.moves ? detail::part("index", *this, p.part) : *this;
  // From the last to the first, so that dimensions still to come keep their numbers.
  for (auto k = p.ids.size(); k-- > 0;) {
    const auto& [dim, ids] = p.ids[k];
    const Shape before = y.shape();
    if (dim == 0) {
      y = take_rows(y, ids);
      continue;
    }
    y = select_ids(y, dim, raw::reshape("index", ids, {-1}));
    Shape s;
    for (int i = 0; i < before.ndim(); ++i) {
      if (i != dim)
        s.push(before[i]);
      else
        for (auto n : ids.shape()) s.push(n);
    }
    y = y.reshape(s);
  }
  return y;
}

void Tensor::assign(std::span<const Index> ix, const Tensor& v) {
  check_same("ref", *this, v);
  if (tracked(*this) || tracked(v)) {
    // On the tape nothing is overwritten: positions say where each element of the result comes from.
    const Tensor at = arange(numel()).reshape(shape_).index(ix);
    const Tensor flat = raw::contiguous(at).reshape({-1});
    const Tensor value = v.expand(at.shape()).reshape({-1});
    Tensor keep = ones(shape_, dtype_);
    keep.assign(ix, zeros({}, dtype_));
    // With repeated ids the last one wins, as it does off the tape.
    Tensor placed = zeros({numel()}, i64), mine = arange(flat.numel());
    const auto* where_to = std::as_const(flat).data<std::int64_t>();
    auto* last = placed.data<std::int64_t>();
    for (std::int64_t i = 0; i < flat.numel(); ++i) last[where_to[i]] = i;
    const Tensor wins = (take_rows(placed, flat) == mine).to(dtype_);
    *this = *this * keep + rows_to_dense(flat, value * wins, {numel()}).reshape(shape_);
    return;
  }
  if (wide_mask(ix)) {
    const Tensor& mask = *ix[0].ids;
    check_mask(*this, mask);
    const int m = mask.ndim();
    const Shape mine = shape_;
    Tensor flat = reshape(joined(shape_, m));
    const Tensor ids = nonzero(mask.reshape({-1})).reshape({-1});
    *this = Tensor();  // so that flat may be written in place
    const Index i(ids);
    flat.assign({&i, 1}, v);
    *this = flat.reshape(mine);
    return;
  }
  const Plan p = plan(*this, ix);
  const Shape s = [&] {
    Shape r;
    std::size_t k = 0;
    for (int i = 0; i < p.part.shape.ndim(); ++i) {
      if (k < p.ids.size() && p.ids[k].dim == i) {
        for (auto n : p.ids[k].ids.shape()) r.push(n);
        ++k;
      } else {
        r.push(p.part.shape[i]);
      }
    }
    return r;
  }();
  const Tensor value = raw::expand("ref", v, s);
  raw::detach_memory(*this);
  const Tensor to =
      TensorAccess::view(*this, p.part.shape, p.part.strides(*this), offset_ + p.part.offset(*this));
  if (value.numel() == 0) return;
  if (p.ids.empty()) return kernels(device()).copy(array(value), array(to));
  // One id after the other: the last of equal ones wins.
  const auto place = [&](auto&& self, std::size_t k, const Tensor& target, const Tensor& from) -> void {
    if (k == p.ids.size()) return kernels(device()).copy(array(from), array(target));
    const auto& [dim, ids] = p.ids[k];
    // `from` has the ids' dimensions where `target` has one; both lose them together.
    int target_dim = dim, from_dim = 0;
    for (std::size_t j = 0; j < k; ++j) --target_dim;
    from_dim = target_dim;
    const auto* id = std::as_const(ids).data<std::int64_t>();
    Shape flat_shape;
    for (int i = 0; i < from.ndim(); ++i) {
      if (i == from_dim) flat_shape.push(ids.numel());
      if (i < from_dim || i >= from_dim + ids.ndim()) flat_shape.push(from.shape()[i]);
    }
    if (from_dim == from.ndim()) flat_shape.push(ids.numel());
    const Tensor flat = raw::reshape("ref", from, flat_shape);
    for (std::int64_t i = 0; i < ids.numel(); ++i)
      self(self, k + 1, raw::select("ref", target, target_dim, id[i]), raw::select("ref", flat, from_dim, i));
  };
  place(place, 0, to, value);
}

const TensorRef& TensorRef::operator=(double v) const { return *this = scalar(v, t_.dtype()); }
const TensorRef& TensorRef::operator+=(const Tensor& v) const { return *this = value() + v; }
const TensorRef& TensorRef::operator+=(double v) const { return *this = value() + v; }
const TensorRef& TensorRef::operator*=(double v) const { return *this = value() * v; }

Tensor index_select(const Tensor& x, int dim, const Tensor& ids) {
  check_defined("index_select", x);
  dim = check_dim("index_select", dim, x.ndim());
  if (ids.ndim() != 1) fail<ShapeError>("index_select: ids are ", ids.shape(), ", expected one dimension");
  return select_ids(x, dim, checked("index_select", ids, x.size(dim)));
}
Tensor lookup(const Tensor& table, const Tensor& ids, const char* who) {
  check_defined(who, table);
  if (table.ndim() < 1) fail<ShapeError>(who, ": the table has no rows");
  return take_rows(table, checked(who, ids, table.size(0)));
}

namespace {
Tensor scattered(const Tensor& src, int dim, const Tensor& ids, const Shape& s);
Tensor gathered(const Tensor& x, int dim, const Tensor& ids) {
  Tensor y = Tensor::make(ids.shape(), x.dtype(), x.device());
  if (y.numel() > 0) kernels(x.device()).gather(array(x), dim, array(ids), array(y));
  if (Node* n = track(y, "gather", {&x}))
    n->backward(
        [dim, ids, s = x.shape()](const Tensor& dy, Gradients& g) { g.add(0, scattered(dy, dim, ids, s)); });
  return y;
}
Tensor scattered(const Tensor& src, int dim, const Tensor& ids, const Shape& s) {
  Tensor y = zeros(s, src.dtype());
  if (src.numel() > 0) kernels(y.device()).scatter_add(array(src), dim, array(ids), array(y));
  if (Node* n = track(y, "scatter_add", {&src}))
    n->backward([dim, ids](const Tensor& dy, Gradients& g) { g.add(0, gathered(dy, dim, ids)); });
  return y;
}
int check_gather(const char* who, const Tensor& x, int dim, const Tensor& ids) {
  check_defined(who, x);
  check_defined(who, ids);
  dim = check_dim(who, dim, x.ndim());
  bool fits = ids.ndim() == x.ndim();
  for (int i = 0; fits && i < x.ndim(); ++i) fits = i == dim || ids.shape()[i] == x.shape()[i];
  if (!fits)
    fail<ShapeError>(who, ": ids ", ids.shape(), " do not match ", x.shape(), " outside dimension ", dim);
  return dim;
}
}  // namespace
Tensor gather(const Tensor& x, int dim, const Tensor& ids) {
  dim = check_gather("gather", x, dim, ids);
  return gathered(x, dim, checked("gather", ids, x.size(dim)));
}
Tensor scatter_add(const Tensor& x, int dim, const Tensor& ids, const Tensor& src) {
  dim = check_gather("scatter_add", x, dim, ids);
  check_same("scatter_add", x, src);
  if (src.shape() != ids.shape())
    fail<ShapeError>("scatter_add: ids ", ids.shape(), " and values ", src.shape());
  return x + scattered(src, dim, checked("scatter_add", ids, x.size(dim)), x.shape());
}

Tensor one_hot(const Tensor& ids, std::int64_t classes, DType t, int dim) {
  check_defined("one_hot", ids);
  if (classes < 1) fail<ValueError>("one_hot: ", classes, " classes");
  dim = check_dim("one_hot", dim, ids.ndim() + 1);
  const Tensor counted = ids.detach() >= 0.0, c = checked("one_hot", where(counted, ids, 0.0), classes);
  Shape s = ids.shape();
  s.push(classes);
  Tensor y = zeros({c.numel(), classes}, t);
  const Tensor one = raw::reshape("one_hot", counted.to(t), {-1, 1});
  if (c.numel() > 0)
    kernels(y.device()).scatter_add(array(one), 1, array(raw::reshape("one_hot", c, {-1, 1})), array(y));
  y = raw::reshape("one_hot", y, s);
  if (dim == ids.ndim()) return y;
  int order[max_dims];
  for (int i = 0, from = 0; i < y.ndim(); ++i) order[i] = i == dim ? ids.ndim() : from++;
  return raw::permute(y, std::span<const int>(order, static_cast<std::size_t>(y.ndim())));
}

Tensor nonzero(const Tensor& x) {
  check_defined("nonzero", x);
  const Tensor mask = raw::contiguous(x.dtype() == boolean ? x : x.detach() != 0.0);
  const bool* p = mask.data<bool>();
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < mask.numel(); ++i) count += p[i];
  Tensor y = Tensor::make({count, x.ndim()}, i64);
  std::int64_t* q = y.data<std::int64_t>();
  for (std::int64_t i = 0; i < mask.numel(); ++i) {
    if (!p[i]) continue;
    std::int64_t rest = i;
    for (int d = x.ndim() - 1; d >= 0; --d) {
      q[d] = rest % x.shape()[d];
      rest /= x.shape()[d];
    }
    q += x.ndim();
  }
  return y;
}

namespace {
Tensor triangle(const char* who, const Tensor& x, std::int64_t k, bool upper) {
  check_defined(who, x);
  if (x.ndim() < 2) fail<ShapeError>(who, ": ", x.shape(), " has no matrix");
  const Tensor row = arange(x.size(-2)).reshape({-1, 1}), col = arange(x.size(-1)).reshape({1, -1});
  const Tensor distance = col - row;
  return where(upper ? distance >= static_cast<double>(k) : distance <= static_cast<double>(k), x, 0.0);
}
}  // namespace
Tensor triu(const Tensor& x, std::int64_t k) { return triangle("triu", x, k, true); }
Tensor tril(const Tensor& x, std::int64_t k) { return triangle("tril", x, k, false); }

Sorted sorted(const Tensor& x, int dim, bool descending) {
  check_defined("sort", x);
  dim = check_dim("sort", dim, x.ndim());
  Sorted r{Tensor::make(x.shape(), x.dtype(), x.device()), Tensor::make(x.shape(), i64, x.device())};
  if (x.numel() > 0) kernels(x.device()).sort(array(x), dim, descending, array(r.values), array(r.indices));
  if (Node* n = track(r.values, "sort", {&x})) {
    n->backward([dim, ids = r.indices, s = x.shape()](const Tensor& dy, Gradients& g) {
      g.add(0, scattered(dy, dim, ids, s));
    });
  }
  return r;
}
Tensor sort(const Tensor& x, int dim, bool descending) { return sorted(x, dim, descending).values; }
Tensor argsort(const Tensor& x, int dim, bool descending) {
  return sorted(x.detach(), dim, descending).indices;
}
Sorted topk(const Tensor& x, std::int64_t k, int dim, bool largest) {
  check_defined("topk", x);
  dim = check_dim("topk", dim, x.ndim());
  if (k < 0 || k > x.size(dim)) fail<ValueError>("topk: k = ", k, " of a dimension of ", x.size(dim));
  const Sorted s = sorted(x, dim, largest);
  return {s.values.narrow(dim, 0, k), s.indices.narrow(dim, 0, k)};
}

}  // namespace knet
