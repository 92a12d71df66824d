// Checkpoints: a folder with the last few checkpoints of a run, and the best ones.
//
//   Checkpoints kept("runs/a", {.keep_last = 3, .metric = "accuracy", .maximize = true});
//   kept.resume(run);
//   while (run.epoch < 10) {
//     ...
//     ++run.epoch;
//     run.metrics["accuracy"] = accuracy(net, test);
//     kept.save(run);
//   }
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "knet/train/checkpoint.hpp"

namespace knet {

struct CheckpointsOptions {
  int keep_last = 3;        ///< at least 1
  int keep_best = 1;        ///< by `metric`, besides the last ones
  std::string metric = "";  ///< a name in run.metrics; "": none is best
  bool maximize = false;    ///< larger is better
};

/// Files "checkpoint-000001.safetensors", numbered as they are written. One process at a time may write.
class Checkpoints {
 public:
  /// Of no folder: on() is false, everything else a ValueError.
  Checkpoints() = default;
  /// The folder is made when the first checkpoint is. ValueError for options that make no sense.
  explicit Checkpoints(std::string folder, CheckpointsOptions o = {});
  bool on() const { return !folder_.empty(); }

  /// Writes the next file, then removes those that are neither among the last nor the best. ValueError when
  /// run.metrics lacks the metric; IoError when writing fails, with all files as they were.
  std::string save(const Checkpoint& run) const;
  /// Loads the latest; false, and nothing done, when there is none. IoError when it does not fit or was
  /// damaged by somebody (a kill or a full disk in save() does not): removing that file leads to the one
  /// before.
  bool resume(Checkpoint& run, CheckpointLoad = {}) const;
  /// Loads the best; IoError when there is none.
  void load_best(Checkpoint& run, CheckpointLoad = {}) const;

  /// The file written last, "" when there is none.
  std::string latest() const;
  /// The file with the best metric, the earliest of equals; "" when no file has a metric that is a number.
  std::string best() const;
  /// All that can be read, oldest first.
  std::vector<CheckpointInfo> list() const;

 private:
  struct File {
    std::string path;
    std::uint64_t number = 0;
  };
  std::vector<File> files() const;  // oldest first
  void check() const;
  std::vector<CheckpointInfo> ranked() const;  // best first
  std::string folder_;
  CheckpointsOptions o_;
};

}  // namespace knet
