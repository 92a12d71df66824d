// ResNets and Inceptions against PyTorch's (tests/reference/models_reference.py). The deepest ones take
// seconds each; they are compared when $KNET_ALL_MODELS is set.
#include <cstdlib>

#include "formula.hpp"
#include "tests/reference/reference.hpp"

using namespace knet;

namespace {

const test::Reference& reference() {
  static const test::Reference r = test::load_reference("models");
  return r;
}
bool all_models() { return std::getenv("KNET_ALL_MODELS") != nullptr; }

// A file of the picture, as PyTorch's side had it; empty where the library reads no JPEG.
std::vector<std::byte> jpeg() {
  const Tensor bytes = reference().at("jpeg").contiguous();
  const auto* p = reinterpret_cast<const std::byte*>(bytes.data<std::uint8_t>());
  return {p, p + bytes.numel()};
}
// Normalised, [1, 3, crop, crop], from the pixels after the crop.
Tensor input(int crop) {
  const Tensor pixels = reference().at("input." + std::to_string(crop));
  return transforms::normalize(transforms::to_float(pixels),
                               {transforms::imagenet_mean.begin(), transforms::imagenet_mean.end()},
                               {transforms::imagenet_std.begin(), transforms::imagenet_std.end()})
      .unsqueeze(0);
}
// Differences relative to the largest value.
void expect_same(const Tensor& got, const std::string& key, double tolerance = 1e-4) {
  const Tensor& want = reference().at(key);
  const Tensor row = got.reshape({got.numel()}).to(f64), expected = want.reshape({want.numel()}).to(f64);
  ASSERT_EQ(row.shape(), expected.shape()) << key;
  const double scale = std::max(1.0, abs(expected).max().item());
  EXPECT_LT(abs(row - expected).max().item() / scale, tolerance) << key;
}
std::vector<int> depths() { return all_models() ? std::vector{18, 34, 50, 101, 152} : std::vector{18, 50}; }
const models::ResNetOptions few{.classes = 100, .winit = zeros};

TEST(Models, ResNetEqualsTorchvision) {
  for (const int depth : depths()) {
    const std::string name = "resnet" + std::to_string(depth);
    auto net = models::resnet(depth, few);
    EXPECT_EQ(count_params(net), reference().at("parameters." + name).item<std::int64_t>()) << name;
    expect_same(test::fill(net)(input(64)), "logits." + name);
  }
}

TEST(Models, ResNetV2EqualsPyTorch) {
  for (const int depth : all_models() ? depths() : std::vector{18, 50}) {
    const std::string name = "resnet" + std::to_string(depth) + "_v2";
    auto net = models::resnet_v2(depth, few);
    EXPECT_EQ(count_params(net), reference().at("parameters." + name).item<std::int64_t>()) << name;
    expect_same(test::fill(net)(input(64)), "logits." + name);
  }
}

TEST(Models, FeaturesOfAnyStage) {
  auto net = models::resnet(18, few);
  test::fill(net);
  const Tensor x = input(64);
  const auto all = net.features(x);
  ASSERT_EQ(all.size(), 4U);
  for (int s = 1; s <= 4; ++s) {
    const Tensor one = net.features(x, s);
    EXPECT_EQ(one.shape(), (Shape{1, 32 << s, 32 >> s, 32 >> s}));
    EXPECT_TRUE(allclose(one, all[static_cast<std::size_t>(s - 1)]));
    expect_same(one.mean(3).mean(2), "stage.resnet18." + std::to_string(s));
  }
  const Tensor pooled = net.features(x, 5);
  EXPECT_EQ(pooled.shape(), (Shape{1, 512}));
  EXPECT_TRUE(allclose(net.fc(pooled), net(x)));
  EXPECT_TRUE(allclose(net(x[0]), net(x)));
  EXPECT_THROW(net.features(x, 0), ValueError);
  EXPECT_THROW(net.features(x, 6), ValueError);
  EXPECT_THROW(net(zeros({1, 1, 64, 64})), ShapeError);
  EXPECT_THROW(net(zeros({64, 64})), ShapeError);

  const auto v2 = models::resnet_v2(18, few);
  EXPECT_EQ(v2.features(x).back().shape(), (Shape{1, 512, 2, 2}));
  EXPECT_TRUE(allclose(v2.fc(v2.features(x, 5)), v2(x)));
  EXPECT_THROW(models::resnet(20), ValueError);
  EXPECT_THROW(models::ResNet({}, false), ValueError);
  EXPECT_THROW(models::ResNet({1, 0}, false), ValueError);
}

TEST(Models, GoogLeNetEqualsTorchvision) {
  models::GoogLeNet net({.classes = 100, .aux = true, .winit = zeros});
  test::fill(net);
  EXPECT_EQ(count_params(net), reference().at("parameters.googlenet").item<std::int64_t>());
  expect_same(net(input(64)), "logits.googlenet");
  EXPECT_TRUE(net.forward(input(64)).aux.empty());
  expect_same((*net.aux1)(test::formula("aux1", {1, 512, 14, 14}, -1, 1)), "aux.googlenet.1");
  expect_same((*net.aux2)(test::formula("aux2", {1, 528, 7, 9}, -1, 1)), "aux.googlenet.2");
  {
    const Mode train(true);
    EXPECT_EQ(net.forward(cat({input(64), input(64)})).aux.size(), 2U);
  }
  test::fill(net).transform_input = true;
  expect_same(net(input(64)), "logits.googlenet.transform");
  EXPECT_THROW(net(zeros({1, 3, 14, 14})), ShapeError);
}

TEST(Models, InceptionV3EqualsTorchvision) {
  models::InceptionV3 net({.classes = 100, .aux = true, .winit = zeros});
  test::fill(net);
  EXPECT_EQ(count_params(net), reference().at("parameters.inception_v3").item<std::int64_t>());
  expect_same(net(input(96)), "logits.inception_v3");
  expect_same((*net.aux)(test::formula("aux", {1, 768, 17, 17}, -1, 1)), "aux.inception_v3.1");
  net.transform_input = true;
  expect_same(net(input(96)), "logits.inception_v3.transform");
  EXPECT_THROW(net(zeros({1, 3, 74, 96})), ShapeError);
  EXPECT_THROW(net(zeros({1, 4, 96, 96})), ShapeError);
}

TEST(Models, PreprocessingEqualsTorchvision) {
  Tensor image;
  try {
    image = io::read_image(jpeg());
  } catch (const IoError& e) {
    GTEST_SKIP() << e.what();
  }
  EXPECT_EQ(image.shape(), (Shape{3, 110, 150}));
  EXPECT_TRUE(allclose(models::preprocess(image, {.resize = 73, .crop = 64}), input(64)[0], 1e-6, 1e-6));
  EXPECT_TRUE(allclose(models::preprocess(image, {.resize = 110, .crop = 96}), input(96)[0], 1e-6, 1e-6));
  EXPECT_EQ(models::preprocess(image).shape(), (Shape{3, 224, 224}));
  EXPECT_THROW(models::preprocess(image, {.resize = 10, .crop = 11}), ValueError);
  EXPECT_THROW(models::preprocess(zeros({1, 8, 8})), ShapeError);
  EXPECT_THROW(models::preprocess(zeros({3, 8, 8})), DTypeError);
  EXPECT_THROW(models::preprocess(std::string("/none.jpg")), IoError);
}

TEST(Models, BestClasses) {
  const Tensor logits(std::vector{0., 3., 1., 3.}, {4});
  const auto best = models::top_k(logits, 3, {"a", "b", "c", "d"});
  ASSERT_EQ(best.size(), 3U);
  EXPECT_EQ(best[0].label + best[1].label + best[2].label, "bdc");
  EXPECT_EQ(best[1].index, 3);
  EXPECT_NEAR(best[0].probability, std::exp(3) / (1 + 2 * std::exp(3) + std::exp(1)), 1e-12);
  EXPECT_EQ(models::top_k(logits.reshape({1, 4}), 1)[0].label, "");
  EXPECT_THROW(models::top_k(logits, 5), ValueError);
  EXPECT_THROW(models::top_k(logits, 0), ValueError);
  EXPECT_THROW(models::top_k(logits, 1, {"a"}), ValueError);
  EXPECT_THROW(models::top_k(zeros({2, 4}), 1), ShapeError);
  EXPECT_THROW(models::top_k(Tensor(std::vector{0., std::nan("")}, {2}), 1), ValueError);
}

// A few hundred drawings of bars, lying or standing: learnt in seconds.
template <class M>
double trained(M& net, int side, int steps, double lr) {
  seed(3);
  const Tensor noise = randn({256, 3, side, side}) * 0.3;
  std::vector<std::int64_t> labels(256);
  Tensor x = noise.contiguous();
  for (std::int64_t i = 0; i < 256; ++i) {
    labels[static_cast<std::size_t>(i)] = i % 2;
    const std::int64_t at = (i * 7) % side;
    x.ref(i, _, i % 2 ? Index(at) : Index(_), i % 2 ? Index(_) : Index(at)) = 2.0;
  }
  const auto data = minibatch(x, Tensor(labels, {256}), 32, {.shuffle = true, .seed = 5});
  auto log =
      train(net, data, {.optimizer = Momentum{.lr = lr, .gamma = 0.9}, .epochs = steps, .progress = false});
  return log.mean;
}
TEST(Models, ResNetLearns) {
  models::ResNet net({1, 1}, false, {.classes = 2, .width = 8, .small_images = true, .zero_init = true});
  EXPECT_LT(trained(net, 12, 5, 0.05), 0.1);
  models::ResNetV2 v2({1, 1}, true, {.classes = 2, .width = 8, .small_images = true});
  EXPECT_LT(trained(v2, 12, 5, 0.05), 0.1);
}

// Whole networks on a few pictures, with their auxiliary heads: gradients reach every parameter, and the loss
// falls.
template <class M>
void expect_learns(M& net, std::int64_t side, std::int64_t images, int steps, double below) {
  seed(4);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(images));
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i % 2);
  const Tensor y(labels, {images});
  const Tensor x = randn({images, 3, side, side}) * 0.5 + y.to(f32).reshape({images, 1, 1, 1});
  Optimizer optimizer(net, Momentum{.lr = 0.01, .gamma = 0.9});
  double last = 0;
  for (int i = 0; i < steps; ++i) {
    const Tape tape = diff([&] {
      const auto out = net.forward(x);
      Tensor loss = nll(out.logits, y);
      for (const Tensor& aux : out.aux) loss = loss + nll(aux, y) * 0.3;
      last = nll(out.logits, y).item();
      return loss;
    });
    if (i == 0) {
      for (const auto& e : named_params(net)) {
        if (*e.param) {
          EXPECT_GT(abs(tape.grad(*e.param)).max().item(), 0) << e.name;
        }
      }
    }
    optimizer.step(tape);
  }
  EXPECT_LT(last, below);
}
TEST(Models, InceptionsLearn) {
  seed(2);
  models::GoogLeNet v1({.classes = 2, .aux = true});
  expect_learns(v1, 32, 16, 10, 0.3);
  // Four images are too few for its loss to fall reliably: one step, for the gradients.
  models::InceptionV3 v3({.classes = 2});
  expect_learns(v3, 75, 4, 1, 10);
  auto factorised = Chain{models::basic_conv(3, 16, {.window = 3, .padding = 1}), models::inception_c(16, 16),
                          GlobalPool{}, Linear{.input = 768, .output = 2}};
  EXPECT_LT(trained(factorised, 10, 3, 0.02), 0.3);
}

}  // namespace
