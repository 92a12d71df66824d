#include "knet/train/model_tensors.hpp"

#include <set>

#include "knet/base/text.hpp"

namespace knet::detail {

void ModelTensor::set(const Tensor& t) const {
  const Tensor here = t.to(value().device());
  if (param)
    *param = here;
  else
    *state = here;
}

std::vector<ModelTensor> model_tensors(AnyModel m) {
  struct Collect : Visitor {
    std::vector<ModelTensor> out;
    std::set<std::uint64_t> seen;
    void param(Param& p) override {
      if (p && seen.insert(p.id()).second) out.push_back({path, &p, nullptr});
    }
    void state(Tensor& t) override {
      if (t) out.push_back({path, nullptr, &t});
    }
  } v;
  m.walk(m.p, v);
  return std::move(v.out);
}

io::NamedTensors snapshot(AnyModel m) {
  io::NamedTensors r;
  for (const ModelTensor& t : model_tensors(m)) r.emplace_back(t.name, t.value().detach());
  return r;
}

void restore(AnyModel m, const io::NamedTensors& values) {
  const auto now = model_tensors(m);
  bool fits = now.size() == values.size();
  for (std::size_t i = 0; fits && i < now.size(); ++i) {
    const Tensor &t = values[i].second, &u = now[i].value();
    fits = now[i].name == values[i].first && t.shape() == u.shape() && t.dtype() == u.dtype();
  }
  if (!fits)
    fail<ValueError>("the model has other tensors than the ", values.size(), " that were kept of it");
  for (std::size_t i = 0; i < now.size(); ++i) now[i].set(values[i].second);
}

}  // namespace knet::detail
