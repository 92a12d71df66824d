#include "knet/io/png.hpp"

#include <algorithm>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/image_codec.hpp"
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
  const Pixels pixels = to_pixels("encode_png", image);
#ifdef KNET_WITH_PNG
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(pixels.width);
  header.height = static_cast<png_uint_32>(pixels.height);
  header.format = pixels.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::vector<std::byte> file(bytes);
  if (!png_image_write_to_memory(&header, file.data(), &bytes, 0, pixels.values.data(), 0, nullptr))
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
