#include "knet/data/transforms.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "knet/base/text.hpp"
#include "knet/data/transforms_image.hpp"
#include "knet/tensor/factories.hpp"

namespace knet::transforms {
namespace {

using Positions = std::vector<std::int64_t>;

Positions positions(std::int64_t first, std::int64_t n, std::int64_t step = 1) {
  Positions r(static_cast<std::size_t>(n));
  for (auto& v : r) v = first, first += step;
  return r;
}
// Where the positions -before ... n + after lie in 0 ... n - 1; -1: nowhere.
Positions padded(std::int64_t n, std::int64_t before, std::int64_t after, PadMode mode) {
  const std::int64_t most = mode == PadMode::reflect ? n - 1 : n;
  if (before < 0 || after < 0 || before > 1 << 30 || after > 1 << 30)
    fail<ValueError>("pad: by ", before, " and ", after, " (expected 0 to 2^30)");
  if ((mode == PadMode::reflect || mode == PadMode::symmetric) && std::max(before, after) > most)
    fail<ValueError>("pad: by ", before, " and ", after, ": a mirror of ", n, " pixels has at most ", most);
  Positions r = positions(-before, before + n + after);
  for (auto& v : r) {
    switch (mode) {
      case PadMode::constant: v = v < 0 || v >= n ? -1 : v; break;
      case PadMode::edge: v = std::clamp<std::int64_t>(v, 0, n - 1); break;
      case PadMode::reflect: v = v < 0 ? -v : v >= n ? 2 * (n - 1) - v : v; break;
      case PadMode::symmetric: v = v < 0 ? -v - 1 : v >= n ? 2 * n - 1 - v : v; break;
    }
  }
  return r;
}
template <class T>
void gather_into(const Image& i, const Positions& rows, const Positions& columns, T outside, T* to) {
  const std::int64_t c = i.channels;
  const T* from = i.pixels.data<T>();
  for (const std::int64_t y : rows) {
    for (const std::int64_t x : columns) {
      if (y < 0 || x < 0)
        std::fill_n(to, c, outside);
      else
        std::copy_n(from + (y * i.width + x) * c, c, to);
      to += c;
    }
  }
}
// Python's round: halves to the even number.
std::int64_t round_even(double v) { return static_cast<std::int64_t>(std::nearbyint(v)); }
std::int64_t other(std::int64_t width, std::int64_t height) { return width ? width : height; }

// Uniform in [0, 1), number i of a key.
double unit(RandomKey k, std::uint64_t i) { return philox::to_unit_double(philox::number(k, i)); }
double between(double low, double high, double u) { return low + (high - low) * u; }
std::int64_t below(std::int64_t n, double u) { return static_cast<std::int64_t>(static_cast<double>(n) * u); }

}  // namespace

Image to_image(const char* who, const Tensor& image) {
  if (!image || image.ndim() != 3 || image.numel() == 0)
    fail<ShapeError>(who, ": image is ", image ? image.shape() : Shape{}, ", expected [C, H, W]");
  if (image.dtype() != u8 && !image.floating())
    fail<DTypeError>(who, ": image is ", image.dtype(), ", expected u8 or floating values");
  Tensor t = image.detach();
  if (t.floating() && t.dtype() != f32 && t.dtype() != f64) t = t.to(f32);
  return {t.permute({1, 2, 0}).contiguous(), t.size(1), t.size(2), t.size(0)};
}

Image to_u8_image(const char* who, const Tensor& image) {
  Image i = to_image(who, image);
  if (image.dtype() != u8) fail<DTypeError>(who, ": image is ", image.dtype(), ", expected u8");
  if (i.channels != 1 && i.channels != 3)
    fail<ShapeError>(who, ": image is ", image.shape(), ", expected [1, H, W] or [3, H, W]");
  return i;
}

void check_size(const char* who, std::int64_t height, std::int64_t width) {
  constexpr std::int64_t most = 1 << 30;
  if (height < 1 || width < 1 || height > most || width > most || height > (most << 10) / width)
    fail<ValueError>(who, ": a size of ", height, " x ", width, " (expected at least 1 x 1)");
}

Tensor gather(const Image& i, const Positions& rows, const Positions& columns, double outside) {
  Tensor t = Tensor::make(
      {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns.size()), i.channels},
      i.pixels.dtype(), cpu);
  switch (t.dtype()) {
    case DType::u8:
      gather_into(i, rows, columns, static_cast<std::uint8_t>(std::clamp(outside, 0.0, 255.0)),
                  t.data<std::uint8_t>());
      break;
    case DType::f64: gather_into(i, rows, columns, outside, t.data<double>()); break;
    default: gather_into(i, rows, columns, static_cast<float>(outside), t.data<float>());
  }
  return t;
}

