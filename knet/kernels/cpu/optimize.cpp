// One pass over a parameter, its gradient and the rule's memory.
#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "knet/kernels/cpu/optimize.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "knet/kernels/cpu/vec-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace knet::cpu_impl::simd::HWY_NAMESPACE {

namespace rules {
#define KNET_FN_INLINE HWY_INLINE
#include "knet/kernels/update_rules.inc"
#undef KNET_FN_INLINE
}  // namespace rules

template <class T, class R>
void update_loop(const OptimStep& step, Int n, T* w, const T* g, T* s, T* t) {
  using V = Vec<T>;
  // A copy, which no store can change: what depends on it alone is computed once.
  const OptimStep o = step;
  Int i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    V weight = V::load(w + i), a = R::memory > 0 ? V::load(s + i) : V::zero(),
      b = R::memory > 1 ? V::load(t + i) : V::zero();
    const V grad = rules::prepare(weight, V::load(g + i), o);
    R::update(weight, grad, a, b, o);
    weight.store(w + i);
    if constexpr (R::memory > 0) a.store(s + i);
    if constexpr (R::memory > 1) b.store(t + i);
  }
  if (const Int m = n - i; m > 0) {
    V weight = V::load_some(w + i, m), a = R::memory > 0 ? V::load_some(s + i, m) : V::zero(),
      b = R::memory > 1 ? V::load_some(t + i, m) : V::zero();
    const V grad = rules::prepare(weight, V::load_some(g + i, m), o);
    R::update(weight, grad, a, b, o);
    weight.store_some(w + i, m);
    if constexpr (R::memory > 0) a.store_some(s + i, m);
    if constexpr (R::memory > 1) b.store_some(t + i, m);
  }
}
template <class T>
void update(const OptimStep& o, Int n, T* w, const T* g, T* s, T* t) {
  rules::dispatch(o.rule, [&]<class R>(R) { update_loop<T, R>(o, n, w, g, s, t); });
}
void update_f32(const OptimStep& o, Int n, float* w, const float* g, float* s, float* t) {
  update(o, n, w, g, s, t);
}
void update_f64(const OptimStep& o, Int n, double* w, const double* g, double* s, double* t) {
  update(o, n, w, g, s, t);
}

}  // namespace knet::cpu_impl::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace knet::cpu_impl {
namespace simd {
HWY_EXPORT(update_f32);
auto best_update_f32() { return HWY_DYNAMIC_DISPATCH(update_f32); }
HWY_EXPORT(update_f64);
auto best_update_f64() { return HWY_DYNAMIC_DISPATCH(update_f64); }
}  // namespace simd

namespace {
constexpr std::int64_t grain = 16384;

template <class T, class F>
void run(const F& update, const OptimStep& step, std::int64_t n, void* w, const void* g, void* s0, void* s1) {
  const auto at = [](void* p, std::int64_t i) { return p ? static_cast<T*>(p) + i : nullptr; };
  parallel_for(n, grain, [&](std::int64_t b, std::int64_t e) {
    update(step, e - b, at(w, b), static_cast<const T*>(g) + b, at(s0, b), at(s1, b));
  });
}
}  // namespace

void optimize(const OptimStep& step, DType t, std::int64_t n, void* w, const void* g, void* s0, void* s1) {
  if (t == DType::f32) return run<float>(simd::best_update_f32(), step, n, w, g, s0, s1);
  if (t == DType::f64) return run<double>(simd::best_update_f64(), step, n, w, g, s0, s1);
  reference_kernels().optimize(step, t, n, w, g, s0, s1);  // the error
}

}  // namespace knet::cpu_impl
#endif
