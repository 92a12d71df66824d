// Tar archives (ustar, GNU's long names, pax), plain or gzipped, read from front to back. They come from
// elsewhere and are not believed: names may not leave the folder, and links are not followed or made.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

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

struct UnpackOptions {
  std::uint64_t max_bytes = std::uint64_t{1} << 40;  ///< of all files together
  std::uint64_t max_files = 10'000'000;              ///< folders count
};
/// Unpacks into `folder`, which is made when it is missing (its parent must exist), and returns the files'
/// names. Each file is written aside and takes its name when it is whole; one that exists is replaced.
/// Owners, permissions and times of the archive are ignored.
///
/// IoError, beside the reader's: a name that is absolute, has `..` in it or is longer than 4,096 bytes; a
/// link, device or pipe; a symbolic link in the folder that lies in the way; more than the limits; a full
/// disk. Files before the offending one stay.
std::vector<std::string> unpack_tar(const std::string& path, const std::string& folder,
                                    const UnpackOptions& = {});

}  // namespace knet::io
