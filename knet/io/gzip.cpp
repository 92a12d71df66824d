#include "knet/io/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/input_file.hpp"

namespace knet::io {
namespace {

constexpr std::size_t chunk = std::size_t{1} << 30;  // zlib counts in unsigned int
constexpr int gzip_window = 15 + 16;                 // the largest window, in a gzip wrapper

}  // namespace

struct ByteStream::Impl {
  const char* who;
  std::string name;
  std::optional<InputFile> file;
  std::span<const std::byte> memory;  // what is left of it
  std::uint64_t stored = 0;
  bool compressed = false, ended = false;
  int members = 0;  // read completely
  z_stream z{};
  std::array<unsigned char, 1 << 16> buffer;

  std::size_t source(void* to, std::size_t bytes) {
    if (file) return file->read(to, bytes);
    const std::size_t n = std::min(bytes, memory.size());
    if (n > 0) std::memcpy(to, memory.data(), n);
    memory = memory.subspan(n);
    return n;
  }
  bool refill() {
    if (z.avail_in > 0) return true;
    z.next_in = buffer.data();
    z.avail_in = static_cast<uInt>(source(buffer.data(), buffer.size()));
    return z.avail_in > 0;
  }
  void start() {
    const auto n = source(buffer.data(), 2);
    compressed = n == 2 && buffer[0] == 0x1f && buffer[1] == 0x8b;
    if (!compressed) {
      ended = n == 0;
      z.next_in = buffer.data(), z.avail_in = static_cast<uInt>(n);  // read() hands these out first
      return;
    }
    z.next_in = buffer.data(), z.avail_in = 2;
    if (inflateInit2(&z, gzip_window) != Z_OK)
      fail<Error>(who, ": ", name, ": zlib can not start: out of memory");
  }
  std::size_t read_plain(std::byte* to, std::size_t bytes) {
    const std::size_t first = std::min<std::size_t>(z.avail_in, bytes);
    if (first > 0) std::memcpy(to, z.next_in, first);
    z.next_in += first, z.avail_in -= static_cast<uInt>(first);
    return first + source(to + first, bytes - first);
  }
  std::size_t read_gzip(std::byte* to, std::size_t bytes) {
    std::size_t done = 0;
    while (done < bytes && !ended) {
      if (!refill()) {
        fail<IoError>(who, ": ", name, ": truncated: the compressed data stops after ", stored, " bytes");
      }
      const auto room = static_cast<uInt>(std::min(bytes - done, chunk));
      z.next_out = reinterpret_cast<unsigned char*>(to + done);
      z.avail_out = room;
      const int r = inflate(&z, Z_NO_FLUSH);
      done += room - z.avail_out;
      if (r == Z_STREAM_END) {
        ++members;
        ended = !refill();
        if (!ended) inflateReset(&z);  // another member, or rubbish, which its header check finds
      } else if (r == Z_MEM_ERROR) {
        fail<Error>(who, ": ", name, ": zlib is out of memory");
      } else if (r != Z_OK && r != Z_BUF_ERROR) {
        if (members > 0 && z.total_out == 0) {
          fail<IoError>(who, ": ", name, ": something that is not gzip follows the compressed data");
        }
        fail<IoError>(who, ": ", name, ": damaged gzip data: ", z.msg ? z.msg : "it needs a dictionary");
      }
    }
    return done;
  }
  ~Impl() {
    if (compressed) inflateEnd(&z);
  }
};

ByteStream::ByteStream(const char* who, const std::string& path) : impl_(std::make_unique<Impl>()) {
  impl_->who = who, impl_->name = path;
  impl_->file.emplace(who, path);
  impl_->stored = impl_->file->size();
  impl_->start();
}

ByteStream::ByteStream(const char* who, std::span<const std::byte> memory, std::string name)
    : impl_(std::make_unique<Impl>()) {
  impl_->who = who, impl_->name = std::move(name);
  impl_->memory = memory;
  impl_->stored = memory.size();
  impl_->start();
}

ByteStream::~ByteStream() = default;

const std::string& ByteStream::name() const { return impl_->name; }
bool ByteStream::compressed() const { return impl_->compressed; }
std::uint64_t ByteStream::stored() const { return impl_->stored; }

std::size_t ByteStream::read(void* to, std::size_t bytes) {
  auto* p = static_cast<std::byte*>(to);
  return impl_->compressed ? impl_->read_gzip(p, bytes) : impl_->read_plain(p, bytes);
}

std::vector<std::byte> ByteStream::read_rest(std::uint64_t limit) {
  std::vector<std::byte> r;
  std::size_t have = 0, next = std::size_t{1} << 16;
  if (!impl_->compressed)
    next = static_cast<std::size_t>(std::min<std::uint64_t>(impl_->stored + 1, SIZE_MAX / 2));
  while (have < limit) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(limit, next));
    if (size <= have) break;  // the file is as long as it was said to be
    r.resize(size);
    have += read(r.data() + have, size - have);
    if (have < size) break;
    next = 2 * size;
  }
  r.resize(have);
  return r;
}

namespace {

std::vector<std::byte> all(const char* who, ByteStream& s, std::uint64_t limit) {
  if (!s.compressed() && s.stored() > limit) {
    fail<IoError>(who, ": ", s.name(), ": has ", s.stored(), " bytes (expected at most ", limit, ")");
  }
  auto r = s.read_rest(limit);
  std::byte extra;
  if (s.read(&extra, 1) != 0) {
    fail<IoError>(who, ": ", s.name(), ": unfolds to more than the ", limit, " bytes expected at most");
  }
  return r;
}

}  // namespace

std::vector<std::byte> read_file(const std::string& path, std::uint64_t limit) {
  ByteStream s("read_file", path);
  return all("read_file", s, limit);
}

std::vector<std::byte> gunzip(std::span<const std::byte> bytes, std::uint64_t limit,
                              const std::string& name) {
  ByteStream s("gunzip", bytes, name);
  return all("gunzip", s, limit);
}

std::vector<std::byte> gzip(std::span<const std::byte> bytes, int level) {
  if (level < 0 || level > 9) fail<ValueError>("gzip: level ", level, " (expected 0 to 9)");
  z_stream z{};
  if (deflateInit2(&z, level, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    fail<Error>("gzip: zlib can not start: out of memory");
  }
  std::vector<std::byte> r(deflateBound(&z, bytes.size()));
  std::size_t out = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    const std::size_t in = std::min(bytes.size(), chunk), room = std::min(r.size() - out, chunk);
    z.next_in = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    z.avail_in = static_cast<uInt>(in);
    z.next_out = reinterpret_cast<unsigned char*>(r.data() + out);
    z.avail_out = static_cast<uInt>(room);
    state = deflate(&z, in == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    bytes = bytes.subspan(in - z.avail_in);
    out += room - z.avail_out;
  }
  deflateEnd(&z);
  r.resize(out);
  return r;
}

}  // namespace knet::io
