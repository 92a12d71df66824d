#include "knet/train/progress.hpp"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>

namespace knet {
namespace {
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
std::string clock_text(double seconds) {
  const auto s = static_cast<long>(seconds + 0.5);
  char b[40];
  if (s >= 3600)
    std::snprintf(b, sizeof b, "%02ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(b, sizeof b, "%02ld:%02ld", s / 60, s % 60);
  return b;
}
std::string bar(double share) {  // 20 cells in eighths
  static const char* const parts[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(share * 160);
  std::string r = "┣";
  for (int i = 0; i < 20; ++i)
    r += eighths >= 8 * (i + 1) ? "█" : eighths > 8 * i ? parts[eighths - 8 * i] : " ";
  return r + "┫ ";
}
}  // namespace

Meter::Meter(std::ptrdiff_t total, ProgressOptions o) : o_(std::move(o)), start_(now()), last_time_(start_) {
  info_.total = total;
  if (!o_.out) o_.out = stderr;
  terminal_ = isatty(fileno(o_.out)) != 0;
  quiet_ = std::getenv("KNET_QUIET") != nullptr;
  // A log file wants a line now and then, not a moving picture.
  if (o_.steps <= 0 && o_.seconds <= 0) o_.seconds = terminal_ ? 1 : 10;
}

bool Meter::tick(double value) {
  info_.value = value;
  info_.average = info_.done == 0 ? value : 0.99 * info_.average + 0.01 * value;
  ++info_.done;
  const bool due =
      (o_.steps > 0 && info_.done % o_.steps == 0) || (o_.seconds > 0 && now() - last_time_ >= o_.seconds);
  const bool first = info_.done == 1 && terminal_;
  if (!due && !first) return true;
  std::string message;
  if (o_.message) {
    message = o_.message(info_);
    if (message == "stop") return false;
  }
  draw(message, false);
  return true;
}

void Meter::done() { draw(o_.message ? o_.message(info_) : std::string(), true); }

void Meter::draw(const std::string& message, bool last) {
  if (quiet_) return;
  const double t = now(), elapsed = t - start_;
  const double span = last ? elapsed : t - last_time_;
  const auto count = static_cast<double>(last ? info_.done : info_.done - last_done_);
  const double speed = span > 0 ? count / span : 0;
  char b[160];
  std::string line;
  const std::string rate = [&] {
    char r[40];
    std::snprintf(r, sizeof r, speed >= 1 || speed == 0 ? "%.2fi/s" : "%.2fs/i",
                  speed >= 1 || speed == 0 ? speed : 1 / speed);
    return std::string(r);
  }();
  if (info_.total > 0) {
    const double share = static_cast<double>(info_.done) / static_cast<double>(info_.total);
    line = bar(std::fmin(share, 1));
    std::snprintf(b, sizeof b, "[%.2f%%, %td/%td, %s/%s, %s] ", 100 * share, info_.done, info_.total,
                  clock_text(elapsed).c_str(), clock_text(share > 0 ? elapsed / share : 0).c_str(),
                  rate.c_str());
  } else {
    std::snprintf(b, sizeof b, "[%td, %s, %s] ", info_.done, clock_text(elapsed).c_str(), rate.c_str());
  }
  line += b;
  if (message == "stop" || message.empty()) {
    std::snprintf(b, sizeof b, "%.4g", info_.average);
    line += b;
  } else {
    line += message;
  }
  std::fprintf(o_.out, terminal_ ? (last ? "\r%s\n" : "\r%s") : "%s\n", line.c_str());
  std::fflush(o_.out);
  last_time_ = t;
  last_done_ = info_.done;
}

bool Converge::operator()(double x) {
  if (first_) {
    first_ = false;
    average_ = x;
    return false;
  }
  const double change = x - average_;
  average_ = alpha_ * x + (1 - alpha_) * average_;
  change_ = alpha_ * change + (1 - alpha_) * change_;
  return change_ > 0;
}

}  // namespace knet
