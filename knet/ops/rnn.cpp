#include "knet/ops/rnn.hpp"

#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/linear.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/product.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/shape.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

/// The inputs' share in all gates, [rows, G hidden]; the recurrent bias is added where it can be.
Tensor input_gates(const char* who, RNNKind kind, const RNNInputs& in) {
  const std::int64_t h = in.wh.size(1);
  Tensor bias = in.bi;
  if (in.bh) {
    const Tensor joint = kind == RNNKind::gru ? pad(in.bh.narrow(0, 0, 2 * h), 0, 0, h) : in.bh;
    bias = bias ? bias + joint : joint;
  }
  if (in.wi) return linear(who, in.x, in.wi, bias);
  const std::int64_t gates = gate_count(kind);
  const Tensor all = cat(std::vector<Tensor>(static_cast<std::size_t>(gates), in.x), 1);
  return bias ? all + bias : all;
}

struct Plan {
  RNNKind kind;
  bool reverse;
  BatchSizes batch;
  RNNShape shape(const Tensor& y) const {
    return {kind,      y.dtype(), reverse,      static_cast<std::int64_t>(batch->size()),
            y.size(0), y.size(1), batch->data()};
  }
};
void* pointer(const Tensor& t) { return t ? TensorAccess::data(t) : nullptr; }

/// What the nodes of the final states leave for the node of the outputs, which the tape runs after them.
struct FinalGradients {
  Tensor dhy, dcy;
  Tensor zero;  ///< the outputs' gradient where only the final states have one: it makes the node run
  void leave(Tensor& sum, const Tensor& dy, const Tensor& y, Gradients& g) {
    sum = sum ? sum + dy : dy;
    if (!zero) zero = raw::expand("rnn", zeros({}, y.dtype()), y.shape());
    g.add(0, zero);
  }
  bool is_zero(const Tensor& dy) const {
    return zero && TensorAccess::storage(dy) == TensorAccess::storage(zero);
  }
};

Tensor column_sums(const Tensor& rows) {
  Tensor db = Tensor::make({rows.size(1)}, rows.dtype(), rows.device());
  Array none = array(rows), out = array(db);
  none.data = nullptr;
  kernels(rows.device()).bias_act_grad(Unary::identity, 0, array(rows), array(rows), none, &out);
  return db;
}

}  // namespace

RNNResults rnn_layer(const char* who, RNNKind kind, const RNNInputs& in, const BatchSizes& batch,
                     bool reverse) {
  if (tape::state.on && tape::state.depth > 1) return rnn_layer_by_steps(kind, in, batch, reverse);
  const std::int64_t h = in.wh.size(1), rows = in.x.size(0), b = batch->front();
  const DType t = in.x.dtype();
  const Device device = in.x.device();
  const Plan plan{kind, reverse, batch};
  Tensor gates;
  {
    const NoGrad constant;
    const auto value = [](const Tensor& v) { return v ? v.detach() : Tensor(); };
    gates = input_gates(who, kind,
                        {.x = value(in.x),
                         .wi = value(in.wi),
                         .wh = value(in.wh),
                         .bi = value(in.bi),
                         .bh = value(in.bh),
                         .h0 = {},
                         .c0 = {}});
    raw::make_own(gates);
  }
  const bool lstm = kind == RNNKind::lstm, gru = kind == RNNKind::gru;
  const auto dense = [](const Tensor& x) { return x ? raw::contiguous(x.detach()) : Tensor(); };
  const Tensor wh = dense(in.wh), h0 = dense(in.h0), c0 = dense(in.c0),
               bias_n = gru && in.bh ? dense(in.bh).narrow(0, 2 * h, h) : Tensor();
  Tensor y = Tensor::make({rows, h}, t, device), hy = Tensor::make({b, h}, t, device),
         cy = lstm ? Tensor::make({b, h}, t, device) : Tensor(),
         extra = lstm || gru ? Tensor::make({rows, h}, t, device) : Tensor();
  kernels(device).rnn(plan.shape(y), {pointer(gates), pointer(extra), pointer(wh), pointer(bias_n),
                                      pointer(h0), pointer(c0), pointer(y), pointer(hy), pointer(cy)});
  const Tensor plain_y = y;
  Node* n = track(y, who, {&in.x, &in.wi, &in.wh, &in.bi, &in.bh, &in.h0, &in.c0});
  if (!n) return {y, hy, cy};
  const auto last = std::make_shared<FinalGradients>();
  n->backward([=, x = in.x.detach(), wi = dense(in.wi), has_bi = static_cast<bool>(in.bi),
               has_bh = static_cast<bool>(in.bh)](const Tensor& dy, Gradients& g) {
    const Tensor d = last->is_zero(dy) ? Tensor() : raw::contiguous(dy), dhy = dense(last->dhy),
                 dcy = dense(last->dcy);
    const auto like = [](const Tensor& v) { return Tensor::make(v.shape(), v.dtype(), v.device()); };
    const Tensor dgates = like(gates), dgates_h = gru ? like(gates) : Tensor(), before = like(plain_y),
                 dh0 = like(hy), dc0 = lstm ? like(hy) : Tensor();
    kernels(plain_y.device())
        .rnn_grad(plan.shape(plain_y),
                  {pointer(gates), pointer(extra), pointer(wh), pointer(h0), pointer(c0), pointer(plain_y),
                   pointer(d), pointer(dhy), pointer(dcy), pointer(dgates), pointer(dgates_h),
                   pointer(before), pointer(dh0), pointer(dc0)});
    const Tensor& recurrent = gru ? dgates_h : dgates;
    const auto times = [](const Tensor& rows_t, const Tensor& v) {
      return detail::raw_product(raw::transpose(rows_t, 0, 1), v, {});
    };
    if (g.wants(0)) {
      if (wi)
        g.add(0, detail::raw_product(dgates, wi, {}));
      else
        g.add(0, dgates.reshape({plain_y.size(0), gate_count(plan.kind), plain_y.size(1)}).sum(1));
    }
    if (g.wants(1)) g.add(1, times(dgates, x));
    if (g.wants(2)) g.add(2, times(recurrent, before));
    const bool bi = has_bi && g.wants(3), bh = has_bh && g.wants(4);
    if (bi || bh) {
      const Tensor db = column_sums(dgates);
      if (bi) g.add(3, db);
      if (bh) g.add(4, gru ? column_sums(dgates_h) : db);
    }
    if (g.wants(5)) g.add(5, dh0);
    if (g.wants(6)) g.add(6, dc0);
  });
  // The final states hang on the outputs: their gradients wait until the outputs' node runs.
  if (Node* node = track(hy, who, {&y}))
    node->backward(
        [last, plain_y](const Tensor& dy, Gradients& g) { last->leave(last->dhy, dy, plain_y, g); });
  if (lstm) {
    if (Node* node = track(cy, who, {&y}))
      node->backward(
          [last, plain_y](const Tensor& dy, Gradients& g) { last->leave(last->dcy, dy, plain_y, g); });
  }
  return {y, hy, cy};
}

