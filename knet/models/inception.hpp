// Inception v1 (GoogLeNet) and v3 as torchvision has them, with its names of parameters. Their modules are
// layers of their own: branches of convolutions whose results are joined along the channels.
//
//   models::InceptionV3 net({.transform_input = true});
//   Tensor logits = net(x);   // [N, 3, 299, 299] -> [N, 1000]
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "knet/layers/activation.hpp"
#include "knet/layers/chain.hpp"
#include "knet/layers/conv.hpp"
#include "knet/layers/dense.hpp"
#include "knet/layers/norm.hpp"
#include "knet/layers/pool.hpp"

namespace knet::models {

/// relu(normalised convolution), what all branches are made of; the normalisation's eps is 0.001.
struct BasicConv {
  Conv conv;
  BatchNorm bn;
  Tensor operator()(const Tensor& x) const { return bn(conv(x)); }
};
struct BasicConvOptions {
  Extents window = 1, stride = 1, padding = 0;
  Init winit = kaiming_normal;
};
BasicConv basic_conv(std::int64_t from, std::int64_t to, const BasicConvOptions& = {});

struct InceptionOptions {
  std::int64_t classes = 1000;
  /// Heads in the middle of the network that help early layers learn (see forward()). Published files hold
  /// them; models::load() leaves them out.
  bool aux = false;
  /// Images normalised with ImageNet's means and deviations are brought to those of the weights that were
  /// ported from TensorFlow: every channel to (pixel - 0.5) / 0.5. True for the published weights, false for
  /// weights trained here.
  bool transform_input = false;
  Init winit = kaiming_normal;  ///< of the convolutions
};

/// Logits [N, classes] of the network and, while training(), of its auxiliary heads, the earlier one first.
/// The paper trains on nll(logits) + 0.3 nll(aux[0]) + 0.3 nll(aux[1]).
struct InceptionOutput {
  Tensor logits;
  std::vector<Tensor> aux;
};

// ---- v1: Szegedy et al. 2014, arXiv:1409.4842, with normalisation ----

/// 1x1; 1x1 and 3x3; 1x1 and (in place of the paper's 5x5, as the published weights have it) 3x3; maximum and
/// 1x1.
struct GoogLeNetBlock {
  BasicConv branch1;
  std::array<BasicConv, 2> branch2, branch3;
  Chain<Pool, BasicConv> branch4;
  Tensor operator()(const Tensor& x) const;
};
/// Means over 4x4 windows, 1x1 convolution, two matrices with dropout 0.7 between.
struct GoogLeNetAux {
  BasicConv conv;
  Linear fc1, fc2;
  Tensor operator()(const Tensor& x) const;
};
/// Dropout 0.2 before the classifier.
struct GoogLeNet {
  bool transform_input;
  BasicConv conv1, conv2, conv3;
  std::vector<GoogLeNetBlock> inception;  ///< 3a 3b 4a 4b 4c 4d 4e 5a 5b
  std::optional<GoogLeNetAux> aux1, aux2;
  Linear fc;

  explicit GoogLeNet(const InceptionOptions& = {});
  /// [N, 3, H, W], 15 pixels or more, meant for 224; one image may come alone.
  Tensor operator()(const Tensor& x) const { return forward(x).logits; }
  InceptionOutput forward(const Tensor& x) const;
  void walk(Visitor&);
};

// ---- v3: Szegedy et al. 2015, arXiv:1512.00567 ----

/// For 35x35: 1x1; 5x5; twice 3x3; mean and 1x1. 64 + 64 + 96 + pool channels.
struct InceptionA {
  BasicConv branch1x1, branch5x5_1, branch5x5_2, branch3x3dbl_1, branch3x3dbl_2, branch3x3dbl_3, branch_pool;
  Tensor operator()(const Tensor& x) const;
};
/// Reduction from 35x35 to 17x17: 3x3; twice 3x3; maximum. 384 + 96 channels more.
struct InceptionB {
  BasicConv branch3x3, branch3x3dbl_1, branch3x3dbl_2, branch3x3dbl_3;
  Tensor operator()(const Tensor& x) const;
};
/// For 17x17, with 7x7 factorised into 1x7 and 7x1: 1x1; 7x7; twice 7x7; mean and 1x1. 768 channels.
struct InceptionC {
  BasicConv branch1x1, branch7x7_1, branch7x7_2, branch7x7_3, branch7x7dbl_1, branch7x7dbl_2, branch7x7dbl_3,
      branch7x7dbl_4, branch7x7dbl_5, branch_pool;
  Tensor operator()(const Tensor& x) const;
};
/// Reduction from 17x17 to 8x8: 3x3; factorised 7x7 and 3x3; maximum. 320 + 192 channels more.
struct InceptionD {
  BasicConv branch3x3_1, branch3x3_2, branch7x7x3_1, branch7x7x3_2, branch7x7x3_3, branch7x7x3_4;
  Tensor operator()(const Tensor& x) const;
};
/// For 8x8, with 1x3 and 3x1 side by side: 1x1; 3x3; twice 3x3; mean and 1x1. 2048 channels.
struct InceptionE {
  BasicConv branch1x1, branch3x3_1, branch3x3_2a, branch3x3_2b, branch3x3dbl_1, branch3x3dbl_2,
      branch3x3dbl_3a, branch3x3dbl_3b, branch_pool;
  Tensor operator()(const Tensor& x) const;
};
InceptionA inception_a(std::int64_t from, std::int64_t pool_channels, const Init& winit = kaiming_normal);
InceptionB inception_b(std::int64_t from, const Init& winit = kaiming_normal);
/// `middle`: channels within the factorised branches.
InceptionC inception_c(std::int64_t from, std::int64_t middle, const Init& winit = kaiming_normal);
InceptionD inception_d(std::int64_t from, const Init& winit = kaiming_normal);
InceptionE inception_e(std::int64_t from, const Init& winit = kaiming_normal);

struct InceptionAux {
  BasicConv conv0, conv1;
  Linear fc;
  Tensor operator()(const Tensor& x) const;
};
/// Dropout 0.5 before the classifier.
struct InceptionV3 {
  bool transform_input;
  std::vector<BasicConv> stem;  ///< 1a 2a 2b, maximum, 3b 4a, maximum
  std::vector<InceptionA> a;    ///< Mixed_5b 5c 5d
  InceptionB b;                 ///< Mixed_6a
  std::vector<InceptionC> c;    ///< Mixed_6b 6c 6d 6e
  std::optional<InceptionAux> aux;
  InceptionD d;               ///< Mixed_7a
  std::vector<InceptionE> e;  ///< Mixed_7b 7c
  Linear fc;

  explicit InceptionV3(const InceptionOptions& = {});
  /// [N, 3, H, W], 75 pixels or more, meant for 299; one image may come alone.
  Tensor operator()(const Tensor& x) const { return forward(x).logits; }
  InceptionOutput forward(const Tensor& x) const;
  void walk(Visitor&);
};

}  // namespace knet::models
