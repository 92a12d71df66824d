#include "knet/io/gguf.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "knet/base/text.hpp"
#include "knet/io/gguf_quants.hpp"
#include "knet/io/stored_type.hpp"
#include "knet/io/tensor_source.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

struct Entry {
  std::string name;
  Shape shape;
  std::uint32_t type = 0;
  Stored stored = Stored::unknown;
  const GgufQuant* quant = nullptr;
  std::uint64_t offset = 0, bytes = 0;
};
struct Header {
  GgufMetadata metadata;
  std::vector<Entry> entries;
  std::uint64_t start = 0;  // of the tensors
};

struct PlainType {
  std::uint32_t id;
  const char* name;
  Stored stored;
};
constexpr PlainType plain_types[] = {
    {0, "F32", Stored::f32},  {1, "F16", Stored::f16},  {24, "I8", Stored::i8},   {25, "I16", Stored::i16},
    {26, "I32", Stored::i32}, {27, "I64", Stored::i64}, {28, "F64", Stored::f64}, {30, "BF16", Stored::bf16}};
const PlainType* plain_type(std::uint32_t id) {
  for (const auto& t : plain_types) {
    if (t.id == id) return &t;
  }
  return nullptr;
}

// The numbers that name types of metadata.
enum ValueType : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };
constexpr int widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};  // at least, of a value

struct Reader {
  const ByteSource& s;
  ByteCursor c;

  explicit Reader(const ByteSource& source) : s(source), c(source, 0, source.size()) {}

  std::string string(const char* what) {
    const auto n = c.number<std::uint64_t>(what);
    if (n > c.left()) s.bad("truncated: ", what, " of ", n, " bytes at byte ", c.position());
    std::string r(static_cast<std::size_t>(n), '\0');
    c.read(r.data(), r.size(), what);
    return r;
  }
  std::int64_t integer(std::uint32_t type) {
    switch (type) {
      case U8: return c.number<std::uint8_t>("a value");
      case I8: return c.number<std::int8_t>("a value");
      case U16: return c.number<std::uint16_t>("a value");
      case I16: return c.number<std::int16_t>("a value");
      case U32: return c.number<std::uint32_t>("a value");
      case I32: return c.number<std::int32_t>("a value");
      case Bool: return truth();
      default: return c.number<std::int64_t>("a value");
    }
  }
  bool truth() {
    const auto b = c.number<std::uint8_t>("a value");
    if (b > 1) s.bad("a boolean of ", int{b}, " before byte ", c.position(), " (expected 0 or 1)");
    return b == 1;
  }
  double real(std::uint32_t type) {
    if (type == F32) return std::bit_cast<float>(c.number<std::uint32_t>("a value"));
    return std::bit_cast<double>(c.number<std::uint64_t>("a value"));
  }
  std::uint32_t type() {
    const auto t = c.number<std::uint32_t>("a type");
    if (t > F64) s.bad("a value of type ", t, " before byte ", c.position(), " (expected 0 to 12)");
    return t;
  }
  GgufValue array(int depth) {
    const auto t = type();
    const auto n = c.number<std::uint64_t>("an array's length");
    if (n > c.left() / static_cast<std::uint64_t>(widths[t]))
      s.bad("an array of ", n, " values at byte ", c.position(), " of ", s.size());
    const auto fill = [&]<class T>(std::vector<T> r, const auto& one) -> GgufValue {
      r.reserve(static_cast<std::size_t>(n));
      for (std::uint64_t i = 0; i < n; ++i) r.push_back(one());
      return r;
    };
    if (t == String) return fill(std::vector<std::string>{}, [&] { return string("a text"); });
    if (t == F32 || t == F64) return fill(std::vector<double>{}, [&] { return real(t); });
    if (t != Array) return fill(std::vector<std::int64_t>{}, [&] { return integer(t); });
    if (depth > 4) s.bad("arrays inside each other more than 4 deep at byte ", c.position());
    for (std::uint64_t i = 0; i < n; ++i) array(depth + 1);
    return {};
  }
  GgufValue value() {
    switch (const auto t = type()) {
      case Bool: return truth();
      case String: return string("a text");
      case Array: return array(0);
      case F32:
      case F64: return real(t);
      default: return integer(t);
    }
  }
  Entry entry() {
    Entry e;
    e.name = string("a tensor's name");
    const auto dims = c.number<std::uint32_t>("a tensor's dimensions");
    if (dims > max_dims)
      s.bad("tensor ", shown(e.name), " has ", dims, " dimensions (expected at most ", max_dims, ")");
    std::int64_t sizes[max_dims];
    for (std::uint32_t i = 0; i < dims; ++i) {
      const auto v = c.number<std::uint64_t>("a tensor's size");
      if (v > std::uint64_t{INT64_MAX}) s.bad("tensor ", shown(e.name), " has a dimension of ", v);
      sizes[i] = static_cast<std::int64_t>(v);
    }
    for (std::uint32_t i = dims; i-- > 0;) e.shape.push(sizes[i]);  // the fastest comes first in the file
    e.type = c.number<std::uint32_t>("a tensor's type");
    e.offset = c.number<std::uint64_t>("a tensor's offset");
    std::uint64_t count = 0;
    if (!byte_count(e.shape, 8, count))
      s.bad("tensor ", shown(e.name), " of shape ", e.shape, " has too many elements");
    count /= 8;
    if (const auto* p = plain_type(e.type)) {
      e.stored = p->stored;
      e.bytes = count * size_of(p->stored);
    } else if ((e.quant = gguf_quant(e.type))) {
      const std::int64_t row = dims > 0 ? sizes[0] : 1;
      if (row % e.quant->elements != 0)
        s.bad("tensor ", shown(e.name), " of shape ", e.shape, ": rows of ", e.quant->name,
              " are multiples of ", e.quant->elements);
      e.bytes = count / e.quant->elements * e.quant->bytes;
    }
    return e;
  }
};

