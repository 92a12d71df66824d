#include "knet/ops/attention.hpp"

#include <cmath>
#include <limits>

#include "knet/autograd/record.hpp"
#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/device/random.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/shape.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

/// Checked operands of four dimensions.
struct Operands {
  Tensor q, k, v, mask;
  AttentionShape shape;
};

Operands check(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  const char* who = "attention";
  check_defined(who, q), check_defined(who, k), check_defined(who, v);
  check_same(who, q, k), check_same(who, q, v);
  if (q.dtype() != f32 && q.dtype() != f64) fail<DTypeError>(who, ": expects f32 or f64, not ", q.dtype());
  const auto shapes = [&] { return text(q.shape(), ", ", k.shape(), " and ", v.shape()); };
  if (q.ndim() != 4 || k.ndim() != 4 || v.ndim() != 4)
    fail<ShapeError>(who, ": queries, keys and values are ", shapes(),
                     ", expected [batch, heads, length, size]");
  if (q.size(3) != k.size(3) || k.size(2) != v.size(2))
    fail<ShapeError>(who, ": queries, keys and values are ", shapes(),
                     ": queries and keys need one size, keys and values one length");
  for (int i = 0; i < 2; ++i) {
    if (q.size(i) != k.size(i) || q.size(i) != v.size(i))
      fail<ShapeError>(who, ": queries, keys and values are ", shapes(), ": expected equal ",
                       i == 0 ? "batches" : "numbers of heads");
  }
  if (q.size(3) < 1)
    fail<ShapeError>(who, ": queries, keys and values are ", shapes(), ": they have no features");
  if (!(o.dropout >= 0 && o.dropout < 1))
    fail<ValueError>(who, ": dropout = ", o.dropout, " is outside [0, 1)");
  if (!(o.scale >= 0)) fail<ValueError>(who, ": scale = ", o.scale, " is negative");
  if (o.mask) {
    if (o.mask.dtype() != boolean) check_same(who, q, o.mask);
    const Shape full{q.size(0), q.size(1), q.size(2), k.size(2)};
    const int lead = 4 - o.mask.ndim();
    bool fits = lead >= 0;
    for (int i = 0; fits && i < o.mask.ndim(); ++i)
      fits = o.mask.size(i) == 1 || o.mask.size(i) == full[lead + i];
    if (!fits)
      fail<ShapeError>(who, ": mask is ", o.mask.shape(),
                       ", expected what broadcasts to [batch, heads, queries, keys] = ", full);
  }
  Operands r{q, k, v, o.mask, {}};
  r.shape = {.dtype = q.dtype(),
             .batch = q.size(0),
             .heads = q.size(1),
             .queries = q.size(2),
             .keys = k.size(2),
             .size = q.size(3),
             .value_size = v.size(3),
             .causal = o.causal,
             .scale = o.scale > 0 ? o.scale : 1 / std::sqrt(static_cast<double>(q.size(3))),
             .dropout = training() ? o.dropout : 0,
             .key = {}};
  if (r.shape.dropout > 0) r.shape.key = next_random_key();
  return r;
}

/// Of plain operators, for derivatives of derivatives and of masks.
Tensor composed(const Operands& in) {
  const AttentionShape& s = in.shape;
  Tensor scores = matmul(in.q, in.k.transpose(2, 3)) * s.scale;
  // What may be seen; the others get a finite score so that no row is without one.
  Tensor visible;
  const auto also = [&](const Tensor& m) { visible = visible ? logical_and(visible, m) : m; };
  if (in.mask) {
    if (in.mask.dtype() == boolean) {
      also(in.mask);
    } else {
      const Tensor finite = in.mask.detach() > never;
      also(finite);
      scores = scores + where(finite, in.mask, 0.0);
    }
  }
  if (s.causal) {
    const Tensor query = arange(s.queries).reshape({s.queries, 1}), key = arange(s.keys);
    also(key <= query + static_cast<double>(s.keys - s.queries));
  }
  if (!visible) {
    const Tensor p = softmax(scores, -1);
    return matmul(s.dropout > 0 ? dropout(p, s.dropout) : p, in.v);
  }
  const Tensor p = where(visible, softmax(where(visible, scores, -1e30), -1), 0.0);
  return matmul(s.dropout > 0 ? dropout(p, s.dropout) : p, in.v);
}

