// A regular file open for reading, whose size is known before anything is believed of its contents.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace knet::io {

class InputFile {
 public:
  /// IoError, naming `who` and the path, when it can not be opened or is not a regular file (a folder, a
  /// pipe, a device: their size is unknown and reading them may never end).
  InputFile(const char* who, std::string path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  const std::string& path() const { return path_; }
  /// Bytes, as the file had when it was opened.
  std::uint64_t size() const { return size_; }
  /// The next `bytes` bytes; fewer only at the end of the file. IoError when the system reports one.
  std::size_t read(void* to, std::size_t bytes);
  /// The next `bytes` bytes; IoError when the file ends before.
  void read_all(void* to, std::size_t bytes);
  /// `bytes` bytes from a position, wherever reading is; IoError when the file ends before.
  void read_at(std::uint64_t position, void* to, std::size_t bytes) const;
  /// The file's descriptor, to map it.
  int descriptor() const { return fd_; }
  /// Reads on from this position.
  void seek(std::uint64_t position) { position_ = position; }

 private:
  std::size_t read_from(std::uint64_t position, void* to, std::size_t bytes) const;

  const char* who_;
  std::string path_;
  int fd_;
  std::uint64_t size_ = 0, position_ = 0;
};

}  // namespace knet::io
