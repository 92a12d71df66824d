// The instruction sets kernels are compiled for. Included before hwy/foreach_target.h.
#pragma once
// SSE4 machines take the SSE2 code: one set less to compile for machines of before 2013.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
