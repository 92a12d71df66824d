// Initial values of parameters: functions of a shape. Weights are [out, in] or [out, in, height, width].
#pragma once
#include <type_traits>

#include "knet/autograd/model.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

/// What .winit and .binit take: xavier_uniform, zeros, gaussian(0, 0.1), a function (Shape, DType) -> Tensor,
/// or nullptr for no parameter. For anything else give the parameter itself: Dense{..., .weight = my_tensor}.
class Init {
 public:
  Init(std::nullptr_t) {}
  Init(Tensor (*f)(Shape, DType)) : plain_(f) {}
  Init(Tensor (*f)(Shape, DType, double, double), double a, double b) : f_(f), a_(a), b_(b) {}
  template <class F>
  requires(std::is_empty_v<F>&& std::is_invocable_r_v<Tensor, F, Shape, DType>) Init(F)
      : f_([](Shape s, DType d, double, double) -> Tensor { return F{}(s, d); }) {}
  explicit operator bool() const { return f_ || plain_; }
  /// A tensor of the shape; empty for nullptr. ShapeError for a negative size.
  Tensor operator()(Shape, DType = default_dtype()) const;

 private:
  Tensor (*f_)(Shape, DType, double, double) = nullptr;
  Tensor (*plain_)(Shape, DType) = nullptr;
  double a_ = 0, b_ = 0;
};
template <>
inline constexpr bool opaque<Init> = true;

/// Uniform in +-sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010. A vector of n has fan_in n, fan_out 1.
Tensor xavier_uniform(Shape, DType = default_dtype());
/// Normal with std sqrt(2 / (fan_in + fan_out)).
Tensor xavier_normal(Shape, DType = default_dtype());
/// Knet's name for xavier_uniform.
inline Tensor xavier(Shape s, DType t = default_dtype()) { return xavier_uniform(s, t); }
/// Uniform in +-sqrt(6 / fan_in), normal with std sqrt(2 / fan_in): for ReLU. He et al. 2015,
/// arXiv:1502.01852.
Tensor kaiming_uniform(Shape, DType = default_dtype());
Tensor kaiming_normal(Shape, DType = default_dtype());
/// Normal with std sqrt(2 / fan_out), which keeps the size of gradients: how residual networks are published.
Tensor kaiming_normal_out(Shape, DType = default_dtype());
/// Orthonormal rows or columns (whichever are fewer) of [out, the rest]. Saxe et al. 2013, arXiv:1312.6120.
Tensor orthogonal(Shape, DType = default_dtype());
/// The filter that upsamples by bilinear interpolation, on the channel diagonal of [n, n, f, f]; f is odd or
/// even.
Tensor bilinear(Shape, DType = default_dtype());
Init gaussian(double mean = 0, double std = 0.01);
/// Normal, redrawn outside two standard deviations.
Init truncated_normal(double mean = 0, double std = 0.02);
Init constant(double value);

}  // namespace knet
