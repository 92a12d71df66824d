#include "knet/models/published.hpp"

#include <algorithm>
#include <filesystem>

#include "knet/base/text.hpp"

namespace knet::models::detail {

std::string find_file(const std::string& folder, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto path = std::filesystem::path(folder) / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) return path.string();
  }
  return "";
}

std::string need_file(const char* who, const std::string& folder, std::initializer_list<const char*> names) {
  if (std::string path = find_file(folder, names); !path.empty()) return path;
  std::string list;
  for (const char* name : names) list += (list.empty() ? "" : " or ") + std::string(name);
  fail<IoError>(who, ": ", folder, " has no ", list);
}

std::string weights_file(const char* who, const std::string& folder) {
  return need_file(who, folder, {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"});
}

bool any_name(const io::TensorFile& file, std::string_view prefix) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [&](const io::TensorInfo& t) { return t.name.starts_with(prefix); });
}

void check_report(const char* who, const std::string& file, const LoadReport& report,
                  const std::function<bool(std::string_view)>& superfluous) {
  std::string wrong;
  std::size_t listed = 0, all = 0;
  const auto add = [&](const std::string& s) {
    if (++all > 10) return;
    wrong += "\n  " + s;
    ++listed;
  };
  for (const std::string& s : report.misfits) add(s);
  for (const std::string& s : report.missing) add(s + " is missing");
  for (const std::string& s : report.unexpected) {
    if (!superfluous(s)) add(s + " is not part of the model");
  }
  if (all > listed) wrong += text("\n  and ", all - listed, " more");
  if (all > 0) fail<IoError>(who, ": ", file, ": the weights are not those of this model:", wrong);
}

}  // namespace knet::models::detail
