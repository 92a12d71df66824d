// Reading files that may be compressed. Whether they are is told by their first two bytes, not by the name.
// How much comes out of a compressed file is known only when it is out, so memory grows with what has
// arrived, up to the caller's limit: a small file that claims or unfolds to gigabytes costs nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace knet::io {

/// The bytes of a file one after the other, decompressed on the way when it is gzip (several members are read
/// as one). Every failure is an IoError with the caller's name and the file's: damaged or truncated
/// compressed data, a wrong checksum, something behind the last member.
class ByteStream {
 public:
  ByteStream(const char* who, const std::string& path);
  /// The same over memory, which must outlive the stream; `name` stands for the path in messages.
  ByteStream(const char* who, std::span<const std::byte> memory, std::string name);
  ~ByteStream();

  const std::string& name() const;
  bool compressed() const;
  /// Bytes of the file as it is stored.
  std::uint64_t stored() const;
  /// The next `bytes` bytes; fewer only at the end. The checksum of compressed data has been checked once
  /// this returns fewer than it was asked for.
  std::size_t read(void* to, std::size_t bytes);
  /// The rest, but at most `limit` bytes. Allocates at most about twice what there is.
  std::vector<std::byte> read_rest(std::uint64_t limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A whole file, decompressed when it is gzip. More than `limit` bytes is an IoError.
std::vector<std::byte> read_file(const std::string& path, std::uint64_t limit);
/// Decompressed bytes (or a copy of them when they are not gzip). More than `limit` bytes is an IoError.
std::vector<std::byte> gunzip(std::span<const std::byte> bytes, std::uint64_t limit,
                              const std::string& name = "memory");
/// The bytes compressed as one gzip member. level: 0 (stored) to 9 (smallest).
std::vector<std::byte> gzip(std::span<const std::byte> bytes, int level = 6);

}  // namespace knet::io
