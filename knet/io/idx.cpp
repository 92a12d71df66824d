#include "knet/io/idx.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/bytes.hpp"
#include "knet/io/gzip.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

struct Element {
  unsigned char code;
  std::size_t bytes;  // in the file
  DType dtype;        // in the tensor
};
constexpr Element elements[] = {{0x08, 1, u8},  {0x09, 1, i32}, {0x0b, 2, i32},
                                {0x0c, 4, i32}, {0x0d, 4, f32}, {0x0e, 8, f64}};

struct Header {
  Element element;
  Shape shape;
  std::uint64_t bytes;  // of all elements, in the file
};

Header read_header(ByteStream& s) {
  const auto bad = [&](const auto&... why) { fail<IoError>("read_idx: ", s.name(), ": ", why...); };
  std::array<unsigned char, 4> magic{};
  if (const auto n = s.read(magic.data(), 4); n < 4)
    bad("truncated: ", n, " bytes (expected a header of at least 4)");
  const auto* e = std::find_if(std::begin(elements), std::end(elements),
                               [&](const Element& x) { return x.code == magic[2]; });
  if (magic[0] != 0 || magic[1] != 0 || e == std::end(elements)) {
    bad("starts with bytes ", int{magic[0]}, ' ', int{magic[1]}, ' ', int{magic[2]},
        " (expected 0 0 and an IDX type: 8, 9, 11, 12, 13 or 14)");
  }
  if (magic[3] > max_dims) bad("has ", int{magic[3]}, " dimensions (expected at most ", max_dims, ")");
  Header h{*e, {}, e->bytes};
  for (int i = 0; i < magic[3]; ++i) {
    std::array<unsigned char, 4> b{};
    if (s.read(b.data(), 4) < 4) bad("truncated in the sizes of its ", int{magic[3]}, " dimensions");
    const auto size = std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
    h.shape.push(size);
  }
  // Zeros are left out of the product, so that [0, huge, huge] has no strides that overflow either.
  bool none = false;
  for (auto v : h.shape) {
    none = none || v == 0;
    if (__builtin_mul_overflow(h.bytes, static_cast<std::uint64_t>(std::max<std::int64_t>(v, 1)), &h.bytes) ||
        h.bytes > (std::uint64_t{1} << 56)) {
      bad("claims shape ", h.shape, ": too many elements");
    }
  }
  if (none) h.bytes = 0;
  return h;
}

template <class T>
Tensor widen(const std::byte* p, const Shape& shape) {
  Tensor t = Tensor::make(shape, i32, cpu);
  auto* to = reinterpret_cast<std::int32_t*>(TensorAccess::data(t));
  for (std::int64_t i = 0; i < shape.numel(); ++i, p += sizeof(T)) {
    T v;
    std::memcpy(&v, p, sizeof(T));
    to[i] = v;
  }
  return t;
}

Tensor read(ByteStream& s) {
  const Header h = read_header(s);
  const std::uint64_t start = 4 + 4 * static_cast<std::uint64_t>(h.shape.ndim());
  const auto wrong_size = [&](auto found) {
    fail<IoError>("read_idx: ", s.name(), ": has ", found, " bytes of elements; shape ", h.shape, " of ",
                  h.element.bytes, "-byte elements needs ", h.bytes);
  };
  if (!s.compressed() && s.stored() - start != h.bytes) wrong_size(s.stored() - start);

  auto data = s.read_rest(h.bytes);
  if (data.size() < h.bytes) wrong_size(data.size());
  std::byte extra;
  if (s.read(&extra, 1) != 0) wrong_size(text("more than ", h.bytes));

  const auto count = static_cast<std::size_t>(h.shape.numel());
  from_order(std::endian::big, data.data(), count, h.element.bytes);
  if (h.element.code == 0x09) return widen<std::int8_t>(data.data(), h.shape);
  if (h.element.code == 0x0b) return widen<std::int16_t>(data.data(), h.shape);
  Tensor t = Tensor::make(h.shape, h.element.dtype, cpu);
  if (!data.empty()) std::memcpy(TensorAccess::data(t), data.data(), data.size());
  return t;
}

}  // namespace

Tensor read_idx(const std::string& path) {
  ByteStream s("read_idx", path);
  return read(s);
}

Tensor parse_idx(std::span<const std::byte> bytes, const std::string& name) {
  ByteStream s("read_idx", bytes, name);
  return read(s);
}

void write_idx(const std::string& path, const Tensor& t) {
  check_defined("write_idx", t);
  // The first row of a dtype is not always the one to write (i32 is found at int8); its own size is.
  const auto* e = std::find_if(std::begin(elements), std::end(elements), [&](const Element& x) {
    return x.dtype == t.dtype() && x.bytes == size_of(x.dtype);
  });
  if (e == std::end(elements)) {
    fail<DTypeError>("write_idx: ", path, ": IDX has no type for ", t.dtype(),
                     " (expected u8, i32, f32 or f64)");
  }
  std::vector<std::byte> file{std::byte{0}, std::byte{0}, std::byte{e->code},
                              static_cast<std::byte>(t.ndim())};
  for (auto v : t.shape()) {
    if (v > 0xffffffff)
      fail<ShapeError>("write_idx: ", path, ": size ", v, " of ", t.shape(), " needs more than 32 bits");
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<std::byte>(v >> shift));
  }
  const Tensor dense = t.to(cpu).contiguous();
  const std::size_t start = file.size(), count = static_cast<std::size_t>(t.numel());
  file.resize(start + count * e->bytes);
  if (count > 0) std::memcpy(file.data() + start, TensorAccess::data(dense), count * e->bytes);
  from_order(std::endian::big, file.data() + start, count, e->bytes);
  write_file(path, path.ends_with(".gz") ? gzip(file) : file);
}

}  // namespace knet::io
