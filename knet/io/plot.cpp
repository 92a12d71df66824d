#include "knet/io/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>

#include "knet/base/text.hpp"
#include "knet/io/font.hpp"
#include "knet/io/png.hpp"

namespace knet::io {
namespace {

using Colour = std::array<std::uint8_t, 3>;
constexpr Colour ink{40, 40, 40}, pale{226, 226, 226};
// Okabe and Ito's colours, which colour-blind people can tell apart.
constexpr Colour colours[] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                              {230, 159, 0}, {86, 180, 233}, {90, 90, 90}};
constexpr int zoom = 2, letter = (font::width + 1) * zoom, line = font::height * zoom;

struct Box {
  int left, top, right, bottom;  // the last two are outside
};

class Canvas {
 public:
  Canvas(int width, int height) : width_(width), height_(height) {
    pixels_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), Colour{255, 255, 255});
  }
  void fill(Box b, Colour c) {
    for (int y = std::max(b.top, 0); y < std::min(b.bottom, height_); ++y)
      for (int x = std::max(b.left, 0); x < std::min(b.right, width_); ++x) at(x, y) = c;
  }
  /// `up`: from the bottom upwards, (x, y) being the lower left corner.
  void write(int x, int y, const std::string& s, bool up = false) {
    for (char c : s) {
      if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) continue;  // the rest of a UTF-8 character
      const auto& g = font::glyph(c);
      for (int row = 0; row < font::height; ++row)
        for (int column = 0; column < font::width; ++column)
          if (g[static_cast<std::size_t>(row)] >> (font::width - 1 - column) & 1) {
            const int px = up ? x + row * zoom : x + column * zoom,
                      py = up ? y - (column + 1) * zoom : y + row * zoom;
            fill({px, py, px + zoom, py + zoom}, ink);
          }
      (up ? y : x) += up ? -letter : letter;
    }
  }
  /// A smooth line two pixels wide through the points, gaps where they are not finite, inside the box.
  void curve(const std::vector<std::array<double, 2>>& points, Box b, Colour c) {
    std::vector<float> cover(pixels_.size());
    for (std::size_t i = 0; i < points.size(); ++i) {
      const bool first = i == 0 || !std::isfinite(points[i - 1][1]) || !std::isfinite(points[i - 1][0]);
      if (std::isfinite(points[i][0]) && std::isfinite(points[i][1]))
        segment(points[first ? i : i - 1], points[i], b, cover);
    }
    for (std::size_t i = 0; i < cover.size(); ++i)
      for (std::size_t k = 0; k < 3; ++k)
        pixels_[i][k] = static_cast<std::uint8_t>(std::lround(
            static_cast<float>(pixels_[i][k]) * (1 - cover[i]) + static_cast<float>(c[k]) * cover[i]));
  }
  Tensor tensor() const {
    Tensor t = Tensor::make({height_, width_, 3}, u8, cpu);
    auto* to = t.data<std::uint8_t>();
    for (const auto& p : pixels_) to = std::copy(p.begin(), p.end(), to);
    return t.permute({2, 0, 1});
  }

 private:
  Colour& at(int x, int y) {
    return pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                   static_cast<std::size_t>(x)];
  }
  // Columns of pixels along x, and in each those near the line.
  void segment(std::array<double, 2> p, std::array<double, 2> q, Box b, std::vector<float>& cover) const {
    constexpr double half = 1, reach = half + 1;
    if (p[0] > q[0]) std::swap(p, q);
    const double dx = q[0] - p[0], dy = q[1] - p[1], length = dx * dx + dy * dy;
    const int from = std::max(b.left, static_cast<int>(std::max(p[0] - reach, 0.0))),
              to = std::min<int>(b.right, static_cast<int>(std::min(q[0] + reach, 1e5)) + 1);
    for (int x = from; x < to; ++x) {
      const double u0 = dx > 1e-9 ? std::clamp((x - reach - p[0]) / dx, 0.0, 1.0) : 0,
                   u1 = dx > 1e-9 ? std::clamp((x + 1 + reach - p[0]) / dx, 0.0, 1.0) : 1;
      const double y0 = p[1] + u0 * dy, y1 = p[1] + u1 * dy;
      const int top = std::max(b.top, static_cast<int>(std::max(std::min(y0, y1) - reach, -1.0))),
                bottom =
                    std::min(b.bottom, static_cast<int>(std::clamp(std::max(y0, y1) + reach, -1.0, 1e5)) + 1);
      for (int y = top; y < bottom; ++y) {
        const double ex = x + 0.5 - p[0], ey = y + 0.5 - p[1];
        const double u = length > 0 ? std::clamp((ex * dx + ey * dy) / length, 0.0, 1.0) : 0;
        const double d = std::hypot(ex - u * dx, ey - u * dy);
        float& v = cover[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                         static_cast<std::size_t>(x)];
        v = std::max(v, static_cast<float>(std::clamp(half + 0.5 - d, 0.0, 1.0)));
      }
    }
  }

  int width_, height_;
  std::vector<Colour> pixels_;
};

