// Residual networks: v1.5 as torchvision has them, with its names of parameters, so that its published
// weights load as they are; and v2, which normalises before it convolves.
//
//   models::ResNet net = models::resnet(50);
//   load("resnet50-0676ba61.pth", net);
//   Tensor logits = net(x);   // [N, 3, 224, 224] -> [N, 1000]
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knet/layers/conv.hpp"
#include "knet/layers/dense.hpp"
#include "knet/layers/norm.hpp"
#include "knet/layers/sequence.hpp"

namespace knet::models {

struct ResNetOptions {
  std::int64_t classes = 1000;
  std::int64_t channels = 3;  ///< of the images
  std::int64_t width = 64;    ///< channels of the first stage's 3x3 convolutions; doubled at each stage
  /// For images of about 32 pixels: the network begins with a 3x3 convolution of stride 1 and does not pool.
  bool small_images = false;
  /// v1.5: the last factor of every block starts at 0, so that blocks start as the identity (Goyal et al.
  /// 2017, arXiv:1706.02677).
  bool zero_init = false;
  Init winit = kaiming_normal_out;  ///< of the convolutions
};

/// relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), with two 3x3 convolutions or, as a bottleneck, with
/// 1x1, 3x3 and 1x1. The stride is in the (first) 3x3. Where the shape changes the shortcut is a 1x1
/// convolution with normalisation. Names: conv1, bn1, conv2, bn2, (conv3, bn3), downsample.0, downsample.1.
struct ResNetBlock {
  std::vector<Conv> conv;
  std::vector<BatchNorm> bn;
  std::optional<std::pair<Conv, BatchNorm>> downsample;
  Tensor operator()(const Tensor& x) const;
  void walk(Visitor&);
};

/// He et al. 2015, arXiv:1512.03385, with the stride in the 3x3 ("v1.5").
struct ResNet {
  Conv conv1;
  BatchNorm bn1;
  bool pool = true;  ///< 3x3 of stride 2 after the first convolution
  std::vector<std::vector<ResNetBlock>> stages;
  Linear fc;

  /// `blocks` in each stage. ValueError where there are none.
  ResNet(const std::vector<int>& blocks, bool bottleneck, const ResNetOptions& = {});
  /// [N, channels, H, W] -> logits [N, classes]; one image may come alone, as [channels, H, W].
  Tensor operator()(const Tensor& x) const;
  /// What stage 1 to 4 gives, [N, C, H / 4 ... H / 32, W / 4 ... W / 32]; or, for 5, the means of the last
  /// stage, which the classifier sees: [N, C]. Later stages are not computed. ValueError for another stage.
  Tensor features(const Tensor& x, int stage) const;
  /// The results of all stages.
  std::vector<Tensor> features(const Tensor& x) const;
  void walk(Visitor&);
};

/// conv2(relu(bn2(conv1(h)))) + shortcut with h = relu(bn1(x)): two 3x3 convolutions or a bottleneck of
/// three. The shortcut is x, or a 1x1 convolution of h where the shape changes. Names: bn1, conv1, bn2,
/// conv2, (bn3, conv3), downsample.
struct ResNetV2Block {
  std::vector<BatchNorm> bn;
  std::vector<Conv> conv;
  std::optional<Conv> downsample;
  Tensor operator()(const Tensor& x) const;
  void walk(Visitor&);
};

/// He et al. 2016, arXiv:1603.05027, as Gluon's "v2" has it: the images are normalised first. Names: bn0,
/// conv1, bn1, layer1.0.bn1 ... layer4, bn2, fc. gluon_names() loads weights that have Gluon's.
struct ResNetV2 {
  BatchNorm bn0;
  Conv conv1;
  BatchNorm bn1;
  bool pool = true;
  std::vector<std::vector<ResNetV2Block>> stages;
  BatchNorm bn2;
  Linear fc;

  ResNetV2(const std::vector<int>& blocks, bool bottleneck, const ResNetOptions& = {});
  Tensor operator()(const Tensor& x) const;
  /// As ResNet's. Stages give sums that are not yet normalised; 5 is after normalisation, relu and means.
  Tensor features(const Tensor& x, int stage) const;
  std::vector<Tensor> features(const Tensor& x) const;
  void walk(Visitor&);
};

/// ResNets of depth 18, 34, 50, 101 or 152; ValueError for others.
ResNet resnet(int depth, const ResNetOptions& = {});
ResNetV2 resnet_v2(int depth, const ResNetOptions& = {});

/// Gluon's names of the weights of its resnet{depth}_v2, to be given to load() as .rename. `prefix` is what
/// they begin with: resnetv2{1 + index of the depth}_ in Gluon's own files. Matrices of files are [out, in].
std::vector<std::pair<std::string, std::string>> gluon_names(int depth, const std::string& prefix);

}  // namespace knet::models
