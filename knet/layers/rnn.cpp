#include "knet/layers/rnn.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/rnn.hpp"
#include "knet/ops/shape.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {

std::optional<Embed> EmbedOption::make(std::int64_t input, const Init& winit, DType t) {
  if (layer_) {
    if (layer_->weight.size(0) != input)
      fail<ShapeError>("embed: it has ", layer_->weight.size(0), " rows, .input is ", input);
    return std::exchange(layer_, std::nullopt);
  }
  if (size_ == 0) return std::nullopt;
  return Embed{.input = input, .output = size_, .winit = winit, .dtype = t};
}

std::string detail::rnn_name(const char* what, std::size_t index, bool bidirectional) {
  const std::size_t dirs = bidirectional ? 2 : 1;
  return text(what, "_l", index / dirs, index % dirs ? "_reverse" : "");
}

Tensor RNNOutput::mask() const {
  if (!batch_sizes.empty()) fail<ValueError>("RNNOutput: a packed output has no mask; see pad_rnn_output()");
  if (!y || y.ndim() != 3) fail<ShapeError>("RNNOutput: only [batch, time, ..] outputs have a mask");
  const std::int64_t b = y.size(0), t = y.size(1);
  if (lengths.empty()) return ones({b, t}, boolean);
  Tensor m = zeros({b, t}, boolean);
  bool* p = m.data<bool>();
  for (std::int64_t i = 0; i < b; ++i) std::fill_n(p + i * t, lengths[static_cast<std::size_t>(i)], true);
  return m;
}
std::vector<std::vector<std::int64_t>> RNNOutput::indices() const {
  if (batch_sizes.empty()) fail<ValueError>("RNNOutput: only a packed output has indices");
  return batch_sizes_to_indices(batch_sizes);
}

