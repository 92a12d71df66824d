// The read unit of MAC networks, which is most of their work: a memory meets every cell of an image. Not
// installed.
#pragma once
#include "knet/tensor/tensor.hpp"

namespace knet::models {

/// What all steps read.
struct Knowledge {
  Tensor keys, keys2;  ///< [images, cells, d]
  Tensor image_of;     ///< [batch] i64: which of the images; empty: one each
};
struct ReadQuery {
  Tensor memory, control;  ///< [batch, d]
  Tensor interaction;      ///< [d, d]
  Tensor score;            ///< [d]
  double dropout = 0;
};
/// sum_n b_n K_n with b = softmax over cells n of score . dropout(elu(control . elu(interaction (memory .
/// K_n)
/// + K2_n))): [batch, d]. `attention` gets b, [batch, cells].
Tensor read_cells(const ReadQuery&, const Knowledge&, Tensor* attention = nullptr);

}  // namespace knet::models
