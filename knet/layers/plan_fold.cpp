// Batch normalisation and activations become part of the convolution or product whose result they alone read,
// and weights are packed once.
#include <algorithm>

#include "knet/layers/plan_program.hpp"
#include "knet/tensor/access.hpp"

namespace knet::plan {
namespace {

const Buffer& buffer(const Program& p, const Operand& o) {
  return p.buffers[static_cast<std::size_t>(o.buffer)];
}
/// The operand whose pointer this is.
const Operand* operand(Call& c, const void* pointer_field) {
  const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(pointer_field) - c.bytes());
  const auto found = std::ranges::find(c.operands, at, &Operand::at);
  return found == c.operands.end() ? nullptr : &*found;
}
bool constant(const Program& p, Call& c, const void* pointer_field) {
  const Operand* o = operand(c, pointer_field);
  return o && !buffer(p, *o).varies();
}

/// A convolution or product, as far as folding goes.
struct Producer {
  Call* call = nullptr;
  Array* weight = nullptr;
  Array* y = nullptr;
  Epilogue* e = nullptr;
  int column = 0;  ///< the weight's dimension of outputs
  std::int64_t columns = 0;
};
Producer producer(Call& c) {
  if (auto* k = c.as<ConvCall>()) return {&c, &k->w, &k->y, &k->e, 0, k->s.out_channels};
  if (auto* k = c.as<MatmulCall>()) {
    const std::int64_t n = k->c.size[k->c.ndim - 1];
    const bool dense = k->c.ndim == 2 && k->b.ndim == 2 && (k->c.stride[0] == n || k->c.size[0] == 1);
    if (dense) return {&c, &k->b, &k->c, &k->e, 1, n};
  }
  return {};
}

/// The convolution or product that made what x (of call i) reads, if nobody else sees its plain result and
/// the result of i may as well be written then.
Producer made_for(Program& p, int i, const Operand& x, const Operand& y) {
  const Buffer &from = buffer(p, x), &to = buffer(p, y);
  if (from.kind != Buffer::Kind::scratch || from.users.size() != 2 || from.users[1] != i ||
      to.users.front() < i || x.buffer == y.buffer)
    return {};
  const Producer m = producer(p.calls[static_cast<std::size_t>(from.users[0])]);
  if (!m.call || m.e->activation != Unary::identity || m.e->accumulate) return {};
  const Operand* made = operand(*m.call, &m.y->data);
  if (!made || made->low != x.low || made->high != x.high) return {};
  if (m.e->bias && !constant(p, *m.call, &m.e->bias)) return {};
  return m;
}

/// Like `form`, in memory of its own: dense, with the order of dimensions that form has.
Array make_like(Program& p, const Array& form) {
  Array r = form;
  std::int64_t step = 1;
  const bool turned = form.ndim == 2 && form.stride[0] < form.stride[1];
  for (int k = form.ndim - 1; k >= 0; --k) {
    const int i = turned ? form.ndim - 1 - k : k;
    r.stride[i] = step;
    step *= form.size[i];
  }
  p.made.push_back(Tensor::make({step}, form.dtype));
  r.data = TensorAccess::data(p.made.back());
  return r;
}
/// n values, as one dimension of an array of form's sizes.
Array along(const Array& form, int dim, const void* values) {
  Array r = repeated(form, const_cast<void*>(values));
  r.stride[dim] = 1;
  return r;
}

/// y = scale (w x + b) + shift  =  (scale w) x + (scale b + shift)
bool fold_affine(Program& p, int i) {
  Call& c = p.calls[static_cast<std::size_t>(i)];
  auto* a = c.as<AffineCall>();
  if (!a) return false;
  const Operand *x = operand(c, &a->x.data), *y = operand(c, &a->y.data);
  if (!x || !y || !constant(p, c, &a->scale) || !constant(p, c, &a->shift)) return false;
  if (const Operand* other = operand(c, &a->other.data); other && other->buffer == x->buffer) return false;
  const std::int64_t channels = a->x.size[1];
  if (a->x.stride[1] != 1 && channels != 1) return false;
  const Producer m = made_for(p, i, *x, *y);
  if (!m.call || m.columns != channels || !constant(p, *m.call, &m.weight->data)) return false;
  const Kernels& k = cpu_kernels();
  const Array w = make_like(p, *m.weight);
  k.binary(Binary::mul, *m.weight, along(w, m.column, a->scale), w);
  Array form;
  form.dtype = a->x.dtype, form.ndim = 1, form.size[0] = channels, form.stride[0] = 1;
  const Array bias = make_like(p, form);
  k.copy(along(form, 0, a->shift), bias);
  if (m.e->bias) {
    k.binary(Binary::mul, along(form, 0, m.e->bias), along(form, 0, a->scale), bias);
    k.binary(Binary::add, bias, along(form, 0, a->shift), bias);
  }
  *m.weight = w;
  m.e->bias = bias.data;
  if (a->other.data) {  // the sum stays
    refresh(*m.call);
    c = a->relu ? make_call(BinaryUnaryCall{Binary::add, a->x, a->other, a->y, Unary::relu, 0, 0})
                : make_call(BinaryCall{Binary::add, a->x, a->other, a->y});
    return true;
  }
  if (a->relu) m.e->activation = Unary::relu;
  m.y->data = a->y.data;
  refresh(*m.call);
  p.calls.erase(p.calls.begin() + i);
  return true;
}

bool fold_activation(Program& p, int i) {
  Call& c = p.calls[static_cast<std::size_t>(i)];
  auto* u = c.as<UnaryCall>();
  if (!u) return false;
  const bool fits = grad_needs_only_result(u->op) || u->op == Unary::gelu || u->op == Unary::gelu_exact ||
                    u->op == Unary::silu;
  const Operand *x = operand(c, &u->x.data), *y = operand(c, &u->y.data);
  if (!fits || !x || !y) return false;
  for (int d = 0; d < u->x.ndim; ++d) {
    if (u->x.size[d] != 1 && u->x.stride[d] != u->y.stride[d]) return false;
  }
  const Producer m = made_for(p, i, *x, *y);
  if (!m.call) return false;
  m.e->activation = u->op;
  m.e->alpha = u->a;
  m.y->data = u->y.data;
  refresh(*m.call);
  p.calls.erase(p.calls.begin() + i);
  return true;
}

/// A sum and what is done with it alone, in one pass: the end of a residual block.
bool join_elementwise(Program& p, int i) {
  Call& c = p.calls[static_cast<std::size_t>(i)];
  const auto* u = c.as<UnaryCall>();
  if (!u || u->x.dtype != u->y.dtype) return false;
  const Operand *x = operand(c, &u->x.data), *y = operand(c, &u->y.data);
  if (!x || !y || x->buffer == y->buffer) return false;
  const Buffer& from = buffer(p, *x);
  if (from.kind != Buffer::Kind::scratch || from.users.size() != 2 || from.users[1] != i) return false;
  Call& before = p.calls[static_cast<std::size_t>(from.users[0])];
  const auto* b = before.as<BinaryCall>();
  if (!b || b->y.data != u->x.data || b->y.dtype != b->a.dtype) return false;
  const Array& form = b->y;
  const auto bytes =
      static_cast<std::ptrdiff_t>(static_cast<std::size_t>(form.numel()) * size_of(form.dtype));
  bool dense = x->high - x->low == bytes;
  for (const Array* a : {&b->a, &b->b, &u->x, &u->y}) dense = dense && same_form(*a, form);
  if (!dense) return false;
  // Later, where the second was: what the sum reads must not have changed until then.
  for (const Operand& o : before.operands) {
    for (const int user : buffer(p, o).users) {
      if (user <= from.users[0] || user >= i) continue;
      for (const Operand& other : p.calls[static_cast<std::size_t>(user)].operands) {
        if (other.buffer == o.buffer && other.writes) return false;
      }
    }
  }
  c = make_call(BinaryUnaryCall{b->op, b->a, b->b, u->y, u->op, u->a, u->b});
  p.calls.erase(p.calls.begin() + from.users[0]);
  return true;
}

/// A convolution and the pool right after it, where many images make a result too large for the caches.
bool join_pool(Program& p, int i) {
  constexpr std::int64_t cache = 256 * 1024, least_images = 8;
  Call& c = p.calls[static_cast<std::size_t>(i)];
  auto* pool = c.as<MaxPoolCall>();
  if (!pool || pool->index) return false;
  const Operand* x = operand(c, &pool->x.data);
  if (!x) return false;
  const Buffer& from = buffer(p, *x);
  if (from.kind != Buffer::Kind::scratch || from.users.size() != 2 || from.users[0] != i - 1) return false;
  Call& before = p.calls[static_cast<std::size_t>(i - 1)];
  auto* conv = before.as<ConvCall>();
  if (!conv || conv->e.accumulate || conv->y.data != pool->x.data || !same_form(conv->y, pool->x))
    return false;
  const std::int64_t n = conv->s.n,
                     image = conv->y.numel() / n * static_cast<std::int64_t>(size_of(conv->y.dtype));
  if (image * least_images > cache || image * n < 2 * cache) return false;
  ConvShape one = conv->s;
  one.n = 1;
  const Kernels& k = cpu_kernels();
  if (k.conv_form(one, conv->w).number != k.conv_form(conv->s, conv->w).number) return false;
  c = make_call(ConvPoolCall{*conv, *pool, std::min(cache / image, n / least_images)});
  p.calls.erase(p.calls.begin() + (i - 1));
  return true;
}

/// For tables that pack the weights of convolutions.
void pack_conv(const auto& k, Call& c, ConvCall& v, const auto& memory) {
  if constexpr (requires { k.conv_form(v.s, v.w); }) {
    const auto form = k.conv_form(v.s, v.w);
    if (form.bytes == 0) return;
    std::byte* to = memory(form.bytes);
    k.conv_pack(v.s, v.w, to);
    v.e.packed_b = to;
    v.w.data = nullptr;
    refresh(c);
  }
}

}  // namespace