namespace {

using Int = std::int64_t;
using Ints = std::vector<std::int64_t>;

template <class L>
struct Traits;
template <>
struct Traits<LSTM> {
  static constexpr const char *name = "LSTM", *gates = "ifno";
};
template <>
struct Traits<GRU> {
  static constexpr const char *name = "GRU", *gates = "run";
};
template <>
struct Traits<SRNN> {
  static constexpr const char *name = "SRNN", *gates = "h";
};
RNNKind kind_of(const LSTM&) { return RNNKind::lstm; }
RNNKind kind_of(const GRU&) { return RNNKind::gru; }
RNNKind kind_of(const SRNN& l) {
  return l.activation.fusible() && l.activation.kind() == Unary::tanh ? RNNKind::tanh : RNNKind::relu;
}
/// What no kernel knows; relu and tanh give nothing.
template <class L>
std::function<Tensor(const Tensor&)> other_activation(const L& l) {
  if constexpr (requires { l.activation; }) {
    const Activation& f = l.activation;
    if (!f.fusible() || (f.kind() != Unary::relu && f.kind() != Unary::tanh))
      return [&f](const Tensor& x) { return f(x); };
  }
  return {};
}

Tensor value(const Param& p) { return p ? Tensor(p) : Tensor(); }
Int directions(const auto& l) { return l.bidirectional ? 2 : 1; }

template <class L>
std::vector<RNNWeights> make_rnn_weights(const L& l) {
  const char* who = Traits<L>::name;
  if (l.layers < 1) fail<ValueError>(who, ": .layers = ", Int{l.layers}, ": expected at least 1");
  if (!(l.dropout >= 0 && l.dropout < 1))
    fail<ValueError>(who, ": .dropout = ", l.dropout, ": expected [0, 1)");
  const Int h = l.hidden, gates = gate_count(kind_of(l)),
            features = l.embedding ? l.embedding->weight.size(1) : Int{l.input};
  if (l.skip_input && features != h)
    fail<ValueError>(who, ": .skip_input adds inputs of ", features, " features to .hidden = ", h,
                     ": expected equal sizes");
  std::vector<RNNWeights> r;
  for (Int i = 0; i < l.layers * directions(l); ++i) {
    const bool first = i < directions(l);
    const Int in = first ? features : directions(l) * h;
    Tensor b = l.binit({gates * h}, l.dtype);
    if constexpr (requires { l.forget_bias; }) {
      if (b) b.ref(slice(h, 2 * h)) += l.forget_bias;
    }
    r.push_back({first && l.skip_input ? Tensor() : l.winit({gates * h, in}, l.dtype),
                 l.winit({gates * h, h}, l.dtype), b, l.binit({gates * h}, l.dtype)});
  }
  return r;
}

Tensor rows_of(const Tensor& x, const Ints& ids) { return index_select(x, 0, Tensor(ids)); }

/// one_hot() would take a negative id for a row of zeros.
const Tensor& checked_ids(const char* who, const Tensor& ids, Int n) {
  for (const Int id : ids.to(i64).to_vector<Int>()) {
    if (id < 0 || id >= n) fail<ValueError>(who, ": id ", id, " is outside 0 to ", n - 1);
  }
  return ids;
}

/// One dropout for all layers, from the layer's own generator where it has a seed.
template <class L>
Tensor drop(const L& l, const Tensor& x) {
  return l.seed ? dropout(x, l.dropout, l.generator) : dropout(x, l.dropout);
}

/// All layers over packed rows: ids [rows] or features [rows, input].
template <class L>
RNNOutput run_packed(const L& l, const Tensor& data, Ints batch_sizes, const RNNState& start) {
  const char* who = Traits<L>::name;
  const Int h = l.hidden, dirs = directions(l), layers = static_cast<Int>(l.weights.size()) / dirs,
            batch = batch_sizes[0];
  const Shape states{layers * dirs, batch, h};
  const auto check_state = [&](const char* what, const Tensor& s) {
    if (s && s.shape() != states)
      fail<ShapeError>(who, ": start.", what, " is ", s.shape(), ", expected ", states);
    if (s && s.dtype() != l.weights[0].wh.dtype())
      fail<DTypeError>(who, ": start.", what, " is ", s.dtype(), ", the layer ", l.weights[0].wh.dtype());
  };
  check_state("hidden", start.hidden);
  check_state("memory", start.memory);
  if (start.memory && kind_of(l) != RNNKind::lstm)
    fail<ValueError>(who, ": start.memory is given, but only an LSTM has cells");

  Tensor x = data;
  if (l.embedding)
    x = (*l.embedding)(x);
  else if (is_integer(x.dtype()))
    x = one_hot(checked_ids(who, x, l.input), l.input, l.weights[0].wh.dtype());
  if (x.dtype() != l.weights[0].wh.dtype())
    fail<DTypeError>(who, ": input is ", x.dtype(), ", the layer ", l.weights[0].wh.dtype());

  const auto sizes = std::make_shared<const Ints>(batch_sizes);
  std::vector<Tensor> hidden, memory;
  for (Int i = 0; i < layers; ++i) {
    if (i > 0 && l.dropout > 0) x = drop(l, x);
    std::vector<Tensor> ys;
    for (Int d = 0; d < dirs; ++d) {
      const Int at = i * dirs + d;
      const RNNWeights& w = l.weights[static_cast<std::size_t>(at)];
      const auto initial = [&](const Tensor& s) { return s ? s.select(0, at) : Tensor(); };
      const RNNInputs in{.x = x,
                         .wi = value(w.wi),
                         .wh = w.wh,
                         .bi = value(w.b),
                         .bh = value(w.bh),
                         .h0 = initial(start.hidden),
                         .c0 = initial(start.memory)};
      const auto other = other_activation(l);
      const RNNResults r = other ? rnn_layer_by_steps(kind_of(l), in, sizes, d == 1, other)
                                 : rnn_layer(who, kind_of(l), in, sizes, d == 1);
      ys.push_back(r.y);
      hidden.push_back(r.hy);
      if (r.cy) memory.push_back(r.cy);
    }
    x = dirs == 2 ? cat(ys, 1) : ys[0];
  }
  return {.y = x,
          .hidden = stack(hidden),
          .memory = memory.empty() ? Tensor() : stack(memory),
          .batch_sizes = std::move(batch_sizes)};
}

template <class L>
[[noreturn]] void bad_input(const L& l, const Tensor& x) {
  const bool ids_only = l.embedding.has_value();
  fail<ShapeError>(Traits<L>::name, ": input is ", x.shape(), " of ", x.dtype(),
                   ", expected ids [batch, time] or [time], or features [batch, time, ", Int{l.input},
                   "], [batch, ", Int{l.input}, "] or [", Int{l.input}, "]",
                   ids_only ? " (weights of all ids)" : "");
}

template <class L>
RNNOutput run(const L& l, const Tensor& x, const RNNState& start) {
  if (!x) fail<ShapeError>(Traits<L>::name, ": input is empty");
  const bool ids = is_integer(x.dtype());
  const int n = x.ndim();
  if (n < 1 || n > (ids ? 2 : 3) || (!ids && x.size(-1) != l.input)) bad_input(l, x);
  if (x.numel() == 0)
    fail<ShapeError>(Traits<L>::name, ": input is ", x.shape(), ": expected at least one step");
  if (!ids && n < 3) {  // one step
    RNNOutput r = run_packed(l, n == 1 ? x.unsqueeze(0) : x, {n == 1 ? 1 : x.size(0)}, start);
    r.batch_sizes.clear();
    if (n == 1) r.y = r.y.squeeze(0);
    return r;
  }
  const Tensor all = ids && n == 1 ? x.unsqueeze(0) : x;
  const Int batch = all.size(0), time = all.size(1);
  // Step after step: [time, batch, ...] as rows.
  RNNOutput r =
      run_packed(l, all.transpose(0, 1).flatten(0, 1), Ints(static_cast<std::size_t>(time), batch), start);
  r.batch_sizes.clear();
  r.y = r.y.reshape({time, batch, r.y.size(1)}).transpose(0, 1);
  return r;
}

/// `rows` of x are those of sequence 0, sequence 1 ..., `stride` apart (or where `offsets` say).
template <class L>
RNNOutput run_unequal(const L& l, const Tensor& rows, const Ints& first_row, const Ints& lengths,
                      const RNNState& start) {
  const char* who = Traits<L>::name;
  const auto batch = static_cast<Int>(lengths.size());
  if (batch == 0) fail<ValueError>(who, ": there are no sequences");
  for (Int i = 0; i < batch; ++i) {
    if (lengths[static_cast<std::size_t>(i)] < 1)
      fail<ValueError>(who, ": sequence ", i, " has length ", lengths[static_cast<std::size_t>(i)],
                       ": expected at least 1");
  }
  // Longest first, equal ones in the caller's order.
  Ints order(lengths.size()), place(lengths.size());
  std::iota(order.begin(), order.end(), Int{0});
  const auto length = [&](Int i) { return lengths[static_cast<std::size_t>(i)]; };
  std::stable_sort(order.begin(), order.end(), [&](Int a, Int b) { return length(a) > length(b); });
  for (Int i = 0; i < batch; ++i) place[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = i;
  const Int longest = length(order[0]);
  Ints packed_rows, batch_sizes, base;
  for (Int t = 0; t < longest; ++t) {
    base.push_back(static_cast<Int>(packed_rows.size()));
    for (const Int i : order) {
      if (length(i) <= t) break;
      packed_rows.push_back(first_row[static_cast<std::size_t>(i)] + t);
    }
    batch_sizes.push_back(static_cast<Int>(packed_rows.size()) - base.back());
  }
  const bool sorted = std::is_sorted(order.begin(), order.end());
  const auto permuted = [&](const Tensor& s, const Ints& to) {
    return s && !sorted ? index_select(s, 1, Tensor(to)) : s;
  };
  const auto has_batch = [&](const char* what, const Tensor& s) {
    if (s && (s.ndim() != 3 || s.size(1) != batch))
      fail<ShapeError>(who, ": start.", what, " is ", s.shape(), ", expected [.., ", batch, ", ",
                       Int{l.hidden}, "]");
  };
  has_batch("hidden", start.hidden);
  has_batch("memory", start.memory);
  RNNOutput r = run_packed(l, rows_of(rows, packed_rows), batch_sizes,
                           {permuted(start.hidden, order), permuted(start.memory, order)});
  // Back into the caller's order; what is after the end reads a row of zeros.
  const Int zero_row = r.y.size(0), width = r.y.size(1);
  Ints back;
  for (Int i = 0; i < batch; ++i) {
    for (Int t = 0; t < longest; ++t) {
      back.push_back(t < length(i) ? base[static_cast<std::size_t>(t)] + place[static_cast<std::size_t>(i)]
                                   : zero_row);
    }
  }
  r.y = rows_of(cat({r.y, zeros({1, width}, r.y.dtype())}), back).reshape({batch, longest, width});
  r.hidden = permuted(r.hidden, place);
  r.memory = permuted(r.memory, place);
  r.lengths = lengths;
  r.batch_sizes.clear();
  return r;
}

template <class L>
RNNOutput run(const L& l, const Sequences& x, const RNNState& start) {
  Ints all, first;
  for (const auto& s : x.items) {
    first.push_back(static_cast<Int>(all.size()));
    all.insert(all.end(), s.begin(), s.end());
  }
  return run_unequal(l, Tensor(all), first, x.lengths(), start);
}

template <class L>
RNNOutput run(const L& l, const Tensor& x, const Ints& lengths, const RNNState& start) {
  if (!x) fail<ShapeError>(Traits<L>::name, ": input is empty");
  const bool ids = is_integer(x.dtype());
  if (x.ndim() != (ids ? 2 : 3) || (!ids && x.size(-1) != l.input)) bad_input(l, x);
  if (static_cast<Int>(lengths.size()) != x.size(0))
    fail<ShapeError>(Traits<L>::name, ": there are ", lengths.size(), " lengths for input ", x.shape());
  Ints first;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > x.size(1))
      fail<ValueError>(Traits<L>::name, ": sequence ", i, " has length ", lengths[i], ", the input ",
                       x.shape());
    first.push_back(static_cast<Int>(i) * x.size(1));
  }
  RNNOutput r = run_unequal(l, x.flatten(0, 1), first, lengths, start);
  // As long as the input, even when no sequence is.
  if (r.y.size(1) < x.size(1)) r.y = pad(r.y, 1, 0, x.size(1) - r.y.size(1));
  return r;
}

