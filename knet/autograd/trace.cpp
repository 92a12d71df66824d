#include "knet/autograd/trace.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "knet/autograd/observe.hpp"
#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"

namespace knet::detail {
namespace {

/// Which layer has which parameter: the outermost struct that describes itself, or the innermost of others.
struct Layers : Visitor {
  std::vector<TracedLayer> layers;
  struct Owned {
    int layer;
    std::string name;
  };
  std::map<std::uint64_t, Owned> owners;

  void param(Param& p) override {
    if (!p || owners.contains(p.id())) return;
    Level& l = *std::find_if(levels_.begin(), levels_.end() - 1, [](const Level& x) { return x.described; });
    if (l.layer < 0) {
      l.layer = static_cast<int>(layers.size());
      layers.push_back({l.path, l.description, 0, 0});
    }
    TracedLayer& t = layers[static_cast<std::size_t>(l.layer)];
    t.params += p.numel();
    t.param_bytes += p.numel() * static_cast<std::int64_t>(size_of(p.dtype()));
    owners[p.id()] = {l.layer, path};
  }
  void enter(std::string_view type, std::string (*describe)(const void*), const void* p) override {
    levels_.push_back({path, describe ? describe(p) : std::string(type), describe != nullptr, -1});
  }
  void leave() override { levels_.pop_back(); }

 private:
  struct Level {
    std::string path, description;
    bool described;
    int layer;
  };
  std::vector<Level> levels_{{"", "parameters", false, -1}};  // of a bare Param, or a vector of them
};

struct Tracer : Observer {
  const Layers& layers;
  Trace out;
  std::map<std::int32_t, int> op_of_node;
  std::vector<bool> of_params;  // made of parameters alone: a transposed weight
  double flops = 0;             // of kernels since the last operator
  int depth = 0;                // kernels inside kernels are the outer one's business

  explicit Tracer(const Layers& l) : layers(l) {}

  void kernel_begins(const Kernel& k) override {
    if (depth++ == 0) flops += k.flops;
  }
  void kernel_ends() override { --depth; }
  void read(std::uint64_t id, const Tensor& leaf) override {
    TracedOp& op = out.ops[static_cast<std::size_t>(op_of_node.at(TensorAccess::node(leaf)))];
    const auto found = layers.owners.find(id);
    op.kind = found == layers.owners.end() ? TracedOp::Kind::input : TracedOp::Kind::param;
    op.name = found == layers.owners.end() ? "input" : found->second.name;
    op.layer = found == layers.owners.end() ? -1 : found->second.layer;
    of_params.back() = op.kind == TracedOp::Kind::param;
  }
  void recorded(const char* name, const Tensor& y, std::span<const Tensor* const> inputs) override {
    TracedOp op;
    op.name = name;
    op.shape = y.shape();
    op.dtype = y.dtype();
    op.flops = std::exchange(flops, 0);
    // Rows of a table are values already: what an embedding gives.
    bool view = false, params = op.name != "take_rows" && op.name != "index_select" && op.name != "gather";
    for (const Tensor* x : inputs) {
      if (!x || !*x) continue;
      view = view || TensorAccess::storage(*x) == TensorAccess::storage(y);
      const auto found = tracked(*x) ? op_of_node.find(TensorAccess::node(*x)) : op_of_node.end();
      if (found == op_of_node.end()) {
        params = false;
        continue;
      }
      op.inputs.push_back(found->second);
      const auto i = static_cast<std::size_t>(found->second);
      if (of_params[i] && op.layer < 0) op.layer = out.ops[i].layer;
      params = params && of_params[i];
    }
    if (!view) op.result_bytes = y.numel() * static_cast<std::int64_t>(size_of(y.dtype()));
    op_of_node[TensorAccess::node(y)] = static_cast<int>(out.ops.size());
    of_params.push_back(params);
    out.ops.push_back(std::move(op));
  }
};

}  // namespace

Tensor traced_input(const Tensor& x) {
  if (!x || !x.floating()) return x;
  return Param(x.detach());  // a leaf of the tape, so that what is done with it is recorded
}

Trace trace(AnyModel model, const std::function<void()>& call) {
  Layers layers;
  model.walk(model.p, layers);
  Tracer tracer(layers);
  {
    const Mode inference(false);
    const TapeScope tape;
    const Watch watch(tracer);
    call();
  }
  Trace t = std::move(tracer.out);
  t.layers = std::move(layers.layers);
  t.other_flops = tracer.flops;
  // What runs between two operators of a layer is that layer's: a residual sum, an activation.
  for (std::size_t i = 0, last = 0; i < t.ops.size(); ++i) {
    if (t.ops[i].kind != TracedOp::Kind::op || t.ops[i].layer < 0) continue;
    if (t.ops[last].layer == t.ops[i].layer) {
      for (std::size_t k = last + 1; k < i; ++k) {
        if (t.ops[k].kind == TracedOp::Kind::op) t.ops[k].layer = t.ops[i].layer;
      }
    }
    last = i;
  }
  return t;
}

}  // namespace knet::detail
