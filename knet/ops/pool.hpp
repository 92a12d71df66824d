// Pooling over images [N, C, W], [N, C, H, W] or [N, C, D, H, W]. Results have the channels last in memory.
// `who` is named in errors.
#pragma once
#include "knet/ops/spatial.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

struct PoolOptions {
  Extents window = 2;
  Extents stride = window;
  Extents padding = 0;  ///< less than the window; never wins a maximum
  PoolMode mode = PoolMode::max;
  bool propagate_nan = true;  ///< of max: a NaN in the window wins; otherwise NaNs are passed over
  double alpha = 1;           ///< times the result
  bool ceil_mode = false;     ///< the last window may reach beyond the image; not with PoolMode::mean
};

/// The largest or the mean of every window. Size of the output: 1 + floor((input + 2 padding - window) /
/// stride); with ceil_mode rounded up, so that nothing at the edges is left out, though every window begins
/// inside the image or the padding before it (as in PyTorch). The gradient of max goes to the first position
/// that has it.
Tensor pool(const Tensor& x, const PoolOptions& = {}, const char* who = "pool");
/// Spreads every value over its window, so that pool(unpool(x, o), o) = x when windows do not overlap (where
/// they do, values add up). Size of the output: (input - 1) stride + window - 2 padding.
Tensor unpool(const Tensor& x, const PoolOptions& = {}, const char* who = "unpool");
/// Pools into an output of the given size: window i covers floor(i in / out) to ceil((i + 1) in / out).
Tensor adaptive_pool(const Tensor& x, const Extents& output, PoolMode mode = PoolMode::mean,
                     const char* who = "adaptive_pool");

}  // namespace knet
