// Tar archives (ustar, GNU's long names, pax), plain or gzipped, read from front to back; unpack.hpp puts
// them on a disk.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace knet::io {

/// One file or folder of an archive.
struct TarEntry {
  std::string name;  ///< as stored; a folder's without the slash at its end
  std::uint64_t size = 0;
  enum Kind { file, folder, other } kind = file;  ///< other: links, devices, pipes
};

/// The entries one after the other. IoError with the archive's name and the place (in the unpacked bytes) for
/// damage, wrong checksums, and archives that end too early.
class TarReader {
 public:
  explicit TarReader(const std::string& path);
  /// The same over memory, which must outlive the reader; `name` stands for the path in messages.
  TarReader(std::span<const std::byte> memory, std::string name);
  ~TarReader();

  /// Goes to the next entry; false at the end.
  bool next(TarEntry&);
  /// The next bytes of the entry's contents; fewer than asked for only at their end.
  std::size_t read(void* to, std::size_t bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knet::io
