#include "knet/layers/attention.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/softmax.hpp"

namespace knet {
namespace {

using Int = std::int64_t;

/// The sizes of an attention, with their defaults, checked.
struct Sizes {
  Int query, key, head, heads, output;
};
Sizes sizes_of(const MultiheadAttention& m) {
  const Int size = m.size, heads = m.heads;
  if (m.head_size < 0 || m.output_size < 0 || m.key_size < 0)
    fail<ValueError>("MultiheadAttention: .head_size = ", m.head_size, ", .output_size = ", m.output_size,
                     ", .key_size = ", m.key_size, ": expected at least 1, or 0 for the default");
  if (m.head_size == 0 && size % heads != 0)
    fail<ValueError>("MultiheadAttention: .size = ", size, " is not divisible by .heads = ", heads,
                     "; give .head_size");
  const auto or_else = [](Int v, Int other) { return v > 0 ? v : other; };
  return {size, or_else(m.key_size, size), or_else(m.head_size, size / heads), heads,
          or_else(m.output_size, size)};
}

/// [batch, time, heads size] -> [batch, heads, time, size]
Tensor split_heads(const Tensor& x, Int heads) {
  return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

/// One mask of what the caller gave, to broadcast over [batch, heads, queries, keys].
Tensor joined_mask(const AttentionContext& c, DType t, Int batch, Int heads, Int queries, Int keys) {
  Tensor m = c.mask;
  if (m) {
    const auto wrong = [&] {
      fail<ShapeError>("MultiheadAttention: mask is ", m.shape(), ", expected [", queries, ", ", keys, "], [",
                       batch, ", ", queries, " or 1, ", keys, "] or [", batch, ", ", heads, " or 1, ",
                       queries, " or 1, ", keys, "]");
    };
    const int n = m.ndim();
    if (n < 2 || n > 4 || m.size(-1) != keys || (m.size(-2) != queries && m.size(-2) != 1) ||
        (n > 2 && m.size(0) != batch && m.size(0) != 1) || (n == 4 && m.size(1) != heads && m.size(1) != 1))
      wrong();
    if (m.dtype() != boolean && m.dtype() != t)
      fail<DTypeError>("MultiheadAttention: mask is ", m.dtype(), ", expected boolean or ", t);
    if (n == 3) m = m.unsqueeze(1);
  }
  if (!c.padding) return m;
  if (c.padding.dtype() != boolean || c.padding.shape() != Shape{batch, keys})
    fail<ShapeError>("MultiheadAttention: padding is ", c.padding.shape(), " of ", c.padding.dtype(),
                     ", expected boolean [", batch, ", ", keys, "]");
  const Tensor real = c.padding.reshape({batch, 1, 1, keys});
  if (!m) return real;
  return m.dtype() == boolean ? logical_and(m, real)
                              : where(real, m, -std::numeric_limits<double>::infinity());
}

Tensor residual(const LayerNorm& norm, bool norm_first, double p, const Tensor& x, const auto& part) {
  if (norm_first) return x + dropout(part(norm(x)), p);
  return norm(x + dropout(part(x), p));
}
std::string describe_block(const char* name, const auto& t) {
  std::string s = text(name, "(size=", Int{t.size}, ", heads=", Int{t.heads}, ", hidden=", Int{t.hidden});
  if (t.head_size > 0) s += text(", head_size=", t.head_size);
  if constexpr (requires { t.causal; }) {
    if (t.causal) s += ", causal";
  }
  if (t.dropout > 0) s += text(", dropout=", t.dropout);
  if (t.norm_first) s += ", norm_first";
  return s + ", activation=" + t.activation.name() + ")";
}

}  // namespace

std::pair<Tensor, Tensor> KeyValueCache::append(const char* who, const Tensor& k, const Tensor& v, Int most) {
  if (recording()) fail<ValueError>(who, ": a cache can not be used inside diff()");
  const auto fits = [](const Tensor& store, const Tensor& t) {
    return store && store.ndim() == 4 && store.size(0) == t.size(0) && store.size(1) == t.size(1) &&
           store.size(3) == t.size(3) && store.dtype() == t.dtype();
  };
  const auto check = [&](const char* what, const Tensor& store, const Tensor& t) {
    if (length == 0 || (fits(store, t) && store.size(2) >= length)) return;
    const auto form = [](const Tensor& x) { return x ? text(x.shape(), " of ", x.dtype()) : "nothing"; };
    fail<ShapeError>(who, ": the cache holds ", length, " steps of ", store ? store.size(0) : 0,
                     " sequences, ", what, ' ', form(store),
                     "; expected new ones of the same form, these are ", form(t));
  };
  if (k.ndim() != 4 || v.ndim() != 4 || k.size(2) != v.size(2))
    fail<ShapeError>(who, ": new keys and values are ", k.shape(), " and ", v.shape(),
                     ", expected [batch, heads, steps, head size]");
  check("keys", keys, k);
  check("values", values, v);
  const Int total = length + k.size(2);
  if (total > most)
    fail<ValueError>(who, ": the cache holds ", length, " steps, ", k.size(2),
                     " more came, expected at most ", most, " in all");
  const auto add = [&](Tensor& store, const Tensor& t) {
    if (!fits(store, t) || store.size(2) < total) {
      Tensor bigger =
          Tensor::make({t.size(0), t.size(1), std::min(most, std::max<Int>(2 * total, 64)), t.size(3)},
                       t.dtype(), t.device());
      if (length > 0) bigger.ref(_, _, slice(0, length)) = store.narrow(2, 0, length);
      store = bigger;
    }
    store.ref(_, _, slice(length, total)) = t;
  };
  add(keys, k);
  add(values, v);
  length = total;
  return {keys.narrow(2, 0, total), values.narrow(2, 0, total)};
}

Dense MultiheadAttention::projection(int which) const {
  const Sizes s = sizes_of(*this);
  if (!(dropout >= 0 && dropout < 1))
    fail<ValueError>("MultiheadAttention: .dropout = ", dropout, ": expected [0, 1)");
  const Int inner = s.head * s.heads;
  return {.input = which == 0   ? s.query
                   : which == 3 ? inner
                                : s.key,
          .output = which == 3 ? s.output : inner,
          .activation = activation,
          .winit = winit,
          .binit = binit,
          .dtype = dtype};
}

Tensor MultiheadAttention::operator()(const Tensor& q, const Tensor& k, const Tensor& v,
                                      const AttentionContext& c) const {
  const Sizes s = sizes_of(*this);
  const auto shapes = [&] {
    const auto one = [](const Tensor& t) { return t ? to_string(t.shape()) : std::string("empty"); };
    return text(one(q), ", ", one(k), " and ", one(v));
  };
  const auto fits = [&](const Tensor& t, Int width, int n) {
    return t && t.ndim() == n && t.size(-1) == width;
  };
  if (fits(q, s.query, 2) && fits(k, s.key, 2) && fits(v, s.key, 2)) {
    const AttentionContext one{
        .padding = c.padding && c.padding.ndim() == 1 ? c.padding.unsqueeze(0) : c.padding,
        .mask = c.mask,
        .cache = c.cache};
    return (*this)(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), one).squeeze(0);
  }
  if (!fits(q, s.query, 3) || !fits(k, s.key, 3) || !fits(v, s.key, 3) || q.size(0) != k.size(0) ||
      q.size(0) != v.size(0) || k.size(1) != v.size(1))
    fail<ShapeError>("MultiheadAttention: query, key and value are ", shapes(),
                     ", expected [batch, queries, ", s.query, "], [batch, keys, ", s.key,
                     "] and [batch, keys, ", s.key, "]");
  const Int past = c.cache ? c.cache->length : 0;
  Tensor hq = split_heads(query(q), s.heads), hk = split_heads(key(k), s.heads),
         hv = split_heads(value(v), s.heads);
  if (rotary) {
    hq = knet::rotary(hq, {.start = past});
    hk = knet::rotary(hk, {.start = past});
  }
  const Tensor mask = joined_mask(c, hq.dtype(), q.size(0), s.heads, q.size(1), past + k.size(1));
  if (c.cache) std::tie(hk, hv) = c.cache->append("MultiheadAttention", hk, hv);
  const Tensor y = attention(hq, hk, hv, {.causal = causal, .mask = mask, .scale = 0, .dropout = dropout});
  return output(y.transpose(1, 2).flatten(2, 3));
}
Tensor MultiheadAttention::operator()(const Tensor& x, const AttentionContext& c) const {
  return (*this)(x, x, x, c);
}
std::string MultiheadAttention::describe() const {
  const Sizes s = sizes_of(*this);
  std::string r = text("MultiheadAttention(size=", s.query, ", heads=", s.heads);
  if (head_size > 0) r += text(", head_size=", s.head);
  if (key_size > 0) r += text(", key_size=", s.key);
  if (output_size > 0) r += text(", output_size=", s.output);
  if (causal) r += ", causal";
  if (rotary) r += ", rotary";
  if (dropout > 0) r += text(", dropout=", dropout);
  return r + ")";
}

Tensor Transformer::operator()(const Tensor& x, const AttentionContext& c) const {
  const Tensor a = residual(norm1, norm_first, dropout, x, [&](const Tensor& h) { return attention(h, c); });
  return residual(norm2, norm_first, dropout, a, feedforward);
}
std::string Transformer::describe() const { return describe_block("Transformer", *this); }

Tensor TransformerDecoder::operator()(const Tensor& x, const Tensor& memory, const DecoderContext& c) const {
  const Tensor a = residual(norm1, norm_first, dropout, x, [&](const Tensor& h) {
    return attention(h, {.padding = c.padding, .mask = {}, .cache = c.cache});
  });
  const Tensor b = residual(norm2, norm_first, dropout, a, [&](const Tensor& h) {
    return cross(h, memory, memory, {.padding = c.memory_padding, .mask = c.memory_mask, .cache = nullptr});
  });
  return residual(norm3, norm_first, dropout, b, feedforward);
}
std::string TransformerDecoder::describe() const { return describe_block("TransformerDecoder", *this); }

Init PositionEmbedding::default_init() { return gaussian(0, 0.02); }

Tensor PositionEmbedding::positions(Int n, Int start) const {
  if (n < 0 || start < 0)
    fail<ValueError>("PositionEmbedding: ", n, " positions from ", start, ": expected neither negative");
  const Int features = size;
  if (kind == PositionKind::trainable) {
    if (start + n > weight.size(0))
      fail<ValueError>("PositionEmbedding: positions up to ", start + n, " are asked for, .max_length is ",
                       weight.size(0));
    return Tensor(weight).narrow(0, start, n);
  }
  Tensor t = Tensor::make({n, features}, f64);
  double* v = t.data<double>();
  const bool paper = kind == PositionKind::sinusoidal;
  for (Int i = 0; i < features; ++i) {
    // Knet counts positions and features from 1, and gives the sine to even features.
    const Int base = paper ? i / 2 * 2 : (i + 1) / 2 * 2;
    const bool sine = paper ? i % 2 == 0 : i % 2 == 1;
    const double speed = std::pow(10000.0, -static_cast<double>(base) / static_cast<double>(features));
    for (Int p = 0; p < n; ++p) {
      const double angle = static_cast<double>(p + start + (paper ? 0 : 1)) * speed;
      v[p * features + i] = sine ? std::sin(angle) : std::cos(angle);
    }
  }
  return t.to(dtype);
}
Tensor PositionEmbedding::operator()(const Tensor& x, Int start) const {
  if (!x || x.ndim() < 1) fail<ShapeError>("PositionEmbedding: input is ", x ? "a scalar" : "empty");
  if (is_integer(x.dtype())) return positions(x.size(-1), start);
  if (x.ndim() < 2 || x.size(-1) != size)
    fail<ShapeError>("PositionEmbedding: input is ", x.shape(), ", expected ids or [.., time, ", Int{size},
                     "]");
  const Tensor p = positions(x.size(-2), start);
  return x + (p.dtype() == x.dtype() ? p : p.to(x.dtype())).to(x.device());
}
std::string PositionEmbedding::describe() const {
  const char* name = kind == PositionKind::trainable ? "trainable"
                     : kind == PositionKind::knet    ? "knet"
                                                     : "sinusoidal";
  return text("PositionEmbedding(size=", Int{size}, ", max_length=", Int{max_length}, ", ", name, ")");
}

}  // namespace knet
