// libFuzzer: any bytes unpack into a folder or are an Error. The folder then holds files and folders within
// the limits and no links, and beside it there is nothing new.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "knet/base/error.hpp"
#include "knet/io/unpack.hpp"

namespace {

namespace fs = std::filesystem;

// A folder of this process, in memory where the system has such a place.
const fs::path& place() {
  static const fs::path p = [] {
    const fs::path shm = "/dev/shm";
    const auto q = (fs::is_directory(shm) ? shm : fs::temp_directory_path()) /
                   ("knet-unpack-fuzz-" + std::to_string(getpid()));
    fs::remove_all(q);
    fs::create_directory(q);
    std::atexit([] { fs::remove_all(place()); });
    return q;
  }();
  return p;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fs::path archive = place() / "archive", folder = place() / "out";
  std::ofstream(archive, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  constexpr knet::io::UnpackOptions limits{.max_bytes = 1 << 16, .max_files = 20};
  try {
    const auto names = knet::io::unpack(archive, folder, limits);
    if (names.size() > limits.max_files) std::abort();
  } catch (const knet::Error&) {
  }
  // An archive may hold any name, but not foresee this process's temporary ones. Hashed, since the fuzzer
  // reads comparisons of text and takes them for hints.
  const std::string temporary = ".knet-" + std::to_string(getpid()) + "-";
  const std::hash<std::string> hash;
  std::uintmax_t bytes = 0;
  if (fs::is_directory(folder)) {
    for (const auto& e : fs::recursive_directory_iterator(folder)) {
      if (e.is_symlink() || (!e.is_regular_file() && !e.is_directory())) std::abort();
      if (e.is_regular_file()) bytes += e.file_size();
      if (hash(e.path().filename().string().substr(0, temporary.size())) == hash(temporary)) std::abort();
    }
  }
  if (bytes > limits.max_bytes) std::abort();
  fs::remove_all(folder);
  fs::remove(archive);
  if (!fs::is_empty(place())) std::abort();
  return 0;
}
