#include "knet/data/minibatch.hpp"

#include <cmath>

#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

Minibatches::Minibatches(Tensor x, Tensor y, std::int64_t size, MinibatchOptions o)
    : x_(std::move(x)), y_(std::move(y)), size_(size), o_(o), passes_("minibatch", o.shuffle, o.seed) {
  if (!x_ || x_.ndim() == 0 || x_.size(0) == 0) fail<ValueError>("minibatch: no data in x");
  if (y_ && (y_.ndim() == 0 || y_.size(0) != x_.size(0)))
    fail<ShapeError>("minibatch: x is ", x_.shape(), ", y is ", y_.shape(), ": their first sizes differ");
  if (size_ < 1) fail<ValueError>("minibatch: size ", size_);
  if (size_ > x_.size(0) && !o_.partial)
    fail<ValueError>("minibatch: size ", size_, " is larger than the data, ", x_.size(0),
                     "; set .partial to take it");
  if (o_.divisor != 1 &&
      ((o_.xtype != f32 && o_.xtype != f64) || o_.divisor == 0 || !std::isfinite(o_.divisor)))
    fail<ValueError>("minibatch: .divisor = ", o_.divisor, " with .xtype = ", o_.xtype,
                     ": expected a finite number other than 0, and f32 or f64");
  converts_ = is_floating(o_.xtype) && size_of(x_.dtype()) < size_of(o_.xtype);
  if (!converts_) x_ = converted(x_);
  // A view that is not dense would be copied batch by batch, in every pass.
  x_ = x_.contiguous();
  if (y_) y_ = y_.contiguous();
}

std::size_t Minibatches::size() const {
  const std::int64_t n = x_.size(0);
  return static_cast<std::size_t>(o_.partial ? (n + size_ - 1) / size_ : n / size_);
}
Minibatches::Pass Minibatches::pass() const {
  const PassStart start = passes_.begin();
  if (!o_.shuffle) return {this, Tensor(), start};
  Generator g;
  g.set_state(start.key);
  return {this, randperm(x_.size(0), g), start};
}
Batch Minibatches::batch(std::size_t i, const Tensor& order) const {
  const std::int64_t from = static_cast<std::int64_t>(i) * size_, n = std::min(size_, x_.size(0) - from);
  if (i >= size()) fail<ValueError>("minibatch: batch ", i, " of ", size());
  const Tensor ids = order ? order.narrow(0, from, n) : Tensor();
  const auto taken = [&](const Tensor& t) { return ids ? t(ids) : t.narrow(0, from, n); };
  return {converts_ ? converted(taken(x_)) : taken(x_), y_ ? taken(y_) : Tensor()};
}
Tensor Minibatches::converted(const Tensor& x) const {
  if (o_.divisor != 1) return raw::copy_divided(x, o_.divisor, o_.xtype);
  return is_floating(o_.xtype) ? x.to(o_.xtype) : x;
}

}  // namespace knet
