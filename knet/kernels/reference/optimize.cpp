#include "knet/base/dispatch.hpp"
#include "knet/kernels/functors_scalar.hpp"
#include "knet/kernels/reference/reference.hpp"
#include "knet/kernels/update_rules.hpp"

namespace knet::reference {

void optimize(const OptimStep& step, DType t, std::int64_t n, void* w, const void* g, void* s0, void* s1) {
  dispatch_float("optimize", t, [&]<class T>(type<T>) {
    using V = fn::Scalar<T>;
    rules::dispatch(step.rule, [&]<class R>(R) {
      for (std::int64_t i = 0; i < n; ++i) {
        V weight(static_cast<T*>(w)[i]), a(s0 ? static_cast<T*>(s0)[i] : T(0)),
            b(s1 ? static_cast<T*>(s1)[i] : T(0));
        const V grad = rules::prepare(weight, V(static_cast<const T*>(g)[i]), step);
        R::update(weight, grad, a, b, step);
        static_cast<T*>(w)[i] = weight.v;
        if (R::memory > 0) static_cast<T*>(s0)[i] = a.v;
        if (R::memory > 1) static_cast<T*>(s1)[i] = b.v;
      }
    });
  });
}

}  // namespace knet::reference
