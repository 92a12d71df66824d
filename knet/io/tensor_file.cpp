#include "knet/io/tensor_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "knet/base/text.hpp"
#include "knet/io/tensor_source.hpp"
#include "knet/io/zip.hpp"

namespace knet::io {

std::unique_ptr<TensorSource> open_any(SourcePtr s, const OpenOptions& options) {
  std::array<char, 262> first{};
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(first.size(), s->size()));
  s->read(0, first.data(), n);
  const std::string_view start(first.data(), n);
  if (start.starts_with("GGUF")) return open_gguf(std::move(s));
  if (start.starts_with("\x93NUMPY")) return open_npy(std::move(s));
  // The length of a safetensors header may begin with any two bytes, those of other formats too.
  if (start.size() > 8 && start[7] == '\0' && start[8] == '{') return open_safetensors(std::move(s));
  if (start.starts_with("PK")) {
    const ZipFile z(*s);
    const bool torch = std::any_of(z.members().begin(), z.members().end(), [](const ZipMember& m) {
      return m.name == "data.pkl" || m.name.ends_with("/data.pkl");
    });
    return torch ? open_torch(std::move(s)) : open_npz(std::move(s));
  }
  if (start.starts_with(std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14)) ||
      (start.size() == 262 && start.substr(257) == "ustar"))
    s->bad(
        "is in PyTorch's format of before version 1.6, which is not supported (load it in Python and "
        "torch.save it again, or save it as safetensors)");
  if (start.starts_with("\x80"))
    s->bad("is a bare pickle, which is not supported (expected safetensors, .npz, a zip .pt or GGUF)");
  if (start.starts_with("\x89HDF")) s->bad("is HDF5, which is not supported");
  // A safetensors file begins with the length of its header, whose eighth byte is 0; a text has no zeros.
  const auto begin = start.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && start[begin] == '{' &&
      start.substr(0, 8).find('\0') == std::string_view::npos)
    return open_sharded(std::move(s), options);
  return open_safetensors(std::move(s));
}

TensorFile::TensorFile(const std::string& path, const OpenOptions& options)
    : source_(open_any(std::make_unique<ByteSource>("load", path, options.map), options)) {
  check_names();
}
TensorFile::TensorFile(std::span<const std::byte> bytes, const std::string& name)
    : source_(open_any(std::make_unique<ByteSource>("load", bytes, name), {})) {
  check_names();
}
TensorFile::TensorFile(TensorFile&&) noexcept = default;
TensorFile& TensorFile::operator=(TensorFile&&) noexcept = default;
TensorFile::~TensorFile() = default;

void TensorFile::check_names() {
  const auto& infos = source_->infos;
  by_name_.resize(infos.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return infos[a].name < infos[b].name; });
  const auto twice =
      std::adjacent_find(by_name_.begin(), by_name_.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return infos[a].name == infos[b].name; });
  if (twice != by_name_.end())
    fail<IoError>("load: ", source_->path, ": tensor ", shown(infos[*twice].name), " is there twice");
}

const std::string& TensorFile::path() const { return source_->path; }
const char* TensorFile::format() const { return source_->format; }
const std::vector<TensorInfo>& TensorFile::tensors() const { return source_->infos; }
const Metadata& TensorFile::metadata() const { return source_->metadata; }

const TensorInfo* TensorFile::find(const std::string& name) const {
  const auto& infos = source_->infos;
  const auto i = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                  [&](std::uint32_t a, const std::string& b) { return infos[a].name < b; });
  return i == by_name_.end() || infos[*i].name != name ? nullptr : &infos[*i];
}

Tensor TensorFile::read(const std::string& name) const {
  const TensorInfo* i = find(name);
  if (!i) fail<IoError>("load: ", path(), ": has no tensor ", shown(name));
  return source_->read(static_cast<std::size_t>(i - source_->infos.data()));
}
Tensor TensorFile::read(std::size_t i) const {
  if (i >= source_->infos.size())
    fail<ValueError>("load: ", path(), ": tensor ", i, " of ", source_->infos.size());
  return source_->read(i);
}
NamedTensors TensorFile::read_all() const {
  NamedTensors r;
  r.reserve(source_->infos.size());
  for (std::size_t i = 0; i < source_->infos.size(); ++i) r.emplace_back(source_->infos[i].name, read(i));
  return r;
}

}  // namespace knet::io
