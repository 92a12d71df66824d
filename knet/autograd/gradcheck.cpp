#include "knet/autograd/gradcheck.hpp"

#include <algorithm>
#include <cmath>

#include "knet/base/text.hpp"
#include "knet/device/random.hpp"

namespace knet {

GradReport gradcheck(const NamedParams& ps, const std::function<Tensor()>& loss, const GradCheck& o) {
  if (!(o.eps > 0)) fail<ValueError>("gradcheck: eps ", o.eps, " is not positive");
  const Mode same(false);
  const Tape tape = diff(loss);
  GradReport r;
  Generator pick(1);
  for (const Named& e : ps) {
    Param& p = *e.param;
    if (!tape.uses(p)) continue;
    const auto gradient = tape.grad(p).to_vector<double>();
    const Tensor keep = p.value();
    const std::int64_t n = keep.numel();
    const RandomKey key = pick.next();
    const std::int64_t samples = std::min<std::int64_t>(n, o.samples);
    for (std::int64_t k = 0; k < samples; ++k) {
      const std::int64_t i =
          samples == n ? k
                       : static_cast<std::int64_t>(philox::number(key, static_cast<std::uint64_t>(k)) %
                                                   static_cast<std::uint64_t>(n));
      const auto at = [&](double d) {
        Tensor w = keep.contiguous().reshape({-1});
        w.ref(i) += d;
        p = w.reshape(keep.shape());
        return loss().item();
      };
      double slope = 0;
      try {
        slope = (at(o.eps) - at(-o.eps)) / (2 * o.eps);
      } catch (...) {
        p = keep;
        throw;
      }
      const double g = gradient[static_cast<std::size_t>(i)], difference = std::abs(slope - g);
      const double error = difference <= o.atol ? 0 : difference / std::max(std::abs(slope), std::abs(g));
      if (error > r.error || std::isnan(error)) {
        r.error = error;
        r.worst = text(e.name, "[", i, "]: slope ", slope, ", gradient ", g);
      }
      if (!(error <= o.rtol)) r.ok = false;
    }
    p = keep;
  }
  return r;
}

}  // namespace knet