template <class L>
RNNOutput run(const L& l, const PackedSequence& x, const RNNState& start) {
  const char* who = Traits<L>::name;
  if (!x.data) fail<ShapeError>(who, ": input is empty");
  const bool ids = is_integer(x.data.dtype());
  if (x.data.ndim() != (ids ? 1 : 2) || (!ids && x.data.size(1) != l.input)) bad_input(l, x.data);
  Int rows = 0, before = x.batch_sizes.empty() ? 0 : x.batch_sizes[0];
  for (const Int n : x.batch_sizes) {
    if (n < 1 || n > before)
      fail<ValueError>(who, ": batch size ", n, " after ", before,
                       ": expected positive ones that never grow");
    before = n;
    rows += n;
  }
  if (rows == 0 || rows != x.data.size(0))
    fail<ShapeError>(who, ": the batch sizes add up to ", rows, ", the packed input is ", x.data.shape());
  return run_packed(l, x.data, x.batch_sizes, start);
}

/// The parameter and rows of a gate's name.
struct GatePlace {
  std::size_t weights = 0;
  bool matrix = false, of_input = true;
  Int gate = -1;
};
template <class L>
GatePlace find_gate(const L& l, std::string_view name) {
  const auto unknown = [&]() { fail<ValueError>(Traits<L>::name, ": there is no gate \"", name, "\""); };
  std::string_view s = name;
  GatePlace p;
  const auto take = [&](std::string_view letters) -> char {
    if (s.empty() || letters.find(s[0]) == std::string_view::npos) return 0;
    const char c = s[0];
    s.remove_prefix(1);
    return c;
  };
  const std::string_view gates = Traits<L>::gates;
  const char what = take("wb");
  if (!what) unknown();
  p.matrix = what == 'w';
  // "bf1" leaves out where it comes from; "bi1" too is a gate, the input's.
  std::string_view rest = s;
  char source = take("ih");
  char gate = source ? take(gates) : 0;
  if (!gate) {
    s = rest, source = 'i';
    gate = p.matrix ? 0 : take(gates);
  }
  if (!gate) unknown();
  p.of_input = source == 'i';
  p.gate = static_cast<Int>(gates.find(gate));
  Int layer = 0;
  while (!s.empty() && s[0] >= '0' && s[0] <= '9' && layer < 100000) {
    layer = 10 * layer + (s[0] - '0');
    s.remove_prefix(1);
  }
  const bool backward = take("r") != 0;
  if (!s.empty() || layer < 1 || (backward && !l.bidirectional)) unknown();
  p.weights = static_cast<std::size_t>((layer - 1) * directions(l) + backward);
  if (p.weights >= l.weights.size()) unknown();
  const RNNWeights& w = l.weights[p.weights];
  if (!(p.matrix ? (p.of_input ? w.wi : w.wh) : (p.of_input ? w.b : w.bh))) unknown();
  return p;
}
template <class L>
TensorRef gate_of(L& l, std::string_view name) {
  const GatePlace p = find_gate(l, name);
  RNNWeights& w = l.weights[p.weights];
  Param& param = p.matrix ? (p.of_input ? w.wi : w.wh) : (p.of_input ? w.b : w.bh);
  return param.ref(slice(p.gate * l.hidden, (p.gate + 1) * l.hidden));
}
template <class L>
std::vector<std::string> gate_names(const L& l) {
  std::vector<std::string> r;
  for (std::size_t i = 0; i < l.weights.size(); ++i) {
    const RNNWeights& w = l.weights[i];
    const auto dirs = static_cast<std::size_t>(directions(l));
    const std::pair<const char*, const Param*> all[] = {
        {"wi", &w.wi}, {"wh", &w.wh}, {"bi", &w.b}, {"bh", &w.bh}};
    for (const auto& [prefix, param] : all) {
      if (!*param) continue;
      for (const char gate : std::string_view(Traits<L>::gates))
        r.push_back(text(prefix, gate, i / dirs + 1, i % dirs ? "r" : ""));
    }
  }
  return r;
}

