#include "knet/layers/layer.hpp"

#include "knet/base/text.hpp"

namespace knet {

Layer::Layer() noexcept = default;
Layer::~Layer() = default;
Layer::Layer(const Layer& o) : p_(o.p_ ? o.p_->copy() : nullptr) {}
Layer::Layer(Layer&&) noexcept = default;
Layer& Layer::operator=(Layer o) noexcept {
  p_ = std::move(o.p_);
  return *this;
}
Tensor Layer::operator()(const Tensor& x) const {
  if (!p_) throw ValueError("Layer: it is empty (default constructed)");
  return p_->call(x);
}

namespace {

Tensor apply(const Layer* first, std::size_t n, Tensor x) {
  for (std::size_t i = 0; i < n; ++i) x = first[i](x);
  return x;
}
// A visitor of a const model does not write, so walking one through Layer's only door is safe.
void walk_list(const char* name, const void* self, const Layer* first, std::size_t n, Visitor& v) {
  v.enter(name, nullptr, self);
  char b[20];
  for (std::size_t i = 0; i < n; ++i)
    v.at(detail::index_name(i, b), [&] { const_cast<Layer&>(first[i]).walk(v); });
  v.leave();
}

}  // namespace

Tensor Sequence::operator()(Tensor x) const { return apply(layers_.data(), size(), std::move(x)); }
void Sequence::walk(Visitor& v) { walk_list("Sequence", this, layers_.data(), size(), v); }
const Layer& Sequence::at(std::size_t i) const {
  if (i >= size()) fail<ValueError>("Sequence: layer ", i, " of ", size());
  return layers_[i];
}
Layer& Sequence::at(std::size_t i) { return const_cast<Layer&>(std::as_const(*this).at(i)); }
SequenceSlice Sequence::slice(std::size_t begin, std::size_t end) const {
  if (begin > end || end > size()) fail<ValueError>("Sequence: layers ", begin, " to ", end, " of ", size());
  return {layers_.data() + begin, end - begin};
}

Tensor SequenceSlice::operator()(Tensor x) const { return apply(first_, n_, std::move(x)); }
const Layer& SequenceSlice::operator[](std::size_t i) const {
  if (i >= n_) fail<ValueError>("SequenceSlice: layer ", i, " of ", n_);
  return first_[i];
}
void SequenceSlice::walk(Visitor& v) { walk_list("Sequence", this, first_, n_, v); }

}  // namespace knet
