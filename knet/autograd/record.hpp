// How operators write onto the tape. An operator computes its result from raw values and then says
//
//   if (Node* n = track(y, "mul", {&a, &b})) n->backward([a, b](const Tensor& dy, Gradients& g) {
//     if (g.wants(0)) g.add(0, dy * b);
//     if (g.wants(1)) g.add(1, dy * a);
//   });
//
// Outside diff(), or when no input is tracked, track() is one comparison. Inside, nodes and what their
// closures capture lie in memory that the thread keeps from tape to tape. Not installed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "knet/autograd/param.hpp"
#include "knet/tensor/access.hpp"

namespace knet {

class Gradients;

/// The gradient of what a max pool read, as long as nobody needs its zeros: `values` are that of the pool's
/// result, `index` says where each of them belongs (Kernels::max_pool).
struct PickedGradient {
  Tensor values, index;
  Tensor picked;  ///< the pool's result: what was read at those places
  std::shared_ptr<const void> windows;
  Tensor (*written_out)(const PickedGradient&) = nullptr;
};

struct Node {
  void (*run)(Node&, const Tensor& dy, Gradients&) = nullptr;
  void (*run_picked)(Node&, const PickedGradient& dy, Gradients&) = nullptr;  // may be missing
  void (*destroy)(Node&) = nullptr;
  void* closure = nullptr;
  const char* name = nullptr;
  Param::Cell* cell = nullptr;  // a leaf: the parameter it stands for (counted) ...
  int level = 0;                // ... on the tape of this depth
  int n_inputs = 0;
  std::int32_t inputs[3] = {-1, -1, -1};
  std::int32_t* more = nullptr;  // instead of inputs, when there are more than three

  const std::int32_t* begin() const { return more ? more : inputs; }
  template <class F>
  void backward(F&& f);
};

/// Where a node's backward function leaves the gradients of its inputs.
class Gradients {
 public:
  /// Is somebody interested in the gradient of input i?
  bool wants(int i) const;
  /// Adds to the gradient of input i; an empty tensor adds nothing. `g` has the input's shape and dtype.
  void add(int i, Tensor g);
  /// The gradient of input i so far where a kernel may add to it in place, else null.
  const Tensor* sum(int i);
  /// Like add(i, p); written out where the input's node has no use for it as it is.
  void add_picked(int i, PickedGradient);
  /// Adds rows[j] to row ids[j] of the gradient of input i, which has this shape.
  void add_rows(int i, const Tensor& ids, const Tensor& rows, const Shape& shape);

 private:
  friend struct BackwardPass;
  struct Slot;
  const Node* node_ = nullptr;
  Slot* slots_ = nullptr;  // of nodes start_ ...
  std::int32_t start_ = 0;
};

namespace tape {
/// This thread's state. epoch is 0 outside of diff().
struct State {
  std::uint64_t epoch = 0;
  bool on = false;
  int mode = -1;  // training: -1 follows `on`, 0 no, 1 yes
  int depth = 0;  // diffs inside each other; nodes made at depth 1 are never differentiated twice
};
extern constinit thread_local State state;

Node* make_node(Tensor& y, const char* name, const Tensor* const* inputs, int n);
void* allocate(std::size_t bytes);  // lives until the outermost diff() ends
}  // namespace tape

/// Does the running tape know where this value came from?
inline bool tracked(const Tensor& x) {
  return TensorAccess::epoch(x) == tape::state.epoch && tape::state.on && TensorAccess::epoch(x) != 0;
}

/// Puts y on the tape when one runs and knows an input. nullptr: nothing to record.
inline Node* track(Tensor& y, const char* name, std::initializer_list<const Tensor*> inputs) {
  if (!tape::state.on) [[likely]]
    return nullptr;
  for (const Tensor* x : inputs) {
    if (tracked(*x)) return tape::make_node(y, name, inputs.begin(), static_cast<int>(inputs.size()));
  }
  return nullptr;
}
inline Node* track(Tensor& y, const char* name, const Tensor* const* inputs, int n) {
  if (!tape::state.on) return nullptr;
  for (int i = 0; i < n; ++i) {
    if (tracked(*inputs[i])) return tape::make_node(y, name, inputs, n);
  }
  return nullptr;
}

template <class F>
void Node::backward(F&& f) {
  using C = std::decay_t<F>;
  closure = new (tape::allocate(sizeof(C))) C(std::forward<F>(f));
  run = [](Node& n, const Tensor& dy, Gradients& g) { (*static_cast<C*>(n.closure))(dy, g); };
  if constexpr (std::is_invocable_v<C&, const PickedGradient&, Gradients&>)
    run_picked = [](Node& n, const PickedGradient& dy, Gradients& g) {
      (*static_cast<C*>(n.closure))(dy, g);
    };
  if constexpr (!std::is_trivially_destructible_v<C>)
    destroy = [](Node& n) { static_cast<C*>(n.closure)->~C(); };
}

/// rows[j] added to row ids[j] of zeros of the shape; differentiable in rows.
Tensor rows_to_dense(const Tensor& ids, const Tensor& rows, const Shape&);
/// table[ids] along dimension 0 with a row-sparse gradient; ids checked by the caller.
Tensor take_rows(const Tensor& table, const Tensor& ids);

}  // namespace knet
