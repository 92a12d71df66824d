#include "knet/autograd/tape.hpp"

#include <atomic>
#include <memory>

#include "knet/autograd/cell.hpp"
#include "knet/autograd/observe.hpp"
#include "knet/autograd/record.hpp"
#include "knet/base/text.hpp"
#include "knet/device/pool.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

// ---- the thread's recorder ----
namespace tape {
constinit thread_local State state;
namespace {

template <class T>
using Vector = std::vector<T, memory::Allocator<T>>;

std::atomic<std::uint64_t> last_epoch{0};

// Memory that is handed out in order and taken back all at once.
class Arena {
 public:
  ~Arena() {
    for (Chunk& c : chunks_) memory::deallocate(c.data, c.size);
  }
  void* allocate(std::size_t n) {
    n = (n + 15) & ~std::size_t{15};
    while (at_ < chunks_.size() && used_ + n > chunks_[at_].size) ++at_, used_ = 0;
    if (at_ == chunks_.size()) {
      const std::size_t size = n > chunk_size ? n : chunk_size;
      chunks_.push_back({static_cast<std::byte*>(memory::allocate(size)), size});
      used_ = 0;
    }
    void* p = chunks_[at_].data + used_;
    used_ += n;
    return p;
  }
  void reset() { at_ = used_ = 0; }

 private:
  static constexpr std::size_t chunk_size = std::size_t{1} << 16;
  struct Chunk {
    std::byte* data;
    std::size_t size;
  };
  Vector<Chunk> chunks_;
  std::size_t at_ = 0, used_ = 0;
};

// (parameter, level) -> node, for one tape. Entries of earlier tapes are recognised by their epoch.
class Leaves {
 public:
  std::int32_t* find(std::uint64_t epoch, const Param::Cell* c, int level) {
    if (table_.empty()) return nullptr;
    for (std::size_t i = start(c, level);; i = (i + 1) & (table_.size() - 1)) {
      Entry& e = table_[i];
      if (e.epoch != epoch) return nullptr;
      if (e.cell == c && e.level == level) return &e.node;
    }
  }
  void insert(std::uint64_t epoch, const Param::Cell* c, int level, std::int32_t node) {
    if (epoch != epoch_) epoch_ = epoch, count_ = 0;
    if (2 * (count_ + 1) > table_.size()) {
      Vector<Entry> old(table_.empty() ? 64 : 2 * table_.size());
      old.swap(table_);
      for (const Entry& e : old) {
        if (e.epoch == epoch) place(e);
      }
    }
    place({epoch, c, level, node});
    ++count_;
  }

 private:
  struct Entry {
    std::uint64_t epoch = 0;
    const Param::Cell* cell = nullptr;
    int level = 0;
    std::int32_t node = -1;
  };
  std::size_t start(const Param::Cell* c, int level) const {
    const std::uint64_t h = (c->id * 8 + static_cast<std::uint64_t>(level)) * 0x9E3779B97F4A7C15ull;
    return static_cast<std::size_t>(h >> 20) & (table_.size() - 1);
  }
  void place(const Entry& e) {
    std::size_t i = start(e.cell, e.level);
    while (table_[i].epoch == e.epoch) i = (i + 1) & (table_.size() - 1);
    table_[i] = e;
  }
  Vector<Entry> table_;
  std::uint64_t epoch_ = 0;
  std::size_t count_ = 0;
};

struct Recorder {
  Arena arena;
  Vector<Node*> nodes;
  Leaves leaves;

