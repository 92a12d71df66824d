// Resampling as PIL does it: a weighted mean of the pixels under a filter that is stretched over as many
// pixels as one new pixel covers, first along the rows, then along the columns. On u8 the weights are
// integers of 22 bits behind the point and each direction ends with a rounding, so that results equal PIL's.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/data/transforms_image.hpp"

namespace knet::transforms {
namespace {

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}
double radius(Filter f) {
  switch (f) {
    case Filter::bilinear: return 1;
    case Filter::bicubic: return 2;
    case Filter::lanczos: return 3;
    default: return 0.5;
  }
}
double weight(Filter f, double x) {
  if (f == Filter::box) return x > -0.5 && x <= 0.5 ? 1 : 0;
  x = std::abs(x);
  switch (f) {
    case Filter::bilinear: return x < 1 ? 1 - x : 0;
    case Filter::bicubic: {
      constexpr double a = -0.5;  // Keys 1981
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    }
    default: return x < 3 ? sinc(x) * sinc(x / 3) : 0;
  }
}

constexpr int fraction_bits = 22;

// For each new position the old ones that count, and their weights.
template <class W>
struct Weights {
  std::vector<std::int64_t> first, count;
  std::vector<W> w;
  std::int64_t stride = 0;
};
template <class W>
Weights<W> weights(Filter f, std::int64_t from, std::int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to), stretch = std::max(scale, 1.0),
               reach = radius(f) * stretch;
  Weights<W> r;
  r.stride = static_cast<std::int64_t>(std::ceil(reach)) * 2 + 1;
  r.w.resize(static_cast<std::size_t>(r.stride * to));
  std::vector<double> k(static_cast<std::size_t>(r.stride));
  for (std::int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto low = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - reach + 0.5));
    const auto high = std::min<std::int64_t>(from, static_cast<std::int64_t>(center + reach + 0.5));
    double sum = 0;
    for (std::int64_t j = low; j < high; ++j)
      sum += k[static_cast<std::size_t>(j - low)] =
          weight(f, (static_cast<double>(j) - center + 0.5) * (1 / stretch));
    for (std::int64_t j = low; j < high; ++j) {
      const double v = sum != 0 ? k[static_cast<std::size_t>(j - low)] / sum : 0;
      W& to_w = r.w[static_cast<std::size_t>(i * r.stride + j - low)];
      if constexpr (std::is_same_v<W, std::int32_t>)
        to_w = static_cast<std::int32_t>(v * (1 << fraction_bits) + (v < 0 ? -0.5 : 0.5));
      else
        to_w = v;
    }
    r.first.push_back(low), r.count.push_back(high - low);
  }
  return r;
}

// A sum of products, rounded to the element type.
struct Bytes {
  using element = std::uint8_t;
  using weight = std::int32_t;
  static constexpr std::int32_t start = 1 << (fraction_bits - 1);
  static std::uint8_t finish(std::int32_t v) {
    return static_cast<std::uint8_t>(std::clamp(v >> fraction_bits, 0, 255));
  }
};
template <class T>
struct Reals {
  using element = T;
  using weight = double;
  static constexpr double start = 0;
  static T finish(double v) { return static_cast<T>(v); }
};

