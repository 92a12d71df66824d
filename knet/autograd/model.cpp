#include "knet/autograd/model.hpp"

#include <cstdio>
#include <set>

#include "knet/base/text.hpp"

namespace knet {
namespace {

struct Collect : Visitor {
  std::vector<Named> out;
  std::set<std::uint64_t> seen;
  void param(Param& p) override {
    if (p && seen.insert(p.id()).second) out.push_back({path, &p});
  }
};
struct Convert : Visitor {
  DType dtype = f32;
  std::set<std::uint64_t> seen;
  void param(Param& p) override {
    if (p && seen.insert(p.id()).second) p.mutable_value() = p.value().to(dtype);
  }
  void state(Tensor& t) override {
    if (t && t.floating()) t = t.to(dtype);
  }
};
struct Move : Visitor {
  Device device;
  std::set<std::uint64_t> seen;
  void param(Param& p) override {
    if (p && seen.insert(p.id()).second) p.mutable_value() = p.value().to(device);
  }
  void state(Tensor& t) override {
    if (t) t = t.to(device);
  }
};

}  // namespace

std::string_view detail::index_name(std::size_t i, char (&b)[20]) {
  const int n = std::snprintf(b, sizeof b, "%zu", i);
  return {b, static_cast<std::size_t>(n)};
}

NamedParams::NamedParams(detail::AnyModel m) {
  Collect c;
  m.walk(m.p, c);
  v_ = std::move(c.out);
}

void detail::move(AnyModel m, Device d) {
  require("to", d);
  Move v;
  v.device = d;
  m.walk(m.p, v);
}
void detail::cast(AnyModel m, DType t) {
  if (t != f32 && t != f64) fail<DTypeError>("to: models are f32 or f64, not ", t);
  Convert v;
  v.dtype = t;
  m.walk(m.p, v);
}

}  // namespace knet
