#include "knet/models/mac_read.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "knet/autograd/observe.hpp"
#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/threads.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/linear.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

/// The formula in plain operators, for derivatives of derivatives.
Tensor composed(const ReadQuery& q, const Knowledge& k, Tensor* attention) {
  const auto of_question = [&](const Tensor& t) { return k.image_of ? index_select(t, 0, k.image_of) : t; };
  const Tensor keys = of_question(k.keys);
  const Tensor met = linear("MAC", keys * q.memory.unsqueeze(1), q.interaction, {});
  const Tensor fits = elu(q.control.unsqueeze(1) * elu(met + of_question(k.keys2)));
  const Tensor b = softmax(matmul(dropout(fits, q.dropout), q.score));
  if (attention) *attention = b;
  return bmm(b.unsqueeze(1), keys).squeeze(1);
}

// The fused way goes from question to question: all that it makes of one question's cells stays in the cache.
// The memory does not multiply the cells but the matrix, interaction (m . K) = (interaction diag(m)) K, which
// takes two passes over cells out of the forward and three out of the backward computation.

/// Which questions every image has, and how images are cut into parts that threads work on. The cut depends
/// on sizes alone, and so do the sums over parts.
struct Schedule {
  std::vector<Int> questions, first;  ///< image i has questions[first[i]] to questions[first[i + 1]]
  Int parts = 1;
  bool large = false;  ///< worth more than one thread
  Int images() const { return static_cast<Int>(first.size()) - 1; }
  Int begin(Int part) const { return images() * part / parts; }
};
Schedule schedule(const Knowledge& k, Int batch) {
  Schedule s;
  const Int images = k.keys.size(0);
  const std::vector<Int> of = k.image_of ? k.image_of.to_vector<Int>() : std::vector<Int>();
  const auto image = [&](Int b) {
    return static_cast<std::size_t>(k.image_of ? of[static_cast<std::size_t>(b)] : b);
  };
  s.first.assign(static_cast<std::size_t>(images) + 1, 0);
  for (Int b = 0; b < batch; ++b) ++s.first[image(b) + 1];
  for (std::size_t i = 1; i < s.first.size(); ++i) s.first[i] += s.first[i - 1];
  std::vector<Int> next = s.first;
  s.questions.resize(static_cast<std::size_t>(batch));
  for (Int b = 0; b < batch; ++b) s.questions[static_cast<std::size_t>(next[image(b)]++)] = b;
  s.parts = std::min<Int>(images, 8);
  s.large = batch * k.keys.size(1) * k.keys.size(2) * k.keys.size(2) > Int{1} << 22;
  return s;
}
/// f(part); by all threads, unless somebody watches what this one does.
template <class F>
void each_part(const Schedule& s, const F& f) {
  parallel_for(s.parts, tape::watched() || !s.large ? s.parts : 1, [&](Int a, Int b) {
    for (Int part = a; part < b; ++part) f(part);
  });
}

/// Row i of a contiguous tensor (its first dimension), as a kernel sees it.
Array row(const Tensor& t, Int i, std::initializer_list<Int> shape) {
  Array a;
  a.dtype = t.dtype();
  a.data = TensorAccess::data(t) + i * (t.numel() / t.size(0)) * static_cast<Int>(size_of(t.dtype()));
  for (const Int n : shape) a.size[a.ndim++] = n;
  Int stride = 1;
  for (int d = a.ndim - 1; d >= 0; --d) a.stride[d] = stride, stride *= a.size[d];
  return a;
}
Array transposed(Array a) {
  std::swap(a.size[0], a.size[1]);
  std::swap(a.stride[0], a.stride[1]);
  return a;
}
/// A vector as every row of [n, d].
Array rows_of(Array v, Int n) {
  v.ndim = 2;
  v.size[1] = v.size[0], v.stride[1] = v.stride[0];
  v.size[0] = n, v.stride[0] = 0;
  return v;
}

struct Sizes {
  Int batch, cells, d;
};
/// What the passes share.
struct Read {
  Sizes n;
  Tensor memory, control, interaction, score, keys, keys2;  // contiguous
  Schedule plan;
  double dropout;
  RandomKey key;

