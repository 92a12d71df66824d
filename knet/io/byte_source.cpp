#include "knet/io/byte_source.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "knet/io/input_file.hpp"
#include "knet/tensor/external.hpp"

namespace knet::io {

std::string shown(std::string_view s) {
  std::string r = "\"";
  for (char c : s.substr(0, 80)) r += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  return r += s.size() > 80 ? "...\"" : "\"";
}

struct ByteSource::File {
  InputFile f;
};
struct ByteSource::Mapping {
  std::shared_ptr<std::byte> bytes;
  std::mutex mutex;
  std::map<std::uint64_t, Tensor> lent;  // by position
};

ByteSource::ByteSource(const char* who, const std::string& path, bool map)
    : who_(who), name_(path), size_(0), file_(new File{{who, path}}) {
  size_ = file_->f.size();
  if (!map || size_ == 0) return;
  const auto n = static_cast<std::size_t>(size_);
  // Private and writable: a tensor alone with its memory is written in place, which gives this process its
  // own copy of the page and leaves the file as it is.
  void* p = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file_->f.descriptor(), 0);
  if (p == MAP_FAILED) bad("can not be mapped into memory: ", std::strerror(errno));
  mapping_ = std::make_unique<Mapping>();
  mapping_->bytes = {static_cast<std::byte*>(p), [n](std::byte* q) { munmap(q, n); }};
}

ByteSource::ByteSource(const char* who, std::span<const std::byte> memory, std::string name)
    : who_(who), name_(std::move(name)), size_(memory.size()), memory_(memory) {}

ByteSource::~ByteSource() = default;

void ByteSource::check(std::uint64_t position, std::uint64_t bytes) const {
  if (position > size_ || bytes > size_ - position)
    bad("truncated: ", bytes, " bytes at ", position, " are needed, the file has ", size_);
}

void ByteSource::read(std::uint64_t position, void* to, std::size_t bytes) const {
  check(position, bytes);
  if (bytes == 0) return;
  // Not from the mapping: reading says what is wrong when the file became shorter, a mapping kills.
  if (file_)
    file_->f.read_at(position, to, bytes);
  else
    std::memcpy(to, memory_.data() + static_cast<std::size_t>(position), bytes);
}

std::vector<std::byte> ByteSource::read(std::uint64_t position, std::uint64_t bytes) const {
  check(position, bytes);
  std::vector<std::byte> r(static_cast<std::size_t>(bytes));
  read(position, r.data(), r.size());
  return r;
}

Tensor ByteSource::lend(std::uint64_t position, const Shape& shape, DType dtype) const {
  if (!mapping_ || shape.numel() == 0) return {};
  check(position, static_cast<std::uint64_t>(shape.numel()) * size_of(dtype));
  std::byte* p = mapping_->bytes.get() + static_cast<std::size_t>(position);
  if (reinterpret_cast<std::uintptr_t>(p) % size_of(dtype) != 0) return {};
  const std::lock_guard lock(mapping_->mutex);
  Tensor& t = mapping_->lent[position];
  if (!t) t = external_tensor(shape, dtype, p, mapping_->bytes);
  return t.shape() == shape && t.dtype() == dtype ? t : Tensor();
}

void ByteCursor::read(void* to, std::size_t bytes, const char* what) {
  auto* p = static_cast<std::byte*>(to);
  if (bytes > left()) s_.bad("truncated in ", what, " at byte ", position());
  while (bytes > 0) {
    if (used_ == have_) {
      buffer_.resize(1 << 16);
      have_ = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), end_ - at_));
      s_.read(at_, buffer_.data(), have_);
      at_ += have_, used_ = 0;
    }
    const std::size_t n = std::min(bytes, have_ - used_);
    std::memcpy(p, buffer_.data() + used_, n);
    p += n, used_ += n, bytes -= n;
  }
}

void ByteCursor::skip(std::uint64_t bytes, const char* what) {
  if (bytes > left()) s_.bad("truncated in ", what, " at byte ", position());
  const auto buffered = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, have_ - used_));
  used_ += buffered;
  at_ += bytes - buffered;
  if (bytes > buffered) have_ = used_ = 0;
}

}  // namespace knet::io
