// Every step from the target folder to a file goes through openat without following links, so that neither a
// name of the archive nor a link that lies in the folder leads outside.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/input_file.hpp"
#include "knet/io/tar.hpp"
#include "knet/io/unpack.hpp"
#include "knet/io/zip.hpp"

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
  /// Counts what is to come against the limits.
  Unpacking(const char* who, const std::string& path, const UnpackOptions& o)
      : who_(who), path_(path), o_(o) {}

  /// IoError where the entry may not be unpacked.
  void admit(const TarEntry& e) {
    if (e.kind == TarEntry::other) refuse(e, "is a link, a device or a pipe");
    if (++files_ > o_.max_files)
      fail<IoError>(who_, ": ", path_, ": has more than the ", o_.max_files, " files expected at most");
    if (e.size > o_.max_bytes - bytes_)
      fail<IoError>(who_, ": ", path_, ": holds more than the ", o_.max_bytes, " bytes expected at most");
    bytes_ += e.size;
    if (split(e).empty() && e.kind != TarEntry::folder) refuse(e, "is no name for a file");
  }

  void open_folder(const std::string& folder) {
    if (mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) failed(folder);
    top_ = Descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (top_.get() < 0) failed(folder);
  }

  /// Makes the folder, or the file from what from.read(to, bytes) gives.
  template <class Reader>
  void make(const TarEntry& e, Reader& from) {
    std::vector<std::string> parts = split(e);
    if (parts.empty()) return;  // the folder itself
    const std::string last = parts.back();
    parts.pop_back();
    Descriptor at(dup(top_.get()));
    if (at.get() < 0) failed(e.name);
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
    fail<IoError>(who_, ": ", path_, ": \"", name, "\" ", what);
  }

 private:
  [[noreturn]] void failed(const std::string& what) const {
    const int error = errno;
    fail<IoError>(who_, ": ", path_, ": ", what, ": ", std::strerror(error));
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
  template <class Reader>
  void write(int at, const std::string& name, const TarEntry& e, Reader& from) {
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

  const char* who_;
  std::string path_;
  UnpackOptions o_;
  std::uint64_t bytes_ = 0, files_ = 0;
  Descriptor top_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(1 << 16);
  unsigned counter_ = 0;
};

// A member of a zip archive as an entry. Folders end in a slash; types are Unix's.
TarEntry entry_of(const ZipMember& m) {
  TarEntry e{m.name, m.bytes};
  const auto type = m.mode & S_IFMT;
  if (m.name.ends_with('/'))
    e.kind = type == 0 || type == S_IFDIR ? TarEntry::folder : TarEntry::other;
  else if (type != 0 && type != S_IFREG)
    e.kind = TarEntry::other;
  return e;
}

}  // namespace

std::vector<std::string> unpack_tar(const std::string& path, const std::string& folder,
                                    const UnpackOptions& o) {
  TarReader reader(path);
  Unpacking to("unpack_tar", path, o);
  to.open_folder(folder);
  std::vector<std::string> names;
  for (TarEntry e; reader.next(e);) {
    to.admit(e);
    to.make(e, reader);
    if (e.kind == TarEntry::file) names.push_back(e.name);
  }
  return names;
}

std::vector<std::string> unpack_zip(const std::string& path, const std::string& folder,
                                    const UnpackOptions& o) {
  const ByteSource source("unpack_zip", path);
  const ZipFile archive(source);
  Unpacking to("unpack_zip", path, o);
  for (const ZipMember& m : archive.members()) {
    const TarEntry e = entry_of(m);
    if (e.name.find('\\') != std::string::npos) to.refuse(e, "has a backslash in its name");
    if (e.kind == TarEntry::folder && m.bytes > 0) to.refuse(e, "is a folder with contents");
    to.admit(e);
  }
  to.open_folder(folder);
  std::vector<std::string> names;
  for (const ZipMember& m : archive.members()) {
    const TarEntry e = entry_of(m);
    ZipStream from(source, m);
    to.make(e, from);
    if (e.kind == TarEntry::file) names.push_back(e.name);
  }
  return names;
}

std::vector<std::string> unpack(const std::string& path, const std::string& folder, const UnpackOptions& o) {
  char first[2] = {};
  InputFile f("unpack", path);
  const bool zip = f.read(first, 2) == 2 && first[0] == 'P' && first[1] == 'K';
  return zip ? unpack_zip(path, folder, o) : unpack_tar(path, folder, o);
}

}  // namespace knet::io