template <class L>
std::string describe_rnn(const L& l) {
  std::string s = text(Traits<L>::name, "(input=", Int{l.input}, ", hidden=", Int{l.hidden});
  if (l.embedding) s += text(", embed=", l.embedding->weight.size(1));
  if (l.layers > 1) s += text(", layers=", Int{l.layers});
  if (l.bidirectional) s += ", bidirectional";
  if (l.dropout > 0) s += text(", dropout=", l.dropout);
  if (l.skip_input) s += ", skip_input";
  if constexpr (requires { l.activation; }) s += ", activation=" + l.activation.name();
  return s + (l.weights[0].b ? ")" : ", no bias)");
}

}  // namespace

RNNOutput pad_rnn_output(const RNNOutput& out) {
  if (out.batch_sizes.empty()) return out;
  const auto rows = out.indices();
  const Int zero_row = out.y.size(0), width = out.y.size(1), batch = static_cast<Int>(rows.size()),
            longest = static_cast<Int>(out.batch_sizes.size());
  RNNOutput r{.y = {}, .hidden = out.hidden, .memory = out.memory};
  Ints back;
  for (const auto& sequence : rows) {
    r.lengths.push_back(static_cast<Int>(sequence.size()));
    back.insert(back.end(), sequence.begin(), sequence.end());
    back.resize(r.lengths.size() * static_cast<std::size_t>(longest), zero_row);
  }
  r.y = rows_of(cat({out.y, zeros({1, width}, out.y.dtype())}), back).reshape({batch, longest, width});
  return r;
}

