#include "knet/io/model_file.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "knet/base/text.hpp"
#include "knet/io/byte_source.hpp"
#include "knet/io/safetensors.hpp"
#include "knet/io/tensor_file.hpp"
#include "knet/tensor/access.hpp"

namespace knet::detail {
namespace {

// Every tensor of the model by name; tied parameters once.
struct Tensors : Visitor {
  struct Entry {
    std::string name;
    Param* param;
    Tensor* tensor;
    const Tensor& value() const { return param ? param->value() : *tensor; }
  };
  std::vector<Entry> out;
  std::set<std::uint64_t> seen;
  void param(Param& p) override {
    if (p && seen.insert(p.id()).second) out.push_back({path, &p, nullptr});
  }
  void state(Tensor& t) override {
    if (t) out.push_back({path, nullptr, &t});
  }
};

// The first part of a dotted name; what is left has it and its dot removed.
std::string_view next_part(std::string_view& s) {
  const auto dot = s.find('.');
  const auto part = s.substr(0, dot);
  s = dot == std::string_view::npos ? std::string_view{} : s.substr(dot + 1);
  return part;
}

// The new name if the pattern fits the name or its first parts.
std::optional<std::string> rename_by(std::string_view from, std::string_view to, std::string_view name) {
  std::vector<std::string_view> stars;
  while (!from.empty()) {
    if (name.empty()) return {};
    const auto want = next_part(from), got = next_part(name);
    if (want == "*")
      stars.push_back(got);
    else if (want != got)
      return {};
  }
  std::string r;
  const auto add = [&](std::string_view part) {
    if (!r.empty()) r += '.';
    r += part;
  };
  for (std::size_t i = 0; !to.empty();) {
    const auto part = next_part(to);
    add(part == "*" ? stars.at(i++) : part);
  }
  if (!name.empty()) add(name);
  return r;
}

void check_rename(const LoadOptions& options) {
  const auto stars = [](std::string_view s) {
    std::ptrdiff_t n = 0;
    while (!s.empty()) n += next_part(s) == "*";
    return n;
  };
  const auto sound = [](const std::string& s) {
    return !s.starts_with('.') && !s.ends_with('.') && s.find("..") == std::string::npos;
  };
  for (const auto& [from, to] : options.rename) {
    if (!sound(from) || !sound(to))
      fail<ValueError>("load: rename {\"", from, "\", \"", to, "\"}: names begin and end without a dot");
    if (stars(from) != stars(to))
      fail<ValueError>("load: rename {\"", from, "\", \"", to, "\"}: expected as many * on both sides");
  }
}

std::string renamed(const LoadOptions& options, const std::string& name) {
  for (const auto& [from, to] : options.rename) {
    if (auto r = rename_by(from, to, name)) return *r;
  }
  return name;
}

bool fits(DType file, DType model, const LoadOptions& options) {
  return file == model || (options.convert && is_floating(file) && is_floating(model));
}

// What of the file goes where, and what does not fit.
struct Plan {
  std::vector<const io::TensorInfo*> sources;  // for each tensor of the model, or null
  LoadReport report;
};
Plan plan(const io::TensorFile& f, const std::vector<Tensors::Entry>& model, const LoadOptions& options) {
  std::map<std::string, const io::TensorInfo*> found;
  for (const auto& info : f.tensors()) {
    const auto [it, fresh] = found.emplace(renamed(options, info.name), &info);
    if (!fresh)
      fail<IoError>("load: ", f.path(), ": ", io::shown(it->second->name), " and ", io::shown(info.name),
                    " are both renamed to ", io::shown(it->first));
  }
  Plan p;
  for (const auto& e : model) {
    p.sources.push_back(nullptr);
    const auto it = found.find(e.name);
    if (it == found.end()) {
      p.report.missing.push_back(e.name);
      continue;
    }
    const io::TensorInfo& t = *it->second;
    found.erase(it);
    if (t.readable && t.shape == e.value().shape() && fits(t.dtype, e.value().dtype(), options)) {
      p.sources.back() = &t;
      p.report.loaded.push_back(e.name);
      continue;
    }
    const std::string type = t.readable ? to_string(t.dtype) : t.stored + " (which can not be read)";
    p.report.misfits.push_back(text(e.name, " is ", type, " ", t.shape, " in the file and ",
                                    e.value().dtype(), " ", e.value().shape(), " in the model"));
  }
  for (const auto& [name, info] : found) {
    if (name != "num_batches_tracked" && !name.ends_with(".num_batches_tracked"))
      p.report.unexpected.push_back(name);
  }
  return p;
}

void require_all(const io::TensorFile& f, const std::vector<Tensors::Entry>& model,
                 const LoadOptions& options, const LoadReport& r) {
  if (r.missing.empty() && r.unexpected.empty() && r.misfits.empty()) return;
  std::string wrong;
  for (const auto& e : model) {
    if (std::find(r.missing.begin(), r.missing.end(), e.name) != r.missing.end())
      wrong += text("\n  missing: ", e.name, " ", e.value().shape());
  }
  for (const auto& m : r.misfits) wrong += "\n  " + m;
  std::set<std::string_view> unexpected(r.unexpected.begin(), r.unexpected.end());
  for (const auto& info : f.tensors()) {
    const std::string name = renamed(options, info.name);
    if (unexpected.contains(name))
      wrong += text("\n  unexpected: ", name.size() > 200 ? io::shown(name) : name, " ", info.shape);
  }
  fail<IoError>("load: ", f.path(), " does not fit the model:", wrong);
}

}  // namespace

io::NamedTensors model_tensors(AnyModel m) {
  Tensors v;
  m.walk(m.p, v);
  io::NamedTensors named;
  for (const auto& e : v.out) named.emplace_back(e.name, e.value());
  return named;
}

void save_model(const std::string& file, AnyModel m) { io::save_safetensors(file, model_tensors(m)); }

LoadReport load_model(const std::string& file, AnyModel m, const LoadOptions& options) {
  check_rename(options);
  std::optional<io::TensorFile> f(std::in_place, file, io::OpenOptions{.map = options.map});
  Tensors v;
  m.walk(m.p, v);
  Plan p = plan(*f, v.out, options);
  if (options.strict) require_all(*f, v.out, options, p.report);
  // All is read and converted before anything of the model changes.
  std::vector<Tensor> values(v.out.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!p.sources[i]) continue;
    const Tensor& old = v.out[i].value();
    values[i] = f->read(p.sources[i]->name).to(old.dtype()).to(old.device());
  }
  // What the file keeps to share is given up, and what tensors of the file share becomes each one's own.
  f.reset();
  for (Tensor& t : values) {
    if (t) raw::make_own(t);
  }
  // A parameter that diff() is using refuses to change: ask all of them before the first does.
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] && v.out[i].param) v.out[i].param->mutable_value();
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    if (v.out[i].param)
      *v.out[i].param = values[i];
    else
      *v.out[i].tensor = values[i];
  }
  return std::move(p.report);
}

}  // namespace knet::detail
