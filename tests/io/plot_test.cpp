// Line plots: where the lines run, and what is odd to draw.
#include "knet/io/plot.hpp"

#include <cmath>
#include <limits>

#include "io_test.hpp"
#include "knet/io/image.hpp"
#include "knet/io/png.hpp"

using namespace io_test;
using namespace knet;

namespace {

using Plot = Folder;

// The rows of the first column right of `x` that have the first series' colour.
std::vector<std::int64_t> blue_rows(const Tensor& picture, std::int64_t x) {
  std::vector<std::int64_t> r;
  const auto v = picture.view<std::uint8_t, 3>();
  for (std::int64_t y = 0; y < picture.size(1); ++y)
    if (v(0, y, x) == 0 && v(1, y, x) == 114 && v(2, y, x) == 178) r.push_back(y);
  return r;
}

TEST_F(Plot, ALineRises) {
  const Tensor p = io::plot({{.y = {0, 1, 2, 3, 4}}}, {.width = 400, .height = 300});
  EXPECT_EQ(p.shape(), (Shape{3, 300, 400}));
  EXPECT_EQ(p.dtype(), u8);
  std::int64_t before = 300;
  for (std::int64_t x = 80; x < 360; x += 40) {
    const auto rows = blue_rows(p, x);
    ASSERT_FALSE(rows.empty()) << x;
    EXPECT_LE(rows.size(), 4u);
    EXPECT_LT(rows[0], before);
    before = rows[0];
  }
}

TEST_F(Plot, ALogarithmIsStraight) {
  std::vector<double> y;
  for (int i = 0; i <= 4; ++i) y.push_back(std::pow(10.0, -i));
  const Tensor p = io::plot({{.y = y}}, {.width = 400, .height = 300, .log_y = true});
  const auto a = blue_rows(p, 120), b = blue_rows(p, 200), c = blue_rows(p, 280);
  ASSERT_FALSE(a.empty() || b.empty() || c.empty());
  EXPECT_NEAR(static_cast<double>(a[0] + c[0]) / 2, static_cast<double>(b[0]), 1.5);
}

TEST_F(Plot, OddValues) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& y : std::vector<std::vector<double>>{{},
                                                                       {1},
                                                                       {2, 2, 2},
                                                                       {nan, nan},
                                                                       {0, inf, 1},
                                                                       {-1, 0},
                                                                       {1e308, -1e308},
                                                                       {1e-300, 2e-300},
                                                                       {1e15, 1e15 + 1},
                                                                       {0, 1e299},
                                                                       {-1e299, 1e299}})
    for (bool log : {false, true})
      EXPECT_EQ(io::plot({{.name = "y", .y = y}}, {.title = "odd \xc3\xa9", .log_y = log}).shape(),
                (Shape{3, 500, 800}));
  EXPECT_THROW(io::plot({}), ValueError);
  EXPECT_THROW(io::plot({{.x = {1}, .y = {1, 2}}}), ValueError);
  EXPECT_THROW(io::plot({{.y = {1}}}, {.width = 10}), ValueError);
  EXPECT_THROW(io::plot({{.y = {1}}}, {.height = 20000}), ValueError);
}

TEST_F(Plot, IsSaved) {
  if (!io::can_save_png()) GTEST_SKIP() << "built without libpng";
  const std::vector<io::Series> s{{.name = "train", .y = {3, 2, 1.5}}, {.name = "test", .y = {3, 2.5, 2.2}}};
  io::save_plot(path("a.png"), s, {.title = "Loss"});
  EXPECT_TRUE(equal(io::read_image(path("a.png")), io::plot(s, {.title = "Loss"})));
}

}  // namespace
