// Reads the part of Python's pickle format that torch.save writes, without executing anything: a pickle is a
// program for a stack machine that can import and call whatever it names. Here names are only compared with
// a list (OrderedDict, torch's rebuild functions and storages); a call of anything else gives an opaque
// value. For the sources of io only.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knet/io/byte_source.hpp"
#include "knet/io/stored_type.hpp"

namespace knet::io {

/// A piece of memory that tensors of a pickle are views of.
struct PickleStorage {
  std::string key;   ///< of the archive's member
  std::string type;  ///< torch's name: "FloatStorage"
  Stored stored = Stored::unknown;
  std::uint64_t numel = 0;  ///< elements
  bool untyped = false;     ///< numel counts bytes, the tensor says the type
};
struct PickleTensor {
  std::uint32_t storage = 0;
  std::string type;
  Stored stored = Stored::unknown;
  std::int64_t offset = 0;  ///< in elements
  Shape shape;
  Strides strides;
};
struct PickleLeaf {
  std::string name;
  std::uint32_t tensor;
};
struct Pickle {
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  std::vector<PickleLeaf> leaves;                            ///< tensors by their flattened names
  std::vector<std::pair<std::string, std::string>> remarks;  ///< numbers and texts, flattened too
  std::string opaque;  ///< the first name that is not on the list; empty if none
};

/// Runs and flattens a pickle. IoError, with the byte, for what torch.save does not write, for a tensor with
/// negative sizes or strides, lists that contain themselves, or more than 64 levels. Takes memory of a small
/// multiple of the text's.
Pickle read_pickle(const ByteSource&, std::string_view text);

}  // namespace knet::io
