#include "knet/io/zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "knet/base/text.hpp"

namespace knet::io {
namespace {

constexpr std::uint32_t local_mark = 0x04034b50, entry_mark = 0x02014b50, end_mark = 0x06054b50,
                        end64_mark = 0x06064b50, locator_mark = 0x07064b50;
constexpr std::uint64_t local_size = 30, entry_size = 46, end_size = 22, end64_size = 56, locator_size = 20;
constexpr std::uint32_t all32 = 0xffffffff;
constexpr std::uint64_t most_ratio = 1032;  // of deflate: 258 bytes from two bits

std::uint64_t number(const std::byte* p, int bytes) {
  std::uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; --i) v = v << 8 | std::to_integer<std::uint64_t>(p[i]);
  return v;
}

struct Directory {
  std::uint64_t begin, bytes, count;
};

// Where the directory is: the end record is the last in the file but for a comment of up to 64 kB.
Directory find_directory(const ByteSource& s) {
  const std::uint64_t n = std::min<std::uint64_t>(s.size(), end_size + 0xffff), start = s.size() - n;
  if (n < end_size) s.bad("has ", n, " bytes (expected a zip archive of at least ", end_size, ")");
  const auto tail = s.read(start, n);
  auto i = static_cast<std::size_t>(n - end_size);
  for (;; --i) {
    const std::byte* p = tail.data() + i;
    if (number(p, 4) == end_mark && number(p + 20, 2) == n - end_size - i) break;
    if (i == 0) s.bad("truncated: the directory at the end of the zip archive is missing");
  }
  const std::byte* p = tail.data() + i;
  if (number(p + 4, 2) != number(p + 6, 2)) s.bad("is a part of a zip archive in several files");
  Directory d{number(p + 16, 4), number(p + 12, 4), number(p + 10, 2)};
  std::uint64_t limit = start + i;
  if (limit >= locator_size) {
    const auto locator = s.read(limit - locator_size, locator_size);
    if (number(locator.data(), 4) == locator_mark) {
      const std::uint64_t at = number(locator.data() + 8, 8);
      if (at > limit - locator_size || limit - locator_size - at < end64_size)
        s.bad("damaged zip archive: its zip64 record is said to be at byte ", at);
      const auto record = s.read(at, end64_size);
      if (number(record.data(), 4) != end64_mark) s.bad("damaged zip archive: no zip64 record at byte ", at);
      d = {number(record.data() + 48, 8), number(record.data() + 40, 8), number(record.data() + 32, 8)};
      limit = at;
    }
  }
  if (d.begin > limit || d.bytes > limit - d.begin || d.count > d.bytes / entry_size)
    s.bad("damaged zip archive: a directory of ", d.count, " members in ", d.bytes, " bytes at ", d.begin,
          " of ", s.size());
  return d;
}

// The extra field of zip64 has, in this order, those of the three numbers that are all ones in 32 bits.
void widen(const ByteSource& s, std::span<const std::byte> extra, ZipMember& m, std::uint64_t& offset) {
  std::array<std::uint64_t*, 3> fields{&m.bytes, &m.stored, &offset};
  if (std::none_of(fields.begin(), fields.end(), [](auto* f) { return *f == all32; })) return;
  while (extra.size() >= 4) {
    const auto id = number(extra.data(), 2), size = number(extra.data() + 2, 2);
    if (size > extra.size() - 4) break;
    auto field = extra.subspan(4, static_cast<std::size_t>(size));
    extra = extra.subspan(4 + static_cast<std::size_t>(size));
    if (id != 1) continue;
    for (auto* f : fields) {
      if (*f != all32) continue;
      if (field.size() < 8) s.bad("damaged zip archive: member ", shown(m.name), " has a short zip64 field");
      *f = number(field.data(), 8);
      field = field.subspan(8);
    }
    return;
  }
}

// zlib takes a null pointer for the start of a new checksum, which an empty span may well have.
std::uint32_t checksum(std::uint32_t crc, std::span<const std::byte> b) {
  if (b.empty()) return crc;
  return static_cast<std::uint32_t>(crc32_z(crc, reinterpret_cast<const unsigned char*>(b.data()), b.size()));
}

}  // namespace

