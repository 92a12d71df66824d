#include "knet/train/append_file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "knet/base/text.hpp"

namespace knet {

AppendFile::AppendFile(const char* who, std::string path, bool fresh) : who_(who), path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (fresh ? O_EXCL : 0), 0666);
  if (fd_ < 0) failed("cannot be opened");
}
AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::failed(const char* what) const {
  fail<IoError>(who_, ": ", path_, " ", what, ": ", static_cast<const char*>(std::strerror(errno)));
}
void AppendFile::write(std::string_view bytes) {
  struct stat before {};
  if (::fstat(fd_, &before) != 0) failed("cannot be read");
  if (before.st_nlink == 0) {  // the system would take it, and nobody ever see it
    errno = ENOENT;
    failed("has been removed");
  }
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int why = errno;
      static_cast<void>(::ftruncate(fd_, before.st_size) == 0);  // readers skip what stays of a cut piece
      errno = why;
      failed("cannot be written");
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}
std::string AppendFile::read() const {
  std::string all;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::pread(fd_, buffer, sizeof buffer, static_cast<off_t>(all.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failed("cannot be read");
    if (n == 0) return all;
    all.append(buffer, static_cast<std::size_t>(n));
  }
}
void AppendFile::truncate(std::size_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) failed("cannot be cut");
}
void AppendFile::sync() {
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP) failed("cannot be written");
}

}  // namespace knet
