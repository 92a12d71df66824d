#include "knet/io/npy.hpp"

#include <set>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/bytes.hpp"
#include "knet/io/npy_header.hpp"
#include "knet/io/tensor_source.hpp"
#include "knet/io/zip.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

TensorInfo info(std::string name, const NpyHeader& h, std::uint64_t bytes) {
  return {std::move(name), h.shape, dtype_of(h.stored), h.type, bytes, h.stored != Stored::unknown};
}
Shape as_stored(const NpyHeader& h) {
  if (!h.fortran) return h.shape;
  Shape r;
  for (int i = h.shape.ndim() - 1; i >= 0; --i) r.push(h.shape[i]);
  return r;
}
[[noreturn]] void unknown_type(const ByteSource& s, const std::string& what, const NpyHeader& h) {
  s.bad(what, "is of type ", shown(h.type),
        ", which is not supported (expected f2, f4, f8, i1 to i8, u1 to u8 or b1)");
}

NpyHeader header_of(const ByteSource& s) {
  const auto first = s.read(0, std::min<std::uint64_t>(12, s.size()));
  return parse_npy_header(s, "", s.read(0, npy_header_length(s, "", first, s.size())), s.size());
}
Tensor read_array(const ByteSource& s, const NpyHeader& h, const std::string& name) {
  if (h.stored == Stored::unknown) unknown_type(s, "", h);
  const Tensor t = read_stored(s, name, h.length, as_stored(h), h.stored, h.order);
  return h.fortran ? from_fortran(t) : t;
}

struct NpySource : TensorSource {
  SourcePtr source;
  NpyHeader header;
  explicit NpySource(SourcePtr s) : source(std::move(s)), header(header_of(*source)) {
    path = source->name(), format = "npy";
    infos.push_back(info("", header, source->size() - header.length));
  }
  Tensor read(std::size_t) override { return read_array(*source, header, ""); }
};

struct NpzSource : TensorSource {
  SourcePtr source;
  ZipFile zip;
  std::vector<const ZipMember*> members;
  std::vector<NpyHeader> headers;
  explicit NpzSource(SourcePtr s) : source(std::move(s)), zip(*source) {
    path = source->name(), format = "npz";
    for (const ZipMember& m : zip.members()) {
      if (!m.name.ends_with(".npy")) continue;
      const std::string what = text("member ", shown(m.name), ": ");
      const auto n = npy_header_length(*source, what, zip.first(m, 12), m.bytes);
      headers.push_back(parse_npy_header(*source, what, zip.first(m, static_cast<std::size_t>(n)), m.bytes));
      infos.push_back(info(m.name.substr(0, m.name.size() - 4), headers.back(), m.stored));
      members.push_back(&m);
    }
    if (members.empty() && !zip.members().empty())
      source->bad("is a zip archive without .npy arrays (nor a data.pkl as PyTorch writes)");
  }
  Tensor read(std::size_t i) override {
    const ZipMember& m = *members[i];
    const NpyHeader& h = headers[i];
    if (h.stored == Stored::unknown) unknown_type(*source, text("member ", shown(m.name), ": "), h);
    Tensor t;
    if (!m.deflated && source->mapped()) {
      t = read_stored(*source, infos[i].name, m.position + h.length, as_stored(h), h.stored, h.order);
    } else {
      const auto all = zip.read(m);
      t = make_stored(text(source->who(), ": ", path, ": ", shown(infos[i].name)), as_stored(h), h.stored,
                      h.order, [&](std::byte* to) {
                        std::copy(all.begin() + static_cast<std::ptrdiff_t>(h.length), all.end(), to);
                      });
    }
    return h.fortran ? from_fortran(t) : t;
  }
};

// Header and elements of a file.
struct Array {
  std::string head;
  Tensor values;
  std::span<const std::byte> body() const {
    return {TensorAccess::data(values), static_cast<std::size_t>(values.numel()) * size_of(values.dtype())};
  }
};
const char* type_name(const std::string& path, DType t) {
  switch (t) {
    case DType::f32: return "<f4";
    case DType::f64: return "<f8";
    case DType::f16: return "<f2";
    case DType::i32: return "<i4";
    case DType::i64: return "<i8";
    case DType::u8: return "|u1";
    case DType::boolean: return "|b1";
    default: fail<DTypeError>("save_npy: ", path, ": numpy has no ", t, " (convert with .to(f32) first)");
  }
}
Array array_of(const std::string& path, const Tensor& t) {
  std::string dict = text("{'descr': '", type_name(path, t.dtype()), "', 'fortran_order': False, 'shape': (");
  for (auto v : t.shape()) dict += std::to_string(v) + (t.ndim() == 1 ? "," : ", ");
  if (t.ndim() > 1) dict.resize(dict.size() - 2);
  dict += "), }";
  // Elements begin at a multiple of 64, as numpy has it.
  dict.resize((10 + dict.size() + 1 + 63) / 64 * 64 - 11, ' ');
  dict += '\n';
  Array a;
  a.head = std::string("\x93NUMPY\x01\x00", 8);
  a.head += static_cast<char>(dict.size() & 255);
  a.head += static_cast<char>(dict.size() >> 8);
  a.head += dict;
  a.values = t.detach().to(cpu).contiguous();
  if constexpr (std::endian::native != std::endian::little) {
    a.values = raw::copy(a.values, t.dtype());
    from_order(std::endian::little, TensorAccess::data(a.values), static_cast<std::size_t>(t.numel()),
               size_of(t.dtype()));
  }
  return a;
}
std::span<const std::byte> as_bytes(const std::string& s) {
  return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
}
Tensor load(const ByteSource& s) { return read_array(s, header_of(s), ""); }

}  // namespace

std::unique_ptr<TensorSource> open_npy(SourcePtr s) { return std::make_unique<NpySource>(std::move(s)); }
std::unique_ptr<TensorSource> open_npz(SourcePtr s) { return std::make_unique<NpzSource>(std::move(s)); }

Tensor load_npy(const std::string& path) { return load(ByteSource("load_npy", path)); }
Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  return load(ByteSource("load_npy", bytes, name));
}
void save_npy(const std::string& path, const Tensor& t) {
  check_defined("save_npy", t);
  const Array a = array_of(path, t);
  AtomicFile f(path);
  f.write(a.head.data(), a.head.size());
  f.write(a.body().data(), a.body().size());
  f.commit();
}

NamedTensors load_npz(const std::string& path) {
  NpzSource s(std::make_unique<ByteSource>("load_npz", path));
  NamedTensors r;
  for (std::size_t i = 0; i < s.infos.size(); ++i) r.emplace_back(s.infos[i].name, s.read(i));
  return r;
}
void save_npz(const std::string& path, const NamedTensors& tensors, const NpzOptions& options) {
  std::set<std::string_view> names;
  for (auto& [name, t] : tensors) {
    if (!t) fail<ValueError>("save_npz: ", path, ": tensor \"", name, "\" is empty (default constructed)");
    if (name.empty()) fail<ValueError>("save_npz: ", path, ": a tensor without a name");
    if (!names.insert(name).second)
      fail<ValueError>("save_npz: ", path, ": the name \"", name, "\" is there twice");
    type_name(path, t.dtype());
  }
  ZipWriter zip(path);
  for (auto& [name, t] : tensors) {
    const Array a = array_of(path, t);
    zip.add(name + ".npy", as_bytes(a.head), a.body(), options.compress);
  }
  zip.commit();
}

}  // namespace knet::io