  void drop(Node& n) {
    if (n.destroy) n.destroy(n);
    n.destroy = nullptr;
    n.run = nullptr;
    if (n.cell) std::exchange(n.cell, nullptr)->release();
  }
  void reset() {
    for (auto i = nodes.size(); i-- > 0;) drop(*nodes[i]);
    nodes.clear();
    arena.reset();
  }
};
Recorder& recorder() {
  static thread_local Recorder r;
  return r;
}

}  // namespace

void* allocate(std::size_t bytes) { return recorder().arena.allocate(bytes); }

Node* make_node(Tensor& y, const char* name, const Tensor* const* inputs, int n) {
  Recorder& r = recorder();
  Node* node = new (r.arena.allocate(sizeof(Node))) Node;
  node->name = name;
  node->n_inputs = n;
  std::int32_t* in = node->inputs;
  if (n > 3)
    in = node->more = static_cast<std::int32_t*>(r.arena.allocate(static_cast<std::size_t>(n) * sizeof *in));
  for (int i = 0; i < n; ++i) in[i] = inputs && tracked(*inputs[i]) ? TensorAccess::node(*inputs[i]) : -1;
  TensorAccess::mark(y, state.epoch, static_cast<std::int32_t>(r.nodes.size()));
  r.nodes.push_back(node);
  if (watched()) [[unlikely]]
    tell_recorded(name, y, inputs, n);
  return node;
}

Tensor leaf(Param::Cell* c) {
  if (!state.on || (c->frozen && !(watched() && traced()))) return c->value;
  Recorder& r = recorder();
  Tensor outer;
  // A leaf for every tape that runs: gradients of the inner one flow on to the outer one through it.
  for (int level = 1; level <= state.depth; ++level) {
    Tensor y = c->value;
    if (const std::int32_t* found = r.leaves.find(state.epoch, c, level)) {
      TensorAccess::mark(y, state.epoch, *found);
    } else {
      const Tensor* from = &outer;
      Node* n = make_node(y, "param", level > 1 ? &from : nullptr, level > 1 ? 1 : 0);
      n->cell = c;
      n->level = level;
      c->retain();
      if (level > 1) n->backward([](const Tensor& dy, Gradients& g) { g.add(0, dy); });
      r.leaves.insert(state.epoch, c, level, TensorAccess::node(y));
      if (watched()) [[unlikely]]
        tell_read(c->id, y);
    }
    outer = std::move(y);
  }
  return outer;
}
bool is_leaf(const Param::Cell* c) {
  return state.epoch != 0 && recorder().leaves.find(state.epoch, c, 1) != nullptr;
}

}  // namespace tape

// ---- going back ----
struct Tape::State {
  struct Entry {
    std::uint64_t id;  // of the parameter
    Tensor dense;
    Tensor ids, rows;  // instead of dense
  };
  tape::Vector<Entry> entries;
  mutable std::atomic<std::size_t> hint{0};  // parameters are mostly asked for in the order they were read

  const Entry* find(const Param& p) const {
    const std::size_t n = entries.size(), from = hint.load(std::memory_order_relaxed);
    const std::uint64_t id = p.id();
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t i = from + k < n ? from + k : from + k - n;
      if (entries[i].id != id) continue;
      hint.store(i + 1 < n ? i + 1 : 0, std::memory_order_relaxed);
      return &entries[i];
    }
    return nullptr;
  }
};

struct Gradients::Slot {
  struct Destroy {
    void operator()(PickedGradient* p) const { p->~PickedGradient(); }  // its memory is the tape's
  };
  // One of these.
  Tensor dense;
  Tensor ids, rows;
  std::unique_ptr<PickedGradient, Destroy> picked;

  void write_out() {
    if (!picked) return;
    dense = picked->written_out(*picked);
    picked.reset();
  }
};

namespace {

// Can nobody else see it? While an outer tape records, every value stays what it was.
bool writable(const Tensor& t) {
  return !tape::state.on && TensorAccess::sole_owner(t) && t.is_contiguous() && !tracked(t);
}
Tensor added(Tensor a, const Tensor& b) {
  if (writable(a)) {
    kernels(a.device()).binary(Binary::add, array(a), array(b), array(a));
    return a;
  }
  Tensor y = raw::empty_like(a, a.dtype());
  kernels(a.device()).binary(Binary::add, array(a), array(b), array(y));
  if (Node* n = track(y, "add", {&a, &b}))
    n->backward([](const Tensor& dy, Gradients& g) { g.add(0, dy), g.add(1, dy); });
  return y;
}
Tensor joined(const Tensor& a, const Tensor& b) {
  Shape s = a.shape();
  s[0] += b.shape()[0];
  Tensor y = Tensor::make(s, a.dtype(), a.device());
  if (a.numel() > 0) kernels(y.device()).copy(array(a), array(raw::narrow("diff", y, 0, 0, a.shape()[0])));
  if (b.numel() > 0)
    kernels(y.device()).copy(array(b), array(raw::narrow("diff", y, 0, a.shape()[0], b.shape()[0])));
  return y;
}

}  // namespace

