#include "knet/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/bytes.hpp"
#include "knet/io/safetensors_header.hpp"
#include "knet/io/tensor_source.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.numel()) * size_of(t.dtype()); }

struct SafeTensorsSource : TensorSource {
  SourcePtr source;
  std::vector<detail::Entry> entries;
  std::uint64_t start = 0;  // of the tensors' bytes

  explicit SafeTensorsSource(SourcePtr s) : source(std::move(s)) {
    const ByteSource& f = *source;
    path = f.name(), format = "safetensors";
    if (f.size() < 10) f.bad("has ", f.size(), " bytes (expected at least 10): not a safetensors file?");
    unsigned char first[8];
    f.read(0, first, 8);
    std::string text(static_cast<std::size_t>(detail::header_length(f.who(), path, first, f.size())), '\0');
    f.read(8, text.data(), text.size());
    start = 8 + text.size();
    auto header = detail::parse_header(f.who(), path, text, f.size() - start);
    metadata = std::move(header.metadata);
    entries = std::move(header.entries);
    infos.reserve(entries.size());
    for (auto& e : entries) {
      infos.push_back({std::move(e.name), e.shape, dtype_of(e.stored), e.type, e.end - e.begin,
                       e.stored != Stored::unknown});
    }
  }
  Tensor read(std::size_t i) override {
    const auto& e = entries[i];
    if (e.stored == Stored::unknown)
      source->bad("tensor ", shown(infos[i].name), " is of dtype ", shown(e.type),
                  ", which is not supported");
    return read_stored(*source, infos[i].name, start + e.begin, e.shape, e.stored);
  }
};

SafeTensors read_whole(SourcePtr s) {
  SafeTensorsSource f(std::move(s));
  SafeTensors r;
  r.metadata = std::move(f.metadata);
  r.tensors.reserve(f.infos.size());
  for (std::size_t i = 0; i < f.infos.size(); ++i) {
    Tensor t = f.read(i);
    r.tensors.emplace_back(std::move(f.infos[i].name), std::move(t));
  }
  return r;
}

void check_saveable(const std::string& path, const NamedTensors& tensors) {
  std::set<std::string_view> names;
  for (auto& [name, t] : tensors) {
    if (!t)
      fail<ValueError>("save_safetensors: ", path, ": tensor \"", name, "\" is empty (default constructed)");
    if (name == "__metadata__")
      fail<ValueError>("save_safetensors: ", path, ": no tensor can be called __metadata__");
    if (!names.insert(name).second)
      fail<ValueError>("save_safetensors: ", path, ": the name \"", name, "\" is there twice");
  }
}

std::string header_text(const std::string& path, const NamedTensors& tensors,
                        const std::vector<std::size_t>& begins, const Metadata& metadata) {
  nlohmann::ordered_json j = nlohmann::ordered_json::object();
  // Not operator[]: an ordered_json looks for the key first, which is quadratic; names are known to differ.
  auto& object = j.get_ref<nlohmann::ordered_json::object_t&>();
  object.reserve(tensors.size() + 1);
  if (!metadata.empty()) object.emplace_back("__metadata__", nlohmann::ordered_json(metadata));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, t] = tensors[i];
    nlohmann::ordered_json e;
    e["dtype"] = detail::format_name(t.dtype());
    e["shape"] = std::vector<std::int64_t>(t.shape().begin(), t.shape().end());
    e["data_offsets"] = {begins[i], begins[i] + bytes_of(t)};
    object.emplace_back(name, std::move(e));
  }
  std::string s;
  try {
    s = j.dump();
  } catch (const nlohmann::json::exception&) {
    fail<ValueError>("save_safetensors: ", path, ": a name or a remark is not UTF-8");
  }
  s.resize((s.size() + 7) / 8 * 8, ' ');
  if (s.size() > detail::max_header) {
    fail<IoError>("save_safetensors: ", path, ": the names need a header of ", s.size(), " bytes (at most ",
                  detail::max_header, ")");
  }
  return s;
}

}  // namespace

const Tensor* SafeTensors::find(const std::string& name) const {
  const auto i = std::find_if(tensors.begin(), tensors.end(), [&](auto& t) { return t.first == name; });
  return i == tensors.end() ? nullptr : &i->second;
}

void detail::write_safetensors(AtomicFile& file, const std::string& path, const NamedTensors& tensors,
                               const Metadata& metadata) {
  check_saveable(path, tensors);
  // Wide elements first, so that every tensor stands at a multiple of its element's size; some readers need
  // that.
  std::vector<std::size_t> order(tensors.size()), begins(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a].second.dtype()) > size_of(tensors[b].second.dtype());
  });
  std::size_t at = 0;
  for (std::size_t i : order) begins[i] = at, at += bytes_of(tensors[i].second);

  const std::string header = header_text(path, tensors, begins, metadata);
  std::byte length[8];
  for (std::size_t i = 0; i < 8; ++i)
    length[i] = static_cast<std::byte>(std::uint64_t{header.size()} >> 8 * i);
  file.write(length, 8);
  file.write(header.data(), header.size());
  for (std::size_t i : order) {
    const Tensor& given = tensors[i].second;
    Tensor t = given.to(cpu).contiguous();
    if (bytes_of(t) == 0) continue;
    if constexpr (std::endian::native != std::endian::little) {
      t = raw::copy(t, t.dtype());
      from_order(std::endian::little, TensorAccess::data(t), static_cast<std::size_t>(t.numel()),
                 size_of(t.dtype()));
    }
    file.write(TensorAccess::data(t), bytes_of(t));
  }
}

void save_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata) {
  AtomicFile file(path);
  detail::write_safetensors(file, path, tensors, metadata);
  file.commit();
}

std::unique_ptr<TensorSource> open_safetensors(SourcePtr s) {
  return std::make_unique<SafeTensorsSource>(std::move(s));
}

SafeTensors load_safetensors(const std::string& path) {
  return read_whole(std::make_unique<ByteSource>("load_safetensors", path));
}

Metadata load_metadata(const std::string& path) {
  return SafeTensorsSource(std::make_unique<ByteSource>("load_safetensors", path)).metadata;
}

SafeTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  return read_whole(std::make_unique<ByteSource>("load_safetensors", bytes, name));
}

}  // namespace knet::io
