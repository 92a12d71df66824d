// Fetching files over https: into memory, into a file (going on where a cut connection stopped), or into the
// cache. Only where the library was built with libcurl.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "knet/io/unpack.hpp"

namespace knet::io {

/// Whether the library was built with libcurl.
bool can_download();
/// Whether $KNET_OFFLINE is set and not empty: then nothing is downloaded.
bool offline();

/// The bytes behind an https address. Gives up when no connection is made within 15 s, when less than 1 kB/s
/// arrives for 30 s, after 15 minutes, or when there are more than `limit` bytes. IoError says why; whoever
/// calls must check what came against a checksum.
std::vector<std::byte> download(const std::string& url, std::uint64_t limit);

struct DownloadOptions {
  std::string sha256 = {};                       ///< 64 hexadecimal digits the file must have; "": any
  std::uint64_t limit = std::uint64_t{1} << 40;  ///< more bytes are an error
  int attempts = 4;                              ///< connections, each going on where the last one was cut
  double pause = 1;   ///< seconds before the second attempt, doubled for each further one
  double stall = 30;  ///< seconds with less than 1 kB/s that end an attempt
  bool http = false;  ///< plain http too; only together with sha256
  bool bar = true;    ///< a bar on stderr, when that is a terminal and $KNET_QUIET is not set
  /// Called now and then with the bytes there are and the whole size (0 while it is unknown).
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
};
/// Downloads into `path`, whose folder must exist. What has arrived is kept beside it (`path`.part and
/// `path`.part.info) and a later call goes on from there, if the server says that it still has the same file.
/// Only a whole file with the right checksum takes the name `path`. Two processes that want the same file
/// wait for one another. Does nothing when `path` has the checksum already.
///
/// IoError with the address and the reason: no connection, an HTTP status such as 404, too many bytes, a
/// wrong checksum (the part is removed), a full disk, or $KNET_OFFLINE.
void download_file(const std::string& url, const std::string& path, const DownloadOptions& = {});

/// ($XDG_CACHE_HOME or ~/.cache)/knetlayers/name; "" when neither variable is set. Not created.
std::string cache_folder(const std::string& name);
/// The file's path in cache_folder(name), downloaded there when it is missing. The file's name is the last
/// part of the address.
std::string download_cached(const std::string& url, const std::string& name, const DownloadOptions& = {});
/// The folder of an unpacked archive (tar, tar.gz, tgz or zip; see unpack.hpp) in cache_folder(name),
/// downloaded and unpacked there when it is missing, so that it is there as a whole or not at all. It is
/// called as the archive without its ending: .../knetlayers/glue/CoLA for
///   download_unpacked("https://dl.fbaipublicfiles.com/glue/data/CoLA.zip", "glue")
/// The archive itself is removed then. ValueError for an address that does not end as an archive; IoError as
/// download_file() and unpack().
std::string download_unpacked(const std::string& url, const std::string& name, const DownloadOptions& = {},
                              const UnpackOptions& = {});

}  // namespace knet::io
