// Profile: a trace that nests, totals that add up, nothing left behind when it ends.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "knet/knet.hpp"

namespace {
using namespace knet;
using Json = nlohmann::json;

std::string path(const char* name) {
  return (std::filesystem::temp_directory_path() / ("knet_profile_" + std::to_string(::getpid()) + name))
      .string();
}
const ProfileTotal* find(const std::vector<ProfileTotal>& all, const std::string& kind,
                         const std::string& name) {
  for (const ProfileTotal& t : all) {
    if (t.kind == kind && t.name == name) return &t;
  }
  return nullptr;
}

TEST(Profile, TraceOfTrainingNests) {
  MLP model{.sizes = {20, 30, 3}};
  const Tensor x = randn({16, 20}), y = randint(0, 3, {16});
  Optimizer opt(model, SGD{});
  const std::string file = path("trace.json");
  {
    Profile p(file);
    EXPECT_THROW(Profile second, ValueError);
    for (int i = 0; i < 5; ++i) {
      const ProfileScope s("step \"one\"\n");
      opt.step(diff([&] { return nll(model(x), y); }));
    }
    std::thread([&] { model(x); }).join();
    p.stop();
    const auto totals = p.totals();
    const auto* matmul = find(totals, "kernel", "matmul");
    ASSERT_TRUE(matmul) << p.table();
    // 5 steps of forward and weight gradients, and the last layer's input gradient; one call on a thread
    const double flops = 2 * 16 * (20 * 30 + 30 * 3);
    EXPECT_EQ(matmul->flops, 5 * (2 * flops + 2 * 16 * 30 * 3) + flops) << p.table();
    ASSERT_TRUE(find(totals, "forward", "nll")) << p.table();
    EXPECT_EQ(find(totals, "forward", "nll")->count, 5);
    EXPECT_EQ(find(totals, "backward", "nll")->count, 5);
    EXPECT_EQ(find(totals, "scope", "step \"one\"\n")->count, 5);
    for (const ProfileTotal& t : totals) {
      EXPECT_GE(t.seconds, 0) << t.name;
      EXPECT_LE(t.share, 1.0) << t.name;
    }
    EXPECT_NE(p.table().find("GFLOP/s"), std::string::npos);
  }
  const Json trace = Json::parse(std::ifstream(file));
  std::filesystem::remove(file);
  std::map<int, std::vector<double>> open;  // per thread: where those around end
  std::map<std::string, int> kinds;
  double last = 0;
  for (const Json& e : trace.at("traceEvents")) {
    EXPECT_EQ(e.at("pid"), ::getpid());
    EXPECT_TRUE(e.at("name").is_string());
    if (e.at("ph") == "M") continue;
    const double begin = e.at("ts");
    EXPECT_GE(begin, last);
    last = begin;
    if (e.at("ph") == "C") {
      ++kinds["memory"];
      EXPECT_GT(e.at("args").at("in use").get<double>(), 0);
      continue;
    }
    ASSERT_EQ(e.at("ph"), "X");
    const double end = begin + e.at("dur").get<double>();
    auto& around = open[e.at("tid")];
    while (!around.empty() && around.back() <= begin) around.pop_back();
    if (!around.empty()) {
      EXPECT_LE(end, around.back() + 1e-3) << e;
    }
    around.push_back(end);
    ++kinds[e.at("cat")];
  }
  EXPECT_EQ(open.size(), 2u);
  EXPECT_EQ(kinds["scope"], 5);
  EXPECT_GT(kinds["memory"], 0);
  EXPECT_GT(kinds["kernel"], 20);
  EXPECT_EQ(kinds["forward"], 5 * 3);
  EXPECT_EQ(kinds["backward"], 5 * 3);
}
TEST(Profile, EndsCleanly) {
  const Tensor x = randn({4, 4});
  { const Profile p; }
  Profile p;
  matmul(x, x);
  p.stop();
  matmul(x, x);
  EXPECT_EQ(find(p.totals(), "kernel", "matmul")->count, 1);
  Profile next;  // p has stopped
  EXPECT_TRUE(next.totals().empty());
  EXPECT_THROW(diff([&]() -> Tensor { throw ValueError("no"); }), ValueError);
  matmul(x, x);
  EXPECT_EQ(next.totals().size(), 1u);
}
TEST(Profile, RefusesAFolderThatIsNotThereAndLimitsEvents) {
  EXPECT_THROW(Profile("/nonexistent/folder/trace.json"), IoError);
  const std::string file = path("short.json");
  Profile p(file, {.max_events = 3});
  const Tensor x = randn({4, 4});
  for (int i = 0; i < 5; ++i) matmul(x, x);
  p.stop();
  EXPECT_GE(p.dropped(), 2u);
  EXPECT_EQ(find(p.totals(), "kernel", "matmul")->count, 5);
  const Json trace = Json::parse(std::ifstream(file));
  std::filesystem::remove(file);
  EXPECT_EQ(trace.at("traceEvents").size(), 2u + 3u);
}
TEST(Profile, OverlappingThreads) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const Tensor x = randn({8, 8});
      while (!stop) {
        const ProfileScope s("work");
        matmul(x, tanh(x));
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const Profile p;
    const MLP model{.sizes = {4, 3}};
    summarize(model, zeros({1, 4}));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    static_cast<void>(p.table());
  }
  stop = true;
  for (auto& t : threads) t.join();
}

}  // namespace
