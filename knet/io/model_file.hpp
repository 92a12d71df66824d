// Models in files: parameters and state by name, as safetensors.
#pragma once
#include <string>

#include "knet/autograd/model.hpp"

namespace knet {

namespace detail {
void save_model(const std::string& file, AnyModel);
void load_model(const std::string& file, AnyModel);
}  // namespace detail

/// Writes every parameter and state tensor of the model; the old file stays whole if anything fails. IoError.
template <class M>
void save(const std::string& file, const M& model) {
  detail::save_model(file, detail::any_model(model));
}
/// Reads them back. Names, shapes and dtypes must match: otherwise an IoError lists everything that is
/// missing, unexpected or of another shape, and the model stays as it was.
template <class M>
void load(const std::string& file, M& model) {
  detail::load_model(file, detail::any_model(model));
}

}  // namespace knet
