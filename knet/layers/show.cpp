#include "knet/layers/show.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <vector>

#include "knet/base/text.hpp"

namespace knet::detail {
namespace {

// A struct that describes itself is one line; what is inside it is only counted.
struct Show : Visitor {
  std::string out;
  std::int64_t total = 0;

  void param(Param& p) override {
    if (!p) return;
    if (seen_.insert(p.id()).second) total += p.numel();
    if (!inside()) line(knet::text("Param", p.shape()));
  }
  void state(Tensor& t) override {
    if (!inside() && t) line(knet::text("Tensor", t.shape()));
  }
  void number(double v) override {
    if (!inside()) line(knet::text(v));
  }
  void enter(std::string_view type, std::string (*describe)(const void*), const void* p) override {
    if (!inside()) line(describe ? describe(p) : std::string(type));
    levels_.push_back({path.size(), inside() || describe});
  }
  void leave() override { levels_.pop_back(); }

 private:
  struct Level {
    std::size_t path;
    bool described;
  };
  bool inside() const { return !levels_.empty() && levels_.back().described; }
  void line(const std::string& s) {
    std::string name = path.substr(std::min(levels_.empty() ? 0 : levels_.back().path, path.size()));
    if (name.starts_with('.')) name.erase(0, 1);
    out += std::string(levels_.size() * 2, ' ') + (name.empty() ? "" : name + ": ") + s + "\n";
  }
  std::vector<Level> levels_;
  std::set<std::uint64_t> seen_;
};

}  // namespace

std::string show(AnyModel m) {
  Show v;
  m.walk(m.p, v);
  return knet::text(v.out, v.total, " parameters");
}
std::string summary(AnyModel m) {
  const NamedParams params(m);
  std::size_t widest = 0;
  for (const Named& n : params) widest = std::max(widest, n.name.size());
  std::string r;
  std::int64_t total = 0;
  for (const Named& n : params) {
    r += text(n.name, std::string(widest + 2 - n.name.size(), ' '), n.param->dtype(), ' ', n.param->shape(),
              "  ", n.param->numel(), n.param->frozen() ? "  frozen" : "", "\n");
    total += n.param->numel();
  }
  return text(r, total, " parameters\n");
}

}  // namespace knet::detail