  /// Every question has zeros of its own.
  RandomKey key_of(Int question) const {
    return {key.seed, key.stream + (static_cast<std::uint64_t>(question + 1) << 40)};
  }
  Tensor scratch(std::initializer_list<Int> shape) const {
    Shape s{plan.parts, 1};
    s[1] = 1;
    for (const Int n_i : shape) s[1] *= n_i;
    return Tensor::make(s, keys.dtype(), keys.device());
  }
  /// interaction diag(m)
  void mix(const Kernels& k, Int question, const Array& to) const {
    k.binary(Binary::mul, row(interaction, 0, {n.d, n.d}), rows_of(row(memory, question, {n.d}), n.d), to);
  }
  /// elu(control . met)
  void fit(const Kernels& k, Int question, const Array& met, const Array& to) const {
    k.binary(Binary::mul, met, rows_of(row(control, question, {n.d}), n.cells), to);
    k.unary(Unary::elu, 1, 0, to, to);
  }
};

void forward(const Read& r, const Tensor& met, const Tensor& weights, const Tensor& y) {
  const Kernels& k = kernels(r.keys.device());
  const auto [batch, cells, d] = r.n;
  const Tensor mixed = r.scratch({d, d}), fits = r.scratch({cells, d});
  each_part(r.plan, [&, cells = cells, d = d](Int part) {
    const Array g = row(mixed, part, {d, d}), f = row(fits, part, {cells, d});
    for (Int i = r.plan.begin(part); i < r.plan.begin(part + 1); ++i) {
      const Array key = row(r.keys, i, {cells, d});
      for (Int j = r.plan.first[static_cast<std::size_t>(i)];
           j < r.plan.first[static_cast<std::size_t>(i) + 1]; ++j) {
        const Int q = r.plan.questions[static_cast<std::size_t>(j)];
        const Array a = row(met, q, {cells, d});
        r.mix(k, q, g);
        k.copy(row(r.keys2, i, {cells, d}), a);
        k.matmul(key, transposed(g), a, {.activation = Unary::elu, .alpha = 1, .accumulate = true});
        r.fit(k, q, a, f);
        if (r.dropout > 0) k.dropout(r.key_of(q), r.dropout, f, f);
        k.matmul(f, row(r.score, 0, {d, 1}), row(weights, q, {cells, 1}), {});
        k.softmax(SoftmaxKind::softmax, row(weights, q, {cells}), 0, row(weights, q, {cells}));
        k.matmul(row(weights, q, {1, cells}), key, row(y, q, {1, d}), {});
      }
    }
  });
}

