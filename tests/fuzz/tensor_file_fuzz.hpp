// What the fuzz targets of tensor files share: everything in the file is read, and an Error is the only thing
// that may come of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "knet/base/error.hpp"
#include "knet/io/tensor_source.hpp"
#include "knet/tensor/access.hpp"

namespace knet::fuzz {

using Open = std::unique_ptr<io::TensorSource> (*)(io::SourcePtr);

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

/// Opens and reads; the memory behind the tensors together may be `ratio` times the file's.
inline void read_tensors(Open open, std::span<const std::byte> bytes, std::size_t ratio) {
  try {
    const auto file = open(std::make_unique<io::ByteSource>("fuzz", bytes, "memory"));
    std::size_t total = 0;
    for (std::size_t i = 0; i < file->infos.size(); ++i) {
      try {
        const Tensor t = file->read(i);
        if (t.shape() != file->infos[i].shape || t.dtype() != file->infos[i].dtype) std::abort();
        if (!file->infos[i].readable) std::abort();
        // Views share a storage: reading its last element shows whether they stay inside.
        if (t.numel() > 0 && !t.is_contiguous()) {
          std::size_t last = 0;
          for (int d = 0; d < t.ndim(); ++d)
            last += static_cast<std::size_t>((t.size(d) - 1) * t.strides()[d]);
          if ((static_cast<std::size_t>(TensorAccess::offset(t)) + last + 1) * size_of(t.dtype()) >
              TensorAccess::storage(t)->bytes)
            std::abort();
        }
        if (!TensorAccess::sole_owner(t)) continue;
        total += TensorAccess::storage(t)->bytes;
      } catch (const Error&) {
      }
    }
    if (total > ratio * bytes.size()) std::abort();
  } catch (const Error&) {
  }
}

}  // namespace knet::fuzz
