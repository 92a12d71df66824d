// What stands behind a TensorFile: one for each format. For the sources of io only.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "knet/io/byte_source.hpp"
#include "knet/io/tensor_file.hpp"

namespace knet::io {

struct TensorSource {
  std::string path;
  const char* format = "";
  std::vector<TensorInfo> infos;
  Metadata metadata;
  TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  virtual ~TensorSource() = default;
  virtual Tensor read(std::size_t) = 0;
};

using SourcePtr = std::unique_ptr<ByteSource>;
std::unique_ptr<TensorSource> open_safetensors(SourcePtr);
std::unique_ptr<TensorSource> open_npy(SourcePtr);
std::unique_ptr<TensorSource> open_npz(SourcePtr);
std::unique_ptr<TensorSource> open_torch(SourcePtr);
std::unique_ptr<TensorSource> open_gguf(SourcePtr);
/// The index names files beside it, so there must be a path.
std::unique_ptr<TensorSource> open_sharded(SourcePtr, const OpenOptions&);
/// By the contents.
std::unique_ptr<TensorSource> open_any(SourcePtr, const OpenOptions&);

}  // namespace knet::io