struct ReadGradients {
  Tensor memory, control, interaction, score, keys, keys2;
};
ReadGradients backward(const Read& r, const Tensor& met, const Tensor& weights, const Tensor& dy) {
  const Kernels& k = kernels(r.keys.device());
  const auto [batch, cells, d] = r.n;
  ReadGradients g{
      raw::empty_like(r.memory, r.memory.dtype()), raw::empty_like(r.control, r.control.dtype()), {}, {},
      raw::empty_like(r.keys, r.keys.dtype()),     raw::empty_like(r.keys, r.keys.dtype())};
  const Tensor mixed = r.scratch({d, d}), fits = r.scratch({cells, d}), flow = r.scratch({cells, d}),
               line = r.scratch({cells}), products = r.scratch({d, d}), one = r.scratch({d});
  const Tensor dw = r.scratch({d, d}), ds = r.scratch({d});
  k.fill(0, array(dw)), k.fill(0, array(ds));
  each_part(r.plan, [&, cells = cells, d = d](Int part) {
    const Array mix = row(mixed, part, {d, d}), f = row(fits, part, {cells, d}),
                df = row(flow, part, {cells, d}), db = row(line, part, {cells}),
                product = row(products, part, {d, d}), sum = row(one, part, {1, d});
    Array column = db, across = db;
    column.ndim = across.ndim = 2;
    column.size[1] = 1, column.stride[1] = 1;
    across.size[0] = 1, across.size[1] = cells, across.stride[0] = cells, across.stride[1] = 1;
    for (Int i = r.plan.begin(part); i < r.plan.begin(part + 1); ++i) {
      const Array key = row(r.keys, i, {cells, d}), dkey = row(g.keys, i, {cells, d}),
                  dkey2 = row(g.keys2, i, {cells, d});
      k.fill(0, dkey), k.fill(0, dkey2);
      for (Int j = r.plan.first[static_cast<std::size_t>(i)];
           j < r.plan.first[static_cast<std::size_t>(i) + 1]; ++j) {
        const Int q = r.plan.questions[static_cast<std::size_t>(j)];
        const Array a = row(met, q, {cells, d}), b = row(weights, q, {cells}), out = row(dy, q, {1, d});
        // Through the sum and softmax: db becomes the scores' gradient.
        k.matmul(key, transposed(out), column, {});
        k.softmax_grad(SoftmaxKind::softmax, b, db, 0, db);
        // df = d(elu(control . a)) before its elu; f after dropout gives the score's gradient.
        r.fit(k, q, a, f);
        Array wide = column;
        wide.size[1] = d, wide.stride[1] = 0;
        k.binary(Binary::mul, wide, rows_of(row(r.score, 0, {d}), cells), df);
        if (r.dropout > 0) k.dropout(r.key_of(q), r.dropout, df, df);
        k.unary_grad(Unary::elu, 1, 0, {}, f, df, df);
        if (r.dropout > 0) k.dropout(r.key_of(q), r.dropout, f, f);
        k.matmul(across, f, row(ds, part, {1, d}), {.accumulate = true});
        // control, and what met.
        k.binary(Binary::mul, df, a, f);
        k.reduce(Reduce::sum, f, row(g.control, q, {1, d}));
        k.binary(Binary::mul, df, rows_of(row(r.control, q, {d}), cells), df);
        k.unary_grad(Unary::elu, 1, 0, {}, a, df, df);
        k.binary(Binary::add, dkey2, df, dkey2);
        // met = K mix^T: to K, and to the two factors of mix.
        r.mix(k, q, mix);
        k.matmul(df, mix, dkey, {.accumulate = true});
        k.matmul(transposed(row(weights, q, {1, cells})), out, dkey, {.accumulate = true});
        k.matmul(transposed(df), key, product, {});
        k.binary(Binary::mul, product, row(r.interaction, 0, {d, d}), mix);
        k.reduce(Reduce::sum, mix, sum);
        k.copy(sum, row(g.memory, q, {1, d}));
        k.binary(Binary::mul, product, rows_of(row(r.memory, q, {d}), d), product);
        k.binary(Binary::add, row(dw, part, {d, d}), product, row(dw, part, {d, d}));
      }
    }
  });
  const auto total = [&](const Tensor& parts, const Shape& shape) {
    Tensor t = Tensor::make({1, parts.size(1)}, parts.dtype(), parts.device());
    k.reduce(Reduce::sum, array(parts), array(t));
    return raw::reshape("MAC", t, shape);
  };
  g.interaction = total(dw, {d, d});
  g.score = total(ds, {d});
  return g;
}

}  // namespace

Tensor read_cells(const ReadQuery& q, const Knowledge& k, Tensor* attention) {
  if ((tape::state.on && tape::state.depth > 1)) return composed(q, k, attention);
  const Int batch = q.memory.size(0), cells = k.keys.size(1), d = k.keys.size(2);
  Read r{.n = {batch, cells, d},
         .memory = raw::contiguous(q.memory),
         .control = raw::contiguous(q.control),
         .interaction = raw::contiguous(q.interaction),
         .score = raw::contiguous(q.score),
         .keys = raw::contiguous(k.keys),
         .keys2 = raw::contiguous(k.keys2),
         .plan = schedule(k, batch),
         .dropout = training() ? q.dropout : 0,
         .key = {}};
  if (r.dropout > 0) r.key = next_random_key();
  const DType t = k.keys.dtype();
  const Device device = k.keys.device();
  const Tensor met = Tensor::make({batch, cells, d}, t, device),
               weights = Tensor::make({batch, cells}, t, device);
  Tensor y = Tensor::make({batch, d}, t, device);
  forward(r, met, weights, y);
  if (attention) *attention = weights;
  if (Node* n =
          track(y, "read_cells",
                std::array{&q.memory, &q.control, &q.interaction, &q.score, &k.keys, &k.keys2}.data(), 6)) {
    n->backward([r = std::move(r), met, weights](const Tensor& dy, Gradients& to) {
      ReadGradients g = backward(r, met, weights, raw::contiguous(dy));
      to.add(0, std::move(g.memory)), to.add(1, std::move(g.control)), to.add(2, std::move(g.interaction));
      to.add(3, std::move(g.score)), to.add(4, std::move(g.keys)), to.add(5, std::move(g.keys2));
    });
  }
  return y;
}

}  // namespace knet::models