struct ZipStream::Impl {
  const ByteSource& s;
  const ZipMember& m;
  z_stream z{};
  bool ended = false, checked = false;  // the deflate data, and everything
  std::vector<std::byte> in;
  std::uint64_t taken = 0, done = 0;  // of the stored bytes, of the unfolded ones
  std::uint32_t crc = 0;

  Impl(const ByteSource& source, const ZipMember& member) : s(source), m(member) {
    if (!m.deflated) return;
    in.resize(static_cast<std::size_t>(std::min<std::uint64_t>(1 << 16, m.stored)));
    if (inflateInit2(&z, -15) != Z_OK) fail<Error>(s.who(), ": zlib can not start: out of memory");
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (m.deflated) inflateEnd(&z);
  }

  // Some of the next bytes, at least one; none at the end of the deflate data.
  std::size_t unfold(std::byte* to, std::uint64_t most) {
    const auto room = static_cast<uInt>(std::min<std::uint64_t>(most, 1u << 30));
    z.next_out = reinterpret_cast<unsigned char*>(to);
    z.avail_out = room;
    while (!ended && z.avail_out == room) {
      if (z.avail_in == 0 && taken < m.stored) {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(in.size(), m.stored - taken));
        s.read(m.position + taken, in.data(), n);
        taken += n;
        z.next_in = reinterpret_cast<unsigned char*>(in.data());
        z.avail_in = static_cast<uInt>(n);
      }
      const int r = inflate(&z, Z_NO_FLUSH);
      if (r == Z_STREAM_END)
        ended = true;
      else if (r == Z_MEM_ERROR)
        fail<Error>(s.who(), ": zlib is out of memory");
      else if (r != Z_OK && r != Z_BUF_ERROR)
        s.bad("member ", shown(m.name), ": damaged deflate data: ", z.msg ? z.msg : "it needs a dictionary");
      else if (z.avail_out == room && z.avail_in == 0 && taken == m.stored)
        s.bad("member ", shown(m.name), ": its deflate data stops after ", done, " of ", m.bytes, " bytes");
    }
    return room - z.avail_out;
  }
  void check() {
    if (std::byte beyond; m.deflated && unfold(&beyond, 1) > 0)
      s.bad("member ", shown(m.name), " unfolds to more than its ", m.bytes, " bytes");
    if (crc != m.crc) s.bad("member ", shown(m.name), ": wrong checksum: ", crc, " (expected ", m.crc, ")");
    checked = true;
  }
};

ZipStream::ZipStream(const ByteSource& s, const ZipMember& m) : impl_(std::make_unique<Impl>(s, m)) {}
ZipStream::~ZipStream() = default;

std::size_t ZipStream::read(void* to, std::size_t bytes) {
  Impl& z = *impl_;
  std::byte* p = static_cast<std::byte*>(to);
  std::size_t got = 0;
  while (got < bytes && z.done < z.m.bytes) {
    auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes - got, z.m.bytes - z.done));
    if (z.m.deflated)
      n = z.unfold(p + got, n);
    else
      z.s.read(z.m.position + z.done, p + got, n);
    if (n == 0)
      z.s.bad("member ", shown(z.m.name), " unfolds to ", z.done, " bytes (expected ", z.m.bytes, ")");
    z.crc = checksum(z.crc, {p + got, n});
    got += n;
    z.done += n;
  }
  if (got == 0 && bytes > 0 && !z.checked) z.check();
  return got;
}

