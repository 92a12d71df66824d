// The elementwise functions for plain numbers and tensors: see functors.inc. Not installed.
#pragma once
#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"

#define KNET_FN_INLINE inline

namespace knet::fn {

#include "knet/kernels/functors.inc"

const char* name_of(Unary);
const char* name_of(Binary);

}  // namespace knet::fn
#undef KNET_FN_INLINE
