// Writing images as JPEG files. Reading is read_image's.
#pragma once
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

struct JpegOptions {
  int quality = 90;          ///< 1 to 100
  bool subsample = true;     ///< colours at half the resolution, as JPEG files usually are
  bool progressive = false;  ///< coarse first; a little smaller
};

/// Was the library built with libjpeg?
bool has_jpeg();
/// Writes [H, W] or [1, H, W] as grey, [3, H, W] as colours; floating values from 0 (black) to 1, clamped, or
/// u8 from 0 to 255. ShapeError beyond 65,500 pixels in a direction, ValueError for another quality, IoError
/// when the library was built without libjpeg.
void save_jpeg(const std::string& path, const Tensor& image, const JpegOptions& = {});

}  // namespace knet::io
