// A file of named tensors, whatever its format: opening reads names, shapes and types, a tensor is read when
// it is asked for. Nothing in a file is trusted: what does not fit is an IoError, and no memory is taken that
// the file's size does not justify.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "knet/io/named_tensors.hpp"

namespace knet::io {

/// What is known of a tensor before it is read.
struct TensorInfo {
  std::string name;
  Shape shape;
  DType dtype = f32;        ///< of the tensor that read() gives
  std::string stored;       ///< the file's own name of its type: "F8_E4M3", "<i2", "Q4_0"
  std::uint64_t bytes = 0;  ///< in the file, as far as the tensor has its own
  bool readable = true;     ///< false: read() is an IoError, as the library knows no such type
};

struct OpenOptions {
  /// Maps the file instead of reading it: a tensor whose elements lie in the file as the machine wants them
  /// is not copied, and its pages are loaded when they are first touched. Writing to such a tensor never
  /// changes the file. Checksums are not checked. The file must not be overwritten or shortened in place
  /// while tensors of it live: touching a page that is gone ends the process (SIGBUS). Removing or replacing
  /// it by rename, as save() does, is safe.
  bool map = false;
};

struct TensorSource;

/// safetensors, a safetensors index of shards (model.safetensors.index.json), npz, npy, PyTorch's zip files
/// (.pt, .pth) or GGUF, told by the contents. Reading several tensors from several threads is safe.
///
/// Types that tensors do not have become the smallest that holds all values: I8, I16 and U16 become i32, U32
/// i64, U64 i64 (a value beyond it is an error when the tensor is read), 8-bit floats f32, GGUF's quantised
/// blocks f32. Any other type (complex numbers, 4-bit floats, texts) is an error when that tensor is read.
///
/// Names: those of the file. npy has one tensor named "". In a .pt file nested dictionaries and lists are
/// joined by dots ("model.fc.weight", "optimizer.state.0.exp_avg"); numbers and texts in them are metadata.
class TensorFile {
 public:
  /// IoError, with the path, what was found and what was expected.
  explicit TensorFile(const std::string& path, const OpenOptions& = {});
  /// From memory, which must outlive the object; `name` stands for the path in messages.
  explicit TensorFile(std::span<const std::byte> bytes, const std::string& name = "memory");
  TensorFile(TensorFile&&) noexcept;
  TensorFile& operator=(TensorFile&&) noexcept;
  ~TensorFile();

  const std::string& path() const;
  /// "safetensors", "sharded safetensors", "npz", "npy", "torch" or "gguf".
  const char* format() const;
  /// In the order of the file.
  const std::vector<TensorInfo>& tensors() const;
  /// Remarks of safetensors, numbers and texts of the others as text (for GGUF's see gguf.hpp).
  const Metadata& metadata() const;
  const TensorInfo* find(const std::string& name) const;
  /// The tensor, on the CPU; IoError when there is none of that name or it can not be read. Tensors of a .pt
  /// file that share memory there share it here, so they may be strided.
  Tensor read(const std::string& name) const;
  Tensor read(std::size_t i) const;
  NamedTensors read_all() const;

 private:
  void check_names();
  std::unique_ptr<TensorSource> source_;
  std::vector<std::uint32_t> by_name_;  // positions in tensors(), sorted
};

}  // namespace knet::io
