// Tensors as people read them: "[2, 3] f32" and then the numbers, aligned, with "..." in the middle of long
// dimensions.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <string>

#include "knet/tensor/access.hpp"

namespace knet {
namespace {

constexpr std::int64_t full_print = 1000;  // more elements than this are shortened
constexpr std::int64_t edge = 3;           // ... to this many at both ends of a dimension

struct Printer {
  std::ostream& out;
  const std::vector<double>& values;
  const Shape& shape;
  bool shortened;
  int width = 0;
  int digits = 0;
  bool integers = false, exponent = false, logical = false;

  std::string number(double v) const {
    char buffer[40];
    if (logical) return v != 0 ? "true" : "false";
    if (!std::isfinite(v) || integers)
      std::snprintf(buffer, sizeof buffer, "%.0f", v);
    else
      std::snprintf(buffer, sizeof buffer, exponent ? "%.*e" : "%.*f", digits, v);
    return buffer;
  }
  template <class F>
  void positions(std::int64_t n, const F& f) const {
    for (std::int64_t i = 0; i < n; ++i) {
      if (shortened && n > 2 * edge && i == edge) {
        f(std::int64_t{-1});
        i = n - edge;
      }
      f(i);
    }
  }
  template <class F>
  void each(int dim, std::int64_t base, const F& f) const {
    if (dim == shape.ndim()) return f(values[static_cast<std::size_t>(base)]);
    positions(shape[dim], [&](std::int64_t i) {
      if (i >= 0) each(dim + 1, base * shape[dim] + i, f);
    });
  }
  void prepare(DType t) {
    logical = t == boolean;
    integers = !is_floating(t);
    if (!integers) {
      bool whole = true;
      double largest = 0, smallest = INFINITY;
      each(0, 0, [&](double v) {
        if (!std::isfinite(v)) return;
        whole = whole && v == std::floor(v);
        largest = std::max(largest, std::abs(v));
        if (v != 0) smallest = std::min(smallest, std::abs(v));
      });
      digits = whole ? 1 : 4;
      exponent = largest >= 1e8 || (smallest < 1e-4 && std::isfinite(smallest)) || largest / smallest > 1e8;
      if (exponent) digits = 4;
    }
    each(0, 0, [&](double v) { width = std::max(width, static_cast<int>(number(v).size())); });
  }
  void print(int dim, std::int64_t base, int indent) const {
    if (dim == shape.ndim()) {
      const std::string s = number(values[static_cast<std::size_t>(base)]);
      out << std::string(static_cast<std::size_t>(std::max(0, width - static_cast<int>(s.size()))), ' ') << s;
      return;
    }
    out << '[';
    bool first = true;
    const bool last = dim + 1 == shape.ndim();
    positions(shape[dim], [&](std::int64_t i) {
      if (!first) out << (last ? ", " : ",\n" + std::string(static_cast<std::size_t>(indent + 1), ' '));
      first = false;
      if (i < 0)
        out << "...";
      else
        print(dim + 1, base * shape[dim] + i, indent + 1);
    });
    out << ']';
  }
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& t) {
  if (!t) return out << "Tensor()";
  out << "Tensor " << t.shape() << ' ' << t.dtype();
  if (!(t.device() == cpu)) out << ' ' << t.device();
  if (t.numel() == 0) return out;
  const auto values = t.detach().to_vector<double>();
  Printer p{out, values, t.shape(), t.numel() > full_print};
  p.prepare(t.dtype());
  out << (t.ndim() > 1 ? "\n" : " ");
  p.print(0, 0, 0);
  return out;
}

}  // namespace knet
