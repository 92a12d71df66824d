#include "knet/layers/layer.hpp"

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

Tensor Sequence::operator()(Tensor x) const {
  for (const Layer& l : layers_) x = l(x);
  return x;
}
void Sequence::walk(Visitor& v) {
  v.enter("Sequence", nullptr, this);
  char b[20];
  for (std::size_t i = 0; i < layers_.size(); ++i)
    v.at(detail::index_name(i, b), [&] { layers_[i].walk(v); });
  v.leave();
}

}  // namespace knet