bool Gradients::wants(int i) const { return node_->begin()[i] >= start_; }

void Gradients::add(int i, Tensor g) {
  if (!g || !wants(i)) return;
  Slot& s = slots_[node_->begin()[i] - start_];
  if (s.rows) {
    s.dense = rows_to_dense(s.ids, s.rows, g.shape());
    s.ids = s.rows = Tensor();
  }
  s.write_out();
  s.dense = s.dense ? added(std::move(s.dense), g) : std::move(g);
}
const Tensor* Gradients::sum(int i) {
  if (!wants(i)) return nullptr;
  const Tensor& s = slots_[node_->begin()[i] - start_].dense;
  return s && writable(s) ? &s : nullptr;
}
void Gradients::add_picked(int i, PickedGradient p) {
  if (!wants(i)) return;
  const std::int32_t at = node_->begin()[i];
  Slot& s = slots_[at - start_];
  if (!tape::recorder().nodes[static_cast<std::size_t>(at)]->run_picked || s.dense || s.picked ||
      tape::state.on || tape::watched())
    return add(i, p.written_out(p));
  s.picked.reset(new (tape::allocate(sizeof(PickedGradient))) PickedGradient(std::move(p)));
}
void Gradients::add_rows(int i, const Tensor& ids, const Tensor& rows, const Shape& shape) {
  if (!wants(i)) return;
  const std::int32_t at = node_->begin()[i];
  Slot& s = slots_[at - start_];
  const bool leaf = tape::recorder().nodes[static_cast<std::size_t>(at)]->cell != nullptr;
  if (!leaf || s.dense || tape::state.on) return add(i, rows_to_dense(ids, rows, shape));
  if (s.rows) {
    s.ids = joined(s.ids, ids);
    s.rows = joined(s.rows, rows);
  } else {
    s.ids = ids;
    s.rows = rows;
  }
}

struct BackwardPass {
  static void run(std::int32_t start, int level, const Tensor& loss, Tape::State& out) {
    tape::Recorder& r = tape::recorder();
    const std::int32_t last = TensorAccess::node(loss);
    tape::Vector<Gradients::Slot> slots(static_cast<std::size_t>(last - start + 1));
    Gradients g;
    g.slots_ = slots.data();
    g.start_ = start;
    slots.back().dense = ones_like(loss);
    for (std::int32_t i = last; i >= start; --i) {
      Gradients::Slot& s = slots[static_cast<std::size_t>(i - start)];
      Node& n = *r.nodes[static_cast<std::size_t>(i)];
      if (s.picked) {
        const auto dy = std::move(s.picked);
        g.node_ = &n;
        n.run_picked(n, *dy, g);
      } else if (s.dense || s.rows) {
        if (n.cell && n.level == level) {
          out.entries.push_back({n.cell->id, std::move(s.dense), std::move(s.ids), std::move(s.rows)});
        } else if (n.run) {
          if (s.rows) s.dense = rows_to_dense(s.ids, s.rows, n.cell->value.shape());
          const Tensor dy = std::move(s.dense);
          g.node_ = &n;
          if (tape::watched()) [[unlikely]] {
            const tape::TellBackward told(n.name, dy);
            n.run(n, dy, g);
          } else {
            n.run(n, dy, g);
          }
        }
      }
      s = {};
      if (level == 1) r.drop(n);  // nobody comes here again: let go of what it saved
    }
    for (std::size_t i = 0, j = out.entries.size(); i + 1 < j; ++i)
      std::swap(out.entries[i], out.entries[--j]);
  }
};

