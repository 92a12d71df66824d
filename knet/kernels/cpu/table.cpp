// The tuned CPU table: the reference one with the entries replaced that this folder does better.
#include "knet/kernels/cpu/cpu_matmul.hpp"
#include "knet/kernels/cpu/cpu_reduce.hpp"
#include "knet/kernels/kernels.hpp"

namespace knet {
namespace {

Kernels make_table() {
  Kernels k = reference_kernels();

  k.matmul = cpu_impl::matmul;
  k.packed_bytes = cpu_impl::packed_bytes;
  k.pack_b = cpu_impl::pack_b;
  k.reduce = cpu_impl::reduce;
  return k;
}

}  // namespace

const Kernels& cpu_kernels() {
  static const Kernels table = make_table();
  return table;
}

}  // namespace knet
