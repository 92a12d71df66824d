// What the decoders of image files share: the pixels as they come out of the library, and the conversions
// that are the same for every format. Not installed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "knet/io/image.hpp"

namespace knet::io {

/// The bytes of a file and what to call it.
struct ImageFile {
  std::span<const std::byte> bytes;
  const std::string& name;
};

/// Decoded pixels [height, width, channels]: grey, grey and alpha, RGB, or RGBA.
struct Pixels {
  std::int64_t width = 0, height = 0, channels = 0;
  int orientation = 1;  // EXIF's, 1 to 8
  std::vector<std::uint8_t> values;
};

Pixels decode_png(const ImageFile&, const ImageOptions&);
Pixels decode_jpeg(const ImageFile&, const ImageOptions&);

/// IoError unless the size is positive and within o.max_pixels.
void check_image_size(const ImageFile&, const ImageOptions& o, std::uint64_t width, std::uint64_t height);
/// The orientation (tag 0x0112 of the first directory) of an EXIF block that starts with its TIFF header;
/// 1 when there is none or the block is damaged.
int exif_orientation(std::span<const std::byte> tiff);

/// [C, H, W] as u8 pixels side by side; floating values from 0 to 1 are clamped and rounded, NaN is 0.
/// `image` may be [H, W]; ShapeError unless it has 1 or 3 channels, DTypeError unless u8 or floating.
Pixels to_pixels(const char* who, const Tensor& image);

}  // namespace knet::io
