// Calls of kernels as data: recorded while a model runs, changed by the planner, repeated by a Plan. Not
// installed.
//
// A call is its arguments, copied, and a list of the pointers among them: which bytes each reaches, and
// whether the kernel reads or writes them. To run elsewhere, the pointers are set anew.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "knet/autograd/observe.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet::plan {

struct Operand {
  std::size_t at;  ///< where in the arguments the pointer lies
  bool reads, writes;
  const std::byte *low, *high;  ///< the bytes that are reached
  Array form = {};              ///< of an array
  std::int64_t ids = 0;         ///< not 0: what lies there are ids, which must be in [0, ids)
  int buffer = -1;              ///< among Program::buffers, and how far from its begin the pointer is
  std::ptrdiff_t offset = 0;
};

struct Call {
  const char* name = nullptr;
  void (*run)(const Kernels&, const void* arguments) = nullptr;
  std::vector<Operand> (*find_operands)(Call&) = nullptr;
  std::vector<std::max_align_t> arguments;
  std::vector<Operand> operands;
  /// Sizes that the arguments point to; never changed.
  std::vector<std::shared_ptr<const std::vector<std::int64_t>>> lists;

  std::byte* bytes() { return reinterpret_cast<std::byte*>(arguments.data()); }
  /// The arguments, when they are a T.
  template <class T>
  T* as();
};

// ---- arguments of the calls that the planner changes: the entry's parameters, in order ----
struct UnaryCall {
  Unary op;
  double a, b;
  Array x, y;
  static constexpr auto entry = &Kernels::unary;
  void visit(auto& v) { v.in(x), v.out(y); }
};
struct MatmulCall {
  Array a, b, c;
  Epilogue e;
  static constexpr auto entry = &Kernels::matmul;
  void visit(auto& v) { v.in(a), v.in(b), v.product(c, e, c.size[c.ndim - 1]); }
};
struct AffineCall {
  bool relu;
  Array x;
  const void *scale, *shift;
  Array other, y;
  static constexpr auto entry = &Kernels::channel_affine;
  void visit(auto& v) {
    v.in(x), v.in(scale, x.dtype, x.size[1]), v.in(shift, x.dtype, x.size[1]), v.in(other), v.out(y);
  }
};
struct ConvCall {
  ConvShape s;
  Array x, w, y;
  Epilogue e;
  static constexpr auto entry = &Kernels::conv;
  void visit(auto& v) { v.in(x), v.in(w), v.product(y, e, s.out_channels); }
};
struct BinaryCall {
  Binary op;
  Array a, b, y;
  static constexpr auto entry = &Kernels::binary;
  void visit(auto& v) { v.in(a), v.in(b), v.out(y); }
};
/// Two kernels in turn, on parts that stay in the processor's cache: y = act(op(a, b)), all of one dense
/// form.
struct BinaryUnaryCall {
  Binary op;
  Array a, b, y;
  Unary act;
  double alpha, beta;
  void run(const Kernels&) const;
  void visit(auto& v) { v.in(a), v.in(b), v.out(y); }
};
void windows(PoolShape& s, auto& v) {
  for (int d = 0; d < 3; ++d) v.list(s.begin[d], s.out[d]), v.list(s.end[d], s.out[d]);
}
struct MaxPoolCall {
  PoolShape s;
  bool propagate_nan;
  Array x, y;
  std::int32_t* index;
  static constexpr auto entry = &Kernels::max_pool;
  void visit(auto& v) { windows(s, v), v.in(x), v.out(y), v.out(index, i32, y.numel()); }
};
/// A convolution and the pool of its result, for `images` at a time: what lies between stays in the
/// processor's cache.
struct ConvPoolCall {
  ConvCall conv;
  MaxPoolCall pool;
  std::int64_t images;
  void run(const Kernels&) const;
  void visit(auto& v) {
    windows(pool.s, v), v.in(conv.x), v.in(conv.w), v.in(conv.e.bias, conv.y.dtype, conv.s.out_channels);
    v.out(pool.y);
  }
};
struct CopyCall {
  Array x, y;
  static constexpr auto entry = &Kernels::copy;
  void visit(auto& v) { v.in(x), v.out(y); }
};

template <class T>
void run_call(const Kernels&, const void* arguments);
template <class T>
T* Call::as() {
  return run == &run_call<T> ? std::launder(reinterpret_cast<T*>(arguments.data())) : nullptr;
}

/// Calls that were not recorded.
Call make_copy(const Array& from, const Array& to);
Call make_call(const BinaryCall&);
Call make_call(const BinaryUnaryCall&);
Call make_call(const ConvPoolCall&);
/// Looks at the arguments again, after a change.
void refresh(Call&);
/// Of an elementwise kernel that may write over an input?
bool elementwise(const Call&);

/// Writes down the calls of a thread.
class Recorder : public Observer {
 public:
  std::vector<Call> calls;
  std::string unknown;  ///< the first call that cannot be repeated: the entry's name
  bool packs() const override { return false; }
  void kernel_begins(const Kernel&) override;
  void kernel_ends() override { --depth_; }

 private:
  int depth_ = 0;  // kernels inside kernels are the outer one's business
};

}  // namespace knet::plan
