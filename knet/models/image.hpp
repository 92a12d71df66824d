// From a picture to the classes of ImageNet: preprocessing as torchvision does it, labels, the best classes.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "knet/data/transforms.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::models {

/// How a picture becomes a network's input. The defaults are those of torchvision's ResNets.
struct Preprocessing {
  std::int64_t resize = 256;  ///< the shorter side, by PIL's bilinear filter
  std::int64_t crop = 224;    ///< the middle square
  std::array<double, 3> mean = transforms::imagenet_mean, std = transforms::imagenet_std;
};
/// An image u8 [3, H, W] as floats [3, crop, crop]: resized, cropped, divided by 255, normalised. ShapeError
/// for other channels, ValueError for sizes below 1 and a crop larger than `resize`.
Tensor preprocess(const Tensor& image, const Preprocessing& = {});
/// The same of an image file (PNG or JPEG, see io::read_image, whose IoError it passes on), turned as its
/// EXIF orientation says.
Tensor preprocess(const std::string& file, const Preprocessing& = {});
/// Of several: [N, 3, crop, crop].
Tensor preprocess(const std::vector<std::string>& files, const Preprocessing& = {});

/// The lines of a text file, in order: line i (from 0) names class i. IoError when it can not be read, is
/// larger than 64 MB, or has nothing in it.
std::vector<std::string> read_labels(const std::string& file);

struct Prediction {
  std::string label;  ///< empty without labels
  std::int64_t index = 0;
  double probability = 0;  ///< softmax of the logits
};
/// The k most probable classes of one image, best first; equal ones in the order of their numbers. logits are
/// [C] or [1, C]. ShapeError for others; ValueError for k outside 1 ... C, for labels that are not C (none
/// are fine), and for logits that are not numbers.
std::vector<Prediction> top_k(const Tensor& logits, std::int64_t k = 5,
                              const std::vector<std::string>& labels = {});

}  // namespace knet::models
