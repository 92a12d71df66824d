#include "tests/ops/op_table.hpp"

#include "knet/ops/convolution.hpp"

namespace knet::test {
namespace {

Op conv_op(const std::string& name, const ConvOptions& o = {}) {
  return {name, [o](const Inputs& x) { return conv(x[0], x[1], o); }};
}
Op deconv_op(const std::string& name, const ConvOptions& o = {}, Extents output_padding = 0) {
  return {name, [=](const Inputs& x) { return deconv(x[0], x[1], o, output_padding); }};
}
Op pool_op(const std::string& name, const PoolOptions& o) {
  return {name, [o](const Inputs& x) { return pool(x[0], o); }};
}
Op unpool_op(const std::string& name, const PoolOptions& o) {
  return {name, [o](const Inputs& x) { return unpool(x[0], o); }};
}

Op attention_op(const std::string& name, const AttentionOptions& o = {}) {
  return {name, [o](const Inputs& x) { return attention(x[0], x[1], x[2], o); }};
}
Tensor batch(const Inputs& x) { return batch_norm(x[0], x[1], x[2], {.eps = 1e-3}); }

/// The same images with their channels last in memory.
Tensor channels_last(const Tensor& x) { return x.permute({0, 2, 3, 1}).contiguous().permute({0, 3, 1, 2}); }

}  // namespace

std::vector<Op> layer_ops() {
  return {
      conv_op("conv1d", {.stride = 2, .padding = 1}),
      conv_op("conv2d"),
      conv_op("conv2d_options", {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}}),
      conv_op("conv2d_groups", {.padding = 1, .groups = 2}),
      conv_op("conv2d_depthwise", {.stride = 2, .padding = 1, .groups = 5}),
      conv_op("conv2d_pointwise"),
      conv_op("conv2d_same", {.padding = same}),
      conv_op("conv2d_sides", {.padding = {{0, 1}, {2, 0}}}),
      conv_op("conv2d_sparse", {.stride = 3, .padding = 1}),
      conv_op("conv2d_mode", {.padding = 1, .mode = ConvMode::convolution, .alpha = 2}),
      conv_op("conv3d", {.stride = {1, 2, 1}, .padding = {0, 1, 1}}),
      deconv_op("deconv1d", {.stride = 3, .padding = 1}, 2),
      deconv_op("deconv2d"),
      deconv_op("deconv2d_options", {.stride = {2, 3}, .padding = {1, 0}, .dilation = {2, 1}}, {1, 2}),
      deconv_op("deconv2d_groups", {.stride = 2, .groups = 2}),
      deconv_op("deconv3d", {.stride = 2, .padding = 1}),
      pool_op("max_pool1d", {.window = 3, .stride = 2, .padding = 1}),
      pool_op("max_pool2d", {}),
      pool_op("max_pool2d_options", {.window = {3, 2}, .stride = {2, 1}, .padding = 1}),
      pool_op("max_pool3d", {.window = 2, .stride = 1}),
      pool_op("avg_pool2d", {.window = 3, .stride = 2, .padding = 1, .mode = PoolMode::mean}),
      pool_op("avg_pool2d_inside", {.window = 3, .stride = 2, .padding = 1, .mode = PoolMode::mean_inside}),
      pool_op("avg_pool3d", {.mode = PoolMode::mean}),
      {"batch_norm_2d", batch},
      {"batch_norm_4d", batch},
      {"batch_norm_5d", batch},
      {"batch_norm_plain", [](const Inputs& x) { return batch_norm(x[0], {}, {}, {.eps = 1e-3}); }},
      {"batch_norm_relu",
       [](const Inputs& x) { return batch_norm(x[0], x[1], x[2], {.eps = 1e-3, .relu = true}); }},
      {"batch_norm_given",
       [](const Inputs& x) {
         return batch_norm(x[0], x[1], x[2], Moments{x[3], x[4]}, {.eps = 1e-3});
       }},
      {"group_norm", [](const Inputs& x) { return group_norm(x[0], 2, x[1], x[2], 1e-3); }},
      {"instance_norm", [](const Inputs& x) { return group_norm(x[0], x[0].size(1), {}, {}, 1e-3); }},
      {"rms_norm", [](const Inputs& x) { return rms_norm(x[0], x[1], 1e-3); }},
      attention_op("attention"),
      attention_op("attention_causal", {.causal = true}),
      {"attention_mask", [](const Inputs& x) { return attention(x[0], x[1], x[2], {.mask = x[3]}); }},
      {"attention_added",
       [](const Inputs& x) { return attention(x[0], x[1], x[2], {.mask = x[3], .scale = 0.3}); }},
      {"rotary", [](const Inputs& x) { return rotary(x[0], {.start = 3, .base = 100}); }},
      {"rotary_interleaved",
       [](const Inputs& x) { return rotary(x[0], {.start = 3, .base = 100, .interleaved = true}); }},
      {"adaptive_avg_pool2d",
       [](const Inputs& x) {
         return adaptive_pool(x[0], {3, 2});
       }},
      {"adaptive_max_pool2d", [](const Inputs& x) { return adaptive_pool(x[0], 3, PoolMode::max); }},
      conv_op("conv1d_options", {.stride = 2, .padding = 3, .dilation = 2, .groups = 2}),
      conv_op("conv3d_options",
              {.stride = {2, 1, 2}, .padding = {1, 0, 1}, .dilation = {1, 2, 1}, .groups = 2}),
      conv_op("conv3d_depthwise", {.padding = 1, .groups = 3}),
      {"conv2d_bias",
       [](const Inputs& x) { return convolution("Conv", x[0], x[1], x[2], {.stride = 2, .padding = 1}); }},
      deconv_op("deconv1d_options", {.stride = 2, .padding = 1, .dilation = 2, .groups = 2}, 1),
      deconv_op("deconv2d_depthwise", {.stride = 2, .padding = 1, .groups = 3}, 1),
      deconv_op("deconv2d_mode", {.stride = 2, .padding = 1, .mode = ConvMode::convolution, .alpha = 2}),
      deconv_op("deconv3d_options",
                {.stride = {2, 1, 2}, .padding = {1, 0, 0}, .dilation = {1, 2, 1}, .groups = 2}, {1, 0, 1}),
      pool_op("max_pool2d_alpha", {.window = 3, .stride = 1, .padding = 1, .alpha = 2}),
      pool_op("avg_pool1d", {.window = 3, .stride = 2, .padding = 1, .mode = PoolMode::mean}),
      pool_op("avg_pool1d_inside",
              {.window = 3, .stride = 2, .padding = 1, .mode = PoolMode::mean_inside, .alpha = 0.5}),
      pool_op("avg_pool3d_inside", {.window = 3, .stride = 2, .padding = 1, .mode = PoolMode::mean_inside}),
      pool_op("max_pool3d_options", {.window = {2, 3, 2}, .stride = {1, 2, 2}, .padding = {1, 1, 0}}),
      {"adaptive_avg_pool1d", [](const Inputs& x) { return adaptive_pool(x[0], 3); }},
      {"adaptive_avg_pool3d",
       [](const Inputs& x) {
         return adaptive_pool(x[0], {2, 1, 3});
       }},
      {"batch_norm_no_bias", [](const Inputs& x) { return batch_norm(x[0], x[1], {}, {.eps = 1e-3}); }},
      {"batch_norm_given_2d",
       [](const Inputs& x) {
         return batch_norm(x[0], x[1], x[2], Moments{x[3], x[4]}, {.eps = 1e-3});
       }},
      {"batch_norm_given_relu",
       [](const Inputs& x) {
         return batch_norm(x[0], x[1], x[2], Moments{x[3], x[4]}, {.eps = 1e-3, .relu = true});
       }},
      {"batch_norm_residual",
       [](const Inputs& x) { return batch_norm(x[0], x[1], x[2], {.eps = 1e-3, .residual = x[3]}); }},
      {"batch_norm_residual_relu",
       [](const Inputs& x) {
         return batch_norm(x[0], x[1], x[2], {.eps = 1e-3, .residual = x[3], .relu = true});
       }},
      {"batch_norm_given_residual_relu",
       [](const Inputs& x) {
         return batch_norm(x[0], x[1], x[2], Moments{x[4], x[5]},
                           {.eps = 1e-3, .residual = x[3], .relu = true});
       }},
      {"group_norm_last",
       [](const Inputs& x) { return group_norm(channels_last(x[0]), 2, x[1], x[2], 1e-3); }},
      {"instance_norm_last",
       [](const Inputs& x) { return group_norm(channels_last(x[0]), x[0].size(1), {}, {}, 1e-3); }},
      {"group_norm_plain", [](const Inputs& x) { return group_norm(x[0], 3, {}, {}, 1e-3); }},
      {"rms_norm_plain", [](const Inputs& x) { return rms_norm(x[0], {}, 1e-3); }},
      {"layer_norm_plain", [](const Inputs& x) { return layer_norm(x[0], {}, {}, 1e-3); }},
      {"layer_norm_no_bias", [](const Inputs& x) { return layer_norm(x[0], x[1], {}); }},
      attention_op("attention_causal_late", {.causal = true}),
      {"attention_causal_mask",
       [](const Inputs& x) { return attention(x[0], x[1], x[2], {.causal = true, .mask = x[3]}); }},
      {"softmax_12",
       [](const Inputs& x) {
         return softmax(x[0], {1, 2});
       }},
      unpool_op("unpool2d", {}),
      unpool_op("unpool2d_overlap", {.window = 3, .stride = 2}),
  };
}

}  // namespace knet::test
