// The tuned CPU table: the reference one with the entries replaced that this folder does better, if the
// processor has the vectors that they need at least.
#include <hwy/targets.h>

#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/cpu_matmul.hpp"
#include "knet/kernels/cpu/cpu_reduce.hpp"
#include "knet/kernels/cpu/cpu_sequence.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet {
namespace {

Kernels make_table() {
  Kernels k = reference_kernels();

  k.unary = cpu_impl::unary;
  k.unary_grad = cpu_impl::unary_grad;
  k.binary = cpu_impl::binary;
  k.binary_scalar = cpu_impl::binary_scalar;
  k.where = cpu_impl::where;
  k.copy = cpu_impl::copy;
  k.copy_divided = cpu_impl::copy_divided;
  k.fill = cpu_impl::fill;
  k.reduce = cpu_impl::reduce;
  k.softmax = cpu_impl::softmax;
  k.softmax_grad = cpu_impl::softmax_grad;
  k.nll = cpu_impl::nll;
  k.matmul = cpu_impl::matmul;
  k.packed_bytes = cpu_impl::packed_bytes;
  k.pack_b = cpu_impl::pack_b;
  k.bias_act_grad = cpu_impl::bias_act_grad;
  k.layer_norm = cpu_impl::layer_norm;
  k.layer_norm_grad = cpu_impl::layer_norm_grad;
  k.channel_moments = cpu_impl::channel_moments;
  k.channel_affine = cpu_impl::channel_affine;
  k.batch_norm_grad = cpu_impl::batch_norm_grad;
  k.conv = cpu_impl::conv;
  k.conv_form = cpu_impl::conv_form;
  k.conv_pack = cpu_impl::conv_pack;
  k.conv_grad_input = cpu_impl::conv_grad_input;
  k.conv_grad_weight = cpu_impl::conv_grad_weight;
  k.takes_picks = cpu_impl::takes_picks;
  k.picks_grad_input = cpu_impl::picks_grad_input;
  k.picks_grad_weight = cpu_impl::picks_grad_weight;
  k.max_pool = cpu_impl::max_pool;
  k.max_pool_grad = cpu_impl::max_pool_grad;
  k.pool_gather = cpu_impl::pool_gather;
  k.avg_pool = cpu_impl::avg_pool;
  k.avg_pool_grad = cpu_impl::avg_pool_grad;
  k.rnn = cpu_impl::rnn;
  k.rnn_grad = cpu_impl::rnn_grad;
  k.attention = cpu_impl::attention;
  k.attention_grad = cpu_impl::attention_grad;
  k.index_select = cpu_impl::index_select;
  k.index_add = cpu_impl::index_add;
  k.random = cpu_impl::random;
  k.dropout = cpu_impl::dropout;
  k.optimize = cpu_impl::optimize;
  return k;
}

}  // namespace

const Kernels& cpu_kernels() {
  static const Kernels table =
      hwy::SupportedTargets() & HWY_STATIC_TARGET ? make_table() : reference_kernels();
  return table;
}

}  // namespace knet