ZipFile::ZipFile(const ByteSource& s) : s_(s) {
  const Directory d = find_directory(s);
  const auto text = s.read(d.begin, d.bytes);
  std::span<const std::byte> left(text);
  members_.reserve(static_cast<std::size_t>(d.count));
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t i = 0; i < d.count; ++i) {
    if (left.size() < entry_size || number(left.data(), 4) != entry_mark)
      s.bad("damaged zip archive: entry ", i, " of its directory of ", d.count);
    const std::byte* p = left.data();
    const auto name = static_cast<std::size_t>(number(p + 28, 2)),
               extra = static_cast<std::size_t>(number(p + 30, 2)),
               comment = static_cast<std::size_t>(number(p + 32, 2));
    if (left.size() - entry_size < name + extra + comment)
      s.bad("damaged zip archive: entry ", i, " of its directory is cut off");
    ZipMember m;
    m.name.assign(reinterpret_cast<const char*>(p + entry_size), name);
    const auto flags = number(p + 8, 2), method = number(p + 10, 2);
    if (flags & 1) s.bad("member ", shown(m.name), " is encrypted, which is not supported");
    if (method != 0 && method != 8)
      s.bad("member ", shown(m.name), " is compressed by method ", method,
            ", which is not supported (expected stored or deflated)");
    m.deflated = method == 8;
    if (number(p + 5, 1) == 3) m.mode = static_cast<std::uint32_t>(number(p + 40, 2));  // made on Unix
    m.crc = static_cast<std::uint32_t>(number(p + 16, 4));
    m.stored = number(p + 20, 4);
    m.bytes = number(p + 24, 4);
    std::uint64_t offset = number(p + 42, 4);
    widen(s, left.subspan(entry_size + name, extra), m, offset);
    left = left.subspan(entry_size + name + extra + comment);
    if (offset > d.begin || d.begin - offset < local_size)
      s.bad("damaged zip archive: member ", shown(m.name), " at byte ", offset);
    const auto local = s.read(offset, local_size);
    if (number(local.data(), 4) != local_mark)
      s.bad("damaged zip archive: no member ", shown(m.name), " at byte ", offset);
    m.position = offset + local_size + number(local.data() + 26, 2) + number(local.data() + 28, 2);
    if (m.position > d.begin || m.stored > d.begin - m.position)
      s.bad("damaged zip archive: member ", shown(m.name), " of ", m.stored, " bytes at ", m.position);
    if (m.deflated ? m.bytes / most_ratio > m.stored : m.bytes != m.stored)
      s.bad("member ", shown(m.name), " of ", m.stored, " bytes in the archive claims to be ", m.bytes);
    offsets.push_back(offset);
    members_.push_back(std::move(m));
  }
  std::vector<std::size_t> order(members_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return offsets[a] < offsets[b]; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const ZipMember& before = members_[order[i - 1]];
    if (before.position + before.stored > offsets[order[i]])
      s.bad("damaged zip archive: member ", shown(members_[order[i]].name), " begins inside ",
            shown(before.name));
  }
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return members_[a].name < members_[b].name; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (members_[order[i]].name == members_[order[i - 1]].name)
      s.bad("has two members ", shown(members_[order[i]].name));
  }
}

const ZipMember* ZipFile::find(std::string_view name) const {
  const auto i = std::find_if(members_.begin(), members_.end(), [&](auto& m) { return m.name == name; });
  return i == members_.end() ? nullptr : &*i;
}

void ZipFile::read(const ZipMember& m, std::byte* to) const {
  ZipStream z(s_, m);
  z.read(to, static_cast<std::size_t>(m.bytes));
  std::byte none;
  z.read(&none, 1);
}

std::vector<std::byte> ZipFile::read(const ZipMember& m) const {
  std::vector<std::byte> r(static_cast<std::size_t>(m.bytes));
  read(m, r.data());
  return r;
}

std::vector<std::byte> ZipFile::first(const ZipMember& m, std::size_t bytes) const {
  std::vector<std::byte> r(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, m.bytes)));
  ZipStream(s_, m).read(r.data(), r.size());
  return r;
}

namespace {

struct Out {
  std::vector<unsigned char>& to;
  void put(std::uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) to.push_back(static_cast<unsigned char>(v >> 8 * i));
  }
  void put(const std::string& s) { to.insert(to.end(), s.begin(), s.end()); }
};

