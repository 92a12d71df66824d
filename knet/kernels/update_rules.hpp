// The optimisers' updates for plain numbers: see update_rules.inc. Not installed.
#pragma once
#include "knet/base/text.hpp"
#include "knet/kernels/kernels.hpp"

#define KNET_FN_INLINE inline

namespace knet::rules {

#include "knet/kernels/update_rules.inc"

}  // namespace knet::rules
#undef KNET_FN_INLINE
