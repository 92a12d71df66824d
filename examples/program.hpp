// What the programs of this folder share: the flags of a run with its logs and checkpoints, small images, the
// losses of generators, and what a classifier sees in their images.
//
//   Run run;
//   run.add(app);                                      // --seed, --threads, --log, --checkpoints, --quiet
//   run.begin();
//   run.state.model(net).optimizer(opt).value("data", dtrn);
//   for (run.resume(); run.epoch() < epochs;) {
//     run.each(dtrn, [&](const Batch& b) { ... });
//     run.finish({{"loss", loss}});                    // a row of the log, a checkpoint
//   }
#pragma once
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "knet/knet.hpp"

namespace program {

class Run {
 public:
  std::uint64_t seed = 1;
  bool quiet = false;
  knet::Checkpoint state;  ///< what a checkpoint holds

  void add(CLI::App& app) {
    app.add_option("--seed", seed, "of everything random");
    app.add_option("--threads", threads_, "threads of the kernels (default: all cores)")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--log", log_file_, "append a line per epoch to this file, CSV or (by its name) .jsonl");
    app.add_option("--checkpoints", folder_,
                   "write one per epoch to this folder, and go on from the last that is there");
    app.add_flag("--quiet", quiet, "no progress bar");
  }
  /// After the flags were read, before anything is made.
  void begin() {
    if (threads_ > 0) knet::set_threads(threads_);
    knet::seed(seed);
    if (log_file_.ends_with(".jsonl"))
      lines_.emplace(log_file_);
    else if (!log_file_.empty())
      csv_.emplace(log_file_);
    if (!folder_.empty()) kept_ = knet::Checkpoints(folder_, {.keep_last = 2});
  }
  /// The latest checkpoint, if there is one.
  void resume() {
    if (kept_.on() && kept_.resume(state))
      std::printf("going on after %lld epochs, from %s\n", static_cast<long long>(state.epoch),
                  kept_.latest().c_str());
  }
  std::int64_t epoch() const { return state.epoch; }
  /// Another epoch is done: its numbers to the log, and a checkpoint.
  void finish(knet::LogRow row) {
    ++state.epoch;
    row.insert(row.begin(), {"epoch", state.epoch});
    if (csv_) csv_->row(row);
    if (lines_) lines_->row(row);
    if (kept_.on()) kept_.save(state);
    std::fflush(stdout);
  }
  /// f(batch) for every batch, with a bar unless --quiet.
  template <class Data, class F>
  void each(Data&& data, F&& f) const {
    if (quiet) {
      for (auto&& b : data) f(b);
    } else {
      for (auto&& b : knet::progress(data)) f(b);
    }
  }
  /// All updates of a Minimize.
  template <class Steps>
  knet::TrainLog train(Steps& steps) const {
    return quiet ? knet::train(steps) : knet::train(knet::progress(steps));
  }

 private:
  int threads_ = 0;
  std::string log_file_, folder_;
  std::optional<knet::CsvLog> csv_;
  std::optional<knet::JsonLinesLog> lines_;
  knet::Checkpoints kept_;
};

/// --data, --folder and --limit.
struct SmallImages {
  std::string data = "mnist", folder = "";
  std::int64_t limit = -1;

  void add(CLI::App& app) {
    app.add_option("--data", data, "mnist or fashion_mnist")
        ->check(CLI::IsMember({"mnist", "fashion_mnist"}));
    app.add_option("--folder", folder, "where the IDX files are (default: searched)");
    app.add_option("--limit", limit, "use only so many images of each part");
  }
  knet::datasets::Mnist load(knet::DType xtype = knet::default_dtype()) const {
    return data == "mnist" ? knet::datasets::mnist(folder, limit, xtype)
                           : knet::datasets::fashion_mnist(folder, limit, xtype);
  }
};

/// The network that mnist_cnn trains.
inline auto small_cnn() {
  using namespace knet;
  return Chain{Conv{.height = 5, .width = 5, .inout = {1, 12}, .activation = relu},
               Pool{.window = 2},
               Conv{.height = 5, .width = 5, .inout = {12, 12}, .activation = Tanh{}},
               Pool{.window = 2},
               mat,
               Dense{.input = 4 * 4 * 12, .output = 13, .activation = Tanh{}},
               Linear{.input = 13, .output = 10}};
}

/// What a classifier that mnist_cnn --save wrote sees in images [N, 1, 28, 28] from 0 to 1: how many of each
/// kind, and exp(mean KL(p(kind | image) || p(kind))), which is 1 for images that all look alike or like
/// nothing and at most 10 (the inception score of Salimans et al. 2016, arXiv:1606.03498, with this
/// classifier).
inline void print_kinds(const std::string& classifier, const char* what, const knet::Tensor& images) {
  using namespace knet;
  auto model = small_cnn();
  load(classifier, model);
  const Tensor scores = model(images), p = softmax(scores), all = p.mean(0).unsqueeze(0);
  const double score = std::exp(sum(p * (logp(scores) - log(all + 1e-12)), 1).mean().item());
  const Tensor seen = scores.argmax(1);
  int kinds = 0;
  std::printf("%s:", what);
  for (int kind = 0; kind < 10; ++kind) {
    const auto count = (seen == static_cast<double>(kind)).to(i64).sum().item<int>();
    std::printf(" %d", count);
    kinds += count > 0;
  }
  std::printf(" of the kinds 0 to 9; score %.3f\n%d different kinds\n", score, kinds);
}

/// The losses of a discriminator on its scores before the sigmoid: -log(sigm(s)) stays finite where the
/// seed's log(sigm(s) + 1e-8) does not.
inline knet::Tensor real_loss(const knet::Tensor& scores) { return -knet::mean(knet::log_sigm(scores)); }
inline knet::Tensor fake_loss(const knet::Tensor& scores) { return -knet::mean(knet::log_sigm(-scores)); }

/// "samples-%02d.png" with the number of an epoch.
inline std::string numbered(const std::string& pattern, std::int64_t i) {
  const auto at = pattern.find("%02d");
  if (at == std::string::npos) return pattern;
  char digits[24];
  std::snprintf(digits, sizeof digits, "%02lld", static_cast<long long>(i));
  return pattern.substr(0, at) + digits + pattern.substr(at + 4);
}

/// A whole text. IoError when it can not be read, ValueError when it is not UTF-8.
inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string s;
  if (in) s.assign(std::istreambuf_iterator<char>(in), {});
  if (!in || in.bad()) throw knet::IoError(path + " can not be read");
  if (!knet::unicode::is_utf8(s)) throw knet::ValueError(path + " is not UTF-8");
  return s;
}

}  // namespace program
