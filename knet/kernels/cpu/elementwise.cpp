#include "knet/kernels/cpu/cpu_elementwise.hpp"
namespace knet::cpu_impl {
void unary(Unary op, double a, double b, const Array& x, const Array& y) {
  reference_kernels().unary(op, a, b, x, y);
}
}  // namespace knet::cpu_impl
