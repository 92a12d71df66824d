// Reading rows of a table, and the gradient of that: a few rows of a mostly zero table. Each is the other's
// derivative, so that both can be differentiated as often as wanted.
#include "knet/autograd/record.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

Tensor rows_to_dense(const Tensor& ids, const Tensor& rows, const Shape& shape) {
  Tensor y = zeros(shape, rows.dtype());
  const Tensor flat_ids = raw::reshape("rows", ids, {-1});
  Shape s = shape;
  s[0] = flat_ids.numel();
  const Tensor flat = raw::reshape("rows", rows, s);
  if (flat.numel() > 0) kernels(y.device()).index_add(array(flat), 0, array(flat_ids), array(y));
  if (Node* n = track(y, "rows_to_dense", {&rows})) {
    n->backward([flat_ids, s = rows.shape()](const Tensor& dy, Gradients& g) {
      g.add(0, take_rows(dy, flat_ids).reshape(s));
    });
  }
  return y;
}

Tensor take_rows(const Tensor& table, const Tensor& ids) {
  const Tensor flat_ids = raw::reshape("rows", ids, {-1});
  Shape s = table.shape(), out = ids.shape();
  s[0] = flat_ids.numel();
  for (int i = 1; i < table.ndim(); ++i) out.push(table.shape()[i]);
  Tensor flat = Tensor::make(s, table.dtype(), table.device());
  if (flat.numel() > 0) kernels(flat.device()).index_select(array(table), 0, array(flat_ids), array(flat));
  Tensor y = raw::reshape("rows", flat, out);
  if (Node* n = track(y, "take_rows", {&table})) {
    n->backward([flat_ids, s, shape = table.shape()](const Tensor& dy, Gradients& g) {
      g.add_rows(0, flat_ids, dy.reshape(s), shape);
    });
  }
  return y;
}

}  // namespace knet
