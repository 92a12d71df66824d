#include "knet/io/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "knet/base/text.hpp"

namespace knet::io {

InputFile::InputFile(const char* who, std::string path) : who_(who), path_(std::move(path)) {
  // Without O_NONBLOCK, opening a pipe would wait for a writer before it could be refused.
  fd_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail<IoError>(who, ": ", path_, ": ", std::strerror(errno));
  struct stat s {};
  const bool known = fstat(fd_, &s) == 0;
  const int error = errno;
  if (known && S_ISREG(s.st_mode)) {
    size_ = static_cast<std::uint64_t>(s.st_size);
    return;
  }
  close(fd_);
  if (!known) fail<IoError>(who, ": ", path_, ": ", std::strerror(error));
  fail<IoError>(who, ": ", path_, ": is ", S_ISDIR(s.st_mode) ? "a folder" : "a pipe or device",
                " (expected a regular file)");
}

InputFile::~InputFile() { close(fd_); }

std::size_t InputFile::read_from(std::uint64_t position, void* to, std::size_t bytes) const {
  std::size_t done = 0;
  while (done < bytes) {
    const std::size_t part = std::min<std::size_t>(bytes - done, std::size_t{1} << 30);
    const auto n = pread(fd_, static_cast<char*>(to) + done, part, static_cast<off_t>(position + done));
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR) continue;
      fail<IoError>(who_, ": ", path_, ": ", std::strerror(errno));
    }
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::size_t InputFile::read(void* to, std::size_t bytes) {
  const std::size_t n = read_from(position_, to, bytes);
  position_ += n;
  return n;
}

void InputFile::read_all(void* to, std::size_t bytes) {
  read_at(position_, to, bytes);
  position_ += bytes;
}

void InputFile::read_at(std::uint64_t position, void* to, std::size_t bytes) const {
  const std::size_t n = read_from(position, to, bytes);
  if (n < bytes) {
    fail<IoError>(who_, ": ", path_, ": truncated while it was read: ", n, " bytes where ", bytes,
                  " were expected");
  }
}

}  // namespace knet::io
