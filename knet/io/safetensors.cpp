#include "knet/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "knet/base/text.hpp"
#include "knet/io/atomic_file.hpp"
#include "knet/io/bytes.hpp"
#include "knet/io/input_file.hpp"
#include "knet/io/safetensors_header.hpp"
#include "knet/tensor/access.hpp"

namespace knet::io {
namespace {

std::size_t bytes_of(const Tensor& t) { return static_cast<std::size_t>(t.numel()) * size_of(t.dtype()); }

// Bytes straight from the file must be made values: in the machine's order, and a bool that is neither 0 nor
// 1 is not a bool.
void check_values(const std::string& file, const std::string& name, Tensor& t) {
  std::byte* p = TensorAccess::data(t);
  const auto n = static_cast<std::size_t>(t.numel());
  from_order(std::endian::little, p, n, size_of(t.dtype()));
  if (t.dtype() != boolean) return;
  for (std::size_t i = 0; i < n; ++i) {
    if (p[i] > std::byte{1}) {
      fail<IoError>("load_safetensors: ", file, ": element ", i, " of the BOOL tensor ", name, " is ",
                    std::to_integer<int>(p[i]), " (expected 0 or 1)");
    }
  }
}

// read(position behind the header, to, bytes)
template <class Read>
SafeTensors fill(const std::string& file, detail::FileHeader&& header, const Read& read) {
  SafeTensors r;
  r.metadata = std::move(header.metadata);
  r.tensors.reserve(header.entries.size());
  for (auto& e : header.entries) {
    Tensor t = Tensor::make(e.shape, e.dtype, cpu);
    if (e.end > e.begin) {
      read(e.begin, TensorAccess::data(t), static_cast<std::size_t>(e.end - e.begin));
      check_values(file, e.name, t);
    }
    r.tensors.emplace_back(std::move(e.name), std::move(t));
  }
  return r;
}

[[noreturn]] void too_short(const std::string& file, std::uint64_t size) {
  fail<IoError>("load_safetensors: ", file, ": has ", size,
                " bytes (expected at least 10): not a safetensors file?");
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

void save_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata) {
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
  AtomicFile file(path);
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
  file.commit();
}

SafeTensors load_safetensors(const std::string& path) {
  InputFile file("load_safetensors", path);
  if (file.size() < 10) too_short(path, file.size());
  unsigned char first[8];
  file.read_all(first, 8);
  std::string text(static_cast<std::size_t>(detail::header_length(path, first, file.size())), '\0');
  file.read_all(text.data(), text.size());
  const std::uint64_t start = 8 + text.size();
  return fill(path, detail::parse_header(path, text, file.size() - start),
              [&](std::uint64_t position, std::byte* to, std::size_t bytes) {
                file.seek(start + position);
                file.read_all(to, bytes);
              });
}

SafeTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() < 10) too_short(name, bytes.size());
  unsigned char first[8];
  std::memcpy(first, bytes.data(), 8);
  const auto length = static_cast<std::size_t>(detail::header_length(name, first, bytes.size()));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  const auto data = bytes.subspan(8 + length);
  return fill(name, detail::parse_header(name, text, data.size()),
              [&](std::uint64_t position, std::byte* to, std::size_t n) {
                std::memcpy(to, data.data() + static_cast<std::size_t>(position), n);
              });
}

}  // namespace knet::io
