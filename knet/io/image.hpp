// Reading images. What a file is, is told by its first bytes, not by its name. PNG needs libpng, JPEG
// libjpeg-turbo; both are optional when the library is built.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

struct ImageOptions {
  /// 3: RGB, 1: grey, 4: RGB and alpha, 0: as the file has it (1 grey, 2 grey and alpha, 3, or 4).
  int channels = 3;
  /// Turn the image as its EXIF orientation says, so that it stands as viewers show it.
  bool orient = true;
  /// More are refused before anything is allocated: a file of a kilobyte may unfold to gigabytes.
  std::int64_t max_pixels = 100'000'000;
};

/// The image as u8 [channels, height, width]; in memory the channels of a pixel lie side by side (as
/// convolutions want them).
///
/// Palettes become colours; 1, 2 and 4 bits are spread to 0 ... 255, 16 bits rounded to 8. Alpha is left out
/// where it is not asked for, and 255 where the file has none. Grey made of colours is PIL's "L":
/// 0.299 R + 0.587 G + 0.114 B. CMYK (JPEG) becomes RGB by R = (255 - C)(255 - K) / 255, without colour
/// profiles; profiles, gamma and comments are ignored everywhere.
///
/// IoError with the file and the reason when it is missing, neither PNG nor JPEG, damaged, truncated, or has
/// too many pixels; and when the library was built without the format's library.
Tensor read_image(const std::string& path, const ImageOptions& = {});
/// The same for a file in memory; `name` stands for the path in messages.
Tensor read_image(std::span<const std::byte> file, const ImageOptions& = {},
                  const std::string& name = "memory");

}  // namespace knet::io
