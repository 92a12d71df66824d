#include "knet/io/model_file.hpp"

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "knet/base/text.hpp"
#include "knet/io/safetensors.hpp"

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

}  // namespace

void save_model(const std::string& file, AnyModel m) {
  Tensors v;
  m.walk(m.p, v);
  io::NamedTensors named;
  for (const auto& e : v.out) named.emplace_back(e.name, e.value());
  io::save_safetensors(file, named);
}

void load_model(const std::string& file, AnyModel m) {
  const io::SafeTensors f = io::load_safetensors(file);
  std::map<std::string, const Tensor*> found;
  for (const auto& [name, t] : f.tensors) found.emplace(name, &t);
  Tensors v;
  m.walk(m.p, v);
  std::string wrong;
  std::vector<const Tensor*> values;
  for (const auto& e : v.out) {
    const auto it = found.find(e.name);
    if (it == found.end()) {
      wrong += text("\n  missing: ", e.name, " ", e.value().shape());
      continue;
    }
    const Tensor& t = *it->second;
    if (t.shape() != e.value().shape() || t.dtype() != e.value().dtype()) {
      wrong += text("\n  ", e.name, " is ", t.dtype(), " ", t.shape(), " in the file and ", e.value().dtype(),
                    " ", e.value().shape(), " in the model");
    }
    values.push_back(&t);
    found.erase(it);
  }
  for (const auto& [name, t] : found) wrong += text("\n  unexpected: ", name, " ", t->shape());
  if (!wrong.empty()) fail<IoError>("load: ", file, " does not fit the model:", wrong);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Tensor t = values[i]->to(v.out[i].value().device());
    if (v.out[i].param)
      *v.out[i].param = t;
    else
      *v.out[i].tensor = t;
  }
}

}  // namespace knet::detail
