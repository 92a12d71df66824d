// What loaders of published weights share. For the sources of knet/models only.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "knet/io/model_file.hpp"
#include "knet/io/tensor_file.hpp"

namespace knet::models::detail {

/// The first of these files that is in the folder; "" when none is.
std::string find_file(const std::string& folder, std::initializer_list<const char*> names);
/// The same; IoError with `who` that says what was looked for.
std::string need_file(const char* who, const std::string& folder, std::initializer_list<const char*> names);
/// The weights of a folder as Hugging Face names them.
std::string weights_file(const char* who, const std::string& folder);
/// Does a name of the file begin so?
bool any_name(const io::TensorFile&, std::string_view prefix);
/// IoError with `who` and the file unless everything of the model was loaded and what is left of the file is
/// `superfluous`.
void check_report(const char* who, const std::string& file, const LoadReport&,
                  const std::function<bool(std::string_view)>& superfluous);

}  // namespace knet::models::detail