// [h, w, c] to [h, width, c].
template <class A, int C>
void along_rows(const typename A::element* from, std::int64_t h, std::int64_t w, std::int64_t c,
                std::int64_t width, const Weights<typename A::weight>& k, typename A::element* to) {
  if constexpr (C > 0) c = C;
  for (std::int64_t y = 0; y < h; ++y, from += w * c) {
    for (std::int64_t x = 0; x < width; ++x, to += c) {
      const auto* p = from + k.first[static_cast<std::size_t>(x)] * c;
      const auto* v = k.w.data() + x * k.stride;
      const std::int64_t n = k.count[static_cast<std::size_t>(x)];
      if constexpr (C > 0) {
        typename A::weight sum[C];
        std::fill_n(sum, C, A::start);
        for (std::int64_t j = 0; j < n; ++j, p += C)
          for (int i = 0; i < C; ++i) sum[i] += static_cast<typename A::weight>(p[i]) * v[j];
        for (int i = 0; i < C; ++i) to[i] = A::finish(sum[i]);
      } else {
        for (std::int64_t i = 0; i < c; ++i) {
          typename A::weight sum = A::start;
          for (std::int64_t j = 0; j < n; ++j) sum += static_cast<typename A::weight>(p[j * c + i]) * v[j];
          to[i] = A::finish(sum);
        }
      }
    }
  }
}
// [h, row] to [height, row].
template <class A>
void along_columns(const typename A::element* from, std::int64_t row, std::int64_t height,
                   const Weights<typename A::weight>& k, typename A::element* to) {
  std::vector<typename A::weight> sum(static_cast<std::size_t>(row));
  for (std::int64_t y = 0; y < height; ++y, to += row) {
    const auto* p = from + k.first[static_cast<std::size_t>(y)] * row;
    std::fill(sum.begin(), sum.end(), A::start);
    for (std::int64_t j = 0; j < k.count[static_cast<std::size_t>(y)]; ++j, p += row) {
      const auto v = k.w[static_cast<std::size_t>(y * k.stride + j)];
      for (std::int64_t i = 0; i < row; ++i)
        sum[static_cast<std::size_t>(i)] += static_cast<typename A::weight>(p[i]) * v;
    }
    for (std::int64_t i = 0; i < row; ++i) to[i] = A::finish(sum[static_cast<std::size_t>(i)]);
  }
}

template <class A>
Tensor filtered(const Image& image, std::int64_t height, std::int64_t width, Filter f, DType t) {
  using T = typename A::element;
  using W = typename A::weight;
  const std::int64_t c = image.channels;
  Tensor pixels = image.pixels;
  if (width != image.width) {
    const auto k = weights<W>(f, image.width, width);
    Tensor next = Tensor::make({image.height, width, c}, t, cpu);
    const T* from = std::as_const(pixels).data<T>();
    T* to = next.data<T>();
    const auto pass = c == 3 ? &along_rows<A, 3> : c == 1 ? &along_rows<A, 1> : &along_rows<A, 0>;
    pass(from, image.height, image.width, c, width, k, to);
    pixels = next;
  }
  if (height != image.height) {
    const auto k = weights<W>(f, image.height, height);
    Tensor next = Tensor::make({height, width, c}, t, cpu);
    along_columns<A>(std::as_const(pixels).data<T>(), width * c, height, k, next.data<T>());
    pixels = next;
  }
  return pixels;
}

// PIL adds the step up from pixel to pixel; where a position falls on a border, only the same sum falls on
// the same side.
std::vector<std::int64_t> nearest(std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> r;
  const double step = static_cast<double>(from) / static_cast<double>(to);
  double at = step * 0.5;
  for (std::int64_t i = 0; i < to; ++i, at += step)
    r.push_back(std::min(static_cast<std::int64_t>(at), from - 1));
  return r;
}

}  // namespace

Tensor resize(const Tensor& image, std::int64_t height, std::int64_t width, Filter f) {
  const Image i = to_image("resize", image);
  check_size("resize", height, width);
  if (f == Filter::nearest)
    return gather(i, nearest(i.height, height), nearest(i.width, width)).permute({2, 0, 1});
  switch (i.pixels.dtype()) {
    case DType::u8: return filtered<Bytes>(i, height, width, f, u8).permute({2, 0, 1});
    case DType::f64: return filtered<Reals<double>>(i, height, width, f, f64).permute({2, 0, 1});
    default: return filtered<Reals<float>>(i, height, width, f, f32).permute({2, 0, 1});
  }
}

Tensor resize_shorter(const Tensor& image, std::int64_t side, Filter f) {
  const Image i = to_image("resize_shorter", image);
  check_size("resize_shorter", side, side);
  const std::int64_t shorter = std::min(i.height, i.width), longer = std::max(i.height, i.width);
  const auto other = static_cast<std::int64_t>(static_cast<double>(side) * static_cast<double>(longer) /
                                               static_cast<double>(shorter));
  return i.height <= i.width ? resize(image, side, other, f) : resize(image, other, side, f);
}

}  // namespace knet::transforms
