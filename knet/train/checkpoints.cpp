#include "knet/train/checkpoints.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "knet/base/text.hpp"

namespace knet {
namespace {
namespace fs = std::filesystem;

constexpr std::string_view begin = "checkpoint-", ending = ".safetensors";

// What a killed process was writing lies beside the checkpoints as ".knet-PID-...". It is removed when that
// process is gone, or (its number may mean another machine's process, or be in use again) an hour old.
void remove_leftovers(const std::string& folder) {
  std::error_code error;
  for (const auto& f : fs::directory_iterator(folder, error)) {
    const std::string name = f.path().filename().string();
    if (!name.starts_with(".knet-")) continue;
    long pid = 0;
    std::from_chars(name.data() + 6, name.data() + name.size(), pid);
    const bool gone = pid > 0 && kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
    const auto written = fs::last_write_time(f.path(), error);
    if (error) continue;
    if (gone || fs::file_time_type::clock::now() - written > std::chrono::hours(1))
      fs::remove(f.path(), error);
  }
}

}  // namespace

Checkpoints::Checkpoints(std::string folder, CheckpointsOptions o)
    : folder_(std::move(folder)), o_(std::move(o)) {
  if (folder_.empty()) fail<ValueError>("Checkpoints: the folder has no name");
  if (o_.keep_last < 1 || o_.keep_best < 0) {
    fail<ValueError>("Checkpoints: keep_last ", o_.keep_last, ", keep_best ", o_.keep_best,
                     "; expected at least 1 and 0");
  }
}

void Checkpoints::check() const {
  if (!on()) fail<ValueError>("Checkpoints: no folder was given");
}

std::vector<Checkpoints::File> Checkpoints::files() const {
  check();
  std::vector<File> r;
  std::error_code error;
  if (!fs::exists(folder_, error)) return r;
  fs::directory_iterator it(folder_, error);
  if (error) fail<IoError>("Checkpoints: ", folder_, ": ", error.message());
  for (const auto& f : it) {
    const std::string name = f.path().filename().string();
    if (!name.starts_with(begin) || !name.ends_with(ending)) continue;
    File file{f.path().string(), 0};
    const char* last = name.data() + name.size() - ending.size();
    const auto [p, e] = std::from_chars(name.data() + begin.size(), last, file.number);
    if (e == std::errc() && p == last) r.push_back(std::move(file));
  }
  std::sort(r.begin(), r.end(), [](const File& a, const File& b) { return a.number < b.number; });
  return r;
}

std::string Checkpoints::save(const Checkpoint& run) const {
  check();
  if (!o_.metric.empty() && !run.metrics.contains(o_.metric)) {
    std::string names;
    for (const auto& [name, x] : run.metrics) names += (names.empty() ? "" : ", ") + name;
    fail<ValueError>("Checkpoints: run.metrics has no \"", o_.metric, "\" (it has: ", names, ")");
  }
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail<IoError>("Checkpoints: ", folder_, ": can not be made: ", error.message());
  const auto there = files();
  char name[64];
  std::snprintf(name, sizeof name, "checkpoint-%06llu.safetensors",
                static_cast<unsigned long long>(there.empty() ? 1 : there.back().number + 1));
  const std::string path = (fs::path(folder_) / name).string();
  run.save(path);
  // Only now may an older one go.
  std::vector<std::string> keep;
  for (const CheckpointInfo& i : ranked()) {
    if (keep.size() < static_cast<std::size_t>(o_.keep_best)) keep.push_back(i.file);
  }
  const auto now = files();
  const auto last = static_cast<std::size_t>(o_.keep_last);
  for (std::size_t i = 0; i + last < now.size(); ++i) {
    if (std::find(keep.begin(), keep.end(), now[i].path) == keep.end()) fs::remove(now[i].path, error);
  }
  remove_leftovers(folder_);
  return path;
}

bool Checkpoints::resume(Checkpoint& run, CheckpointLoad o) const {
  const std::string file = latest();
  if (file.empty()) return false;
  run.load(file, o);
  return true;
}
void Checkpoints::load_best(Checkpoint& run, CheckpointLoad o) const {
  const std::string file = best();
  if (file.empty())
    fail<IoError>("Checkpoints: ", folder_, " has no checkpoint with a metric \"", o_.metric, "\"");
  run.load(file, o);
}

std::string Checkpoints::latest() const {
  const auto all = files();
  return all.empty() ? "" : all.back().path;
}
std::vector<CheckpointInfo> Checkpoints::ranked() const {
  std::vector<CheckpointInfo> r;
  if (o_.metric.empty()) return r;
  for (CheckpointInfo& i : list()) {
    const auto it = i.metrics.find(o_.metric);
    if (it != i.metrics.end() && !std::isnan(it->second)) r.push_back(std::move(i));
  }
  std::stable_sort(r.begin(), r.end(), [&](const CheckpointInfo& a, const CheckpointInfo& b) {
    const double x = a.metrics.at(o_.metric), y = b.metrics.at(o_.metric);
    return o_.maximize ? x > y : x < y;
  });
  return r;
}
std::string Checkpoints::best() const {
  const auto all = ranked();
  return all.empty() ? "" : all.front().file;
}
std::vector<CheckpointInfo> Checkpoints::list() const {
  std::vector<CheckpointInfo> r;
  for (const File& f : files()) {
    try {
      r.push_back(checkpoint_info(f.path));
    } catch (const IoError&) {
      // Somebody else damaged it: neither the best nor the end of the run that writes here.
    }
  }
  return r;
}

}  // namespace knet
