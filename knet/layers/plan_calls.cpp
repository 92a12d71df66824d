#include "knet/layers/plan_calls.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "knet/base/reflect.hpp"
#include "knet/base/threads.hpp"
#include "knet/device/pool.hpp"

namespace knet::plan {
template <>
void run_call<BinaryUnaryCall>(const Kernels&, const void*);
template <>
void run_call<ConvPoolCall>(const Kernels&, const void*);

namespace {

using Int = std::int64_t;

// ---- the other entries that can be repeated; fields are the entry's parameters, in order ----

struct BinaryScalarCall {
  Binary op;
  Array x;
  double s;
  bool scalar_first;
  Array y;
  static constexpr auto entry = &Kernels::binary_scalar;
  void visit(auto& v) { v.in(x), v.out(y); }
};
struct WhereCall {
  Array mask, a, b, y;
  static constexpr auto entry = &Kernels::where;
  void visit(auto& v) { v.in(mask), v.in(a), v.in(b), v.out(y); }
};
struct FillCall {
  double value;
  Array y;
  static constexpr auto entry = &Kernels::fill;
  void visit(auto& v) { v.out(y); }
};
struct ArangeCall {
  double start, step;
  Array y;
  static constexpr auto entry = &Kernels::arange;
  void visit(auto& v) { v.out(y); }
};
struct ReduceCall {
  Reduce op;
  Array x, y;
  static constexpr auto entry = &Kernels::reduce;
  void visit(auto& v) { v.in(x), v.out(y); }
};
struct ArgReduceCall {
  bool largest;
  Array x;
  int dim;
  Array y;
  static constexpr auto entry = &Kernels::arg_reduce;
  void visit(auto& v) { v.in(x), v.out(y); }
};
struct CumsumCall {
  Array x;
  int dim;
  bool reverse;
  Array y;
  static constexpr auto entry = &Kernels::cumsum;
  void visit(auto& v) { v.in(x), v.out(y); }
};
struct SortCall {
  Array x;
  int dim;
  bool descending;
  Array values, indices;
  static constexpr auto entry = &Kernels::sort;
  void visit(auto& v) { v.in(x), v.out(values), v.out(indices); }
};
struct SoftmaxCall {
  SoftmaxKind kind;
  Array x;
  int dim;
  Array y;
  static constexpr auto entry = &Kernels::softmax;
  void visit(auto& v) { v.in(x), v.out(y); }
};
struct LayerNormCall {
  Array x;
  const void *gamma, *beta;
  double eps;
  Array y;
  void *mean, *rstd;
  static constexpr auto entry = &Kernels::layer_norm;
  void visit(auto& v) {
    const Int n = x.size[0], d = x.size[1];
    v.in(x), v.in(gamma, x.dtype, d), v.in(beta, x.dtype, d), v.out(y);
    v.out(mean, x.dtype, n), v.out(rstd, x.dtype, n);
  }
};
struct MomentsCall {
  Array x;
  void *mean, *var;
  static constexpr auto entry = &Kernels::channel_moments;
  void visit(auto& v) { v.in(x), v.out(mean, x.dtype, x.size[1]), v.out(var, x.dtype, x.size[1]); }
};
struct ConvGradInputCall {
  ConvShape s;
  Array dy, w, dx;
  static constexpr auto entry = &Kernels::conv_grad_input;
  void visit(auto& v) { v.in(dy), v.in(w), v.out(dx); }
};
struct PoolGatherCall {
  PoolShape s;
  Array x;
  const std::int32_t* index;
  Array y;
  static constexpr auto entry = &Kernels::pool_gather;
  void visit(auto& v) { windows(s, v), v.in(x), v.in(index, i32, y.numel()), v.out(y); }
};
struct AvgPoolCall {
  PoolShape s;
  Array x, y;
  static constexpr auto entry = &Kernels::avg_pool;
  void visit(auto& v) { windows(s, v), v.in(x), v.out(y); }
};
struct AvgPoolGradCall {
  PoolShape s;
  Array dy, dx;
  static constexpr auto entry = &Kernels::avg_pool_grad;
  void visit(auto& v) { windows(s, v), v.in(dy), v.out(dx); }
};
struct RNNCall {
  RNNShape s;
  RNNForward f;
  static constexpr auto entry = &Kernels::rnn;
  void visit(auto& v) {
    v.list(s.batch, s.steps);
    const Int h = s.hidden, g = gate_count(s.kind), states = s.batch[0] * h;
    v.inout(f.gates, s.dtype, s.rows * g * h), v.out(f.extra, s.dtype, s.rows * h);
    v.in(f.wh, s.dtype, g * h * h), v.in(f.bias_n, s.dtype, h);
    v.in(f.h0, s.dtype, states), v.in(f.c0, s.dtype, states);
    v.out(f.y, s.dtype, s.rows * h), v.out(f.hy, s.dtype, states), v.out(f.cy, s.dtype, states);
  }
};
struct AttentionCall {
  AttentionShape s;
  AttentionInputs in;
  Array y;
  void* lse;
  static constexpr auto entry = &Kernels::attention;
  void visit(auto& v) {
    v.in(in.q), v.in(in.k), v.in(in.v), v.in(in.mask), v.out(y);
    v.out(lse, s.dtype, s.batch * s.heads * s.queries);
  }
};
struct IndexSelectCall {
  Array x;
  int dim;
  Array ids, y;
  static constexpr auto entry = &Kernels::index_select;
  void visit(auto& v) { v.in(x), v.ids(ids, x.size[dim]), v.out(y); }
};
struct IndexAddCall {
  Array src;
  int dim;
  Array ids, y;
  static constexpr auto entry = &Kernels::index_add;
  void visit(auto& v) { v.in(src), v.ids(ids, y.size[dim]), v.inout(y); }
};
struct GatherCall {
  Array x;
  int dim;
  Array ids, y;
  static constexpr auto entry = &Kernels::gather;
  void visit(auto& v) { v.in(x), v.ids(ids, x.size[dim]), v.out(y); }
};
struct ScatterAddCall {
  Array src;
  int dim;
  Array ids, y;
  static constexpr auto entry = &Kernels::scatter_add;
  void visit(auto& v) { v.in(src), v.ids(ids, y.size[dim]), v.inout(y); }
};

// ---- the pointers among the arguments ----

struct Finder {
  Call& call;
  std::vector<Operand> found = {};

