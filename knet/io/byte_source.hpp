// Bytes at positions, in a file, in a mapping of it or in memory: what readers of formats with a directory
// read from. Every position is checked against the size. For the sources of io only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet::io {

/// A name from a file, quoted for a message: neither long nor with control characters for a terminal.
std::string shown(std::string_view);

class ByteSource {
 public:
  /// A regular file, mapped if wanted; IoError names `who` and the path.
  ByteSource(const char* who, const std::string& path, bool map = false);
  /// Memory, which must outlive the source; `name` stands for the path in messages.
  ByteSource(const char* who, std::span<const std::byte> memory, std::string name);
  ~ByteSource();

  const char* who() const { return who_; }
  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }
  /// Copies bytes; IoError when they are not all there.
  void read(std::uint64_t position, void* to, std::size_t bytes) const;
  std::vector<std::byte> read(std::uint64_t position, std::uint64_t bytes) const;
  bool mapped() const { return mapping_ != nullptr; }
  /// The elements at a position as a tensor over the mapping; empty when the source is not mapped, they are
  /// not aligned, or the place is lent already as something else. The same place is lent once: the tensors
  /// share a storage, so that writing one does not change another.
  Tensor lend(std::uint64_t position, const Shape&, DType) const;
  /// IoError: who, name, and the reason.
  template <class... A>
  [[noreturn]] void bad(const A&... why) const {
    knet::fail<IoError>(who_, ": ", name_, ": ", why...);
  }

 private:
  void check(std::uint64_t position, std::uint64_t bytes) const;
  struct File;
  struct Mapping;
  const char* who_;
  std::string name_;
  std::uint64_t size_;
  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;
  std::span<const std::byte> memory_;
};

/// Numbers one after the other from a part of a source, little-endian, with a buffer.
class ByteCursor {
 public:
  ByteCursor(const ByteSource& s, std::uint64_t begin, std::uint64_t stop) : s_(s), at_(begin), end_(stop) {}
  std::uint64_t position() const { return at_ - (have_ - used_); }
  std::uint64_t left() const { return end_ - position(); }
  /// IoError, saying that `what` is cut off, when there are fewer.
  void read(void* to, std::size_t bytes, const char* what);
  template <class T>
  T number(const char* what) {
    unsigned char b[sizeof(T)];
    read(b, sizeof(T), what);
    std::uint64_t v = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) v = v << 8 | b[i];
    return static_cast<T>(v);
  }
  void skip(std::uint64_t bytes, const char* what);

 private:
  const ByteSource& s_;
  std::uint64_t at_, end_;  // at_ is behind what the buffer holds
  std::size_t have_ = 0, used_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace knet::io
