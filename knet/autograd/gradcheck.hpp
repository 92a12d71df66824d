// Does the tape's gradient agree with the slope of the function?
#pragma once
#include <functional>
#include <string>

#include "knet/autograd/model.hpp"
#include "knet/autograd/tape.hpp"

namespace knet {

struct GradCheck {
  double eps = 1e-5;   ///< half the distance of the two points the slope is taken from
  double rtol = 1e-5;  ///< largest relative error; in f32 take eps = 1e-2 and rtol = 1e-2
  double atol = 1e-7;  ///< differences below it are no error
  int samples = 100;   ///< elements checked per parameter; all of them when there are no more
};
struct GradReport {
  bool ok = true;
  std::string worst;  ///< where the largest error is: "layers.0.weight[3]: slope 1.2, gradient 1.3"
  double error = 0;   ///< the largest error, relative
  explicit operator bool() const { return ok; }
};
/// Compares the gradient of loss() with central differences, for every parameter of the model that the loss
/// depends on. loss must return the same value every time (Mode is off while it runs); parameters should be
/// f64.
GradReport gradcheck(const NamedParams&, const std::function<Tensor()>& loss, const GradCheck& = {});
template <class M>
GradReport gradcheck(M& model, const std::function<Tensor()>& loss, const GradCheck& o = {}) {
  return gradcheck(named_params(model), loss, o);
}

}  // namespace knet
