// Writing a file so that there is always a whole one: the bytes go to another name in the same folder, reach
// the disk, and only then take the old file's place. A full disk, an error or a kill leaves the old file as
// it was.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace knet::io {

/// A file being written aside. Without commit() nothing happens to `path` and the bytes written are removed.
/// (A process that is killed in between leaves a file `.knet-*` in the folder.)
class AtomicFile {
 public:
  /// `path` may exist (as a regular file; a symbolic link is followed) or not; its folder must exist.
  /// IoError with the path and the system's reason.
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Appends bytes; IoError when the disk is full.
  void write(const void* from, std::size_t bytes);
  /// Flushes to the disk and puts the file in place, keeping the permissions of the one it replaces. IoError
  /// when anything fails.
  void commit();

 private:
  [[noreturn]] void failed(const char* what) const;
  void discard() noexcept;

  std::string path_, folder_, temporary_;
  int fd_ = -1;
};

/// Writes a whole file with AtomicFile.
void write_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace knet::io
