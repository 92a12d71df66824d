#include <cmath>
#include <limits>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/random.hpp"
#include "knet/kernels/reference/reference.hpp"

namespace knet::reference {
namespace {

using Int = std::int64_t;

template <class T>
T* row(const Array& a, Int b, Int h, Int i) {
  return a.as<T>() + b * a.stride[0] + h * a.stride[1] + i * a.stride[2];
}

/// One query: its probabilities and the factors of dropout.
struct Row {
  std::vector<double> p, keep;
  double lse;
};
template <class T>
Row probabilities(const AttentionShape& s, const AttentionInputs& in, Int b, Int h, Int i) {
  const auto n = static_cast<std::size_t>(s.keys);
  Row r{std::vector<double>(n), std::vector<double>(n, 1), 0};
  const double none = -std::numeric_limits<double>::infinity();
  double top = none, sum = 0;
  for (Int j = 0; j < s.keys; ++j) {
    double v = 0;
    for (Int d = 0; d < s.size; ++d)
      v += double{row<const T>(in.q, b, h, i)[d]} * row<const T>(in.k, b, h, j)[d];
    v *= s.scale;
    if (in.mask.data) {
      const Int at =
          b * in.mask.stride[0] + h * in.mask.stride[1] + i * in.mask.stride[2] + j * in.mask.stride[3];
      if (in.mask.dtype == DType::boolean)
        v = in.mask.as<const bool>()[at] ? v : none;
      else
        v += in.mask.as<const T>()[at];
    }
    if (s.causal && j > i + s.keys - s.queries) v = none;
    r.p[static_cast<std::size_t>(j)] = v;
    top = std::max(top, v);
  }
  for (double& v : r.p) sum += v = top == none ? 0 : std::exp(v - top);
  r.lse = top == none ? none : top + std::log(sum);
  const Int line = (b * s.heads + h) * s.queries + i, width = (s.keys + 3) / 4 * 4;
  for (Int j = 0; j < s.keys; ++j) {
    const auto at = static_cast<std::size_t>(j);
    if (sum > 0) r.p[at] /= sum;
    if (s.dropout > 0)
      r.keep[at] =
          kept(s.key, static_cast<std::uint64_t>(line * width + j), s.dropout) ? 1 / (1 - s.dropout) : 0;
  }
  return r;
}

template <class F>
void queries(const AttentionShape& s, const F& f) {
  for (Int b = 0; b < s.batch; ++b) {
    for (Int h = 0; h < s.heads; ++h) {
      for (Int i = 0; i < s.queries; ++i) f(b, h, i);
    }
  }
}

}  // namespace

void attention(const AttentionShape& s, const AttentionInputs& in, const Array& y, void* lse) {
  dispatch_float("attention", s.dtype, [&]<class T>(type<T>) {
    queries(s, [&](Int b, Int h, Int i) {
      const Row r = probabilities<T>(s, in, b, h, i);
      static_cast<T*>(lse)[(b * s.heads + h) * s.queries + i] = static_cast<T>(r.lse);
      for (Int d = 0; d < s.value_size; ++d) {
        double v = 0;
        for (Int j = 0; j < s.keys; ++j) {
          const auto at = static_cast<std::size_t>(j);
          v += r.p[at] * r.keep[at] * row<const T>(in.v, b, h, j)[d];
        }
        row<T>(y, b, h, i)[d] = static_cast<T>(v);
      }
    });
  });
}

void attention_grad(const AttentionShape& s, const AttentionInputs& in, const Array&, const void*,
                    const Array& dy, const Array& dq, const Array& dk, const Array& dv) {
  fill(0, dq), fill(0, dk), fill(0, dv);
  dispatch_float("attention", s.dtype, [&]<class T>(type<T>) {
    queries(s, [&](Int b, Int h, Int i) {
      const Row r = probabilities<T>(s, in, b, h, i);
      std::vector<double> dp(r.p.size());
      double sum = 0;
      const T* g = row<const T>(dy, b, h, i);
      for (Int j = 0; j < s.keys; ++j) {
        const auto at = static_cast<std::size_t>(j);
        for (Int d = 0; d < s.value_size; ++d) {
          dp[at] += double{g[d]} * row<const T>(in.v, b, h, j)[d];
          row<T>(dv, b, h, j)[d] += static_cast<T>(g[d] * r.p[at] * r.keep[at]);
        }
        dp[at] *= r.keep[at];
        sum += dp[at] * r.p[at];
      }
      for (Int j = 0; j < s.keys; ++j) {
        const auto at = static_cast<std::size_t>(j);
        const double ds = r.p[at] * (dp[at] - sum) * s.scale;
        for (Int d = 0; d < s.size; ++d) {
          row<T>(dq, b, h, i)[d] += static_cast<T>(ds * row<const T>(in.k, b, h, j)[d]);
          row<T>(dk, b, h, j)[d] += static_cast<T>(ds * row<const T>(in.q, b, h, i)[d]);
        }
      }
    });
  });
}

}  // namespace knet::reference
