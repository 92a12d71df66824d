#include "knet/ops/pool.hpp"

#include <memory>
#include <vector>

#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/convolution.hpp"

namespace knet {
namespace {

/// The windows of a pooling whose operands have been checked; shared by the steps of the tape.
struct Windows {
  PoolShape shape{};
  Shape x, y;
  std::vector<std::int64_t> begin[3], end[3];
};
using Plan = std::shared_ptr<const Windows>;

int check_image(const char* who, const Tensor& x) {
  check_defined(who, x);
  if (!x.floating()) fail<DTypeError>(who, ": expects f32 or f64 input, not ", x.dtype());
  if (x.ndim() < 3 || x.ndim() > 5)
    fail<ShapeError>(who, ": input is ", x.shape(), ", expected [N, C, W], [N, C, H, W] or [N, C, D, H, W]");
  for (int i = 2; i < x.ndim(); ++i) {
    if (x.size(i) < 1) fail<ShapeError>(who, ": input ", x.shape(), " is empty along dimension ", i);
  }
  return x.ndim() - 2;
}
void check_options(const char* who, const PoolOptions& o, int spatial) {
  const auto check = [&](const char* name, const Extents& e, std::int64_t least) {
    if (!e.fits(spatial))
      fail<ShapeError>(who, ": ", name, " ", to_string(e), " has ", e.n, " sizes, the image has ", spatial,
                       " spatial dimensions");
    for (int i = 0; i < spatial; ++i) {
      if (e[i] < least) fail<ValueError>(who, ": ", name, " = ", to_string(e), ": expected at least ", least);
    }
  };
  check("window", o.window, 1);
  check("stride", o.stride, 1);
  check("padding", o.padding, 0);
  for (int i = 0; i < spatial; ++i) {
    if (o.padding[i] >= o.window[i])
      fail<ValueError>(who, ": padding ", to_string(o.padding), " must be less than the window ",
                       to_string(o.window));
  }
}

/// window(dimension, position) is {begin, end}, clipped here.
template <class F>
void fill_shape(Windows& w, const F& window) {
  PoolShape& s = w.shape;
  s.n = w.x[0], s.channels = w.x[1];
  const int skip = 5 - w.x.ndim();
  for (int d = 0; d < 3; ++d) {
    const int i = d - skip;
    s.in[d] = i < 0 ? 1 : w.x[i + 2];
    s.out[d] = i < 0 ? 1 : w.y[i + 2];
    for (std::int64_t p = 0; p < s.out[d]; ++p) {
      const auto [begin, end] = i < 0 ? std::pair<std::int64_t, std::int64_t>(0, 1) : window(i, p);
      w.begin[d].push_back(std::max<std::int64_t>(0, begin));
      w.end[d].push_back(std::min(s.in[d], end));
    }
    s.begin[d] = w.begin[d].data();
    s.end[d] = w.end[d].data();
  }
}
std::int64_t volume(const PoolOptions& o, int spatial) {
  std::int64_t v = 1;
  for (int i = 0; i < spatial; ++i) v *= o.window[i];
  return v;
}
/// Windows over images x with as many results as y; both known.
std::shared_ptr<Windows> regular(const Shape& x, const Shape& y, const PoolOptions& o) {
  auto w = std::make_shared<Windows>();
  w->x = x, w->y = y;
  fill_shape(*w, [&](int i, std::int64_t p) {
    const std::int64_t begin = p * o.stride[i] - o.padding[i];
    return std::pair(begin, begin + o.window[i]);
  });
  return w;
}

Tensor scatter(const Tensor& dy, const Tensor& index, const Plan& w);
Tensor written_out(const PickedGradient& p) {
  return scatter(p.values, p.index, std::static_pointer_cast<const Windows>(p.windows));
}
Tensor collect(const Tensor& x, const Tensor& index, const Plan& w) {
  Tensor y = detail::make_channels_last(w->y, x.dtype(), x.device());
  if (y.numel() > 0)
    kernels(x.device())
        .pool_gather(w->shape, detail::image_array(x), index.data<std::int32_t>(), detail::image_array(y));
  if (Node* n = track(y, "max_pool", {&x}))
    n->backward([index, w](const Tensor& dy, Gradients& g) { g.add(0, scatter(dy, index, w)); });
  return y;
}
Tensor scatter(const Tensor& dy, const Tensor& index, const Plan& w) {
  Tensor dx = detail::make_channels_last(w->x, dy.dtype(), dy.device());
  if (dx.numel() > 0)
    kernels(dy.device())
        .max_pool_grad(w->shape, detail::image_array(dy), index.data<std::int32_t>(),
                       detail::image_array(dx));
  if (Node* n = track(dx, "max_pool", {&dy}))
    n->backward([index, w](const Tensor& ddx, Gradients& g) { g.add(0, collect(ddx, index, w)); });
  return dx;
}
Tensor largest(const Tensor& x, const Plan& w, bool propagate_nan) {
  Tensor y = detail::make_channels_last(w->y, x.dtype(), x.device());
  Tensor index = tracked(x) ? Tensor::make({y.numel()}, i32, x.device()) : Tensor();
  if (y.numel() > 0)
    kernels(x.device())
        .max_pool(w->shape, propagate_nan, detail::image_array(x), detail::image_array(y),
                  index ? index.data<std::int32_t>() : nullptr);
  if (Node* n = track(y, "max_pool", {&x})) {
    n->backward([index, w, y](const Tensor& dy, Gradients& g) {
      g.add_picked(0, {dy, index, y, w, written_out});
    });
  }
  return y;
}

Tensor average(const Tensor& x, const Plan& w);
Tensor spread(const Tensor& dy, const Plan& w) {
  Tensor dx = detail::make_channels_last(w->x, dy.dtype(), dy.device());
  if (dx.numel() > 0)
    kernels(dy.device()).avg_pool_grad(w->shape, detail::image_array(dy), detail::image_array(dx));
  if (Node* n = track(dx, "avg_pool", {&dy}))
    n->backward([w](const Tensor& ddx, Gradients& g) { g.add(0, average(ddx, w)); });
  return dx;
}
Tensor average(const Tensor& x, const Plan& w) {
  Tensor y = detail::make_channels_last(w->y, x.dtype(), x.device());
  if (y.numel() > 0) kernels(x.device()).avg_pool(w->shape, detail::image_array(x), detail::image_array(y));
  if (Node* n = track(y, "avg_pool", {&x}))
    n->backward([w](const Tensor& dy, Gradients& g) { g.add(0, spread(dy, w)); });
  return y;
}

}  // namespace

Tensor pool(const Tensor& x, const PoolOptions& o, const char* who) {
  const int spatial = check_image(who, x);
  check_options(who, o, spatial);
  if (o.ceil_mode && o.mode == PoolMode::mean)
    fail<ValueError>(who, ": ceil_mode has windows of several sizes; expected PoolMode::max or mean_inside");
  Shape y{x.size(0), x.size(1)};
  for (int i = 0; i < spatial; ++i) {
    const std::int64_t in = x.size(i + 2), room = in + 2 * o.padding[i] - o.window[i];
    if (o.ceil_mode) {
      const std::int64_t out = room <= 0 ? 1 : (room + o.stride[i] - 1) / o.stride[i] + 1;
      y.push((out - 1) * o.stride[i] >= in + o.padding[i] ? out - 1 : out);
      continue;
    }
    if (room < 0)
      fail<ShapeError>(who, ": a window of ", to_string(o.window), " does not fit input ", x.shape(),
                       " with padding ", to_string(o.padding), " along dimension ", i + 2);
    y.push(room / o.stride[i] + 1);
  }
  const auto w = regular(x.shape(), y, o);
  if (o.mode == PoolMode::mean) w->shape.divisor = static_cast<double>(volume(o, spatial));
  const Tensor r = o.mode == PoolMode::max ? largest(x, w, o.propagate_nan) : average(x, w);
  return o.alpha == 1 ? r : r * o.alpha;
}

Tensor unpool(const Tensor& x, const PoolOptions& o, const char* who) {
  const int spatial = check_image(who, x);
  check_options(who, o, spatial);
  if (o.alpha == 0) fail<ValueError>(who, ": alpha = 0 has no inverse");
  Shape image{x.size(0), x.size(1)};
  for (int i = 0; i < spatial; ++i) {
    const std::int64_t size = (x.size(i + 2) - 1) * o.stride[i] + o.window[i] - 2 * o.padding[i];
    if (size < 1)
      fail<ShapeError>(who, ": input ", x.shape(), " with padding ", to_string(o.padding),
                       " leaves no output along dimension ", i + 2);
    image.push(size);
  }
  const auto w = regular(image, x.shape(), o);
  // The mean over padding too sees fewer copies at the border, so there are more of them.
  double scale = 1 / o.alpha;
  if (o.mode == PoolMode::mean)
    scale *= static_cast<double>(volume(o, spatial));
  else
    w->shape.divisor = 1;
  const Tensor y = spread(x, w);
  return scale == 1 ? y : y * scale;
}

Tensor adaptive_pool(const Tensor& x, const Extents& output, PoolMode mode, const char* who) {
  const int spatial = check_image(who, x);
  if (!output.fits(spatial))
    fail<ShapeError>(who, ": output ", to_string(output), " has ", output.n, " sizes, the image has ",
                     spatial, " spatial dimensions");
  auto w = std::make_shared<Windows>();
  w->x = x.shape();
  w->y = {x.size(0), x.size(1)};
  for (int i = 0; i < spatial; ++i) {
    if (output[i] < 1) fail<ValueError>(who, ": output ", to_string(output), ": expected at least 1");
    w->y.push(output[i]);
  }
  fill_shape(*w, [&](int i, std::int64_t p) {
    const std::int64_t in = x.size(i + 2), out = output[i];
    return std::pair(p * in / out, ((p + 1) * in + out - 1) / out);
  });
  return mode == PoolMode::max ? largest(x, w, true) : average(x, w);
}

}  // namespace knet
