// The instruction sets kernels are compiled for. Included before hwy/foreach_target.h.
#pragma once
#ifdef KNET_FEW_TARGETS  // the presets with sanitizers, which take minutes for each
#define KNET_OTHER_TARGETS (HWY_AVX2 | HWY_AVX3)
#else
#define KNET_OTHER_TARGETS 0
#endif
// Left: SSE4, AVX2, AVX-512; NEON.
#define HWY_DISABLED_TARGETS \
  (KNET_OTHER_TARGETS | HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