std::vector<RNNWeights> LSTM::make_weights() const { return make_rnn_weights(*this); }
RNNOutput LSTM::operator()(const Tensor& x, const RNNState& start) const { return run(*this, x, start); }
RNNOutput LSTM::operator()(const Sequences& x, const RNNState& start) const { return run(*this, x, start); }
RNNOutput LSTM::operator()(const Tensor& x, const Ints& lengths, const RNNState& start) const {
  return run(*this, x, lengths, start);
}
RNNOutput LSTM::operator()(const PackedSequence& x, const RNNState& start) const {
  return run(*this, x, start);
}
TensorRef LSTM::gate(std::string_view name) { return gate_of(*this, name); }
std::vector<std::string> LSTM::gates() const { return gate_names(*this); }
std::string LSTM::describe() const { return describe_rnn(*this); }

std::vector<RNNWeights> GRU::make_weights() const { return make_rnn_weights(*this); }
RNNOutput GRU::operator()(const Tensor& x, const RNNState& start) const { return run(*this, x, start); }
RNNOutput GRU::operator()(const Sequences& x, const RNNState& start) const { return run(*this, x, start); }
RNNOutput GRU::operator()(const Tensor& x, const Ints& lengths, const RNNState& start) const {
  return run(*this, x, lengths, start);
}
RNNOutput GRU::operator()(const PackedSequence& x, const RNNState& start) const {
  return run(*this, x, start);
}
TensorRef GRU::gate(std::string_view name) { return gate_of(*this, name); }
std::vector<std::string> GRU::gates() const { return gate_names(*this); }
std::string GRU::describe() const { return describe_rnn(*this); }

std::vector<RNNWeights> SRNN::make_weights() const { return make_rnn_weights(*this); }
RNNOutput SRNN::operator()(const Tensor& x, const RNNState& start) const { return run(*this, x, start); }
RNNOutput SRNN::operator()(const Sequences& x, const RNNState& start) const { return run(*this, x, start); }
RNNOutput SRNN::operator()(const Tensor& x, const Ints& lengths, const RNNState& start) const {
  return run(*this, x, lengths, start);
}
RNNOutput SRNN::operator()(const PackedSequence& x, const RNNState& start) const {
  return run(*this, x, start);
}
TensorRef SRNN::gate(std::string_view name) { return gate_of(*this, name); }
std::vector<std::string> SRNN::gates() const { return gate_names(*this); }
std::string SRNN::describe() const { return describe_rnn(*this); }

}  // namespace knet