Tensor crop(const Tensor& image, std::int64_t top, std::int64_t left, std::int64_t height,
            std::int64_t width) {
  const Image i = to_image("crop", image);
  check_size("crop", height, width);
  if (top < 0 || left < 0 || top > i.height - height || left > i.width - width)
    fail<ShapeError>("crop: ", height, " x ", width, " at (", top, ", ", left, ") of ", image.shape(),
                     " leaves the image");
  return gather(i, positions(top, height), positions(left, width)).permute({2, 0, 1});
}

Tensor center_crop(const Tensor& image, std::int64_t height, std::int64_t width) {
  const Image i = to_image("center_crop", image);
  check_size("center_crop", height, width);
  if (height > i.height || width > i.width) {
    const std::int64_t dy = std::max<std::int64_t>(height - i.height, 0),
                       dx = std::max<std::int64_t>(width - i.width, 0);
    return center_crop(
        pad(image, {.left = dx / 2, .top = dy / 2, .right = (dx + 1) / 2, .bottom = (dy + 1) / 2}), height,
        width);
  }
  return crop(image, round_even(static_cast<double>(i.height - height) / 2),
              round_even(static_cast<double>(i.width - width) / 2), height, width);
}

Tensor hflip(const Tensor& image) {
  const Image i = to_image("hflip", image);
  return gather(i, positions(0, i.height), positions(i.width - 1, i.width, -1)).permute({2, 0, 1});
}
Tensor vflip(const Tensor& image) {
  const Image i = to_image("vflip", image);
  return gather(i, positions(i.height - 1, i.height, -1), positions(0, i.width)).permute({2, 0, 1});
}

Tensor pad(const Tensor& image, const Padding& p, PadMode mode, double value) {
  const Image i = to_image("pad", image);
  return gather(i, padded(i.height, p.top, p.bottom, mode), padded(i.width, p.left, p.right, mode), value)
      .permute({2, 0, 1});
}

Tensor to_float(const Tensor& image) {
  const Image i = to_image("to_float", image);
  if (i.pixels.dtype() != u8) return i.pixels.to(default_dtype()).permute({2, 0, 1});
  Tensor t = Tensor::make(i.pixels.shape(), default_dtype() == f64 ? f64 : f32, cpu);
  const auto from = i.pixels.span<std::uint8_t>();
  if (t.dtype() == f64) {
    std::transform(from.begin(), from.end(), t.data<double>(), [](std::uint8_t v) { return v / 255.0; });
  } else {
    std::transform(from.begin(), from.end(), t.data<float>(),
                   [](std::uint8_t v) { return static_cast<float>(v) / 255.0f; });
  }
  return t.to(default_dtype()).permute({2, 0, 1});
}

Tensor normalize(const Tensor& x, const std::vector<double>& mean, const std::vector<double>& std) {
  if (!x || !x.floating()) fail<DTypeError>("normalize: expects floating values (to_float makes them)");
  const int n = x.ndim();
  if (n != 3 && n != 4)
    fail<ShapeError>("normalize: x is ", x.shape(), ", expected [C, H, W] or [N, C, H, W]");
  const auto c = static_cast<std::size_t>(x.size(-3));
  if (mean.size() != c || std.size() != c)
    fail<ShapeError>("normalize: ", mean.size(), " means and ", std.size(), " deviations for x of ",
                     x.shape());
  for (double s : std)
    if (!(s > 0)) fail<ValueError>("normalize: a standard deviation of ", s);
  const Shape s{static_cast<std::int64_t>(c), 1, 1};
  Tensor r = x;
  r -= Tensor(mean, s).to(x.dtype());
  r /= Tensor(std, s).to(x.dtype());
  return r;
}

Tensor Resize::operator()(const Tensor& image) const {
  return width ? resize(image, height, width, filter) : resize_shorter(image, height, filter);
}
Tensor CenterCrop::operator()(const Tensor& image) const {
  return center_crop(image, height, other(width, height));
}

