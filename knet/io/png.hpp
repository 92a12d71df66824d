// Images as PNG files, to look at what a model makes.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// Was the library built with libpng?
bool can_save_png();
/// The bytes of a PNG file: [H, W] or [1, H, W] as grey, [3, H, W] as colours; floating values from 0 (black)
/// to 1, clamped, or u8 from 0 to 255. IoError when the library was built without libpng.
std::vector<std::byte> encode_png(const Tensor& image);
/// The same in a file.
void save_png(const std::string& path, const Tensor& image);
/// Images [N, C, H, W] or [N, H, W] side by side, row by row, as one [C, H', W'] with a gap of `space`
/// between: the last row may have black places.
Tensor image_grid(const Tensor& images, std::int64_t columns, std::int64_t space = 0);

}  // namespace knet::io
