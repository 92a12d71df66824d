// Memory order around convolutions: images stay channels-last from layer to layer, and a training step copies
// none into another order.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "knet/kernels/kernels.hpp"
#include "knet/knet.hpp"

namespace {
using namespace knet;

/// Notes whether values and gradients that pass have their channels last in memory.
struct Watch {
  std::vector<int>* values;
  std::vector<int>* gradients;
  Tensor operator()(const Tensor& x) const {
    values->push_back(x.is_channels_last());
    return primitive(x.detach(), {x}, [g = gradients](const Tensor& dy, const Tensor&) {
      g->push_back(dy.is_channels_last());
      return std::vector{dy};
    });
  }
};
TEST(ConvMemory, MemoryStaysChannelsLast) {
  std::vector<int> values, gradients;
  const Watch watch{&values, &gradients};
  auto model = Chain{Conv{.height = 3, .width = 3, .inout = {3, 8}, .activation = relu, .padding = 1},
                     watch,
                     Pool{},
                     watch,
                     BatchNorm{8},
                     watch,
                     relu,
                     watch,
                     Conv{.height = 3, .width = 3, .inout = {8, 4}, .padding = 1},
                     watch,
                     Tanh{},
                     watch,
                     DeConv{.height = 2, .width = 2, .inout = {4, 4}, .stride = 2},
                     watch,
                     Pool{.mode = PoolMode::mean},
                     watch,
                     Conv{.height = 1, .width = 1, .inout = {4, 2}},
                     watch,
                     GlobalPool{}};
  const Param x = randn({2, 3, 8, 8});
  const Tape t = diff([&] { return sum(square(model(x))); });
  EXPECT_EQ(values, std::vector<int>(9, 1));
  EXPECT_EQ(gradients, std::vector<int>(9, 1));
}

// Copies of images into another order of memory, as the kernels see them.
int reorders = 0;
void counting_copy(const Array& x, const Array& y) {
  const auto order = [](const Array& a) {  // dimensions, the widest step first
    std::vector<int> dims;
    for (int i = 0; i < a.ndim; ++i) {
      if (a.size[i] > 1) dims.push_back(i);
    }
    std::ranges::stable_sort(dims, std::greater{}, [&](int i) { return a.stride[i]; });
    return dims;
  };
  if (x.ndim >= 4 && x.numel() > 64 && order(x) != order(y)) ++reorders;
  cpu_kernels().copy(x, y);
}
TEST(ConvMemory, ATrainingStepReordersNothing) {
  const auto conv = [](std::int64_t from, std::int64_t to, int window, int stride = 1) {
    return Conv{
        .height = window, .width = window, .inout = {from, to}, .padding = window / 2, .stride = stride};
  };
  auto model = Chain{Conv{.height = 3, .width = 3, .inout = {3, 8}, .activation = relu, .padding = 1},
                     Conv{.height = 3, .width = 3, .inout = {8, 8}, .padding = 1, .groups = 2},
                     BatchNorm{.channels = 8, .activation = relu},
                     GroupNorm{.groups = 2, .channels = 8},
                     InstanceNorm{.channels = 8, .affine = true},
                     Dropout{.p = 0.2},
                     Pool{},
                     Add{{conv(8, 8, 1), conv(8, 8, 3)}},
                     Concat{{conv(8, 4, 1), Pool{.window = 3, .stride = 1, .padding = 1}}},
                     Tanh{},
                     conv(12, 6, 3, 2),
                     DeConv{.height = 2, .width = 2, .inout = {6, 4}, .stride = 2},
                     GlobalPool{},
                     mat,
                     Linear{.input = 4, .output = 5}};
  Kernels counting = cpu_kernels();
  counting.copy = counting_copy;
  set_cpu_kernels(&counting);
  reorders = 0;
  const Tape t = diff([&] { return nll(model(randn({2, 3, 16, 16})), Tensor{1, 2}); });
  EXPECT_EQ(reorders, 0);
  // The counter counts: rows first to channels last is one.
  Conv{.height = 1, .width = 1, .inout = {3, 2}}(randn({2, 3, 16, 16})).contiguous();
  EXPECT_EQ(reorders, 1);
  set_cpu_kernels(nullptr);
}

}  // namespace
