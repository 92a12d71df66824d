// Changes of colour with PIL's arithmetic: blends in float, cut off (not rounded) to 8 bits; hue in an HSV
// of 8 bits.
#include <algorithm>
#include <cmath>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/data/transforms_image.hpp"

namespace knet::transforms {
namespace {

std::uint8_t luma(const std::uint8_t* p) {
  return static_cast<std::uint8_t>((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 0x8000u) >> 16);
}
std::uint8_t gray(const std::uint8_t* p, std::int64_t channels) { return channels == 3 ? luma(p) : p[0]; }

std::uint8_t blend(std::uint8_t other, std::uint8_t value, float factor) {
  const float v = static_cast<float>(other) + factor * static_cast<float>(value - other);
  return static_cast<std::uint8_t>(std::clamp(v, 0.0f, 255.0f));
}

float check_factor(const char* who, double factor) {
  if (!(factor >= 0 && factor < 1e6)) fail<ValueError>(who, ": factor ", factor, " (expected 0 or more)");
  return static_cast<float>(factor);
}

// The image blended with other(pixel).
template <class F>
Tensor blended(const Image& i, float factor, const F& other) {
  Tensor t = i.pixels;
  auto* p = t.data<std::uint8_t>();
  const std::int64_t n = i.height * i.width;
  for (std::int64_t k = 0; k < n; ++k, p += i.channels) {
    const std::uint8_t o = other(p);
    for (std::int64_t c = 0; c < i.channels; ++c) p[c] = blend(o, p[c], factor);
  }
  return t.permute({2, 0, 1});
}

struct Hsv {
  int h, s, v;
};
Hsv to_hsv(const std::uint8_t* p) {
  const int high = std::max({p[0], p[1], p[2]}), low = std::min({p[0], p[1], p[2]});
  if (high == low) return {0, 0, high};
  const auto range = static_cast<float>(high - low);
  const float s = range / static_cast<float>(high), r = static_cast<float>(high - p[0]) / range,
              g = static_cast<float>(high - p[1]) / range, b = static_cast<float>(high - p[2]) / range;
  float h = 0;
  if (p[0] == high)
    h = b - g;
  else if (p[1] == high)
    h = static_cast<float>(2.0 + r - b);
  else
    h = static_cast<float>(4.0 + g - r);
  h = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  return {std::clamp(static_cast<int>(h * 255.0), 0, 255), std::clamp(static_cast<int>(s * 255.0), 0, 255),
          high};
}
void from_hsv(const Hsv& c, std::uint8_t* to) {
  const auto byte = [](double v) { return static_cast<std::uint8_t>(std::clamp(std::round(v), 0.0, 255.0)); };
  const auto v = static_cast<std::uint8_t>(c.v);
  if (c.s == 0) {
    to[0] = to[1] = to[2] = v;
    return;
  }
  const auto h = static_cast<float>(c.h * 6.0 / 255.0), s = static_cast<float>(c.s / 255.0);
  const int sector = static_cast<int>(h);
  const float f = h - static_cast<float>(sector);
  const std::uint8_t p = byte(c.v * (1.0 - s)), q = byte(c.v * (1.0 - s * f)),
                     t = byte(c.v * (1.0 - s * (1.0 - f)));
  const std::uint8_t rgb[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
  std::copy_n(rgb[sector % 6], 3, to);
}

}  // namespace

Tensor grayscale(const Tensor& image, std::int64_t channels) {
  if (channels != 1 && channels != 3)
    fail<ValueError>("grayscale: channels = ", channels, " (expected 1 or 3)");
  const Image i = to_u8_image("grayscale", image);
  Tensor t = Tensor::make({i.height, i.width, channels}, u8, cpu);
  auto* to = t.data<std::uint8_t>();
  const auto* from = i.pixels.data<std::uint8_t>();
  for (std::int64_t k = 0; k < i.height * i.width; ++k, from += i.channels, to += channels)
    std::fill_n(to, channels, gray(from, i.channels));
  return t.permute({2, 0, 1});
}

Tensor adjust_brightness(const Tensor& image, double factor) {
  const float f = check_factor("adjust_brightness", factor);
  return blended(to_u8_image("adjust_brightness", image), f,
                 [](const std::uint8_t*) { return std::uint8_t{0}; });
}

Tensor adjust_contrast(const Tensor& image, double factor) {
  const float f = check_factor("adjust_contrast", factor);
  const Image i = to_u8_image("adjust_contrast", image);
  const auto* p = i.pixels.data<std::uint8_t>();
  const std::int64_t n = i.height * i.width;
  std::int64_t sum = 0;
  for (std::int64_t k = 0; k < n; ++k) sum += gray(p + k * i.channels, i.channels);
  const auto mean = static_cast<std::uint8_t>(static_cast<double>(sum) / static_cast<double>(n) + 0.5);
  return blended(i, f, [mean](const std::uint8_t*) { return mean; });
}

Tensor adjust_saturation(const Tensor& image, double factor) {
  const float f = check_factor("adjust_saturation", factor);
  const Image i = to_u8_image("adjust_saturation", image);
  return blended(i, f, [c = i.channels](const std::uint8_t* p) { return gray(p, c); });
}

Tensor adjust_hue(const Tensor& image, double shift) {
  if (!(shift >= -0.5 && shift <= 0.5))
    fail<ValueError>("adjust_hue: shift = ", shift, " (expected -0.5 to 0.5)");
  const Image i = to_u8_image("adjust_hue", image);
  if (i.channels == 1) return image;
  Tensor t = i.pixels;
  auto* p = t.data<std::uint8_t>();
  const int by = static_cast<int>(shift * 255);
  for (std::int64_t k = 0; k < i.height * i.width; ++k, p += 3) {
    Hsv c = to_hsv(p);
    c.h = (c.h + by) & 255;
    from_hsv(c, p);
  }
  return t.permute({2, 0, 1});
}

}  // namespace knet::transforms
