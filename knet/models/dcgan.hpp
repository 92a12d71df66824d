// DCGAN: images from noise by strided transposed convolutions, and a critic of strided convolutions that
// tells them from true ones (Radford et al. 2016, arXiv:1511.06434).
//
//   models::DCGenerator generator{.image = {1, 28, 28}};
//   models::DCDiscriminator discriminator{.image = {1, 28, 28}};
//   Tensor fake = generator(randn({16, generator.noise}));      // [16, 1, 28, 28], from -1 to 1
//   Tensor scores = discriminator(fake);                        // [16], before the sigmoid
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "knet/layers/conv.hpp"
#include "knet/layers/norm.hpp"

namespace knet::models {

/// Sides that are doubled from stage to stage: 28 is 7, 14, 28; 64 is 4, 8, 16, 32, 64. All weights start
/// normal, with standard deviation 0.02.
struct DCGenerator {
  Shape image = {1, 28, 28};  ///< channels, height and width; ValueError unless both sides can be halved
  std::int64_t noise = 100;   ///< numbers that stand for an image
  std::int64_t width = 64;    ///< channels of the last stage but one; doubled at each before it
  DType dtype = default_dtype();
  std::vector<DeConv> stages = make_stages();
  std::vector<BatchNorm> norms = make_norms();  ///< with relu, behind all stages but the last, which has tanh

  /// Noise [N, noise] -> images [N, channels, height, width] from -1 to 1.
  Tensor operator()(const Tensor& z) const;
  std::string describe() const;
  std::vector<DeConv> make_stages() const;
  std::vector<BatchNorm> make_norms() const;
};

struct DCDiscriminator {
  Shape image = {1, 28, 28};
  std::int64_t width = 64;  ///< channels of the first stage; doubled at each
  double slope = 0.2;       ///< of the leaky relus for negative numbers
  DType dtype = default_dtype();
  std::vector<Conv> stages = make_stages();
  std::vector<BatchNorm> norms = make_norms();  ///< of all stages but the first and the last

  /// Images [N, channels, height, width] -> scores [N], large for true ones.
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
  std::vector<Conv> make_stages() const;
  std::vector<BatchNorm> make_norms() const;
};

}  // namespace knet::models
