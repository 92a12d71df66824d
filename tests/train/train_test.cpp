// From batches to a trained model: minibatches, ranges, progress, convergence; the same bits for the same
// seed and after saving; models in files; inference from several threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <unistd.h>

#include "knet/knet.hpp"

namespace {
using namespace knet;
namespace fs = std::filesystem;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("knet_train_test_" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

/// Two clouds of points that a small network can separate.
struct Clouds {
  Tensor x, y;
  Clouds() {
    seed(11);
    y = randint(0, 2, {400});
    x = randn({400, 2}) + 3.0 * (2.0 * y.to(f32) - 1.0).reshape({400, 1});
  }
};
bool same_bits(const MLP& a, const MLP& b) {
  const auto p = params(a), q = params(b);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!equal(p[i].value(), q[i].value())) return false;
  }
  return p.size() == q.size();
}

// An update over several batches is the one on all their rows together; a pass ends with what is left.
TEST(Accumulate, EqualsOneLargeBatch) {
  const Clouds c;
  Tensor y = c.y.narrow(0, 0, 110);
  for (std::int64_t i = 30; i < 50; ++i) y.ref(i) = ignore;  // batches of unequal weight
  const Tensor x = c.x.narrow(0, 0, 110);
  seed(1);
  MLP parts{{2, 8, 2}}, whole = parts, called = parts;
  auto steps = adam(parts, nll, minibatch(x, y, 20, {.partial = true}), {.lr = 0.01});
  steps.accumulate(4);
  EXPECT_EQ(steps.size(), 2);
  std::vector<double> losses;
  for (const double v : steps) losses.push_back(v);
  std::vector<std::pair<Tensor, Tensor>> large{{x.narrow(0, 0, 80), y.narrow(0, 0, 80)},
                                               {x.narrow(0, 80, 30), y.narrow(0, 80, 30)}};
  std::vector<double> expected;
  for (const double v : adam(whole, nll, large, {.lr = 0.01})) expected.push_back(v);
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_EQ(steps.optimizer().steps(), 2);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(losses[i], expected[i], 1e-6);
  const TrainLog log = train(called, minibatch(x, y, 20, {.partial = true}),
                             {.optimizer = Adam{.lr = 0.01}, .progress = false, .accumulate = 4});
  EXPECT_EQ(log.steps, 2u);
  const auto p = params(parts), q = params(whole), r = params(called);
  for (std::size_t i = 0; i < p.size(); ++i) {
    EXPECT_LT(max(abs(p[i].value() - q[i].value())).item(), 2e-6) << i;
    EXPECT_TRUE(equal(p[i].value(), r[i].value())) << i;
  }
}
TEST(Accumulate, AnyNumberOfBatches) {
  const Clouds c;
  for (const int k : {1, 3, 4, 5, 100}) {
    MLP model{{2, 4, 2}};
    auto steps = sgd(model, nll, minibatch(c.x, c.y, 100), {.lr = 0.01});  // four batches
    steps.accumulate(k);
    std::ptrdiff_t n = 0;
    for ([[maybe_unused]] const double v : steps) ++n;
    EXPECT_EQ(n, (4 + k - 1) / k);
    EXPECT_EQ(n, steps.size());
  }
  // Nothing but labels that do not count: no update, and no division by zero.
  MLP model{{2, 4, 2}}, before = model;
  for (const double v : sgd(model, nll, minibatch(c.x, full({400}, ignore, i64), 100)).accumulate(2))
    EXPECT_EQ(v, 0);
  EXPECT_TRUE(same_bits(model, before));
  EXPECT_THROW(sgd(model, nll, minibatch(c.x, c.y, 100)).accumulate(0), ValueError);
  EXPECT_THROW(train(model, minibatch(c.x, c.y, 100), {.progress = false, .accumulate = -1}), ValueError);
}

TEST(MeanLoss, IsTheLossOfAllRows) {
  const Clouds c;
  Tensor y = c.y;
  for (std::int64_t i = 10; i < 37; ++i) y.ref(i) = ignore;
  const MLP model{{2, 8, 2}};
  const auto data = minibatch(c.x, y, 30, {.partial = true});
  EXPECT_NEAR(mean_loss(model, data), nll(model(c.x), y).item(), 1e-6);
  const MLP line{{2, 1}};
  const Tensor target = c.x.sum(1).reshape({400, 1});
  EXPECT_NEAR(mean_loss(line, minibatch(c.x, target, 70, {.partial = true}), mse),
              mse(line(c.x), target).item(), 1e-5);
}

