// Layers side by side: all see the same input, and their results are joined or added.
#pragma once
#include <vector>

#include "knet/layers/layer.hpp"

namespace knet {

/// Results one behind the other along `dim`; the default is the channels of images. An Inception block:
///   Concat{{Conv{...}, Sequence{Conv{...}, Conv{...}}, Sequence{Pool{...}, Conv{...}}}}
struct Concat {
  std::vector<Layer> branches;
  int dim = 1;
  Tensor operator()(const Tensor& x) const;
};

/// The sum of the results. A residual block: Add{{identity, Sequence{Conv{...}, relu, Conv{...}}}}
struct Add {
  std::vector<Layer> branches;
  Tensor operator()(const Tensor& x) const;
};

}  // namespace knet
