#include "knet/ops/matmul.hpp"

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/product.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {
namespace detail {

Tensor raw_product(const Tensor& a, const Tensor& b, const Epilogue& e) {
  Shape s = a.shape();
  s[-1] = b.shape()[-1];
  Tensor y = Tensor::make(s, a.dtype(), a.device());
  if (y.numel() > 0) kernels(a.device()).matmul(array(a), array(b), array(y), e);
  return y;
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor y = raw_product(a, b, {});
  if (Node* n = track(y, "matmul", {&a, &b})) {
    n->backward([a, b](const Tensor& dy, Gradients& g) {
      const int r = a.ndim() - 2;
      add_product(g, 0, dy, b.transpose(r, r + 1));
      add_product(g, 1, a.transpose(r, r + 1), dy);
    });
  }
  return y;
}

void add_product(Gradients& g, int i, const Tensor& a, const Tensor& b) {
  if (!g.wants(i)) return;
  const Tensor* sum = g.sum(i);
  if (!sum) return g.add(i, product(a, b));
  Epilogue e;
  e.accumulate = true;
  kernels(a.device()).matmul(array(a), array(b), array(*sum), e);
}

}  // namespace detail

namespace {
void check_product(const char* who, const Tensor& a, const Tensor& b) {
  check_same(who, a, b);
  if (a.dtype() == boolean || a.dtype() == f16 || a.dtype() == bf16)
    fail<DTypeError>(who, ": does not take ", a.dtype(), "; convert with .to(f32) first");
}
}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_product("matmul", a, b);
  const auto mismatch = [&](std::int64_t x, std::int64_t y) {
    fail<ShapeError>("matmul: ", a.shape(), " x ", b.shape(), ": inner sizes differ (", x, " and ", y, ")");
  };
  if (a.ndim() == 0 || b.ndim() == 0)
    fail<ShapeError>("matmul: ", a.shape(), " x ", b.shape(), ": a scalar; use *");
  if (a.ndim() == 1) {
    const Tensor r = matmul(a.reshape({1, -1}), b);
    if (b.ndim() == 1) return r.reshape({});
    return r.squeeze(r.ndim() - 2);
  }
  if (b.ndim() == 1) {
    if (a.size(-1) != b.size(0)) mismatch(a.size(-1), b.size(0));
    return matmul(a, b.reshape({-1, 1})).squeeze(a.ndim() - 1);
  }
  if (a.size(-1) != b.size(-2)) mismatch(a.size(-1), b.size(-2));
  if (b.ndim() == 2) {
    if (a.ndim() == 2) return detail::product(a, b);
    Shape s = a.shape();
    s[-1] = b.size(1);
    return detail::product(a.flatten(0, a.ndim() - 2), b).reshape(s);
  }
  // Batches: broadcast the leading dimensions, then three dimensions are enough.
  Shape la, lb;
  for (int i = 0; i + 2 < a.ndim(); ++i) la.push(a.shape()[i]);
  for (int i = 0; i + 2 < b.ndim(); ++i) lb.push(b.shape()[i]);
  const Shape lead = broadcast("matmul", la, lb);
  const auto batched = [&](const Tensor& x) {
    Shape s = lead;
    s.push(x.size(-2));
    s.push(x.size(-1));
    return x.expand(s).reshape({lead.numel(), x.size(-2), x.size(-1)});
  };
  Shape s = lead;
  s.push(a.size(-2));
  s.push(b.size(-1));
  return detail::product(batched(a), batched(b)).reshape(s);
}

Tensor bmm(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  check_product("bmm", a, b);
  if (a.ndim() != 3 || b.ndim() != 3)
    fail<ShapeError>("bmm: ", a.shape(), " x ", b.shape(), ": both need three dimensions");
  const Tensor x = ta ? a.transpose(1, 2) : a, y = tb ? b.transpose(1, 2) : b;
  if (x.size(0) != y.size(0) || x.size(2) != y.size(1))
    fail<ShapeError>("bmm: ", x.shape(), " x ", y.shape(), ": batch or inner sizes differ");
  return detail::product(x, y);
}
Tensor dot(const Tensor& a, const Tensor& b) {
  check_product("dot", a, b);
  if (a.ndim() != 1 || a.shape() != b.shape())
    fail<ShapeError>("dot: ", a.shape(), " . ", b.shape(), ": expects two vectors of one size");
  return matmul(a, b);
}
Tensor outer(const Tensor& a, const Tensor& b) {
  check_product("outer", a, b);
  if (a.ndim() != 1 || b.ndim() != 1)
    fail<ShapeError>("outer: ", a.shape(), " x ", b.shape(), ": expects two vectors");
  return detail::product(a.reshape({-1, 1}), b.reshape({1, -1}));
}

}  // namespace knet
