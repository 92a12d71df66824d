// A file that grows by whole pieces, which a kill at any moment leaves readable up to the last one written.
// Not installed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace knet {

class AppendFile {
 public:
  /// `who` names the caller in errors. With `fresh` the file must not exist yet.
  AppendFile(const char* who, std::string path, bool fresh);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  /// All of it at the end, or an IoError and the file as it was.
  void write(std::string_view bytes);
  /// The whole file.
  std::string read() const;
  void truncate(std::size_t size);
  /// Waits until it is on the disk.
  void sync();
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void failed(const char* what) const;
  const char* who_;
  std::string path_;
  int fd_;
};

}  // namespace knet