Tensor RandomCrop::operator()(const Tensor& image, Generator& g) const {
  const RandomKey k = g.next();
  const Tensor big = padding ? pad(image, {padding, padding, padding, padding}, mode) : image;
  const Image i = to_image("RandomCrop", big);
  const std::int64_t w = other(width, height);
  check_size("RandomCrop", height, w);
  if (height > i.height || w > i.width)
    fail<ShapeError>("RandomCrop: ", height, " x ", w, " of ", big.shape(), "; set .padding");
  return crop(big, below(i.height - height + 1, unit(k, 0)), below(i.width - w + 1, unit(k, 1)), height, w);
}

Tensor RandomResizedCrop::operator()(const Tensor& image, Generator& g) const {
  const Image i = to_image("RandomResizedCrop", image);
  if (!(scale[0] > 0 && scale[0] <= scale[1] && ratio[0] > 0 && ratio[0] <= ratio[1]))
    fail<ValueError>("RandomResizedCrop: scale ", scale[0], " to ", scale[1], ", ratio ", ratio[0], " to ",
                     ratio[1], " (expected positive and ascending)");
  const RandomKey k = g.next();
  const auto h = static_cast<double>(i.height), w = static_cast<double>(i.width);
  for (std::uint64_t attempt = 0; attempt < 10; ++attempt) {
    const double area = h * w * between(scale[0], scale[1], unit(k, 4 * attempt)),
                 form = std::exp(between(std::log(ratio[0]), std::log(ratio[1]), unit(k, 4 * attempt + 1)));
    const std::int64_t cw = round_even(std::sqrt(area * form)), ch = round_even(std::sqrt(area / form));
    if (cw < 1 || ch < 1 || cw > i.width || ch > i.height) continue;
    return resize(crop(image, below(i.height - ch + 1, unit(k, 4 * attempt + 2)),
                       below(i.width - cw + 1, unit(k, 4 * attempt + 3)), ch, cw),
                  height, width, filter);
  }
  const double form = std::clamp(w / h, ratio[0], ratio[1]);
  const std::int64_t cw = std::clamp<std::int64_t>(form < w / h ? round_even(h * form) : i.width, 1, i.width),
                     ch = std::clamp<std::int64_t>(form > w / h ? round_even(w / form) : i.height, 1,
                                                   i.height);
  return resize(crop(image, (i.height - ch) / 2, (i.width - cw) / 2, ch, cw), height, width, filter);
}

Tensor RandomFlip::operator()(const Tensor& image, Generator& g) const {
  if (!(unit(g.next(), 0) < probability)) return image;
  return vertical ? vflip(image) : hflip(image);
}

Tensor RandomGrayscale::operator()(const Tensor& image, Generator& g) const {
  return unit(g.next(), 0) < probability ? grayscale(image, image.size(0)) : image;
}

Tensor ColorJitter::operator()(const Tensor& image, Generator& g) const {
  for (double v : {brightness, contrast, saturation})
    if (!(v >= 0)) fail<ValueError>("ColorJitter: ", v, " (expected 0 or more)");
  if (!(hue >= 0 && hue <= 0.5)) fail<ValueError>("ColorJitter: hue = ", hue, " (expected 0 to 0.5)");
  const RandomKey k = g.next();
  std::array<int, 4> order = {0, 1, 2, 3};
  for (int i = 3; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)],
              order[static_cast<std::size_t>(below(i + 1, unit(k, static_cast<std::uint64_t>(4 + i))))]);
  const auto factor = [&](double by, std::uint64_t i) {
    return between(std::max(0.0, 1 - by), 1 + by, unit(k, i));
  };
  Tensor r = image;
  for (int what : order) {
    if (what == 0 && brightness > 0) r = adjust_brightness(r, factor(brightness, 0));
    if (what == 1 && contrast > 0) r = adjust_contrast(r, factor(contrast, 1));
    if (what == 2 && saturation > 0) r = adjust_saturation(r, factor(saturation, 2));
    if (what == 3 && hue > 0) r = adjust_hue(r, between(-hue, hue, unit(k, 3)));
  }
  return r;
}

Tensor Pipeline::operator()(const Tensor& image, Generator& g) const {
  Tensor x = image;
  for (const auto& s : steps_) x = s(x, g);
  return x;
}
Tensor Pipeline::operator()(const Tensor& image) const {
  Generator g;
  g.set_state(next_random_key());
  Generator own = g.split();
  return (*this)(image, own);
}

}  // namespace knet::transforms
