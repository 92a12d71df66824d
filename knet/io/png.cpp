#include "knet/io/png.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/tensor/access.hpp"
#include "knet/tensor/factories.hpp"

#ifdef KNET_WITH_PNG
#include <png.h>
#endif

namespace knet::io {

#ifdef KNET_WITH_PNG
bool can_save_png() { return true; }
#else
bool can_save_png() { return false; }
#endif

std::vector<std::byte> encode_png(const Tensor& image) {
  check_defined("encode_png", image);
  const int n = image.ndim();
  const std::int64_t channels = n == 3 ? image.size(0) : 1;
  if (n < 2 || n > 3 || (channels != 1 && channels != 3) || image.numel() == 0)
    fail<ShapeError>("encode_png: image is ", image.shape(), ", expected [H, W], [1, H, W] or [3, H, W]");
  if (image.dtype() != u8 && !image.floating())
    fail<DTypeError>("encode_png: expects floating values or u8, not ", image.dtype());
#ifdef KNET_WITH_PNG
  const std::int64_t height = image.size(-2), width = image.size(-1);
  const std::vector<double> values = image.detach().to_vector<double>();
  std::vector<std::uint8_t> pixels(values.size());
  const double scale = image.dtype() == u8 ? 1 : 255;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t i = 0; i < height * width; ++i) {
      const double v = values[static_cast<std::size_t>(c * height * width + i)] * scale;
      pixels[static_cast<std::size_t>(i * channels + c)] =
          v > 0 ? static_cast<std::uint8_t>(std::lround(std::min(v, 255.0)))
                : std::uint8_t{0};  // NaN is black
    }
  }
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(width);
  header.height = static_cast<png_uint_32>(height);
  header.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::vector<std::byte> file(bytes);
  if (!png_image_write_to_memory(&header, file.data(), &bytes, 0, pixels.data(), 0, nullptr))
    fail<IoError>("encode_png: ", static_cast<const char*>(header.message));
  file.resize(bytes);
  return file;
#else
  fail<IoError>("encode_png: the library was built without libpng");
#endif
}
void save_png(const std::string& path, const Tensor& image) { write_file(path, encode_png(image)); }

Tensor image_grid(const Tensor& images, std::int64_t columns, std::int64_t space) {
  check_defined("image_grid", images);
  if (images.ndim() == 3) return image_grid(images.unsqueeze(1), columns, space);
  if (images.ndim() != 4 || images.size(0) == 0)
    fail<ShapeError>("image_grid: images are ", images.shape(), ", expected [N, C, H, W] or [N, H, W]");
  if (columns < 1 || space < 0)
    fail<ValueError>("image_grid: columns = ", columns, ", space = ", space, ": expected at least 1 and 0");
  const std::int64_t n = images.size(0), h = images.size(2), w = images.size(3),
                     rows = (n + columns - 1) / columns;
  Tensor grid =
      zeros({images.size(1), rows * (h + space) - space, std::min(n, columns) * (w + space) - space},
            images.dtype());
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t y = i / columns * (h + space), x = i % columns * (w + space);
    grid.ref(_, slice(y, y + h), slice(x, x + w)) = images.detach()(i);
  }
  return grid;
}

}  // namespace knet::io