struct Tick {
  double at;
  std::string label;
};
struct Axis {
  double low, high;
  std::vector<Tick> ticks;
  double place(double v, int from, int to) const { return from + (v - low) / (high - low) * (to - from); }
};

std::string number(double v, double step) {
  char s[32];
  const int digits = static_cast<int>(std::clamp(-std::floor(std::log10(step) + 1e-9), 0.0, 12.0));
  const double most = std::max(std::abs(v), step);
  if (most >= 1e6 || digits > 4)
    std::snprintf(s, sizeof s, "%.4g", v);
  else
    std::snprintf(s, sizeof s, "%.*f", digits, v);
  return s;
}

// Borders and four to eight ticks at multiples of 1, 2 or 5 times a power of ten.
Axis linear(double low, double high, bool widen) {
  if (!(low <= high)) low = 0, high = 1;
  if (high - low <= 1e-12 * std::max(std::abs(low), std::abs(high))) {
    const double by = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= by, high += by;
  }
  const double rough = high / 7 - low / 7, power = std::pow(10.0, std::floor(std::log10(rough)));
  const double step = rough <= power * 1.0001 ? power
                      : rough <= 2 * power    ? 2 * power
                      : rough <= 5 * power    ? 5 * power
                                              : 10 * power;
  Axis a{low, high, {}};
  if (widen) a.low = std::floor(low / step + 1e-9) * step, a.high = std::ceil(high / step - 1e-9) * step;
  const double first = std::ceil(a.low / step - 1e-9);
  for (int i = 0; i < 30; ++i) {
    double v = (first + i) * step;
    if (v > a.high + step * 1e-6) break;
    if (std::abs(v) < step * 1e-6) v = 0;
    a.ticks.push_back({v, number(v, step)});
  }
  return a;
}

// The same of logarithms: a tick for every power of ten, or for 1, 2 and 5 where there are few.
Axis logarithmic(double low, double high) {
  if (!(low <= high)) low = 0, high = 1;
  Axis a{std::floor(low + 1e-9), std::ceil(high - 1e-9), {}};
  if (a.high <= a.low) a.high = a.low + 1;
  const double every = std::ceil((a.high - a.low) / 8);
  for (double e = a.low; e <= a.high + 0.5; e += every) {
    for (int k : {1, 2, 5}) {
      if (k > 1 && (a.high - a.low > 2.5 || e + 0.5 > a.high)) break;
      const double v = k * std::pow(10.0, e);
      char s[32];
      std::snprintf(s, sizeof s, e < -3 || e > 4 ? "%.0e" : "%g", v);
      a.ticks.push_back({e + std::log10(k), s});
    }
  }
  return a;
}

int width_of(const std::string& s) {
  int n = 0;
  for (char c : s) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n * letter;
}

}  // namespace

