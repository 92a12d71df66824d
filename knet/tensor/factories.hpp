// Making tensors: constants, ranges and random numbers.
#pragma once
#include <concepts>
#include <cstdint>

#include "knet/device/random.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

Tensor zeros(Shape, DType = default_dtype());
Tensor ones(Shape, DType = default_dtype());
Tensor full(Shape, double value, DType = default_dtype());
Tensor full(Shape s, std::integral auto value, DType t = default_dtype()) {
  return full(s, static_cast<double>(value), t);
}
/// Same shape, dtype and device.
Tensor zeros_like(const Tensor&);
Tensor ones_like(const Tensor&);
Tensor full_like(const Tensor&, double value);
/// A tensor without dimensions.
Tensor scalar(double, DType = default_dtype());
/// 0, 1, ... n-1 as i64.
Tensor arange(std::int64_t n);
/// start, start + step, ... before stop, as i64 unless a dtype is given. step 0 is a ValueError.
Tensor arange(std::int64_t start, std::int64_t stop, std::int64_t step = 1, DType = i64);
/// n evenly spaced values from first to last, both included.
Tensor linspace(double first, double last, std::int64_t n, DType = default_dtype());
/// Ones on the diagonal of [n, m] (m = n when left out).
Tensor eye(std::int64_t n, std::int64_t m = -1, DType = default_dtype());
/// Row-major copy of `count` values at `p`.
template <class T>
Tensor from(const T* p, const Shape& s) {
  return Tensor(std::span<const T>(p, static_cast<std::size_t>(s.numel())), s);
}

/// Uniform in [0, 1).
Tensor rand(Shape, DType = default_dtype());
/// Normal, mean 0 and standard deviation 1.
Tensor randn(Shape, DType = default_dtype());
/// Integers in [low, high), i64.
Tensor randint(std::int64_t low, std::int64_t high, Shape);
/// A random order of 0 ... n-1, i64.
Tensor randperm(std::int64_t n);
/// The same from an own generator instead of the process-wide one.
Tensor rand(Shape, Generator&, DType = default_dtype());
Tensor randn(Shape, Generator&, DType = default_dtype());
Tensor randint(std::int64_t low, std::int64_t high, Shape, Generator&);
Tensor randperm(std::int64_t n, Generator&);
/// Uniform in [low, high).
Tensor uniform(Shape, double low, double high, DType = default_dtype());
/// Normal with given mean and standard deviation.
Tensor normal(Shape, double mean, double std, DType = default_dtype());

}  // namespace knet