TEST(Minibatch, SizesOrderAndOptions) {
  const Tensor x = arange(0, 20).to(f32).reshape({10, 2}), y = arange(0, 10);
  EXPECT_EQ(minibatch(x, y, 3).size(), 3u);
  EXPECT_EQ(minibatch(x, y, 3, {.partial = true}).size(), 4u);
  std::size_t n = 0;
  for (const Batch& b : minibatch(x, y, 3, {.partial = true})) {
    EXPECT_EQ(b.x.size(0), ++n < 4 ? 3 : 1);
    EXPECT_TRUE(equal(b.x(_, 0), (b.y * 2).to(f32)));
  }
  const auto shuffled = minibatch(x, y, 5, {.shuffle = true, .seed = 3});
  std::vector<std::int64_t> first, second;
  for (const Batch& b : shuffled) {
    for (std::int64_t v : b.y.to_vector<std::int64_t>()) first.push_back(v);
    EXPECT_TRUE(equal(b.x(_, 0), (b.y * 2).to(f32)));
  }
  for (const Batch& b : shuffled) {
    for (std::int64_t v : b.y.to_vector<std::int64_t>()) second.push_back(v);
  }
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, y.to_vector<std::int64_t>());
  EXPECT_THROW(minibatch(x, y, 11), ValueError);
  EXPECT_THROW(minibatch(x, y, 0), ValueError);
  EXPECT_THROW(minibatch(x, arange(0, 9), 3), ShapeError);
  EXPECT_THROW(minibatch(Tensor(), 3), ValueError);
  EXPECT_THROW(minibatch(zeros({0, 3}), 3), ValueError);
}
TEST(Ranges, RepeatCycleTake) {
  const std::vector<int> v{1, 2, 3};
  std::vector<int> got;
  for (int i : repeat(v, 2)) got.push_back(i);
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 1, 2, 3}));
  got.clear();
  for (int i : take(cycle(v), 5)) got.push_back(i);
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 1, 2}));
  int none = 0;
  for (int i : cycle(std::vector<int>{})) none += i;
  for (int i : take(v, 0)) none += i;
  EXPECT_EQ(none, 0);
}
TEST(Progress, PlainLinesWhereThereIsNoTerminal) {
  std::FILE* f = std::tmpfile();
  ASSERT_TRUE(f);
  double sum = 0;
  for (double v : progress(std::vector<double>{3, 2, 1}, {.steps = 1, .out = f})) sum += v;
  EXPECT_EQ(sum, 6);
  std::rewind(f);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), f));
  std::fclose(f);
  EXPECT_NE(text.find("3/3"), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos) << text;
}
TEST(Training, EveryOptimiserLearns) {
  const Clouds c;
  const Rule rules[] = {SGD{},     Momentum{}, Nesterov{},       Adagrad{},
                        Rmsprop{}, Adadelta{}, Adam{.lr = 0.01}, AdamW{.lr = 0.01}};
  for (const Rule& rule : rules) {
    MLP m{{2, 8, 2}};
    const auto log = train(minimize(m, nll, repeat(minibatch(c.x, c.y, 20), 10), rule));
    EXPECT_EQ(log.steps, 200u);
    EXPECT_GT(accuracy(m, minibatch(c.x, c.y, 100)), 0.97);
  }
}
TEST(Training, ConvergeStopsWhereTheAverageTurns) {
  std::vector<double> values;
  for (int i = 100; i > 0; --i) values.push_back(i);
  for (int i = 0; i < 1000; ++i) values.push_back(i);
  int n = 0;
  for ([[maybe_unused]] double v : converge(values)) ++n;
  EXPECT_GT(n, 100);
  EXPECT_LT(n, 150);
}
TEST(Training, OneCallWithCallbacks) {
  const Clouds c;
  MLP m{{2, 8, 2}};
  int epochs = 0;
  train(m, minibatch(c.x, c.y, 20), {.epochs = 5, .progress = false, .on_epoch = [&](const Epoch& e) {
                                       return (epochs = e.number) < 3;
                                     }});
  EXPECT_EQ(epochs, 3);
}
TEST(Training, TheSameBitsForTheSameSeed) {
  const Clouds c;
  const auto run = [&](int n) {
    const int before = threads();
    set_threads(n);
    seed(4);
    MLP m{.sizes = {2, 64, 64, 2}, .dropout = 0.2};
    train(adam(m, nll, repeat(minibatch(c.x, c.y, 20, {.shuffle = true}), 3)));
    set_threads(before);
    return m;
  };
  const MLP one = run(1);
  EXPECT_TRUE(same_bits(one, run(1)));
  EXPECT_TRUE(same_bits(one, run(3)));
}
/// Every kind of layer, large enough that the kernels share their work.
struct Everything {
  Conv conv1{.height = 5, .width = 5, .inout = {3, 20}, .activation = relu, .padding = 2};
  BatchNorm norm{.channels = 20};
  Conv conv2{.height = 3, .width = 3, .inout = {20, 96}, .padding = 1, .stride = 2};
  Conv conv3{.height = 3, .width = 3, .inout = {96, 96}, .padding = 1, .groups = 2};
  Conv depthwise{.height = 3, .width = 3, .inout = {96, 96}, .padding = 1, .groups = 96};
  GRU gru{.input = 96, .hidden = 64, .layers = 2, .bidirectional = true, .dropout = 0.1};
  LSTM lstm{.input = 128, .hidden = 64};
  Transformer block{.size = 64, .heads = 4, .hidden = 128};
  Linear output{.input = 64, .output = 4};
  Tensor operator()(const Tensor& x) const {
    const Tensor h = depthwise(conv3(pool(conv2(norm(conv1(x))))));
    const Tensor steps = h.flatten(2).transpose(1, 2).contiguous();
    return output(mean(block(lstm(gru(steps).y).y), 1));
  }
};
TEST(Training, TheSameBitsForAnyNumberOfThreads) {
  const auto run = [](int n) {
    const int before = threads();
    set_threads(n);
    seed(5);
    Everything m;
    const Tensor x = randn({16, 3, 32, 32}), y = randint(0, 4, {16});
    Optimizer o(m, Adam{.lr = 1e-3});
    for (int i = 0; i < 2; ++i) o.step(diff([&] { return nll(m(x), y); }));
    set_threads(before);
    return m;
  };
  const Everything one = run(1);
  for (const int n : {2, 3, 5}) {
    const Everything other = run(n);
    auto a = named_params(one), b = named_params(other);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const Tensor p = Tensor(*a[i].param).contiguous(), q = Tensor(*b[i].param).contiguous();
      EXPECT_EQ(0, std::memcmp(p.data<float>(), q.data<float>(),
                               static_cast<std::size_t>(p.numel()) * sizeof(float)))
          << a[i].name << " with " << n << " threads";
    }
  }
}
TEST(Training, StoppingAndGoingOnLosesNothing) {
  const Clouds c;
  const auto data = minibatch(c.x, c.y, 20);
  seed(4);
  MLP a{{2, 8, 2}};
  MLP b = a;
  train(adam(a, nll, repeat(data, 4)));
  auto steps = adam(b, nll, repeat(data, 2));  // twice over the same range: the optimiser keeps its state
  train(steps);
  train(steps);
  EXPECT_TRUE(same_bits(a, b));
}
TEST(ModelFiles, RoundTripGoesOnWithTheSameBits) {
  const Folder folder;
  const Clouds c;
  const auto data = minibatch(c.x, c.y, 20);
  MLP a{{2, 8, 2}};
  train(sgd(a, nll, data));
  save(folder / "m.safetensors", a);
  MLP b{{2, 8, 2}};
  load(folder / "m.safetensors", b);
  EXPECT_TRUE(same_bits(a, b));
  train(sgd(a, nll, data));
  train(sgd(b, nll, data));
  EXPECT_TRUE(same_bits(a, b));
}
TEST(ModelFiles, RefusesWhatDoesNotFitAndNamesItAll) {
  const Folder folder;
  const MLP small{{2, 8, 2}};
  save(folder / "m.safetensors", small);
  MLP other{{2, 9, 2, 2}};
  const MLP before = other;
  try {
    load(folder / "m.safetensors", other);
    FAIL();
  } catch (const Error& e) {
    const std::string text = e.what();
    EXPECT_NE(text.find("layers.0.weight"), std::string::npos) << text;  // another shape
    EXPECT_NE(text.find("layers.2.weight"), std::string::npos) << text;  // missing
    EXPECT_NE(text.find("[8, 2]"), std::string::npos) << text;
  }
  EXPECT_TRUE(same_bits(before, other));
  std::ofstream(folder / "garbage.safetensors") << "garbage";
  EXPECT_THROW(load(folder / "garbage.safetensors", other), Error);
  EXPECT_THROW(load(folder / "absent.safetensors", other), Error);
  EXPECT_TRUE(same_bits(before, other));
}
TEST(Inference, FromSeveralThreads) {
  const MLP m{{16, 32, 4}};
  const Tensor x = randn({8, 16}), expected = m(x);
  std::vector<std::thread> all;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    all.emplace_back([&] {
      for (int k = 0; k < 200; ++k) wrong += !equal(m(x), expected);
    });
  }
  for (auto& t : all) t.join();
  EXPECT_EQ(wrong, 0);
}
TEST(Mnist, TrainsOnRealImages) {
  const std::string folder = KNET_SOURCE_DIR "/../shared/data/mnist";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there";
  seed(1);
  auto [xtrn, ytrn, xtst, ytst] = datasets::mnist(folder);
  MLP m{{784, 64, 10}};
  train(sgd(m, nll, minibatch(mat(xtrn), ytrn, 100, {.shuffle = true})));
  EXPECT_GT(accuracy(m, minibatch(mat(xtst), ytst, 100)), 0.9);
}
}  // namespace
