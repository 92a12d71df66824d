// Every step from the target folder to a file goes through openat without following links, so that neither a
// name of the archive nor a link that lies in the folder leads outside.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/tar.hpp"

namespace knet::io {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class Unpacking {
 public:
  Unpacking(const std::string& path, const std::string& folder) : path_(path), folder_(folder) {
    if (mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) failed(folder);
    top_ = Descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (top_.get() < 0) failed(folder);
  }

  void make(const TarEntry& e, TarReader& from) {
    std::vector<std::string> parts = split(e);
    if (parts.empty()) {
      if (e.kind == TarEntry::folder) return;  // the folder itself
      refuse(e, "is no name for a file");
    }
    const std::string last = parts.back();
    parts.pop_back();
    Descriptor at(dup(top_.get()));
    if (at.get() < 0) failed(folder_);
    for (const auto& p : parts) at = enter(at.get(), p, e);
    if (e.kind == TarEntry::folder)
      enter(at.get(), last, e);
    else
      write(at.get(), last, e, from);
  }

  [[noreturn]] void refuse(const TarEntry& e, const char* what) const {
    std::string name = e.name.substr(0, 200);
    for (char& c : name)
      if (static_cast<unsigned char>(c) < ' ') c = '?';  // a message ends at a null byte
    fail<IoError>("unpack_tar: ", path_, ": \"", name, "\" ", what);
  }

 private:
  [[noreturn]] void failed(const std::string& what) const {
    const int error = errno;
    fail<IoError>("unpack_tar: ", path_, ": ", what, ": ", std::strerror(error));
  }
  std::vector<std::string> split(const TarEntry& e) const {
    const std::string& n = e.name;
    if (n.size() > 4096) refuse(e, "is too long a name");
    if (n.find('\0') != std::string::npos) refuse(e, "holds a null byte");
    if (n.starts_with('/')) refuse(e, "is an absolute path");
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= n.size();) {
      const std::size_t next = std::min(n.find('/', at), n.size());
      const std::string p = n.substr(at, next - at);
      if (p == "..") refuse(e, "leads outside the folder");
      if (!p.empty() && p != ".") parts.push_back(p);
      at = next + 1;
    }
    return parts;
  }
  Descriptor enter(int at, const std::string& name, const TarEntry& e) const {
    if (mkdirat(at, name.c_str(), 0777) != 0 && errno != EEXIST) failed(e.name);
    Descriptor d(openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (d.get() < 0) {
      if (errno == ELOOP || errno == ENOTDIR) refuse(e, "goes through something that is a link or no folder");
      failed(e.name);
    }
    return d;
  }
  void write(int at, const std::string& name, const TarEntry& e, TarReader& from) {
    const std::string temporary = text(".knet-", getpid(), '-', counter_++);
    const Descriptor f(
        openat(at, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (f.get() < 0) failed(e.name);
    try {
      while (const std::size_t n = from.read(buffer_.data(), buffer_.size())) {
        for (std::size_t done = 0; done < n;) {
          const auto k = ::write(f.get(), buffer_.data() + done, n - done);
          if (k < 0 && errno == EINTR) continue;
          if (k == 0) errno = ENOSPC;
          if (k <= 0) failed(e.name);
          done += static_cast<std::size_t>(k);
        }
      }
      if (renameat(at, temporary.c_str(), at, name.c_str()) != 0) failed(e.name);
    } catch (...) {
      unlinkat(at, temporary.c_str(), 0);
      throw;
    }
  }

  std::string path_, folder_;
  Descriptor top_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(1 << 16);
  unsigned counter_ = 0;
};

}  // namespace

std::vector<std::string> unpack_tar(const std::string& path, const std::string& folder,
                                    const UnpackOptions& o) {
  TarReader reader(path);
  Unpacking to(path, folder);
  std::vector<std::string> names;
  std::uint64_t bytes = 0, count = 0;
  for (TarEntry e; reader.next(e);) {
    if (e.kind == TarEntry::other) to.refuse(e, "is a link, a device or a pipe");
    if (++count > o.max_files)
      fail<IoError>("unpack_tar: ", path, ": has more than the ", o.max_files, " files expected at most");
    if (e.size > o.max_bytes - bytes)
      fail<IoError>("unpack_tar: ", path, ": holds more than the ", o.max_bytes, " bytes expected at most");
    bytes += e.size;
    to.make(e, reader);
    if (e.kind == TarEntry::file) names.push_back(e.name);
  }
  return names;
}

}  // namespace knet::io
