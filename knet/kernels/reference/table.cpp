#include "knet/kernels/reference/reference.hpp"

namespace knet {

const Kernels& reference_kernels() {
  using namespace reference;
  static const Kernels table{
      .unary = unary,
      .unary_grad = unary_grad,
      .binary = binary,
      .binary_scalar = binary_scalar,
      .where = where,
      .copy = copy,
      .copy_divided = copy_divided,
      .fill = fill,
      .arange = arange,
      .reduce = reduce,
      .arg_reduce = arg_reduce,
      .cumsum = cumsum,
      .sort = sort,
      .softmax = softmax,
      .softmax_grad = softmax_grad,
      .nll = nll,
      .matmul = matmul,
      .packed_bytes = packed_bytes,
      .pack_b = pack_b,
      .bias_act_grad = bias_act_grad,
      .layer_norm = layer_norm,
      .layer_norm_grad = layer_norm_grad,
      .channel_moments = channel_moments,
      .channel_affine = channel_affine,
      .batch_norm_grad = batch_norm_grad,
      .conv = conv,
      .conv_form = [](const ConvShape&, const Array&) { return PackedForm{}; },
      .conv_pack = [](const ConvShape&, const Array&, void*) {},
      .conv_grad_input = conv_grad_input,
      .conv_grad_weight = conv_grad_weight,
      .takes_picks = [](const ConvShape&, const Picks&, bool) { return false; },
      .picks_grad_input = nullptr,
      .picks_grad_weight = nullptr,
      .max_pool = max_pool,
      .max_pool_grad = max_pool_grad,
      .pool_gather = pool_gather,
      .avg_pool = avg_pool,
      .avg_pool_grad = avg_pool_grad,
      .rnn = rnn,
      .rnn_grad = rnn_grad,
      .attention = attention,
      .attention_grad = attention_grad,
      .index_select = index_select,
      .index_add = index_add,
      .gather = gather,
      .scatter_add = scatter_add,
      .random = random,
      .dropout = dropout,
      .optimize = optimize,
      .lu = lu,
      .lu_solve = lu_solve,
      .cholesky = cholesky,
  };
  return table;
}

}  // namespace knet
