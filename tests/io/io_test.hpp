// What the tests of files share: a folder of their own, bytes, and a look at how much was allocated.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knet/base/error.hpp"
#include "knet/device/pool.hpp"

namespace io_test {

/// The largest single operator new since it was set to 0 (counted in allocations_test.cpp).
extern std::atomic<std::size_t> largest_new;

/// The most memory f() asked for at once, of operator new or of the tensors' pool.
template <class F>
std::size_t most_memory(const F& f) {
  knet::release_memory();
  const auto before = knet::memory_stats();
  largest_new = 0;
  f();
  const auto after = knet::memory_stats();
  // The pool's peak counts from the start of the program; below an older peak there is nothing to see.
  const std::size_t pool = after.peak > before.peak ? after.peak - before.in_use : 0;
  return std::max(largest_new.load(), pool);
}

using Bytes = std::vector<std::byte>;

inline Bytes bytes(std::string_view s) {
  const auto* p = reinterpret_cast<const std::byte*>(s.data());
  return Bytes(p, p + s.size());
}
inline std::string read(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}
inline void write(const std::string& path, std::string_view s) {
  std::ofstream(path, std::ios::binary).write(s.data(), static_cast<std::streamsize>(s.size()));
}
inline void write(const std::string& path, const Bytes& b) {
  write(path, std::string_view(reinterpret_cast<const char*>(b.data()), b.size()));
}
/// "00 ff 10" as bytes; spaces are left out.
inline std::string hex(std::string_view s) {
  std::string r, digits;
  for (char c : s) {
    if (c != ' ') digits += c;
  }
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    r += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return r;
}

/// The message of the IoError that f throws; a failure when it throws none.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const knet::IoError& e) {
    return e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << "another error: " << e.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}
inline testing::AssertionResult has(const std::string& message, const std::string& part) {
  if (message.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << message << "\" does not say \"" << part << "\"";
}

/// A folder that is removed at the end of the test.
class Folder : public testing::Test {
 protected:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "knet-io-XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  ~Folder() override { std::filesystem::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  /// Files in it, hidden ones too.
  std::size_t files() const {
    std::size_t n = 0;
    for ([[maybe_unused]] auto& f : std::filesystem::directory_iterator(folder)) ++n;
    return n;
  }
  std::string folder;
};

/// The project's root.
inline std::string root() { return KNET_SOURCE_DIR; }
inline std::string test_data(const std::string& name) { return root() + "/tests/data/" + name; }

}  // namespace io_test
