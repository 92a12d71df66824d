// Zip archives as npz and PyTorch use them: members stored or deflated, zip64, no encryption, no spanning.
// The directory at the end is what counts; everything in it is checked against the file, and members may not
// overlap, so that all of them together are no larger than the file (or what deflate can make of it).
// For the sources of io only; unpack.hpp is what puts members on a disk.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knet/io/atomic_file.hpp"
#include "knet/io/byte_source.hpp"

namespace knet::io {

struct ZipMember {
  std::string name;
  bool deflated = false;
  std::uint32_t crc = 0;
  std::uint64_t stored = 0, bytes = 0;  ///< in the file, and unfolded
  std::uint64_t position = 0;           ///< of its data
  std::uint32_t mode = 0;               ///< type and permissions as Unix has them; 0 from other systems
};

/// The bytes of a member one piece after the other.
class ZipStream {
 public:
  /// Both must outlive the object.
  ZipStream(const ByteSource&, const ZipMember&);
  ~ZipStream();
  /// The next bytes; fewer than asked for only at the end. The call that gives none has checked the length
  /// and the checksum of them all. IoError for what does not fit them.
  std::size_t read(void* to, std::size_t bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ZipFile {
 public:
  /// IoError for anything but a sound archive. The source must outlive the object.
  explicit ZipFile(const ByteSource&);
  /// In the order of the directory; names differ.
  const std::vector<ZipMember>& members() const { return members_; }
  const ZipMember* find(std::string_view name) const;
  /// All bytes of a member, its length and checksum checked; `to` has room for member.bytes.
  void read(const ZipMember&, std::byte* to) const;
  std::vector<std::byte> read(const ZipMember&) const;
  /// The first bytes of a member, unchecked; fewer when it has no more.
  std::vector<std::byte> first(const ZipMember&, std::size_t bytes) const;

 private:
  const ByteSource& s_;
  std::vector<ZipMember> members_;
};

/// An archive being written aside (see AtomicFile).
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : path_(path), file_(path) {}
  /// A member of a head and a body. IoError when the disk is full.
  void add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body,
           bool deflate);
  void commit();

 private:
  std::string path_;
  AtomicFile file_;
  std::uint64_t at_ = 0, count_ = 0;
  std::vector<unsigned char> directory_;
};

}  // namespace knet::io
