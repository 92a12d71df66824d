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
/// And the structs without parameters, where they are: one that runs may be among them.
struct Layers : Visitor {
  std::vector<TracedLayer> layers;
  struct Owned {
    int layer;
    std::string name;
  };
  std::map<std::uint64_t, Owned> owners;
  struct Plain {
    std::string path, description;
    bool described;
    int layer = -1;  // once it has run
  };
  std::map<std::pair<const void*, std::string_view>, Plain> plain;

  void param(Param& p) override {
    for (Level& l : levels_) l.empty = false;
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
    std::string name = type == "lambda" ? "" : std::string(type);
    levels_.push_back({path, describe ? describe(p) : std::move(name), describe != nullptr, -1, p, type});
  }
  void leave() override {
    const Level l = std::move(levels_.back());
    levels_.pop_back();
    const bool part = std::any_of(levels_.begin(), levels_.end(), [](const Level& x) { return x.described; });
    if (l.empty && !part) plain.try_emplace({l.place, l.type}, Plain{l.path, l.description, l.described});
  }

 private:
  struct Level {
    std::string path, description;
    bool described;
    int layer;
    const void* place = nullptr;
    std::string_view type = {};
    bool empty = true;
  };
  std::vector<Level> levels_{{"", "parameters", false, -1}};  // of a bare Param, or a vector of them
};

struct Tracer : Observer {
  Layers& layers;
  Trace out;
  std::vector<Layers::Plain*> running;  // null: none
  std::map<std::int32_t, int> op_of_node;
  std::vector<bool> of_params;  // made of parameters alone: a transposed weight
  double flops = 0;             // of kernels since the last operator
  int depth = 0;                // kernels inside kernels are the outer one's business

  explicit Tracer(Layers& l) : layers(l) {}

  void layer_begins(const void* layer, std::string_view type) override {
    Layers::Plain* now = running.empty() ? nullptr : running.back();
    const auto found = layers.plain.find({layer, type});
    if (found != layers.plain.end() && !(now && now->described)) now = &found->second;
    running.push_back(now);
  }
  void layer_ends() override { running.pop_back(); }
  /// The layer without parameters that runs, or -1.
  int plain_layer() {
    Layers::Plain* now = running.empty() ? nullptr : running.back();
    if (!now) return -1;
    if (now->layer < 0) {
      now->layer = static_cast<int>(layers.layers.size());
      layers.layers.push_back({now->path, now->description, 0, 0});
    }
    return now->layer;
  }

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
    if (op.layer < 0 && !params) op.layer = plain_layer();
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
