#include "knet/layers/pool.hpp"

#include "knet/autograd/layer_call.hpp"
#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"

namespace knet {
namespace {

template <class L>
PoolOptions options(const L& l) {
  PoolOptions o{.window = l.window,
                .stride = l.stride,
                .padding = l.padding,
                .mode = l.mode,
                .propagate_nan = l.propagate_nan,
                .alpha = l.alpha};
  if constexpr (requires { l.ceil_mode; }) o.ceil_mode = l.ceil_mode;
  return o;
}
/// An image without its batch gets one.
template <class F>
Tensor batched(const char* who, const Tensor& x, int single, const F& f) {
  check_defined(who, x);
  return x.ndim() == single ? f(x.unsqueeze(0)).squeeze(0) : f(x);
}
const char* name_of(PoolMode m) {
  return m == PoolMode::max ? "max" : m == PoolMode::mean ? "mean" : "mean_inside";
}
template <class L>
std::string describe_pool(const char* name, const L& l) {
  std::string s = text(name, "(window=", to_string(l.window));
  if (l.stride != l.window) s += ", stride=" + to_string(l.stride);
  if (l.padding != Extents(0)) s += ", padding=" + to_string(l.padding);
  if (l.mode != PoolMode::max) s += text(", mode=", name_of(l.mode));
  if (!l.propagate_nan) s += ", NaNs passed over";
  if (l.alpha != 1) s += text(", alpha=", l.alpha);
  if constexpr (requires { l.ceil_mode; }) s += l.ceil_mode ? ", ceil_mode" : "";
  return s + ")";
}

}  // namespace

Tensor Pool::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  return batched("Pool", x, 3, [&](const Tensor& v) { return pool(v, options(*this), "Pool"); });
}
std::string Pool::describe() const { return describe_pool("Pool", *this); }

Tensor UnPool::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  return batched("UnPool", x, 3, [&](const Tensor& v) { return unpool(v, options(*this), "UnPool"); });
}
std::string UnPool::describe() const { return describe_pool("UnPool", *this); }

Tensor Pool1d::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  return batched("Pool1d", x, 2, [&](const Tensor& v) { return pool(v, options(*this), "Pool1d"); });
}
std::string Pool1d::describe() const { return describe_pool("Pool1d", *this); }

Tensor AdaptivePool::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  return batched("AdaptivePool", x, 3,
                 [&](const Tensor& v) { return adaptive_pool(v, output, mode, "AdaptivePool"); });
}
std::string AdaptivePool::describe() const {
  return text("AdaptivePool(output=", to_string(output), ", mode=", name_of(mode), ")");
}

Tensor GlobalPool::operator()(const Tensor& x) const {
  const LayerCall running(*this);
  check_defined("GlobalPool", x);
  return adaptive_pool(x, 1, mode, "GlobalPool").reshape({x.size(0), x.size(1)});
}
std::string GlobalPool::describe() const { return text("GlobalPool(mode=", name_of(mode), ")"); }

}  // namespace knet