Tensor plot(const std::vector<Series>& series, const PlotOptions& o) {
  if (series.empty()) fail<ValueError>("plot: no series");
  if (o.width < 200 || o.width > 10000 || o.height < 200 || o.height > 10000)
    fail<ValueError>("plot: a size of ", o.width, " x ", o.height, " (expected 200 to 10000 each)");
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double x_low = infinity, x_high = -infinity, y_low = infinity, y_high = -infinity;
  int legend = 0;
  std::vector<std::vector<std::array<double, 2>>> curves;
  for (const auto& s : series) {
    if (!s.x.empty() && s.x.size() != s.y.size())
      fail<ValueError>("plot: \"", s.name, "\" has ", s.x.size(), " x and ", s.y.size(), " y");
    curves.emplace_back();
    for (std::size_t i = 0; i < s.y.size(); ++i) {
      const double x = s.x.empty() ? static_cast<double>(i) : s.x[i],
                   y = o.log_y ? std::log10(s.y[i]) : s.y[i];
      curves.back().push_back({x, y});
      // Beyond this the arithmetic of ticks and pixels would overflow.
      if (!(std::abs(x) < 1e300 && std::abs(y) < 1e300)) {
        curves.back().back()[1] = infinity;
        continue;
      }
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    }
    if (!s.name.empty()) legend = std::max(legend, width_of(s.name));
  }
  const Axis xs = linear(x_low, x_high, false),
             ys = o.log_y ? logarithmic(y_low, y_high) : linear(y_low, y_high, true);

  int label = 0;
  for (const auto& t : ys.ticks) label = std::max(label, width_of(t.label));
  constexpr int gap = 8;
  if (legend > 0) legend = std::min(legend + 30 + gap, o.width / 3);
  const Box b{gap + label + gap + (o.y_label.empty() ? 0 : line + gap),
              gap + line / 2 + (o.title.empty() ? 0 : line + gap), o.width - 2 * gap - letter - legend,
              o.height - gap - line - gap - (o.x_label.empty() ? 0 : line + gap)};
  Canvas c(o.width, o.height);
  if (b.right - b.left < 40) fail<ValueError>("plot: no room for the labels in a width of ", o.width);
  for (const auto& t : ys.ticks) {
    const int y = static_cast<int>(std::lround(ys.place(t.at, b.bottom - 1, b.top)));
    c.fill({b.left, y, b.right, y + 1}, pale);
    c.fill({b.left - 4, y, b.left, y + 1}, ink);
    c.write(b.left - gap - width_of(t.label), y - line / 2, t.label);
  }
  int free = 0;  // where the next label of the x axis may start
  for (const auto& t : xs.ticks) {
    const int x = static_cast<int>(std::lround(xs.place(t.at, b.left, b.right - 1)));
    c.fill({x, b.top, x + 1, b.bottom}, pale);
    c.fill({x, b.bottom, x + 1, b.bottom + 4}, ink);
    const int start = std::min(x - width_of(t.label) / 2, o.width - width_of(t.label));
    if (start < free) continue;
    c.write(start, b.bottom + gap, t.label);
    free = start + width_of(t.label) + letter;
  }
  for (std::size_t i = 0; i < curves.size(); ++i) {
    for (auto& p : curves[i])
      p = {xs.place(p[0], b.left, b.right - 1) + 0.5, ys.place(p[1], b.bottom - 1, b.top) + 0.5};
    c.curve(curves[i], b, colours[i % std::size(colours)]);
  }
  c.fill({b.left, b.top, b.left + 1, b.bottom}, ink);
  c.fill({b.left, b.bottom - 1, b.right, b.bottom}, ink);
  c.write((b.left + b.right - width_of(o.title)) / 2, gap, o.title);
  c.write((b.left + b.right - width_of(o.x_label)) / 2, o.height - gap - line, o.x_label);
  c.write(gap, (b.top + b.bottom + width_of(o.y_label)) / 2, o.y_label, true);
  int y = b.top;
  for (std::size_t i = 0; i < series.size(); ++i) {
    if (series[i].name.empty()) continue;
    const int x = b.right + gap;
    c.fill({x, y + line / 2 - 2, x + 22, y + line / 2 + 1}, colours[i % std::size(colours)]);
    c.write(x + 30, y, series[i].name);
    y += line + gap;
  }
  return c.tensor();
}

void save_plot(const std::string& path, const std::vector<Series>& series, const PlotOptions& o) {
  save_png(path, plot(series, o));
}

}  // namespace knet::io
