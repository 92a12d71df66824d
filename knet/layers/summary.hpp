// summary(model, x): what one call costs, layer by layer.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <vector>

#include "knet/autograd/trace.hpp"
#include "knet/layers/show.hpp"

namespace knet {

/// A layer, or the operators that run between two layers.
struct LayerSummary {
  std::string name;         ///< "layers.0", as in named_params; empty between layers and for the model itself
  std::string description;  ///< as show() prints it; between layers (and of a lambda) its operators
  Shape output;             ///< of its last operator
  int calls = 0;            ///< how often it ran; a layer that runs twice is one row
  std::int64_t params = 0;  ///< numbers trained or frozen; those shared with an earlier row count there
  std::int64_t param_bytes = 0;
  std::int64_t result_bytes =
      0;  ///< of everything its operators make, views aside; training keeps most of it
  double flops =
      0;  ///< two per multiply-add of products, convolutions, recurrences and attention; the rest is 0
};
struct ModelSummary {
  std::vector<LayerSummary> rows;  ///< in the order they first ran; layers that did not run come last
  LayerSummary total;
};
/// The table, with sums below.
std::ostream& operator<<(std::ostream&, const ModelSummary&);

namespace detail {
ModelSummary summarize(const Trace&);
std::string to_string(const ModelSummary&);
}  // namespace detail

/// Runs model(x...) once, as in inference, and gives one row per layer: the lines of show(model) that have
/// parameters, and those that have none and did something (dropout does nothing here). A struct of the user's
/// without parameters is a row where a Chain or Sequence calls it; else its operators are found between
/// layers. The model is left as it was.
template <class M, class... X>
requires(sizeof...(X) > 0 && std::is_invocable_v<M&, const X&...>) ModelSummary
    summarize(M& model, const X&... x) {
  return detail::summarize(trace(model, x...));
}
/// The same as a table: std::cout << summary(model, zeros({1, 784}))
template <class M, class... X>
requires(sizeof...(X) > 0 && std::is_invocable_v<M&, const X&...>) std::string
    summary(M& model, const X&... x) {
  return detail::to_string(summarize(model, x...));
}

}  // namespace knet
