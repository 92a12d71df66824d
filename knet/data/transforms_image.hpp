// What the transforms of images share: one image as pixels side by side. Not installed.
#pragma once
#include <cstdint>
#include <vector>

#include "knet/data/transforms.hpp"

namespace knet::transforms {

struct Image {
  Tensor pixels;  // [H, W, C], contiguous; u8, f32 or f64
  std::int64_t height, width, channels;
};
/// ShapeError unless [C, H, W] with something in it, DTypeError unless u8 or floating. f16 and bf16 become
/// f32.
Image to_image(const char* who, const Tensor& image);
/// The same with u8 and one or three channels alone.
Image to_u8_image(const char* who, const Tensor& image);
/// ValueError unless 1 ... 2^30 both, 2^40 together.
void check_size(const char* who, std::int64_t height, std::int64_t width);
/// Pixel (y, x) from (rows[y], columns[x]); -1 stands for `outside`.
Tensor gather(const Image&, const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>& columns,
              double outside = 0);

}  // namespace knet::transforms
