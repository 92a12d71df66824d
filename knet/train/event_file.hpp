// TensorBoard's files from the inside: protocol buffer messages, written field by field, in records with
// checksums. Not installed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace knet {

/// A protocol buffer message being written: https://protobuf.dev/programming-guides/encoding
class Message {
 public:
  Message& integer(int field, std::int64_t v) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(v));
    return *this;
  }
  Message& number(int field, double v) {
    key(field, 1);
    fixed(v);
    return *this;
  }
  Message& single(int field, float v) {
    key(field, 5);
    fixed(v);
    return *this;
  }
  Message& bytes(int field, std::string_view v) {
    key(field, 2);
    varint(v.size());
    out_ += v;
    return *this;
  }
  Message& message(int field, const Message& m) { return bytes(field, m.out_); }
  Message& packed(int field, std::span<const double> v) {
    key(field, 2);
    varint(v.size() * sizeof(double));
    for (const double x : v) fixed(x);
    return *this;
  }
  const std::string& text() const { return out_; }

 private:
  void key(int field, unsigned wire) { varint(static_cast<std::uint64_t>(field) << 3 | wire); }
  void varint(std::uint64_t v) {
    for (; v >= 128; v >>= 7) out_ += static_cast<char>(v | 128);
    out_ += static_cast<char>(v);
  }
  void fixed(double v);  // little-endian
  void fixed(float v);
  std::string out_;
};

/// CRC-32C (Castagnoli) of the bytes.
std::uint32_t crc32c(std::string_view bytes);
/// One record of an event file: length, checksum of it, data, checksum of them.
std::string event_record(std::string_view data);

}  // namespace knet
