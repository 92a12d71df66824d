// Transforms of images: PIL's values, torchvision's rules, and random ones that a seed repeats.
#include "knet/data/transforms.hpp"

#include <set>

#include "tests/reference/reference.hpp"

using namespace knet;
using namespace knet::transforms;

namespace {

const test::Reference& reference() {
  static const test::Reference r = test::load_reference("images");
  return r;
}
std::int64_t largest_difference(const Tensor& a, const Tensor& b) {
  const Tensor d = a.to(i32) - b.to(i32);
  return std::max(d.max().item<std::int64_t>(), -d.min().item<std::int64_t>());
}
const Tensor& picture() { return reference().at("picture.0"); }

TEST(Transforms, ResizeEqualsPil) {
  const std::map<std::string, Filter> filters = {{"nearest", Filter::nearest},
                                                 {"box", Filter::box},
                                                 {"bilinear", Filter::bilinear},
                                                 {"bicubic", Filter::bicubic},
                                                 {"lanczos", Filter::lanczos}};
  int seen = 0;
  for (const auto& [key, want] : reference()) {
    if (!key.starts_with("resize.")) continue;
    ++seen;
    const std::string rest = key.substr(9);
    const Tensor& from = reference().at("picture." + key.substr(7, 1));
    const Filter f = filters.at(rest.substr(0, rest.find('.')));
    const Tensor got = resize(from, want.size(1), want.size(2), f);
    ASSERT_EQ(got.shape(), want.shape()) << key;
    EXPECT_EQ(got.dtype(), u8);
    EXPECT_EQ(largest_difference(got, want), 0) << key;
    // Numbers are rounded once, not after each direction; what leaves 0 ... 255 between them is kept.
    if (f == Filter::box || f == Filter::bilinear) {
      EXPECT_LE((resize(from.to(f32), want.size(1), want.size(2), f) - want.to(f32)).max().item(), 1.01)
          << key;
      EXPECT_GE((resize(from.to(f64), want.size(1), want.size(2), f) - want.to(f64)).min().item(), -1.01)
          << key;
    }
  }
  EXPECT_EQ(seen, 40);
}

TEST(Transforms, ResizeOfViewsAndItself) {
  const Tensor turned = picture().transpose(1, 2);
  EXPECT_TRUE(equal(resize(turned, 12, 10), resize(turned.contiguous(), 12, 10)));
  EXPECT_TRUE(equal(resize(picture(), picture().size(1), picture().size(2), Filter::lanczos), picture()));
  const Tensor five = picture()(0).unsqueeze(0).expand({5, -1, -1});
  EXPECT_TRUE(equal(resize(five, 9, 9)(3), resize(picture(), 9, 9)(0)));
}

TEST(Transforms, ShorterSide) {
  EXPECT_EQ(resize_shorter(zeros({3, 20, 31}, u8), 10).shape(), (Shape{3, 10, 15}));
  EXPECT_EQ(resize_shorter(zeros({3, 31, 20}, u8), 10).shape(), (Shape{3, 15, 10}));
  EXPECT_EQ(resize_shorter(zeros({3, 480, 640}, u8), 256).shape(), (Shape{3, 256, 341}));
}

TEST(Transforms, ColoursEqualPil) {
  int seen = 0;
  for (const auto& [key, want] : reference()) {
    const auto dot = key.find('.');
    const std::string what = key.substr(0, dot);
    Tensor got;
    const double by = dot == std::string::npos || what.size() < 3 ? 0 : std::atof(key.c_str() + dot + 1);
    if (what == "brightness") got = adjust_brightness(picture(), by);
    if (what == "contrast") got = adjust_contrast(picture(), by);
    if (what == "saturation") got = adjust_saturation(picture(), by);
    if (what == "hue") got = adjust_hue(picture(), by);
    if (what == "grayscale") got = grayscale(picture());
    if (!got) continue;
    ++seen;
    EXPECT_EQ(largest_difference(got, want), 0) << key;
  }
  EXPECT_EQ(seen, 18);
  EXPECT_TRUE(equal(grayscale(picture(), 3)(2), grayscale(picture())(0)));
  EXPECT_TRUE(equal(adjust_hue(grayscale(picture()), 0.3), grayscale(picture())));
}

TEST(Transforms, CropsFlipsAndPads) {
  const Tensor x = arange(12).reshape({1, 3, 4}).to(u8);
  EXPECT_TRUE(equal(crop(x, 1, 2, 2, 2), x(_, slice(1, 3), slice(2, 4)).contiguous()));
  EXPECT_THROW(crop(x, 1, 2, 3, 2), ShapeError);
  EXPECT_THROW(crop(x, -1, 2, 1, 2), ShapeError);
  EXPECT_EQ(hflip(x)(0, 0, 0).item(), 3);
  EXPECT_EQ(vflip(x)(0, 0, 0).item(), 8);
  EXPECT_TRUE(equal(hflip(hflip(picture())), picture()));
  // torchvision rounds halves to the even number: (3 - 2) / 2 is 0, (5 - 2) / 2 is 2.
  EXPECT_EQ(center_crop(x, 2, 2)(0, 0, 0).item(), 1);
  EXPECT_EQ(center_crop(arange(5).reshape({1, 1, 5}).to(u8), 1, 2)(0, 0, 0).item(), 2);
  EXPECT_EQ(center_crop(x, 6, 2).shape(), (Shape{1, 6, 2}));
  EXPECT_EQ(center_crop(x, 6, 2)(0, 1, 0).item(), 1);
  EXPECT_EQ(center_crop(x, 6, 2)(0, 0, 0).item(), 0);
  const Tensor row = Tensor{{{1, 2, 3}}}.to(f32);
  const auto padded = [&](PadMode m) { return pad(row, {.left = 2, .right = 1}, m, 9).to_vector<int>(); };
  using V = std::vector<int>;
  EXPECT_EQ(padded(PadMode::constant), (V{9, 9, 1, 2, 3, 9}));
  EXPECT_EQ(padded(PadMode::edge), (V{1, 1, 1, 2, 3, 3}));
  EXPECT_EQ(padded(PadMode::reflect), (V{3, 2, 1, 2, 3, 2}));
  EXPECT_EQ(padded(PadMode::symmetric), (V{2, 1, 1, 2, 3, 3}));
  EXPECT_THROW(pad(row, {.left = 3}, PadMode::reflect), ValueError);
  EXPECT_THROW(pad(row, {.left = -1}), ValueError);
}

TEST(Transforms, Numbers) {
  const Tensor x = to_float(picture());
  EXPECT_EQ(x.dtype(), f32);
  EXPECT_TRUE(equal((x * 255.0 + 0.5).to(u8), picture()));
  const Tensor y = Normalize{}(x);
  EXPECT_NEAR(y(2, 3, 4).item(), (x(2, 3, 4).item() - 0.406) / 0.225, 1e-5);
  EXPECT_TRUE(allclose(normalize(x.unsqueeze(0), {0.5, 0.5, 0.5}, {1, 2, 4})(0, 1), (x(1) - 0.5) / 2.0));
  EXPECT_EQ(x(0, 0, 0).item(), to_float(picture())(0, 0, 0).item());  // x itself did not change
  EXPECT_THROW(normalize(picture(), {0, 0, 0}, {1, 1, 1}), DTypeError);
  EXPECT_THROW(normalize(x, {0}, {1}), ShapeError);
  EXPECT_THROW(normalize(x, {0, 0, 0}, {1, 0, 1}), ValueError);
}

TEST(Transforms, TheSameSeedTheSameImage) {
  const Pipeline p{RandomResizedCrop{.height = 12, .width = 14},
                   RandomFlip{},
                   ColorJitter{0.4, 0.4, 0.4, 0.1},
                   RandomGrayscale{},
                   RandomCrop{.height = 12, .padding = 2},
                   to_float,
                   Normalize{}};
  Generator a(5), b(5), c(6);
  const Tensor x = p(picture(), a), y = p(picture(), b), z = p(picture(), c), next = p(picture(), a);
  EXPECT_EQ(x.shape(), (Shape{3, 12, 12}));
  EXPECT_TRUE(equal(x, y));
  EXPECT_FALSE(equal(x, z));
  EXPECT_FALSE(equal(x, next));
  seed(1);
  const Tensor u = p(picture()), v = p(picture());
  seed(1);
  EXPECT_TRUE(equal(u, p(picture())));
  EXPECT_FALSE(equal(u, v));
  // A step of one's own.
  Pipeline own;
  own.add([](const Tensor& t) { return t(slice(0, 1)); }).add([](const Tensor& t, Generator&) { return t; });
  EXPECT_EQ(own(picture()).size(0), 1);
}

TEST(Transforms, RandomCropsReachEveryPlace) {
  const Tensor x = arange(20).reshape({1, 4, 5}).to(u8);
  Generator g(1);
  std::set<int> corners;
  for (int i = 0; i < 300; ++i)
    corners.insert(RandomCrop{.height = 3, .width = 4}(x, g)(0, 0, 0).item<int>());
  EXPECT_EQ(corners, (std::set<int>{0, 1, 5, 6}));
  EXPECT_THROW((RandomCrop{.height = 5}(x, g)), ShapeError);
  EXPECT_THROW((RandomCrop{}(x, g)), ValueError);
}

TEST(Transforms, RandomResizedCropsKeepTheirRules) {
  // A picture of its own coordinates: what was cut out can be read off the result.
  const std::int64_t h = 60, w = 90;
  const Tensor at = arange(h * w).reshape({1, h, w}).to(f64);
  Generator g(2);
  double area = 0, least = 1, most = 0;
  const int n = 400;
  for (int i = 0; i < n; ++i) {
    const Tensor c = RandomResizedCrop{.height = 100, .width = 100, .filter = Filter::nearest}(at, g);
    const auto first = c(0, 0, 0).item<std::int64_t>(), last = c(0, 99, 99).item<std::int64_t>();
    const std::int64_t ch = last / w - first / w + 1, cw = last % w - first % w + 1;
    const double part = static_cast<double>(ch * cw) / static_cast<double>(h * w),
                 ratio = static_cast<double>(cw) / static_cast<double>(ch);
    EXPECT_GT(ratio, 0.68) << cw << " x " << ch;
    EXPECT_LT(ratio, 1.48) << cw << " x " << ch;
    area += part / n, least = std::min(least, part), most = std::max(most, part);
  }
  EXPECT_GT(least, 0.07);
  EXPECT_LT(least, 0.13);
  EXPECT_GT(most, 0.8);
  EXPECT_NEAR(area, 0.394, 0.03);  // below the 0.54 of all parts: the largest forms do not fit
  // Nothing of the form fits: the middle.
  const Tensor strip = arange(100).reshape({1, 1, 100}).to(u8);
  EXPECT_EQ((RandomResizedCrop{.height = 1, .width = 1, .scale = {1, 1}}(strip, g).item()), 49);
}

TEST(Transforms, JitterOfNothing) {
  Generator g(1);
  EXPECT_TRUE(equal(ColorJitter{}(picture(), g), picture()));
  EXPECT_FALSE(equal(ColorJitter{.hue = 0.5}(picture(), g), picture()));
  EXPECT_THROW(ColorJitter{.hue = 0.6}(picture(), g), ValueError);
  EXPECT_THROW(ColorJitter{.contrast = -1}(picture(), g), ValueError);
  int flipped = 0;
  for (int i = 0; i < 200; ++i) flipped += !equal(RandomFlip{.probability = 0.25}(picture(), g), picture());
  EXPECT_NEAR(flipped, 50, 25);
}

TEST(Transforms, WhatIsRefused) {
  EXPECT_THROW(resize(zeros({4, 4}), 2, 2), ShapeError);
  EXPECT_THROW(resize(Tensor(), 2, 2), ShapeError);
  EXPECT_THROW(resize(zeros({3, 4, 4}, i64), 2, 2), DTypeError);
  EXPECT_THROW(resize(zeros({3, 4, 4}), 0, 2), ValueError);
  EXPECT_THROW(resize(zeros({3, 4, 4}), 1 << 30, 1 << 30), ValueError);
  EXPECT_THROW(adjust_hue(zeros({3, 4, 4}), 0.1), DTypeError);
  EXPECT_THROW(adjust_hue(picture(), 0.7), ValueError);
  EXPECT_THROW(adjust_contrast(picture(), -1), ValueError);
  EXPECT_THROW(grayscale(zeros({2, 4, 4}, u8)), ShapeError);
  EXPECT_THROW(grayscale(picture(), 2), ValueError);
}

}  // namespace
