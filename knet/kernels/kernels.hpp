// The kernel table: everything a device can compute, on plain views. Kernels know pointers, sizes, strides
// and dtypes, not tensors and not gradients. A null entry means "this device cannot"; the caller turns it
// into one typed error. kernels/reference fills the whole table with plain loops, kernels/cpu replaces what
// it does better.
//
// Callers have checked shapes, dtypes and indices; kernels check nothing again, except that an entry may
// throw DTypeError for an element type it does not know.
#pragma once
#include <cstddef>
#include <cstdint>

#include "knet/base/dtype.hpp"
#include "knet/base/shape.hpp"
#include "knet/device/device.hpp"
#include "knet/device/random.hpp"

namespace knet {

/// A strided block in memory: what a tensor is to a kernel. Strides count elements; 0 repeats.
struct Array {
  void* data = nullptr;
  DType dtype = f32;
  int ndim = 0;
  std::int64_t size[max_dims];
  std::int64_t stride[max_dims];

  std::int64_t numel() const {
    std::int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= size[i];
    return n;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// The one element at `value`, as often as `form` has positions; of form's dtype.
inline Array repeated(const Array& form, void* value) {
  Array a = form;
  a.data = value;
  for (auto& step : a.stride) step = 0;
  return a;
}

/// Functions of one element; value and derivative are in kernels/functors.hpp. `a` and `b` are parameters.
enum class Unary : std::uint8_t {
  identity,
  neg,
  abs,
  sign,
  square,
  sqrt,
  rsqrt,
  cbrt,
  reciprocal,
  exp,
  exp2,
  expm1,
  log,
  log2,
  log10,
  log1p,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  erf,
  erfc,
  erfinv,
  lgamma,
  digamma,
  sinc,
  floor,
  ceil,
  round,
  trunc,
  relu,
  sigm,
  elu /*a*/,
  selu,
  leaky_relu /*a*/,
  gelu /*tanh form*/,
  gelu_exact,
  silu,
  softplus,
  hard_sigmoid,
  log_sigm,
  pow /*a: exponent*/,
  clamp /*a: low, b: high*/,
  scale /*a x + b*/,
  is_nan,
  is_inf,
  is_finite,
  logical_not /* these four give boolean */,
  count
};
/// Functions of two elements. The comparisons and logical ones give boolean.
enum class Binary : std::uint8_t {
  add,
  sub,
  mul,
  div,
  pow,
  atan2,
  hypot,
  maximum,
  minimum,
  remainder /*sign of the divisor*/,
  floor_divide,
  lt,
  gt,
  le,
  ge,
  eq,
  ne,
  logical_and,
  logical_or,
  logical_xor,
  count
};
/// Is the result of the operator boolean whatever it is given?
constexpr bool gives_boolean(Unary op) { return op >= Unary::is_nan; }
constexpr bool gives_boolean(Binary op) { return op >= Binary::lt; }
/// Can the derivative be written with the result alone (so that a fused kernel need not keep its input)?
constexpr bool grad_needs_only_result(Unary op) {
  switch (op) {
    case Unary::identity:
    case Unary::relu:
    case Unary::sigm:
    case Unary::tanh:
    case Unary::elu:
    case Unary::selu:
    case Unary::leaky_relu: return true;
    default: return false;
  }
}
enum class Reduce : std::uint8_t { sum, prod, max, min, any, all, sum_squares };
enum class SoftmaxKind : std::uint8_t { softmax, log_softmax };
enum class Distribution : std::uint8_t { uniform /*[a, b)*/, normal /*mean a, std b*/, integer /*[a, b)*/ };
enum class OptimRule : std::uint8_t { sgd, momentum, nesterov, adagrad, rmsprop, adadelta, adam };

/// What matmul does to a finished product: act(product + bias), or c += product.
struct Epilogue {
  const void* bias = nullptr;  ///< n contiguous values of the product's dtype, added to every row
  Unary activation = Unary::identity;
  double alpha = 0;                ///< the activation's parameter
  bool accumulate = false;         ///< add to what is in c (before bias and activation)
  const void* packed_b = nullptr;  ///< b (or a convolution's w) packed; its data need not be read then
};

/// One optimiser update of one parameter, element by element, formulas in optim/rules.hpp.
struct OptimStep {
  OptimRule rule;
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0;  ///< gamma or rho is beta1
  double correction1 = 1, correction2 = 1;       ///< adam: 1 - beta1^t, 1 - beta2^t
  double decay = 0;                              ///< decoupled: w -= lr * decay * w, before the update
  double l2 = 0;                                 ///< added to the gradient: g += l2 * w
  double scale = 1;                              ///< the gradient is multiplied by it first (clipping)
};

/// A convolution over three spatial dimensions (fewer have size 1):
///   y[n, o, p] = sum over channels c of o's group and kernel positions k of
///                w[o, c, k] x[n, c, p stride + k dilation - pad],  x being 0 outside.
struct ConvShape {
  std::int64_t n, in_channels, out_channels, groups;
  std::int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
};
/// A way of packing weights.
struct PackedForm {
  int number = 0;  ///< 0: not at all
  std::size_t bytes = 0;
};
/// The gradient of what a max pool read, without its zeros: every image has `rows` results of the pool,
/// channels last and dense; each value belongs to position `index` of its channel (see max_pool).
struct Picks {
  DType dtype;
  const void* values;
  const std::int32_t* index;
  std::int64_t rows;
};
/// Pooling over three spatial dimensions: position p of dimension d sees [begin[d][p], end[d][p]) of the
/// input, never empty.
struct PoolShape {
  std::int64_t n, channels, in[3], out[3];
  const std::int64_t *begin[3], *end[3];
  double divisor = 0;  ///< of the average; 0: how many there are
};

enum class RNNKind : std::uint8_t { relu, tanh, lstm, gru };
constexpr int gate_count(RNNKind k) { return k == RNNKind::lstm ? 4 : k == RNNKind::gru ? 3 : 1; }

/// One direction of one recurrent layer over packed sequences: step t has batch[t] rows, never more than the
/// step before, and all steps' rows lie one after the other. With `reverse` every sequence is read from its
/// end. Formulas are in layers/rnn.hpp; H is `hidden`, B is batch[0], G the number of gates.
struct RNNShape {
  RNNKind kind;
  DType dtype;
  bool reverse;
  std::int64_t steps, rows, hidden;
  const std::int64_t* batch;
};
/// Its arrays, all contiguous and of one dtype.
struct RNNForward {
  void* gates;          ///< [rows, G H]: W x + b in, the gates after their activation out
  void* extra;          ///< [rows, H] out: LSTM the cells, GRU R_n h + b_n
  const void* wh;       ///< [G H, H]
  const void* bias_n;   ///< [H], GRU: added to R_n h
  const void *h0, *c0;  ///< [B, H], or null for zeros
  void* y;              ///< [rows, H]
  void *hy, *cy;        ///< [B, H]
};
struct RNNBackward {
  const void *gates, *extra, *wh, *h0, *c0, *y;  ///< as forward
  const void* dy;                                ///< [rows, H], or null for zeros
  const void *dhy, *dcy;                         ///< [B, H], or null for zeros
  void* dgates;                                  ///< [rows, G H]: of W x + b
  void* dgates_h;                                ///< GRU [rows, G H]: of R h + b; the others' are dgates
  void* h_before;                                ///< [rows, H] out: the state that each row started from
  void *dh0, *dc0;                               ///< [B, H]
};

/// Attention of queries [batch, heads, queries, size] to keys [.., keys, size] with values [.., keys, value
/// size]: softmax(scale q k^T + mask) v. With `causal`, query i sees the keys up to i + keys - queries. A
/// query that sees no key gives zeros.
struct AttentionShape {
  DType dtype;
  std::int64_t batch, heads, queries, keys, size, value_size;
  bool causal;
  double scale;
  double dropout;  ///< of the probabilities
  RandomKey key;   ///< the number of probability (row r of all, key j) is r * (keys rounded up to 4) + j
};
/// Arrays [batch, heads, queries or keys, ..] of any strides but the last, which is 1. mask [batch, heads,
/// queries, keys] has any strides; boolean: true may be seen; floating: is added; no data: none.
struct AttentionInputs {
  Array q, k, v, mask;
};

/// The table. Unless said otherwise arrays have any strides, outputs are not aliased with inputs except that
/// elementwise kernels may write exactly over an input of the same strides.
struct Kernels {
  // ---- elementwise: inputs are expanded to the output's sizes (stride 0) ----
  void (*unary)(Unary op, double a, double b, const Array& x, const Array& y);
  /// dx = dy f'(x); `x` or `y` may hold no data when the derivative does not need it.
  void (*unary_grad)(Unary op, double a, double b, const Array& x, const Array& y, const Array& dy,
                     const Array& dx);
  void (*binary)(Binary op, const Array& a, const Array& b, const Array& y);
  /// y = op(x, s), or op(s, x) when `scalar_first`; s is converted to x's dtype.
  void (*binary_scalar)(Binary op, const Array& x, double s, bool scalar_first, const Array& y);
  /// y = mask ? a : b
  void (*where)(const Array& mask, const Array& a, const Array& b, const Array& y);
  /// y = x converted to y's dtype (all dtypes, the 16-bit ones too; floats to integers truncate, to boolean
  /// != 0)
  void (*copy)(const Array& x, const Array& y);
  /// y (f32 or f64) = x converted to its dtype, / divisor there
  void (*copy_divided)(const Array& x, double divisor, const Array& y);
  void (*fill)(double value, const Array& y);
  /// y[i...] = start + step * (row-major position)
  void (*arange)(double start, double step, const Array& y);

  // ---- reductions: y has x's ndim with size 1 in the reduced dimensions ----
  /// sum, prod, sum_squares, max, min in x's dtype (float sums accumulate pairwise or wider; max and min
  /// propagate NaN); any and all give boolean.
  void (*reduce)(Reduce op, const Array& x, const Array& y);
  /// Position (i64) of the largest or smallest along dim; the first wins; NaN counts as the extreme.
  void (*arg_reduce)(bool largest, const Array& x, int dim, const Array& y);
  /// Running sum along dim, from the end when `reverse`.
  void (*cumsum)(const Array& x, int dim, bool reverse, const Array& y);
  /// Stable sort along dim (NaN last when ascending, first when descending); `indices` (i64) say where each
  /// came from.
  void (*sort)(const Array& x, int dim, bool descending, const Array& values, const Array& indices);

  // ---- softmax along dim, and the loss over it ----
  void (*softmax)(SoftmaxKind kind, const Array& x, int dim, const Array& y);
  /// softmax: dx = y (dy - sum(y dy)); log_softmax: dx = dy - exp(y) sum(dy)
  void (*softmax_grad)(SoftmaxKind kind, const Array& y, const Array& dy, int dim, const Array& dx);
  /// Rows of scores [n, c] (last stride 1), labels [n] (contiguous i32, i64 or u8; `ignore` skips the row).
  /// loss = sum of -log softmax(scores)[label] over the counted rows, count = their number. Where dscores is
  /// not null it gets scale * (softmax - onehot), divided by count when `average`; skipped rows get 0.
  void (*nll)(const Array& scores, const Array& labels, std::int64_t ignore, bool average, double* loss,
              std::int64_t* count, const Array* dscores);

  // ---- matrix products: [m, k] x [k, n] or batched [b, m, k] x [b, k, n] (batch stride may be 0); c's last
  // stride is 1; a and b have any strides ----
  void (*matmul)(const Array& a, const Array& b, const Array& c, const Epilogue& e);
  /// Bytes of the packed form of b [k, n]; 0: products of so many rows have no use for one.
  std::size_t (*packed_bytes)(std::int64_t rows, const Array& b);
  void (*pack_b)(const Array& b, void* packed);
  /// Backward of y = act(z + bias) over rows: dx = dy act'(y) [n, m] and dbias [m] = column sums of dx, in
  /// one pass. Only for activations whose derivative needs the result alone. dx.data may equal dy.data;
  /// dx.data may be null (identity: dbias only), dbias may be null. y, dy, dx are contiguous.
  void (*bias_act_grad)(Unary act, double alpha, const Array& y, const Array& dy, const Array& dx,
                        const Array* dbias);

  // ---- rows of x [n, d] (contiguous) to mean 0 and variance 1, then times gamma plus beta [d] (either may
  // be null) ----
  void (*layer_norm)(const Array& x, const void* gamma, const void* beta, double eps, const Array& y,
                     void* mean, void* rstd);
  void (*layer_norm_grad)(const Array& x, const void* gamma, const void* mean, const void* rstd,
                          const Array& dy, const Array& dx, void* dgamma, void* dbeta);

  // ---- the channels of x [n, c, l], dense with either l or c fastest; y, dy, dx have x's strides,
  // everything of a channel is [c] in x's dtype ----
  /// Mean and biased variance.
  void (*channel_moments)(const Array& x, void* mean, void* var);
  /// y = x scale + shift + other (where it has data), then max(0, y) with `relu`; y may be x or other.
  void (*channel_affine)(bool relu, const Array& x, const void* scale, const void* shift, const Array& other,
                         const Array& y);
  /// Backward of y = gamma (x - mean) rstd + beta, or relu of it (y may hold no data otherwise). With dz = dy
  /// where y > 0, h = (x - mean) rstd and m values per channel: dbeta = sum(dz), dgamma = sum(dz h), dx =
  /// gamma rstd (dz - (dbeta + h dgamma) / m), or gamma rstd dz when the moments are `constant`. gamma may be
  /// null (1), dx may be dy.
  void (*batch_norm_grad)(bool relu, bool constant, const Array& x, const Array& y, const Array& dy,
                          const void* mean, const void* rstd, const void* gamma, const Array& dx,
                          void* dgamma, void* dbeta);

  // ---- convolution: x [n, in channels, in...] of any strides, w [out channels, in channels / groups,
  // kernel...] of any strides; y and dx are dense with channels last, dw is contiguous ----
  /// y = act(convolution + bias)
  void (*conv)(const ConvShape&, const Array& x, const Array& w, const Array& y, const Epilogue&);
  /// How conv likes the weights of this convolution to be packed; the same form serves every shape that asks
  /// for it.
  PackedForm (*conv_form)(const ConvShape&, const Array& w);
  void (*conv_pack)(const ConvShape&, const Array& w, void* packed);
  /// The adjoint of conv in x; dy of any strides.
  void (*conv_grad_input)(const ConvShape&, const Array& dy, const Array& w, const Array& dx);
  /// The adjoint of conv in w; dy of any strides.
  void (*conv_grad_weight)(const ConvShape&, const Array& x, const Array& dy, const Array& dw);
  /// Is the gradient of the weight (or the input) from picks faster than with all the zeros? If not, it need
  /// not be there.
  bool (*takes_picks)(const ConvShape&, const Picks& dy, bool of_weight);
  void (*picks_grad_input)(const ConvShape&, const Picks& dy, const Array& w, const Array& dx);
  void (*picks_grad_weight)(const ConvShape&, const Array& x, const Picks& dy, const Array& dw);

  // ---- pooling: x, dy [n, channels, spatial...] of any strides; y, dx, index are dense with channels last
  // ----
  /// index (i32) is the position of the largest in x's spatial dimensions, (d * height + h) * width + w; the
  /// first wins. It may be null. A NaN wins over everything, or is never chosen next to a number.
  void (*max_pool)(const PoolShape&, bool propagate_nan, const Array& x, const Array& y, std::int32_t* index);
  /// dx[index] += dy
  void (*max_pool_grad)(const PoolShape&, const Array& dy, const std::int32_t* index, const Array& dx);
  /// y = x[index]
  void (*pool_gather)(const PoolShape&, const Array& x, const std::int32_t* index, const Array& y);
  void (*avg_pool)(const PoolShape&, const Array& x, const Array& y);
  /// The adjoint of avg_pool.
  void (*avg_pool_grad)(const PoolShape&, const Array& dy, const Array& dx);

  // ---- recurrent layers ----
  void (*rnn)(const RNNShape&, const RNNForward&);
  void (*rnn_grad)(const RNNShape&, const RNNBackward&);

  // ---- attention; lse [batch, heads, queries] is the logarithm of each softmax's denominator ----
  void (*attention)(const AttentionShape&, const AttentionInputs&, const Array& y, void* lse);
  void (*attention_grad)(const AttentionShape&, const AttentionInputs&, const Array& y, const void* lse,
                         const Array& dy, const Array& dq, const Array& dk, const Array& dv);

  // ---- indexing; ids are i32, i64 or u8, checked and non-negative ----
  /// y = x with positions ids [n] (any stride) taken along dim.
  void (*index_select)(const Array& x, int dim, const Array& ids, const Array& y);
  /// y[.. ids[i] ..] += src[.. i ..] along dim; repeated ids add up, in order.
  void (*index_add)(const Array& src, int dim, const Array& ids, const Array& y);
  /// y[i][j][k] = x[i][ids[i][j][k]][k] for dim 1: ids has y's sizes.
  void (*gather)(const Array& x, int dim, const Array& ids, const Array& y);
  /// y[i][ids[i][j][k]][k] += src[i][j][k] for dim 1.
  void (*scatter_add)(const Array& src, int dim, const Array& ids, const Array& y);

  // ---- random numbers: element i (row-major) depends on (key, i) only ----
  void (*random)(Distribution d, RandomKey key, double a, double b, const Array& y);
  /// y = 0 with probability p, else x / (1 - p); the same key gives the same zeros.
  void (*dropout)(RandomKey key, double p, const Array& x, const Array& y);

  // ---- optimisers: w, g and the rule's memory s0, s1 (may be null) are n contiguous values of one dtype
  // ----
  void (*optimize)(const OptimStep& step, DType t, std::int64_t n, void* w, const void* g, void* s0,
                   void* s1);

  // ---- dense linear algebra on one square contiguous row-major matrix [n, n]; 0 is success ----
  /// Overwrites a with L (unit diagonal) and U of P a; pivots[i] is the row swapped with row i. Returns i+1
  /// for a zero pivot.
  int (*lu)(const Array& a, std::int64_t* pivots);
  /// b [n, m] (contiguous) = a^-1 b, from lu.
  void (*lu_solve)(const Array& lu, const std::int64_t* pivots, const Array& b);
  /// Overwrites a with its lower Cholesky factor (upper part zeroed). Returns i+1 where it is not positive
  /// definite.
  int (*cholesky)(const Array& a);
};

/// The table of a device; DeviceError when there is no such device.
const Kernels& kernels(Device);
/// The plain-loop table: complete for every dtype, the oracle of the tests.
const Kernels& reference_kernels();
/// The tuned CPU table (reference where nothing better exists).
const Kernels& cpu_kernels();
/// What kernels(cpu) gives from now on, nullptr: cpu_kernels(). To count calls, or to run a model on the
/// reference; not while another thread works.
void set_cpu_kernels(const Kernels*);

}  // namespace knet
