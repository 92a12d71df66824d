// DCGAN against PyTorch, its sizes, and whether it learns.
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

TEST(DCGAN, ImagesAndScoresArePyTorchs) {
  const Reference r = load_reference("programs");
  DCGenerator g{.image = {1, 28, 28}, .noise = 10, .width = 4};
  DCDiscriminator d{.image = {1, 28, 28}, .width = 4};
  fill_by_name(g), fill_by_name(d);
  const Tensor z = r.at("dcgan.z");
  for (const auto& [name, training] : {std::pair("test", false), std::pair("train", true)}) {
    const Mode mode(training);
    const Tensor images = g(z);
    expect_close(images, r.at(std::string("dcgan.images.") + name), name, 1e-5);
    expect_close(d(r.at(std::string("dcgan.images.") + name)), r.at(std::string("dcgan.scores.") + name),
                 name, 1e-5);
  }
}

TEST(DCGAN, Sizes) {
  // The paper's: 64 x 64 colours from 100 numbers, with 1024 channels of 4 x 4 at first.
  const DCGenerator g{.image = {3, 64, 64}, .width = 128};
  ASSERT_EQ(g.stages.size(), 5u);
  EXPECT_EQ(g.stages[0].weight.shape(), (Shape{100, 1024, 4, 4}));
  EXPECT_EQ(g.stages[4].weight.shape(), (Shape{128, 3, 4, 4}));
  EXPECT_EQ(g(zeros({2, 100})).shape(), (Shape{2, 3, 64, 64}));
  const DCDiscriminator d{.image = {3, 64, 32}, .width = 8};
  EXPECT_EQ(d(zeros({2, 3, 64, 32})).shape(), (Shape{2}));
  expect_error<ValueError>([] { (void)DCGenerator{.image = {1, 27, 28}}; }, {"[1, 27, 28]", "halved"});
  expect_error<ValueError>([] { (void)DCDiscriminator{.image = {28, 28}}; }, {"[28, 28]"});
  expect_error<ValueError>([] { (void)DCGenerator{.noise = 0}; }, {".noise"});
  expect_error<ShapeError>([&] { g(zeros({2, 99})); }, {"[2, 99]", "100"});
  expect_error<ShapeError>([&] { d(zeros({2, 3, 32, 64})); }, {"[2, 3, 32, 64]"});
}

// White squares on black ground, left or right: samples become like them.
TEST(DCGAN, Learns) {
  seed(2);
  Tensor images = full({64, 1, 16, 16}, -1);
  for (std::int64_t i = 0; i < 64; ++i) images.ref(i, 0, slice(4, 12), slice(i % 2 * 8, i % 2 * 8 + 8)) = 1.0;
  DCGenerator generator{.image = {1, 16, 16}, .noise = 8, .width = 8};
  DCDiscriminator discriminator{.image = {1, 16, 16}, .width = 8};
  Optimizer of_generator(generator, Adam{.lr = 2e-3, .beta1 = 0.5}),
      of_discriminator(discriminator, Adam{.lr = 2e-3, .beta1 = 0.5});
  // How far a sample is from the nearer of the two images, per pixel.
  const auto distance = [&] {
    const Tensor s = generator(randn({64, 8})).reshape({64, 256});
    const auto to = [&](std::int64_t i) { return mean(square(s - images(i).reshape({1, 256})), 1); };
    return minimum(to(0), to(1)).mean().item();
  };
  const double before = distance();
  for (int i = 0; i < 300; ++i) {  // at half of it one seed in two is past the bound, whatever the rounding
    Tensor fake;
    const Tape g = diff([&] {
      fake = generator(randn({64, 8}));
      return -mean(log_sigm(discriminator(fake)));
    });
    const Tensor seen = fake.detach();
    of_generator.step(g);
    of_discriminator.step(
        diff([&] { return -mean(log_sigm(discriminator(images))) - mean(log_sigm(-discriminator(seen))); }));
  }
  EXPECT_GT(before, 0.9);
  EXPECT_LT(distance(), 0.25);
}

}  // namespace