  [[gnu::noinline]] void add(void* pointer, bool reads, bool writes, const std::byte* low,
                             const std::byte* high) {
    const auto at = static_cast<std::size_t>(static_cast<std::byte*>(pointer) - call.bytes());
    found.push_back({.at = at, .reads = reads, .writes = writes, .low = low, .high = high});
  }
  [[gnu::noinline]] void array(Array& a, bool reads, bool writes) {
    if (!a.data || a.numel() == 0) return;
    Int low = 0, high = 0;
    for (int i = 0; i < a.ndim; ++i) {
      const Int reach = (a.size[i] - 1) * a.stride[i];
      (reach < 0 ? low : high) += reach;
    }
    const auto size = static_cast<Int>(size_of(a.dtype));
    const auto* p = static_cast<const std::byte*>(a.data);
    add(&a.data, reads, writes, p + low * size, p + (high + 1) * size);
    found.back().form = a;
  }
  template <class P>
  void block(P& p, DType t, Int n, bool reads, bool writes) {
    const auto* b = static_cast<const std::byte*>(static_cast<const void*>(p));
    if (b && n > 0) add(&p, reads, writes, b, b + n * static_cast<Int>(size_of(t)));
  }
  void in(Array& a) { array(a, true, false); }
  void out(Array& a) { array(a, false, true); }
  void inout(Array& a) { array(a, true, true); }
  void ids(Array& a, Int limit) {
    const std::size_t before = found.size();
    in(a);
    if (found.size() > before) found.back().ids = limit;
  }
  template <class P>
  void in(P& p, DType t, Int n) {
    block(p, t, n, true, false);
  }
  template <class P>
  void out(P& p, DType t, Int n) {
    block(p, t, n, false, true);
  }
  template <class P>
  void inout(P& p, DType t, Int n) {
    block(p, t, n, true, true);
  }
  void product(Array& y, Epilogue& e, Int columns) {
    array(y, e.accumulate, true);
    in(e.bias, y.dtype, columns);
  }
  [[gnu::noinline]] void list(const Int*& p, Int n) {
    for (const auto& l : call.lists) {
      if (l->data() == p) return;  // copied already
    }
    call.lists.push_back(std::make_shared<const std::vector<Int>>(p, p + n));
    p = call.lists.back()->data();
  }
};

template <class T>
std::vector<Operand> find(Call& c) {
  Finder f{c};
  c.as<T>()->visit(f);
  return std::move(f.found);
}

/// Of `size` bytes.
[[gnu::noinline]] Call make(const void* arguments, std::size_t size, void (*run)(const Kernels&, const void*),
                            std::vector<Operand> (*find_operands)(Call&)) {
  Call c;
  c.run = run;
  c.find_operands = find_operands;
  c.arguments.resize((size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
  std::memcpy(c.arguments.data(), arguments, size);
  refresh(c);
  return c;
}
template <class T>
Call make(const T& arguments) {
  static_assert(std::is_trivially_copyable_v<T>);
  return make(&arguments, sizeof(T), &run_call<T>, &find<T>);
}
template <class T, class... A>
Call record_as(void (*Kernels::*)(A...), const void* const* given) {
  T t{};
  reflect::with_fields(t, [&]<class... Field>(Field&... field) {
    static_assert((std::is_same_v<Field, std::remove_cvref_t<A>> && ...), "the entry's parameters, in order");
    ((field = *static_cast<const Field*>(*given++)), ...);
  });
  return make(t);
}
template <class T>
Call record(const void* const* given) {
  return record_as<T>(T::entry, given);
}

struct Known {
  std::string_view name;
  Call (*record)(const void* const*);
};
constexpr Known known[] = {
    {"unary", record<UnaryCall>},
    {"binary", record<BinaryCall>},
    {"binary_scalar", record<BinaryScalarCall>},
    {"where", record<WhereCall>},
    {"copy", record<CopyCall>},
    {"fill", record<FillCall>},
    {"arange", record<ArangeCall>},
    {"reduce", record<ReduceCall>},
    {"arg_reduce", record<ArgReduceCall>},
    {"cumsum", record<CumsumCall>},
    {"sort", record<SortCall>},
    {"softmax", record<SoftmaxCall>},
    {"matmul", record<MatmulCall>},
    {"layer_norm", record<LayerNormCall>},
    {"channel_moments", record<MomentsCall>},
    {"channel_affine", record<AffineCall>},
    {"conv", record<ConvCall>},
    {"conv_grad_input", record<ConvGradInputCall>},
    {"max_pool", record<MaxPoolCall>},
    {"pool_gather", record<PoolGatherCall>},
    {"avg_pool", record<AvgPoolCall>},
    {"avg_pool_grad", record<AvgPoolGradCall>},
    {"rnn", record<RNNCall>},
    {"attention", record<AttentionCall>},
    {"index_select", record<IndexSelectCall>},
    {"index_add", record<IndexAddCall>},
    {"gather", record<GatherCall>},
    {"scatter_add", record<ScatterAddCall>},
};

}  // namespace

template <class T>
void run_call(const Kernels& k, const void* arguments) {
  reflect::with_fields(*std::launder(static_cast<const T*>(arguments)),
                       [&](const auto&... field) { (k.*T::entry)(field...); });
}
template <>
void run_call<BinaryUnaryCall>(const Kernels& k, const void* arguments) {
  std::launder(static_cast<const BinaryUnaryCall*>(arguments))->run(k);
}
void BinaryUnaryCall::run(const Kernels& k) const {
  constexpr Int block = 8192;
  const auto part = [](const Array& all, Int begin, Int n) {
    Array p;
    p.data = all.as<std::byte>() + begin * static_cast<Int>(size_of(all.dtype));
    p.dtype = all.dtype, p.ndim = 1, p.size[0] = n, p.stride[0] = 1;
    return p;
  };
  parallel_for(y.numel(), 4 * block, [&](Int begin, Int end) {
    for (; begin < end; begin += block) {
      const Int n = std::min(block, end - begin);
      const Array to = part(y, begin, n);
      k.binary(op, part(a, begin, n), part(b, begin, n), to);
      k.unary(act, alpha, beta, to, to);
    }
  });
}
template <>
void run_call<ConvPoolCall>(const Kernels& k, const void* arguments) {
  std::launder(static_cast<const ConvPoolCall*>(arguments))->run(k);
}
void ConvPoolCall::run(const Kernels& k) const {
  const auto take = [](Array& a, Int begin, Int n) {
    a.data = a.as<std::byte>() + begin * a.stride[0] * static_cast<Int>(size_of(a.dtype));
    a.size[0] = n;
  };
  const Int n = conv.s.n;
  const auto bytes = static_cast<std::size_t>(conv.y.numel() / n * images) * size_of(conv.y.dtype);
  parallel_for(n, images, [&](Int begin, Int end) {
    void* between = memory::allocate(bytes);
    for (; begin < end; begin += images) {
      const Int some = std::min(images, end - begin);
      ConvCall c = conv;
      MaxPoolCall p = pool;
      c.s.n = p.s.n = c.y.size[0] = some;
      c.y.data = between;
      take(c.x, begin, some), take(p.y, begin, some);
      k.conv(c.s, c.x, c.w, c.y, c.e);
      k.max_pool(p.s, p.propagate_nan, c.y, p.y, nullptr);
    }
    memory::deallocate(between, bytes);
  });
}
template void run_call<UnaryCall>(const Kernels&, const void*);
template void run_call<MatmulCall>(const Kernels&, const void*);
template void run_call<AffineCall>(const Kernels&, const void*);
template void run_call<ConvCall>(const Kernels&, const void*);
template void run_call<CopyCall>(const Kernels&, const void*);
template void run_call<BinaryCall>(const Kernels&, const void*);
template void run_call<MaxPoolCall>(const Kernels&, const void*);

void refresh(Call& c) { c.operands = c.find_operands(c); }

namespace {
Call named(const char* name, Call c) {
  c.name = name;
  return c;
}
}  // namespace
Call make_copy(const Array& from, const Array& to) { return named("copy", make(CopyCall{from, to})); }
Call make_call(const BinaryCall& arguments) { return named("binary", make(arguments)); }
Call make_call(const BinaryUnaryCall& arguments) { return named("binary and unary", make(arguments)); }
Call make_call(const ConvPoolCall& arguments) { return named("conv and max_pool", make(arguments)); }
bool elementwise(const Call& c) {
  return c.run == &run_call<UnaryCall> || c.run == &run_call<BinaryCall> ||
         c.run == &run_call<BinaryScalarCall> || c.run == &run_call<BinaryUnaryCall>;
}

void Recorder::kernel_begins(const Kernel& k) {
  if (depth_++ > 0) return;
  const bool random = std::string_view(k.name) == "attention" &&
                      static_cast<const AttentionShape*>(k.arguments[0])->dropout > 0;
  const auto* found =
      random ? std::end(known) : std::ranges::find(known, std::string_view(k.name), &Known::name);
  if (found == std::end(known)) {
    if (unknown.empty()) unknown = random ? "dropout" : k.name;
    return;
  }
  calls.push_back(found->record(k.arguments));
  calls.back().name = k.name;
  // A form that the model keeps lives only as long as the model does.
  if (auto* m = calls.back().as<MatmulCall>()) m->e.packed_b = nullptr;
  if (auto* c = calls.back().as<ConvCall>()) c->e.packed_b = nullptr;
}

}  // namespace knet::plan