RNNResults rnn_layer_by_steps(RNNKind kind, const RNNInputs& in, const BatchSizes& batch, bool reverse,
                              const std::function<Tensor(const Tensor&)>& activation) {
  const std::int64_t h = in.wh.size(1), b = batch->front();
  const auto steps = static_cast<std::int64_t>(batch->size());
  const Tensor gates = input_gates("rnn", kind, in), wh = in.wh.T();
  const auto initial = [&](const Tensor& s) { return s ? s : zeros({b, h}, in.x.dtype()); };
  Tensor hs = initial(in.h0), cs = kind == RNNKind::lstm ? initial(in.c0) : Tensor();
  std::vector<Tensor> ys(static_cast<std::size_t>(steps));
  std::int64_t row = reverse ? in.x.size(0) : 0;
  const auto joined = [&](const Tensor& alive, const Tensor& all) {
    const std::int64_t n = alive.size(0);
    return n == b ? alive : cat({alive, all.narrow(0, n, b - n)});
  };
  for (std::int64_t i = 0; i < steps; ++i) {
    const std::int64_t t = reverse ? steps - 1 - i : i, n = (*batch)[static_cast<std::size_t>(t)];
    if (reverse) row -= n;
    const Tensor z = gates.narrow(0, row, n), before = hs.narrow(0, 0, n), r = matmul(before, wh);
    const auto gate = [&](const Tensor& v, int k) { return v.narrow(1, k * h, h); };
    Tensor now;
    if (kind == RNNKind::lstm) {
      const Tensor all = z + r;
      const Tensor c = sigm(gate(all, 1)) * cs.narrow(0, 0, n) + sigm(gate(all, 0)) * tanh(gate(all, 2));
      now = sigm(gate(all, 3)) * tanh(c);
      cs = joined(c, cs);
    } else if (kind == RNNKind::gru) {
      Tensor hidden = gate(r, 2);
      if (in.bh) hidden = hidden + in.bh.narrow(0, 2 * h, h);
      const Tensor update = sigm(gate(z, 1) + gate(r, 1)),
                   fresh = tanh(gate(z, 2) + sigm(gate(z, 0) + gate(r, 0)) * hidden);
      now = fresh + update * (before - fresh);
    } else {
      now = activation ? activation(z + r) : kind == RNNKind::tanh ? tanh(z + r) : relu(z + r);
    }
    hs = joined(now, hs);
    ys[static_cast<std::size_t>(t)] = now;
    if (!reverse) row += n;
  }
  return {cat(ys), hs, cs};
}

}  // namespace knet