Header read_header(const ByteSource& s) {
  Reader r(s);
  char magic[4];
  r.c.read(magic, 4, "the magic");
  if (std::string_view(magic, 4) != "GGUF") s.bad("is not GGUF: it does not begin with \"GGUF\"");
  const auto version = r.c.number<std::uint32_t>("the version");
  if (version >= 0x10000) s.bad("is big-endian GGUF, which is not supported");
  if (version != 2 && version != 3) s.bad("is GGUF of version ", version, " (expected 2 or 3)");
  const auto tensors = r.c.number<std::uint64_t>("the number of tensors"),
             values = r.c.number<std::uint64_t>("the number of values");
  // At least 24 bytes a tensor, 13 a value.
  if (tensors > s.size() / 24 || values > s.size() / 13)
    s.bad("claims ", tensors, " tensors and ", values, " values in ", s.size(), " bytes");
  Header h;
  for (std::uint64_t i = 0; i < values; ++i) {
    std::string key = r.string("a key");
    GgufValue v = r.value();
    if (!h.metadata.emplace(key, std::move(v)).second) s.bad("has the key ", shown(key), " twice");
  }
  std::uint64_t alignment = 32;
  if (const auto a = h.metadata.find("general.alignment"); a != h.metadata.end()) {
    const auto* v = std::get_if<std::int64_t>(&a->second);
    if (!v || *v <= 0 || *v > (1 << 20) || !std::has_single_bit(static_cast<std::uint64_t>(*v)))
      s.bad("has a general.alignment that is not a power of two up to 1048576");
    alignment = static_cast<std::uint64_t>(*v);
  }
  h.entries.reserve(static_cast<std::size_t>(tensors));
  for (std::uint64_t i = 0; i < tensors; ++i) h.entries.push_back(r.entry());
  h.start = (r.c.position() + alignment - 1) / alignment * alignment;
  if (h.entries.empty()) return h;
  if (h.start > s.size()) s.bad("truncated before its tensors at byte ", h.start);
  const std::uint64_t room = s.size() - h.start;
  std::vector<const Entry*> order;
  for (const Entry& e : h.entries) {
    if (e.offset % alignment != 0)
      s.bad("tensor ", shown(e.name), " at ", e.offset, " (expected a multiple of ", alignment, ")");
    if (e.offset > room || e.bytes > room - e.offset)
      s.bad("tensor ", shown(e.name), " of shape ", e.shape, " needs ", e.bytes, " bytes at ", e.offset,
            " of ", room);
    order.push_back(&e);
  }
  // Overlapping tensors would let a small file fill a large memory.
  std::sort(order.begin(), order.end(),
            [](auto* a, auto* b) { return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes); });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i]->offset < order[i - 1]->offset + order[i - 1]->bytes)
      s.bad("tensor ", shown(order[i]->name), " begins inside ", shown(order[i - 1]->name));
  }
  return h;
}