std::vector<std::byte> deflated(const std::string& path, std::span<const std::byte> head,
                                std::span<const std::byte> body) {
  z_stream z{};
  if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    fail<Error>("save: ", path, ": zlib can not start: out of memory");
  std::vector<std::byte> r;
  std::array<std::byte, 1 << 16> out;
  const auto push = [&](std::span<const std::byte> in, bool last) {
    do {
      const auto n = std::min<std::size_t>(in.size(), 1 << 30);
      z.next_in = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(in.data()));
      z.avail_in = static_cast<uInt>(n);
      in = in.subspan(n);
      do {
        z.next_out = reinterpret_cast<unsigned char*>(out.data());
        z.avail_out = static_cast<uInt>(out.size());
        deflate(&z, last && in.empty() ? Z_FINISH : Z_NO_FLUSH);
        r.insert(r.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(out.size() - z.avail_out));
      } while (z.avail_out == 0);
    } while (!in.empty());
  };
  push(head, false);
  push(body, true);
  deflateEnd(&z);
  return r;
}

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body,
                    bool deflate) {
  if (name.size() > 0xffff) fail<ValueError>("save: ", path_, ": a name of ", name.size(), " bytes");
  const std::uint32_t crc = checksum(checksum(0, head), body);
  const std::uint64_t bytes = head.size() + body.size();
  std::vector<std::byte> packed;
  if (deflate) packed = deflated(path_, head, body);
  const std::uint64_t stored = deflate ? packed.size() : bytes;
  const bool large = bytes >= all32 || stored >= all32, far = at_ >= all32;
  const auto common = [&](Out& o) {
    o.put(large || far ? 45 : 20, 2);
    o.put(0x800, 2);  // the name is UTF-8
    o.put(deflate ? 8 : 0, 2);
    o.put(0x00210000, 4);  // the first of January 1980: the same tensors make the same file
    o.put(crc, 4);
    o.put(large ? all32 : stored, 4);
    o.put(large ? all32 : bytes, 4);
    o.put(name.size(), 2);
  };
  std::vector<unsigned char> local;
  Out o{local};
  o.put(local_mark, 4);
  common(o);
  o.put(large ? 20 : 0, 2);
  o.put(name);
  if (large) o.put(1, 2), o.put(16, 2), o.put(bytes, 8), o.put(stored, 8);
  file_.write(local.data(), local.size());
  if (deflate) {
    file_.write(packed.data(), packed.size());
  } else {
    file_.write(head.data(), head.size());
    file_.write(body.data(), body.size());
  }
  Out d{directory_};
  d.put(entry_mark, 4);
  d.put(45, 2);
  common(d);
  d.put((large ? 16u : 0u) + (far ? 8u : 0u) + (large || far ? 4u : 0u), 2);
  d.put(0, 8);  // no comment, first disk, no attributes
  d.put(0, 2);
  d.put(far ? all32 : at_, 4);
  d.put(name);
  if (large || far) {
    d.put(1, 2), d.put((large ? 16u : 0u) + (far ? 8u : 0u), 2);
    if (large) d.put(bytes, 8), d.put(stored, 8);
    if (far) d.put(at_, 8);
  }
  at_ += local.size() + stored;
  ++count_;
}

void ZipWriter::commit() {
  const std::uint64_t begin = at_, size = directory_.size();
  file_.write(directory_.data(), directory_.size());
  std::vector<unsigned char> tail;
  Out o{tail};
  const bool large = count_ >= 0xffff || begin >= all32 || size >= all32;
  if (large) {
    o.put(end64_mark, 4), o.put(44, 8), o.put(45, 2), o.put(45, 2), o.put(0, 8);
    o.put(count_, 8), o.put(count_, 8), o.put(size, 8), o.put(begin, 8);
    o.put(locator_mark, 4), o.put(0, 4), o.put(begin + size, 8), o.put(1, 4);
  }
  o.put(end_mark, 4), o.put(0, 4);
  o.put(large ? 0xffff : count_, 2), o.put(large ? 0xffff : count_, 2);
  o.put(large ? all32 : size, 4), o.put(large ? all32 : begin, 4), o.put(0, 2);
  file_.write(tail.data(), tail.size());
  file_.commit();
}

}  // namespace knet::io
