// Pooling layers over images [N, C, H, W]; one image [C, H, W] may come alone, and Pool takes [N, C, D, H, W]
// too. The operators behind them are in knet/ops/pool.hpp.
#pragma once
#include <string>

#include "knet/layers/argument.hpp"
#include "knet/ops/pool.hpp"

namespace knet {

/// The largest (or mean) value of every window: Pool{}, Pool{.window = 3, .stride = 2, .padding = 1}.
struct Pool {
  Extents window = 2;
  Extents stride = window;
  Extents padding = 0;
  PoolMode mode = PoolMode::max;
  bool propagate_nan = true;
  double alpha = 1;
  bool ceil_mode = false;
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};
/// Spreads every value over its window, see unpool().
struct UnPool {
  Extents window = 2;
  Extents stride = window;
  Extents padding = 0;
  PoolMode mode = PoolMode::max;
  bool propagate_nan = true;
  double alpha = 1;
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};
/// Pool over [N, C, W], or one sequence [C, W].
struct Pool1d {
  Extents window = 2;
  Extents stride = window;
  Extents padding = 0;
  PoolMode mode = PoolMode::max;
  bool propagate_nan = true;
  double alpha = 1;
  bool ceil_mode = false;
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};
/// Pools to a given size, whatever the input's: AdaptivePool{.output = {7, 7}}.
struct AdaptivePool {
  Extents output = 1;
  PoolMode mode = PoolMode::mean;
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};
/// The mean (or largest) value of every channel: [N, C, spatial...] -> [N, C].
struct GlobalPool {
  PoolMode mode = PoolMode::mean;
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
};

}  // namespace knet
