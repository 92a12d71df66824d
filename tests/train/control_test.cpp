// Averaged weights, early stopping, and train() with checkpoints, schedules and measurements.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "knet/knet.hpp"

namespace {
using namespace knet;
namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "knet-control-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};
struct One {
  Param w{Tensor{0.0}};
  Tensor operator()(const Tensor& x) const { return x * w; }
};
bool same(const MLP& a, const MLP& b) {
  const auto p = params(a), q = params(b);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!equal(p[i].value(), q[i].value())) return false;
  }
  return true;
}

TEST(Ema, IsTheSumOfDecayedWeights) {
  One m;
  Ema plain(m, {.decay = 0.5, .warmup = false}), warm(m, {.decay = 0.15});
  const auto value = [](const Ema& e) { return e.averages()[0].second.item(); };
  EXPECT_EQ(plain.averages()[0].first, "w");
  double a = 0, b = 0;
  for (int t = 0; t < 6; ++t) {
    m.w = Tensor{static_cast<double>(t + 1)};
    plain.update();
    warm.update();
    a = 0.5 * a + 0.5 * (t + 1);
    const double d = std::min(0.15, (1.0 + t) / (10 + t));
    b = d * b + (1 - d) * (t + 1);
    EXPECT_NEAR(value(plain), a, 1e-6);
    EXPECT_NEAR(value(warm), b, 1e-6);
  }
  {
    const auto with = plain.swap_in();
    EXPECT_NEAR(m.w.value().item(), a, 1e-6);
    EXPECT_THROW(plain.update(), ValueError);
    EXPECT_THROW([&] { const auto again = plain.swap_in(); }(), ValueError);
  }
  EXPECT_EQ(m.w.value().item(), 6);
  EXPECT_THROW(Ema(m, {.decay = 1}), ValueError);
  Folder folder;
  Checkpoint c;
  c.model(m).value("ema", plain).save(folder.path + "/a");
  One other;
  Ema e(other);
  Checkpoint d;
  d.model(other).value("ema", e).load(folder.path + "/a");
  EXPECT_EQ(value(e), value(plain));
  EXPECT_EQ(e.updates(), 6);
  MLP wrong{{2, 2}};
  Ema f(wrong);
  EXPECT_THROW(f.set_state(e.state()), ValueError);
}

TEST(EarlyStopping, GivesTheBestBack) {
  MLP m{{2, 3}};
  EarlyStopping stop(m, {.patience = 2, .margin = 0.1, .maximize = true});
  EXPECT_TRUE(std::isnan(stop.best()));
  std::vector<MLP> seen;
  const auto next = [&](double v) {
    m.layers[0].weight *= 1.5;
    seen.push_back(m);
    return stop(v);
  };
  EXPECT_FALSE(next(0.5));
  EXPECT_FALSE(next(std::nan("")));
  EXPECT_FALSE(next(0.7));
  EXPECT_FALSE(next(0.75));
  EXPECT_TRUE(next(0.2));
  EXPECT_EQ(stop.best(), 0.7);
  EXPECT_EQ(stop.best_at(), 3);
  stop.restore();
  EXPECT_TRUE(same(m, seen[2]));
  EXPECT_FALSE(same(m, seen[3]));
  EXPECT_THROW(EarlyStopping(m, {.patience = 0}), ValueError);
  MLP other{{2, 3, 3}};
  EarlyStopping wrong(other);
  EXPECT_THROW(wrong.set_state(stop.state()), ValueError);
}

struct Clouds {
  Tensor x, y;
  Clouds() {
    seed(11);
    y = randint(0, 2, {200});
    x = randn({200, 2}) + 1.5 * (2.0 * y.to(f32) - 1.0).reshape({200, 1});
  }
};
TEST(Train, StopsWithTheBestModelAndResumes) {
  const Clouds c;
  const auto data = minibatch(c.x, c.y, 20, {.shuffle = true});
  const MLP start{.sizes = {2, 8, 2}, .dropout = 0.2};
  // A measure of our own, best in the third epoch.
  const double scores[] = {0.1, 0.2, 0.9, 0.3, 0.4, 0.5, 0.6};
  std::vector<MLP> seen;
  MLP m = start;
  int epochs = 0;
  const auto options = [&](MLP& model) {
    return TrainOptions{.epochs = 7,
                        .progress = false,
                        .on_epoch =
                            [&](const Epoch& e) {
                              EXPECT_EQ(e.metrics.at("loss"), e.loss);
                              EXPECT_EQ(e.metrics.at("score"), scores[e.number - 1]);
                              epochs = e.number;
                              return true;
                            },
                        .schedule = schedule::step(0.01, 15, 0.5),
                        .clip_norm = 1,
                        .evaluate =
                            [&] {
                              seen.push_back(model);
                              return Metrics{{"score", scores[epochs]}};
                            },
                        .metric = "score",
                        .maximize = true,
                        .patience = 3};
  };
  seed(2);
  train(m, data, options(m));
  EXPECT_EQ(epochs, 6);
  EXPECT_TRUE(same(m, seen[2]));
  EXPECT_FALSE(same(m, seen[5]));

  // The same in three processes: two epochs, two more, and to the end.
  const Folder folder;
  MLP last = start;
  for (const int until : {2, 4, 7}) {
    MLP model = until == 2 ? start : MLP{.sizes = {2, 8, 2}, .dropout = 0.2};
    seed(until == 2 ? 2 : 50);
    epochs = until == 2 ? 0 : until - 2;
    if (until == 7) epochs = 4;
    TrainOptions o = options(model);
    o.epochs = until;
    o.checkpoints = Checkpoints(folder.path, {.metric = "score", .maximize = true});
    train(model, data, o);
    last = model;
  }
  EXPECT_EQ(epochs, 6);
  EXPECT_TRUE(same(last, m));
  // It has stopped: nothing is left to be done.
  seen.clear();
  MLP model{.sizes = {2, 8, 2}, .dropout = 0.2};
  TrainOptions o = options(model);
  o.checkpoints = Checkpoints(folder.path, {.metric = "score", .maximize = true});
  EXPECT_EQ(train(model, data, o).steps, 0u);
  EXPECT_TRUE(seen.empty());
  EXPECT_TRUE(same(model, m));
  o.checkpoints = {};
  o.metric = "other";
  EXPECT_THROW(train(model, data, o), ValueError);
}
TEST(Train, FollowsTheSchedule) {
  const Clouds c;
  MLP a{{2, 2}}, b = a;
  const Schedule rate = schedule::warmup(3, schedule::cosine(0.5, 20));
  train(a, minibatch(c.x, c.y, 20), {.optimizer = SGD{}, .epochs = 2, .progress = false, .schedule = rate});
  Optimizer opt(b, SGD{});
  for (int e = 0; e < 2; ++e) {
    for (const auto& [x, y] : minibatch(c.x, c.y, 20)) {
      opt.set_lr(rate(opt.steps()));
      opt.step(diff([&, x = x, y = y] { return nll(b(x), y); }));
    }
  }
  EXPECT_TRUE(same(a, b));
}

}  // namespace
