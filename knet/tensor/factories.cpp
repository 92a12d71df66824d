#include "knet/tensor/factories.hpp"

#include <cmath>
#include <numeric>

#include "knet/base/text.hpp"
#include "knet/tensor/access.hpp"

namespace knet {
namespace {

Tensor random(const char* who, Distribution d, RandomKey key, double a, double b, const Shape& s, DType t) {
  if (d != Distribution::integer && t != f32 && t != f64)
    fail<DTypeError>(who, ": expects f32 or f64, not ", t);
  Tensor r = Tensor::make(s, t);
  if (r.numel() > 0) kernels(r.device()).random(d, key, a, b, array(r));
  return r;
}
Tensor ramp(double start, double step, std::int64_t n, DType t) {
  Tensor r = Tensor::make({n}, t);
  if (n > 0) kernels(r.device()).arange(start, step, array(r));
  return r;
}
void check_range(const char* who, std::int64_t low, std::int64_t high) {
  if (low >= high) fail<ValueError>(who, ": [", low, ", ", high, ") is empty");
}
// The numbers of a stream in turn, and integers made of them.
class Draws {
 public:
  explicit Draws(RandomKey key) : key_(key) {}
  /// In [0, n), each exactly as likely (Lemire 2019): draws that would favour some are thrown away.
  std::uint64_t below(std::uint64_t n) {
    if (n >> 32 != 0) {
      const std::uint64_t upper = next();
      return (upper << 32 | next()) % n;  // favours some, by less than 2^-24 for any n that fits memory
    }
    std::uint64_t product = next() * n;
    if (static_cast<std::uint32_t>(product) < n) {
      const std::uint64_t least = (std::uint64_t{1} << 32) % n;
      while (static_cast<std::uint32_t>(product) < least) product = next() * n;
    }
    return product >> 32;
  }

 private:
  std::uint32_t next() {
    if (i_ % 4 == 0) philox::block(key_, i_ / 4, block_);
    return block_[i_++ % 4];
  }
  RandomKey key_;
  std::uint64_t i_ = 0;
  std::uint32_t block_[4] = {};
};
Tensor permutation(std::int64_t n, RandomKey key) {
  if (n < 0) fail<ValueError>("randperm: ", n, " is negative");
  Tensor r = Tensor::make({n}, i64);
  if (n == 0) return r;
  auto* p = r.data<std::int64_t>();
  std::iota(p, p + n, std::int64_t{0});
  Draws draws(key);
  for (std::int64_t i = n - 1; i > 0; --i)  // Fisher-Yates
    std::swap(p[i], p[draws.below(static_cast<std::uint64_t>(i) + 1)]);
  return r;
}

}  // namespace

Tensor full(Shape s, double value, DType t) {
  Tensor r = Tensor::make(s, t);
  if (r.numel() > 0) kernels(r.device()).fill(value, array(r));
  return r;
}
Tensor zeros(Shape s, DType t) { return full(s, 0, t); }
Tensor ones(Shape s, DType t) { return full(s, 1, t); }
Tensor full_like(const Tensor& x, double value) {
  check_defined("full_like", x);
  Tensor r = raw::empty_like(x, x.dtype());
  if (r.numel() > 0) kernels(r.device()).fill(value, array(r));
  return r;
}
Tensor zeros_like(const Tensor& x) { return full_like(x, 0); }
Tensor ones_like(const Tensor& x) { return full_like(x, 1); }
Tensor scalar(double value, DType t) { return full({}, value, t); }

Tensor arange(std::int64_t n) {
  if (n < 0) fail<ValueError>("arange: ", n, " is negative");
  return ramp(0, 1, n, i64);
}
Tensor arange(std::int64_t start, std::int64_t stop, std::int64_t step, DType t) {
  if (step == 0) fail<ValueError>("arange: step is 0");
  const std::int64_t span = step > 0 ? stop - start : start - stop, size = step > 0 ? step : -step;
  return ramp(static_cast<double>(start), static_cast<double>(step), span > 0 ? (span + size - 1) / size : 0,
              t);
}
Tensor linspace(double first, double last, std::int64_t n, DType t) {
  if (n < 0) fail<ValueError>("linspace: ", n, " is negative");
  Tensor r = ramp(first, n > 1 ? (last - first) / static_cast<double>(n - 1) : 0, n, t);
  if (n > 1) r.ref(n - 1) = last;  // exactly, whatever the steps added up to
  return r;
}
Tensor eye(std::int64_t n, std::int64_t m, DType t) {
  if (m < 0) m = n;
  Tensor r = zeros({n, m}, t);
  const Tensor diagonal = TensorAccess::view(r, {std::min(n, m)}, Strides{{m + 1}}, 0);
  if (diagonal.numel() > 0) kernels(r.device()).fill(1, array(diagonal));
  return r;
}

Tensor rand(Shape s, DType t) { return random("rand", Distribution::uniform, next_random_key(), 0, 1, s, t); }
Tensor randn(Shape s, DType t) {
  return random("randn", Distribution::normal, next_random_key(), 0, 1, s, t);
}
Tensor randint(std::int64_t low, std::int64_t high, Shape s) {
  check_range("randint", low, high);
  return random("randint", Distribution::integer, next_random_key(), static_cast<double>(low),
                static_cast<double>(high), s, i64);
}
Tensor randperm(std::int64_t n) { return permutation(n, next_random_key()); }
Tensor rand(Shape s, Generator& g, DType t) {
  return random("rand", Distribution::uniform, g.next(), 0, 1, s, t);
}
Tensor randn(Shape s, Generator& g, DType t) {
  return random("randn", Distribution::normal, g.next(), 0, 1, s, t);
}
Tensor randint(std::int64_t low, std::int64_t high, Shape s, Generator& g) {
  check_range("randint", low, high);
  return random("randint", Distribution::integer, g.next(), static_cast<double>(low),
                static_cast<double>(high), s, i64);
}
Tensor randperm(std::int64_t n, Generator& g) { return permutation(n, g.next()); }
Tensor uniform(Shape s, double low, double high, DType t) {
  if (!(low <= high)) fail<ValueError>("uniform: low ", low, " is above high ", high);
  return random("uniform", Distribution::uniform, next_random_key(), low, high, s, t);
}
Tensor normal(Shape s, double mean, double std, DType t) {
  if (!(std >= 0)) fail<ValueError>("normal: std ", std, " is negative");
  return random("normal", Distribution::normal, next_random_key(), mean, std, s, t);
}

}  // namespace knet
