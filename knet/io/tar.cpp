#include "knet/io/tar.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "knet/base/text.hpp"
#include "knet/io/gzip.hpp"

namespace knet::io {
namespace {

constexpr std::size_t block = 512;
constexpr std::uint64_t longest_text = 1 << 20;  // of a name or of pax records
using Block = std::array<unsigned char, block>;

// Where the fields of a header lie.
struct Field {
  std::size_t at, size;
};
constexpr Field name_field{0, 100}, size_field{124, 12}, sum_field{148, 8}, kind_field{156, 1},
    magic_field{257, 5}, prefix_field{345, 155};

std::string text_of(const Block& b, Field f) {
  const auto* p = reinterpret_cast<const char*>(b.data()) + f.at;
  return {p, strnlen(p, f.size)};
}

}  // namespace

struct TarReader::Impl {
  ByteStream stream;
  std::uint64_t position = 0;       // in the unpacked archive
  std::uint64_t left = 0, pad = 0;  // of the entry's contents, and what fills its last block
  bool ended = false;

  template <class From>
  explicit Impl(const From& path) : stream("tar", path) {}
  Impl(std::span<const std::byte> memory, std::string name) : stream("tar", memory, std::move(name)) {}

  template <class... A>
  [[noreturn]] void damaged(const A&... what) const {
    fail<IoError>("tar: ", stream.name(), ": at byte ", position, ": ", what...);
  }
  std::size_t read(void* to, std::size_t bytes) {
    const std::size_t n = stream.read(to, bytes);
    position += n;
    return n;
  }
  std::size_t read_contents(void* to, std::size_t bytes) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, left));
    if (read(to, n) < n) damaged("the archive ends inside a file");
    left -= n;
    return n;
  }
  void skip_contents() {
    Block b;
    while (left > 0) read_contents(b.data(), b.size());
    if (read(b.data(), static_cast<std::size_t>(pad)) < pad) damaged("the archive ends inside a file");
    pad = 0;
  }
  // Octal digits, or (first bit set) a binary number, most significant byte first.
  std::uint64_t number(const Block& b, Field f, const char* what) const {
    std::uint64_t v = 0;
    const unsigned char* p = b.data() + f.at;
    if (p[0] & 0x80) {
      if (p[0] != 0x80) damaged("a header with a negative or huge ", what);
      for (std::size_t i = 1; i < f.size; ++i) {
        if (v >> 55) damaged("a header with a huge ", what);
        v = v << 8 | p[i];
      }
      return v;
    }
    std::size_t i = 0;
    while (i < f.size && p[i] == ' ') ++i;
    for (; i < f.size && p[i] >= '0' && p[i] <= '7'; ++i) v = v << 3 | (p[i] - '0');
    if (i < f.size && p[i] != ' ' && p[i] != 0) damaged("a header whose ", what, " is no octal number");
    return v;
  }
  bool header(Block& b) {
    const std::size_t n = read(b.data(), block);
    if (n == 0 && position > 0) return false;  // some programs leave the two empty blocks out
    if (n < block) damaged("no tar archive, or it ends too early (", n, " bytes of a header of 512)");
    if (std::all_of(b.begin(), b.end(), [](auto c) { return c == 0; })) {
      drain();
      return false;
    }
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < block; ++i)
      sum += i >= sum_field.at && i < sum_field.at + sum_field.size ? ' ' : b[i];
    if (sum != number(b, sum_field, "checksum")) damaged("no tar archive, or a header with a wrong checksum");
    return true;
  }
  // What follows the end: only that compressed data is whole counts.
  void drain() {
    std::array<char, 1 << 14> rest;
    for (std::uint64_t n = 0; n < std::uint64_t{1} << 24; n += rest.size())
      if (read(rest.data(), rest.size()) < rest.size()) return;
    damaged("more than 16 MB follow the end of the archive");
  }
  std::string long_text() {
    if (left > longest_text) damaged("a name or list of attributes of ", left, " bytes");
    std::string s(static_cast<std::size_t>(left), '\0');
    read_contents(s.data(), s.size());
    skip_contents();
    return s;
  }
  // Records "length key=value\n"; of them path and size count.
  void pax(const std::string& s, std::optional<std::string>& path, std::optional<std::uint64_t>& size) const {
    for (std::size_t at = 0; at < s.size();) {
      std::size_t length = 0, i = at;
      for (; i < s.size() && i < at + 8 && s[i] >= '0' && s[i] <= '9'; ++i)
        length = 10 * length + static_cast<std::size_t>(s[i] - '0');
      const std::size_t equals = s.find('=', i);
      if (i >= s.size() || s[i] != ' ' || length > s.size() - at || equals >= at + length ||
          s[at + length - 1] != '\n')
        damaged("damaged pax records");
      const std::string key = s.substr(i + 1, equals - i - 1),
                        value = s.substr(equals + 1, at + length - 2 - equals);
      if (key == "path") path = value;
      if (key == "size") {
        std::uint64_t v = 0;
        for (char c : value) {
          if (c < '0' || c > '9' || v >> 55) damaged("damaged pax records: size = ", value);
          v = 10 * v + static_cast<std::uint64_t>(c - '0');
        }
        size = v;
      }
      at += length;
    }
  }
  bool next(TarEntry& e);
};

bool TarReader::Impl::next(TarEntry& e) {
  if (ended) return false;
  std::optional<std::string> name;
  std::optional<std::uint64_t> size;
  Block b;
  for (;;) {
    skip_contents();
    if (!header(b)) {
      if (name || size) damaged("the archive ends after a long name");
      ended = true;
      return false;
    }
    const char kind = static_cast<char>(b[kind_field.at]);
    left = number(b, size_field, "size");
    pad = (block - left % block) % block;
    if (kind == 'L') {
      name = long_text();
      name->resize(strnlen(name->c_str(), name->size()));
    } else if (kind == 'x') {
      pax(long_text(), name, size);
    } else if (kind == 'K' || kind == 'g') {
      long_text();  // a link's long target; attributes for all
    } else {
      if (size) {
        left = *size;
        pad = (block - left % block) % block;
      }
      std::string n = text_of(b, name_field);
      if (text_of(b, magic_field) == "ustar") {
        // GNU's own variant ("ustar  ") keeps other things in the prefix's place.
        const std::string prefix = b[262] == ' ' ? "" : text_of(b, prefix_field);
        if (!prefix.empty()) n = prefix + '/' + n;
      }
      e.name = name ? *name : n;
      e.size = left;
      const bool plain = kind == '0' || kind == 0 || kind == '7';
      e.kind = kind == '5' || (plain && e.name.ends_with('/')) ? TarEntry::folder
               : plain                                         ? TarEntry::file
                                                               : TarEntry::other;
      while (e.name.size() > 1 && e.name.ends_with('/')) e.name.pop_back();
      if (e.kind == TarEntry::other && (kind == '1' || kind == '2')) left = pad = 0;
      return true;
    }
  }
}

TarReader::TarReader(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
TarReader::TarReader(std::span<const std::byte> memory, std::string name)
    : impl_(std::make_unique<Impl>(memory, std::move(name))) {}
TarReader::~TarReader() = default;
bool TarReader::next(TarEntry& e) { return impl_->next(e); }
std::size_t TarReader::read(void* to, std::size_t bytes) { return impl_->read_contents(to, bytes); }

}  // namespace knet::io
