// Bytes of images as floats, divided, in one pass: they are little to read, and a second pass over the floats
// would cost as much as the first.
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/lines.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/copy_divided.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

void bytes_divided(const std::uint8_t* x, float divisor, Int n, float* y) {
  using V = Vec<float>;
  const hn::Rebind<std::uint8_t, V::D> bytes;
  const hn::Rebind<std::int32_t, V::D> ints;
  const V d = V::set(static_cast<double>(divisor));
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V v = hn::ConvertTo(V::D(), hn::PromoteTo(ints, hn::LoadU(bytes, x + i)));
    (v / d).store(y + i);
  }
  for (; i < n; ++i) y[i] = static_cast<float>(x[i]) / divisor;
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(bytes_divided);
auto best_bytes_divided() { return HWY_DYNAMIC_DISPATCH(bytes_divided); }
}  // namespace simd

void copy_divided(const Array& x, double divisor, const Array& y) {
  const Lines<2> lines(-1, y, x);
  if (x.dtype != DType::u8 || y.dtype != DType::f32 || lines.step(0) != 1 || lines.step(1) != 1) {
    copy(x, y);
    return binary_scalar(Binary::div, y, divisor, false, y);
  }
  const auto run = simd::best_bytes_divided();
  lines.pieces(32768, [&](const std::int64_t* at, std::int64_t n) {
    run(x.as<const std::uint8_t>() + at[1], static_cast<float>(divisor), n, y.as<float>() + at[0]);
  });
}

}  // namespace knet::cpu_impl
#endif