TapeScope::TapeScope() : outer_on_(tape::state.on) {
  tape::Recorder& r = tape::recorder();
  if (tape::state.depth++ == 0) tape::state.epoch = ++tape::last_epoch;
  tape::state.on = true;
  start_ = static_cast<std::int32_t>(r.nodes.size());
}
TapeScope::~TapeScope() {
  if (open_) close();
}
void TapeScope::close() {
  open_ = false;
  tape::Recorder& r = tape::recorder();
  tape::state.on = outer_on_;
  if (--tape::state.depth == 0) {
    tape::state.epoch = 0;
    r.reset();
  }
}

Tape TapeScope::finish(const Tensor& loss) {
  check_defined("diff", loss);
  if (loss.numel() != 1)
    fail<ShapeError>("diff: the function returned ", loss.shape(), "; a loss has one element");
  if (!loss.floating())
    fail<DTypeError>("diff: the function returned ", loss.dtype(), "; a loss is f32 or f64");
  Tape t;
  t.state_ = std::allocate_shared<Tape::State>(memory::Allocator<Tape::State>());
  const bool reached = tracked(loss) && TensorAccess::node(loss) >= start_;
  // Only while an outer tape records must the gradients be differentiable themselves.
  tape::state.on = outer_on_;
  if (reached) BackwardPass::run(start_, tape::state.depth, loss, *t.state_);
  t.value_ = outer_on_ ? loss : loss.detach();
  close();
  return t;
}

Tensor Tape::grad(const Param& p) const {
  const State::Entry* e = state_ ? state_->find(p) : nullptr;
  if (!e) return zeros_like(p.value());
  return e->rows ? rows_to_dense(e->ids, e->rows, p.shape()) : e->dense;
}
bool Tape::uses(const Param& p) const { return state_ && state_->find(p); }
std::optional<RowGradient> Tape::row_grad(const Param& p) const {
  const State::Entry* e = state_ ? state_->find(p) : nullptr;
  if (!e || !e->rows) return std::nullopt;
  return RowGradient{e->ids, e->rows};
}
std::size_t Tape::size() const { return state_ ? state_->entries.size() : 0; }

bool recording() { return tape::state.on; }
bool training() { return tape::state.mode < 0 ? tape::state.on : tape::state.mode == 1; }
Mode::Mode(bool training) : old_(tape::state.mode) { tape::state.mode = training ? 1 : 0; }
Mode::~Mode() { tape::state.mode = old_; }
NoGrad::NoGrad() : old_(tape::state.on) { tape::state.on = false; }
NoGrad::~NoGrad() { tape::state.on = old_; }

Tensor primitive(Tensor y, std::initializer_list<Tensor> inputs, Backward back) {
  check_defined("primitive", y);
  y = y.detach();
  std::vector<const Tensor*> in;
  for (const Tensor& x : inputs) in.push_back(&x);
  if (Node* n = track(y, "primitive", in.data(), static_cast<int>(in.size()))) {
    struct Expected {
      Shape shape;
      DType dtype;
    };
    std::vector<Expected> expected;
    for (const Tensor& x : inputs) expected.push_back({x.shape(), x.dtype()});
    n->backward([y, expected, f = std::move(back)](const Tensor& dy, Gradients& g) {
      std::vector<Tensor> d = f(dy, y);
      if (d.size() != expected.size())
        fail<ShapeError>("primitive: ", expected.size(), " inputs but ", d.size(), " gradients came back");
      for (std::size_t i = 0; i < d.size(); ++i) {
        if (!d[i]) continue;
        if (d[i].shape() != expected[i].shape || d[i].dtype() != expected[i].dtype)
          fail<ShapeError>("primitive: gradient ", i, " is ", d[i].shape(), " ", d[i].dtype(), ", its input ",
                           expected[i].shape, " ", expected[i].dtype);
        g.add(static_cast<int>(i), std::move(d[i]));
      }
    });
  }
  return y;
}

}  // namespace knet
