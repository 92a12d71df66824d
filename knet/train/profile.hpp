// Where the time goes: while a Profile lives, every thread's kernels, operators and scopes are timed. It
// gives a Chrome trace (chrome://tracing, ui.perfetto.dev) and a table of totals.
//
//   {
//     Profile p("trace.json");
//     train(steps);
//     std::cerr << p.table();
//   }
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace knet {

/// The time spent under one name.
struct ProfileTotal {
  std::string kind;  ///< "kernel", "forward", "backward" or "scope"
  std::string name;  ///< "matmul", "unary tanh", the operator's or the scope's name
  std::int64_t count = 0;
  double seconds = 0;  ///< all of them together; forward, backward and scopes contain their kernels
  double share = 0;    ///< of the time since the Profile began, 0 to 1
  double flops = 0;    ///< two per multiply-add of products, convolutions, recurrences and attention
};
struct ProfileOptions {
  std::size_t max_events = 1'000'000;  ///< of the trace, 200 bytes each when written; totals go on after it
};

/// At most one at a time: a second one is a ValueError. Without one a scope or a recorded operator costs one
/// predictable branch, and a kernel nothing.
class Profile {
 public:
  /// Only totals.
  Profile() : Profile(std::string()) {}
  /// The trace is written to `path` at the end, as a whole or not at all; a failure is printed to stderr
  /// (call stop() to get it as an IoError).
  explicit Profile(std::string path, ProfileOptions = {});
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  /// Ends the measurement and writes the trace.
  void stop();
  /// So far, or until stop(): longest first.
  std::vector<ProfileTotal> totals() const;
  /// The same to read: count, total, mean, share.
  std::string table() const;
  /// Events that did not fit the trace.
  std::size_t dropped() const;

 private:
  std::string path_;
  double seconds_ = -1;
};

/// A part of the program in the trace: ProfileScope s("evaluate");
class ProfileScope {
 public:
  explicit ProfileScope(std::string_view name);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  std::uint64_t run_;
};

}  // namespace knet
