// PNG files read back by libpng, and grids of images.
#include "knet/io/png.hpp"

#include "io_test.hpp"
#include "knet/tensor/factories.hpp"
#include "knet/tensor/tensor.hpp"
#ifdef KNET_WITH_PNG
#include <png.h>
#endif

using namespace io_test;
using namespace knet;

namespace {

using Png = Folder;

#ifdef KNET_WITH_PNG
// [H, W, C] values of the file.
std::vector<std::uint8_t> pixels(const std::string& file, std::uint32_t format, std::uint32_t& width) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_file(&header, file.c_str()));
  EXPECT_EQ(header.format & PNG_FORMAT_FLAG_COLOR, format & PNG_FORMAT_FLAG_COLOR);
  header.format = format;
  std::vector<std::uint8_t> out(PNG_IMAGE_SIZE(header));
  EXPECT_TRUE(png_image_finish_read(&header, nullptr, out.data(), 0, nullptr));
  width = header.width;
  return out;
}

TEST_F(Png, GreyIsClampedAndRounded) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  io::save_png(path("a.png"), Tensor({{0.0, 0.5, 1.0}, {-3.0, 7.0, nan}}));
  std::uint32_t width = 0;
  EXPECT_EQ(pixels(path("a.png"), PNG_FORMAT_GRAY, width),
            (std::vector<std::uint8_t>{0, 128, 255, 0, 255, 0}));
  EXPECT_EQ(width, 3u);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Png, ColoursAndBytes) {
  const Tensor image = arange(12).to(u8).reshape({3, 2, 2});
  io::save_png(path("a.png"), image);
  std::uint32_t width = 0;
  EXPECT_EQ(pixels(path("a.png"), PNG_FORMAT_RGB, width),
            (std::vector<std::uint8_t>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  // The memory's order does not matter.
  io::save_png(path("b.png"), image.transpose(1, 2).contiguous().transpose(1, 2));
  EXPECT_EQ(read(path("a.png")), read(path("b.png")));
}

TEST_F(Png, NoFolderIsAnError) { EXPECT_THROW(io::save_png(path("no/a.png"), zeros({2, 2})), IoError); }
#else
TEST_F(Png, SaysThatLibpngIsMissing) {
  EXPECT_FALSE(io::can_save_png());
  EXPECT_THROW(io::save_png(path("a.png"), zeros({2, 2})), IoError);
  EXPECT_EQ(files(), 0u);
}
#endif

TEST_F(Png, WhatIsNoImage) {
  EXPECT_THROW(io::save_png(path("a.png"), zeros({4})), ShapeError);
  EXPECT_THROW(io::save_png(path("a.png"), zeros({2, 4, 4})), ShapeError);
  EXPECT_THROW(io::save_png(path("a.png"), zeros({0, 4})), ShapeError);
  EXPECT_THROW(io::save_png(path("a.png"), zeros({4, 4}, i64)), DTypeError);
  EXPECT_THROW(io::save_png(path("a.png"), Tensor()), Error);
  EXPECT_EQ(files(), 0u);
}

TEST_F(Png, Grid) {
  const Tensor images = arange(1, 13).reshape({3, 2, 2});
  const Tensor grid = io::image_grid(images, 2, 1);
  EXPECT_TRUE(equal(
      grid, Tensor({{{1, 2, 0, 5, 6}, {3, 4, 0, 7, 8}, {0, 0, 0, 0, 0}, {9, 10, 0, 0, 0}, {11, 12, 0, 0, 0}}})
                .to(grid.dtype())))
      << grid.shape();
  // Fewer images than columns: no empty places.
  EXPECT_EQ(io::image_grid(zeros({3, 3, 2, 4}), 10).shape(), Shape({3, 2, 12}));
  EXPECT_THROW(io::image_grid(images, 0), ValueError);
  EXPECT_THROW(io::image_grid(images, 1, -1), ValueError);
  EXPECT_THROW(io::image_grid(zeros({4}), 1), ShapeError);
}

}  // namespace
