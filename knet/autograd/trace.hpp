// What one call of a model does, operator by operator: run once on a tape, each operator with its shapes, its
// arithmetic and the layer it belongs to. Summaries and graphs are made of it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/autograd/model.hpp"

namespace knet {

/// An operator, a parameter that was read, or an input.
struct TracedOp {
  enum class Kind : std::uint8_t { op, param, input };
  Kind kind = Kind::op;
  std::string name;         ///< the operator's: "matmul"; a parameter's: "layers.0.weight"; "input"
  int layer = -1;           ///< in Trace::layers; -1: between layers
  std::vector<int> inputs;  ///< operators whose results it reads; constants are not listed
  Shape shape;              ///< of its result
  DType dtype = f32;        ///< of its result
  double flops = 0;         ///< two per multiply-add of matrix products, convolutions, recurrences, attention
  std::int64_t result_bytes = 0;  ///< of its result; 0 for a view of an input
};
/// A line of show(model): a part of the model with parameters, or one without that ran. Of the latter are
/// found the library's own layers, and whatever a Chain or Sequence calls.
struct TracedLayer {
  std::string name;         ///< "layers.0"; empty for the model itself
  std::string description;  ///< "Dense(784 -> 100, relu)", or the struct's name; empty for a lambda
  std::int64_t params = 0;  ///< numbers; one shared with an earlier layer counts there
  std::int64_t param_bytes = 0;
};
struct Trace {
  std::vector<TracedOp> ops;  ///< in the order they ran
  std::vector<TracedLayer> layers;
  double other_flops = 0;  ///< of kernels after the last operator that depends on an input or parameter
};

namespace detail {
Trace trace(AnyModel, const std::function<void()>& call);
Tensor traced_input(const Tensor&);
template <class X>
decltype(auto) traced_input(const X& x) {
  return x;
}
}  // namespace detail

/// Calls model(x...) once as in inference, without changing it, and tells what it did. What depends on
/// neither a parameter nor a floating input leaves no operator.
template <class M, class... X>
requires std::is_invocable_v<M&, const X&...> Trace trace(M& model, const X&... x) {
  return detail::trace(detail::any_model(model),
                       [&] { static_cast<void>(model(detail::traced_input(x)...)); });
}

}  // namespace knet