void fold(Program& p) {
  for (std::size_t i = 0; i < p.calls.size(); ++i) {
    const int n = static_cast<int>(i);
    if (!fold_affine(p, n) && !fold_activation(p, n)) continue;
    analyse(p);
    i = std::size_t(-1);  // what is left may fit together now
  }
  for (std::size_t i = 0; i < p.calls.size(); ++i) {
    if (!join_elementwise(p, static_cast<int>(i))) continue;
    analyse(p);
    --i;  // there was one before
  }
}

void pack(Program& p) {
  const Kernels& k = cpu_kernels();
  const auto memory = [&](std::size_t bytes) {
    p.packed.push_back(Tensor::make({static_cast<std::int64_t>(bytes)}, u8));
    return TensorAccess::data(p.packed.back());
  };
  for (Call& c : p.calls) {
    if (auto* m = c.as<MatmulCall>(); m && constant(p, c, &m->b.data)) {
      const std::size_t bytes =
          k.packed_bytes(m->c.numel() / std::max<std::int64_t>(1, m->c.size[m->c.ndim - 1]), m->b);
      if (bytes == 0) continue;
      std::byte* to = memory(bytes);
      k.pack_b(m->b, to);
      m->e.packed_b = to;
    } else if (auto* v = c.as<ConvCall>(); v && constant(p, c, &v->w.data)) {
      pack_conv(k, c, *v, memory);
    }
  }
  for (int i = 1; i < static_cast<int>(p.calls.size()); ++i) {
    if (join_pool(p, i)) analyse(p), --i;
  }
}

}  // namespace knet::plan
