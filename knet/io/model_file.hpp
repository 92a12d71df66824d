// Models in files: parameters and state by name. Saved as safetensors; loaded from any format that TensorFile
// reads, with names changed and types converted on the way.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "knet/autograd/model.hpp"
#include "knet/io/named_tensors.hpp"

namespace knet {

/// Options of load().
struct LoadOptions {
  /// Everything in the file and in the model must fit. Without it what fits is loaded, and the report says
  /// what is missing, unexpected or of another shape.
  bool strict = true;
  /// Changes names of the file before they are compared with the model's. Each pair stands for a name or for
  /// its first parts up to a dot, and the first pair that fits is used:
  ///   {"fc", "classifier"}      fc.weight -> classifier.weight, fc -> classifier, not fcx.weight
  ///   {"module", ""}            module.fc.weight -> fc.weight
  ///   {"", "backbone"}          everything gets backbone. in front
  ///   {"bert.encoder.layer.*.output.dense", "encoder.*.linear2"}   a * is one part, the same on both sides
  std::vector<std::pair<std::string, std::string>> rename = {};
  /// Converts floating values (f16, bf16, f32, f64) to the model's dtype, as published half precision weights
  /// need it. Without it another dtype is an error. Integers are never converted.
  bool convert = true;
  /// Maps the file: weights that are used as they are stored are not copied. See OpenOptions in
  /// tensor_file.hpp for what must not happen to the file meanwhile.
  bool map = false;
};

/// What load() did.
struct LoadReport {
  std::vector<std::string> loaded;      ///< names of the model
  std::vector<std::string> missing;     ///< names of the model that the file does not have
  std::vector<std::string> unexpected;  ///< names of the file (renamed) that the model does not have
  std::vector<std::string> misfits;  ///< "fc.weight is f32 [10, 4] in the file and f32 [2, 4] in the model"
};

namespace detail {
io::NamedTensors model_tensors(AnyModel);
void save_model(const std::string& file, AnyModel);
LoadReport load_model(const std::string& file, AnyModel, const LoadOptions&);
}  // namespace detail

/// Every parameter (tied ones once) and state tensor of the model with its name, to be saved in other
/// formats: io::save_npz("model.npz", named_tensors(model)).
template <class M>
io::NamedTensors named_tensors(const M& model) {
  return detail::model_tensors(detail::any_model(model));
}
/// Writes them as safetensors; the old file stays whole if anything fails. IoError.
template <class M>
void save(const std::string& file, const M& model) {
  detail::save_model(file, detail::any_model(model));
}
/// Reads parameters and state from safetensors, an index of shards, .pt, .npz or GGUF (told by the contents).
/// Names and shapes must match: otherwise an IoError lists everything that is missing, unexpected or of
/// another shape. ValueError for a rename that makes no sense. Whatever fails, the model stays as it was.
/// PyTorch's num_batches_tracked, which no layer here has, is left out.
template <class M>
LoadReport load(const std::string& file, M& model, const LoadOptions& options = {}) {
  return detail::load_model(file, detail::any_model(model), options);
}

}  // namespace knet
