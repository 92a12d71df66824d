// Loops over registers must be unrolled for them to stay registers.
#pragma once

#ifdef __clang__
#define KNET_UNROLL_ALL _Pragma("clang loop unroll(full)")
#else
#define KNET_UNROLL_ALL _Pragma("GCC unroll 32")
#endif