/// [batch, heads, length, size] whose memory has the heads of a position side by side, as layers join them.
Tensor make_heads(const Tensor& like, std::int64_t length, std::int64_t size) {
  return raw::transpose(Tensor::make({like.size(0), length, like.size(1), size}, like.dtype(), like.device()),
                        1, 2);
}
Tensor lines(const Tensor& t) {
  return t.strides()[3] == 1 || t.size(3) == 1 ? t.detach() : raw::contiguous(t);
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  if (q.ndim() == 2 && k.ndim() == 2 && v.ndim() == 2) {
    const auto alone = [](const Tensor& t) { return t.unsqueeze(0).unsqueeze(0); };
    return attention(alone(q), alone(k), alone(v), o).squeeze(0).squeeze(0);
  }
  const Operands in = check(q, k, v, o);
  const AttentionShape& s = in.shape;
  if ((tape::state.on && tape::state.depth > 1) || (in.mask && tracked(in.mask))) return composed(in);
  const Tensor lq = lines(q), lk = lines(k), lv = lines(v), mask = in.mask ? in.mask.detach() : Tensor();
  const Tensor lse = Tensor::make({s.batch, s.heads, s.queries}, q.dtype(), q.device());
  Tensor y = make_heads(q, s.queries, s.value_size);
  const auto inputs = [lq, lk, lv, mask, s] {
    AttentionInputs a{array(lq), array(lk), array(lv), {}};
    if (mask) a.mask = array_as(mask, {s.batch, s.heads, s.queries, s.keys});
    return a;
  };
  if (y.numel() > 0) kernels(q.device()).attention(s, inputs(), array(y), TensorAccess::data(lse));
  if (Node* n = track(y, "attention", {&q, &k, &v})) {
    n->backward([inputs, s, lq, lse, y](const Tensor& dy, Gradients& g) {
      const Tensor d = lines(dy), dq = make_heads(lq, s.queries, s.size), dk = make_heads(lq, s.keys, s.size),
                   dv = make_heads(lq, s.keys, s.value_size);
      const Kernels& table = kernels(lq.device());
      if (y.numel() > 0 && s.keys > 0) {
        table.attention_grad(s, inputs(), array(y), TensorAccess::data(lse), array(d), array(dq), array(dk),
                             array(dv));
      } else {
        for (const Tensor* t : {&dq, &dk, &dv}) {
          if (t->numel() > 0) table.fill(0, array(*t));
        }
      }
      g.add(0, dq), g.add(1, dk), g.add(2, dv);
    });
  }
  return y;
}

Tensor rotary(const Tensor& x, const RotaryOptions& o) {
  check_defined("rotary", x);
  if (!x.floating()) fail<DTypeError>("rotary: expects f32 or f64, not ", x.dtype());
  if (x.ndim() < 2 || x.size(-1) % 2 != 0)
    fail<ShapeError>("rotary: input is ", x.shape(),
                     ", expected [.., time, features], an even number of features");
  const std::int64_t time = x.size(-2), half = x.size(-1) / 2;
  Tensor angles = Tensor::make({time, half}, f64);
  double* a = angles.data<double>();
  for (std::int64_t i = 0; i < half; ++i) {
    const double speed = std::pow(o.base, -static_cast<double>(i) / static_cast<double>(half));
    for (std::int64_t p = 0; p < time; ++p) a[p * half + i] = static_cast<double>(p + o.start) * speed;
  }
  const auto table = [&](double (*f)(double)) {
    Tensor t = angles;
    double* v = t.data<double>();
    for (std::int64_t i = 0; i < t.numel(); ++i) v[i] = f(v[i]);
    return t.to(x.dtype()).to(x.device());
  };
  const Tensor cosine = table(std::cos), sine = table(std::sin);
  const int last = x.ndim() - 1;
  if (o.interleaved) {
    Shape pairs = x.shape();
    pairs[-1] = half;
    pairs.push(2);
    const Tensor p = x.reshape(pairs), first = p.select(last + 1, 0), second = p.select(last + 1, 1);
    return stack({first * cosine - second * sine, first * sine + second * cosine}, last + 1)
        .reshape(x.shape());
  }
  const Tensor first = x.narrow(last, 0, half), second = x.narrow(last, half, half);
  return cat({first * cosine - second * sine, first * sine + second * cosine}, last);
}

}  // namespace knet
