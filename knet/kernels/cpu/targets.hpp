// The instruction sets kernels are compiled for. Included before hwy/foreach_target.h.
#pragma once
#ifdef KNET_ONE_TARGET  // the presets with sanitizers, which take minutes for each
#define KNET_FEWER_TARGETS (HWY_AVX2 | HWY_AVX3)
#else
#define KNET_FEWER_TARGETS 0
#endif
// SSE4 machines take the SSE2 code: one set less to compile for machines of before 2013.
#define HWY_DISABLED_TARGETS                                                                             \
  (KNET_FEWER_TARGETS | HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 |          \
   HWY_SVE2_128 | HWY_RVV)