std::optional<std::string> scalar_text(const GgufValue& v) {
  if (const auto* b = std::get_if<bool>(&v)) return *b ? "true" : "false";
  if (const auto* i = std::get_if<std::int64_t>(&v)) return std::to_string(*i);
  if (const auto* t = std::get_if<std::string>(&v)) return *t;
  if (const auto* d = std::get_if<double>(&v)) {
    char b[32];
    return std::string(b, std::to_chars(b, b + sizeof b, *d).ptr);
  }
  return {};
}

struct GgufSource : TensorSource {
  SourcePtr source;
  Header header;
  explicit GgufSource(SourcePtr s) : source(std::move(s)), header(read_header(*source)) {
    path = source->name(), format = "gguf";
    for (auto& [key, v] : header.metadata) {
      if (auto t = scalar_text(v)) metadata.emplace(key, std::move(*t));
    }
    header.metadata.clear();
    for (const Entry& e : header.entries) {
      const auto* plain = plain_type(e.type);
      infos.push_back({e.name, e.shape, dtype_of(e.stored),
                       plain     ? plain->name
                       : e.quant ? e.quant->name
                                 : text("type ", e.type),
                       e.bytes, plain || e.quant});
    }
  }
  Tensor read(std::size_t i) override {
    const Entry& e = header.entries[i];
    if (!e.quant && e.stored == Stored::unknown)
      source->bad("tensor ", shown(e.name), " is of GGUF's ", infos[i].stored,
                  ", which is not supported (expected F16 to F64, BF16, I8 to I64, Q4_0 to Q8_1, Q2_K to "
                  "Q8_K or IQ4_NL)");
    if (!e.quant) return read_stored(*source, e.name, header.start + e.offset, e.shape, e.stored);
    Tensor t = Tensor::make(e.shape, f32, cpu);
    auto* to = reinterpret_cast<float*>(TensorAccess::data(t));
    // In pieces: the blocks and the floats need not both be in memory.
    const std::uint64_t block = e.quant->bytes, blocks = e.bytes / block;
    std::vector<std::byte> piece;
    for (std::uint64_t at = 0; at < blocks;) {
      const std::uint64_t n = std::min<std::uint64_t>(4096, blocks - at);
      piece = source->read(header.start + e.offset + at * block, n * block);
      const auto* from = reinterpret_cast<const std::uint8_t*>(piece.data());
      for (std::uint64_t k = 0; k < n; ++k, from += block, to += e.quant->elements) e.quant->unpack(from, to);
      at += n;
    }
    return t;
  }
};

}  // namespace

std::unique_ptr<TensorSource> open_gguf(SourcePtr s) { return std::make_unique<GgufSource>(std::move(s)); }

GgufMetadata load_gguf_metadata(const std::string& path) {
  return read_header(ByteSource("load_gguf_metadata", path)).metadata;
}
GgufMetadata parse_gguf_metadata(std::span<const std::byte> bytes, const std::string& name) {
  return read_header(ByteSource("load_gguf_metadata", bytes, name)).metadata;
}

}  // namespace knet::io
