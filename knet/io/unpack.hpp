// Unpacking tar and zip archives into a folder. They come from elsewhere and are not believed: names may not
// leave the folder, and links are not followed or made.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace knet::io {

struct UnpackOptions {
  std::uint64_t max_bytes = std::uint64_t{1} << 40;  ///< of all files together
  std::uint64_t max_files = 10'000'000;              ///< folders count
};
/// Unpacks a tar archive, plain or gzipped, into `folder`, which is made when it is missing (its parent must
/// exist), and returns the files' names. Each file is written aside and takes its name when it is whole; one
/// that exists is replaced. Owners, permissions and times of the archive are ignored.
///
/// IoError, beside the reader's: a name that is absolute, has `..` in it or is longer than 4,096 bytes; a
/// link, device or pipe; a symbolic link in the folder that lies in the way; more than the limits; a full
/// disk. Files before the offending one stay.
std::vector<std::string> unpack_tar(const std::string& path, const std::string& folder,
                                    const UnpackOptions& = {});
/// The same for a zip archive (members stored or deflated, zip64; encrypted ones are an IoError). All names,
/// kinds and sizes are checked before anything is written. A backslash in a name is an IoError too: what it
/// means depends on who reads it.
std::vector<std::string> unpack_zip(const std::string& path, const std::string& folder,
                                    const UnpackOptions& = {});
/// Whichever of the two it is, told by its first bytes.
std::vector<std::string> unpack(const std::string& path, const std::string& folder,
                                const UnpackOptions& = {});

}  // namespace knet::io
