// Weights made from their names, as tests/reference/models_reference.py makes them: files of a hundred
// megabytes need not be stored to compare networks.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "benchmarks/common.hpp"
#include "knet/knet.hpp"

namespace knet::test {

inline Tensor formula(const std::string& name, const Shape& shape, double low, double high) {
  std::uint32_t seed = 2166136261u;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 16777619u;
  return {bench::uniform(seed, static_cast<std::size_t>(shape.numel()), low, high), shape};
}
inline Tensor formula(const std::string& name, const Shape& shape) {
  if (name.ends_with(".bn.running_var")) return formula(name, shape, 0.2, 0.6);
  if (name.ends_with("running_var") || (name.ends_with("weight") && shape.ndim() == 1))
    return formula(name, shape, 0.5, 1.5);
  if (shape.ndim() < 2) return formula(name, shape, -0.1, 0.1);
  const double a = std::sqrt(3.0 * static_cast<double>(shape[0]) / static_cast<double>(shape.numel()));
  return formula(name, shape, -a, a);
}

struct Fill : Visitor {
  void param(Param& p) override {
    if (p) p = formula(path, p.shape());  // convolutions have no bias
  }
  void state(Tensor& t) override { t = formula(path, t.shape()); }
};
template <class M>
M& fill(M& model) {
  Fill f;
  walk(model, f);
  return model;
}

}  // namespace knet::test
