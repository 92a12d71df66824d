#include "knet/io/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "knet/base/text.hpp"

namespace knet::io {
namespace {

// The file a chain of symbolic links ends at, so that the link stays and what it names is replaced.
std::string resolve(const std::string& path) {
  struct stat s {};
  if (lstat(path.c_str(), &s) != 0 || !S_ISLNK(s.st_mode)) return path;
  char* real = realpath(path.c_str(), nullptr);
  if (!real) return path;
  std::string r = real;
  std::free(real);
  return r;
}

std::string unique_name() {
  static std::atomic<unsigned> counter{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return text(".knet-", getpid(), '-', counter.fetch_add(1), '-', now);
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(resolve(path)) {
  const auto slash = path_.rfind('/');
  folder_ = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  struct stat old {};
  const bool exists = stat(path_.c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) {
    fail<IoError>("write: ", path_, ": is ", S_ISDIR(old.st_mode) ? "a folder" : "a pipe or device",
                  " (expected a regular file or a new name)");
  }
  do {
    temporary_ = folder_ + '/' + unique_name();
    // Not mkstemp: its 0600 would make every saved file private, whatever the umask says.
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) {
    temporary_.clear();
    failed("can not create a file beside it");
  }
  // Keeping the old permissions is a courtesy that some file systems can not do.
  if (exists && fchmod(fd_, old.st_mode & 07777) != 0) errno = 0;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::failed(const char* what) const {
  const int error = errno;
  fail<IoError>("write: ", path_, ": ", what, ": ", std::strerror(error));
}

void AtomicFile::write(const void* from, std::size_t bytes) {
  if (fd_ < 0) fail<IoError>("write: ", path_, ": is committed already");
  const auto* p = static_cast<const char*>(from);
  while (bytes > 0) {
    const auto n = ::write(fd_, p, std::min<std::size_t>(bytes, std::size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) failed("writing failed, the file is unchanged");
    p += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void AtomicFile::commit() {
  if (fd_ < 0) fail<IoError>("write: ", path_, ": is committed already");
  if (fsync(fd_) != 0) failed("flushing to the disk failed, the file is unchanged");
  if (close(std::exchange(fd_, -1)) != 0) failed("closing failed, the file is unchanged");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) failed("renaming failed, the file is unchanged");
  temporary_.clear();
  const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A folder that may be written but not read can not be flushed, and some file systems flush none.
  if (folder < 0) return;
  const bool flushed = fsync(folder) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
  const int error = errno;
  close(folder);
  errno = error;
  if (!flushed) failed("the new file is in place, but flushing its folder failed");
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile f(path);
  f.write(bytes.data(), bytes.size());
  f.commit();
}

}  // namespace knet::io
