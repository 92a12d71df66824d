// The CPU's convolutions and pooling; what each does is said in kernels.hpp.
#pragma once
#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

void conv(const ConvShape&, const Array& x, const Array& w, const Array& y, const Epilogue&);
PackedForm conv_form(const ConvShape&, const Array& w);
void conv_pack(const ConvShape&, const Array& w, void* packed);
void conv_grad_input(const ConvShape&, const Array& dy, const Array& w, const Array& dx);
void conv_grad_weight(const ConvShape&, const Array& x, const Array& dy, const Array& dw);

/// Does conv_few take it, and has a group at most so many input channels? y and dy must have their channels
/// last.
bool has_few_channels(const ConvShape&, std::int64_t most_inputs);
void conv_few(const ConvShape&, const Array& x, const Array& w, const Array& y, const Epilogue&);
void conv_few_grad_weight(const ConvShape&, const Array& x, const void* dy, const Array& dw);

/// Does conv_planar take a convolution that conv_few takes, of f32, and waste less? conv_few computes
/// `other_width` channels, those that fill its vectors.
bool has_planar(const ConvShape&, std::int64_t other_width);
void conv_planar(const ConvShape&, const Array& x, const Array& w, const Array& y, const Epilogue&);

/// Can the winograd_ functions take it?
bool has_winograd(const ConvShape&, const Array& w);
/// Elements of the transformed weights, for a convolution of this shape; 0 where keeping them does not pay.
std::int64_t winograd_size(const ConvShape&);
void winograd_pack(const Array& w, float* u);
/// A convolution with w, or (`turned`) the one that gives its input's gradient.
void winograd_conv(const ConvShape&, const Array& x, const Array& w, bool turned, const Array& y,
                   const Epilogue&);
void winograd_grad_weight(const ConvShape&, const Array& x, const Array& dy, const Array& dw);

/// Is dy so sparse, and the kernel so small, that the sparse_ functions are faster? Reads some of dy. Not to
/// be asked where the winograd_ functions serve.
bool pays_sparse(const ConvShape&, const Array& dy);
void sparse_grad_input(const ConvShape&, const Array& dy, const Array& w, const Array& dx);
void sparse_grad_weight(const ConvShape&, const Array& x, const Array& dy, const Array& dw);

bool takes_picks(const ConvShape&, const Picks& dy, bool of_weight);
void picks_grad_input(const ConvShape&, const Picks& dy, const Array& w, const Array& dx);
void picks_grad_weight(const ConvShape&, const Array& x, const Picks& dy, const Array& dw);

void max_pool(const PoolShape&, bool propagate_nan, const Array& x, const Array& y, std::int32_t* index);
void max_pool_grad(const PoolShape&, const Array& dy, const std::int32_t* index, const Array& dx);
void pool_gather(const PoolShape&, const Array& x, const std::int32_t* index, const Array& y);
void avg_pool(const PoolShape&, const Array& x, const Array& y);
void avg_pool_grad(const PoolShape&, const Array& dy, const Array& dx);

}  // namespace knet::cpu_impl
