// One floating matrix product as the SIMD code sees it. matmul.cpp turns arrays and batches into these.
#pragma once
#include <cstddef>
#include <cstdint>

#include "knet/kernels/kernels.hpp"

namespace knet::cpu_impl {

/// c [m, n] = act(a [m, k] b [k, n] + bias), element (i, j) of a at a[i * am + j * ak] and so on.
template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::int64_t am = 0, ak = 0;
  const T* b = nullptr;
  std::int64_t bk = 0, bn = 0;
  const T* packed = nullptr;  ///< b in panels, or null
  T* c = nullptr;
  std::int64_t cm = 0;
  const T* bias = nullptr;
  Unary act = Unary::identity;
  double alpha = 0;
  bool accumulate = false;
};

/// Computes it; m, n and k are at least 1.
void gemm(const Gemm<float>& g);
void gemm(const Gemm<double>& g);

/// Where some terms of a sum begin, in elements from the start of a and of a panel of b.
struct Run {
  std::int64_t a, b;
};
inline constexpr Run one_run = {0, 0};
inline constexpr std::int64_t one_line = 0;
/// A product whose rows lie in lines and whose terms lie in runs of k steps, as those of a convolution. Row i
/// of line l is
///   c[c_line[l] + i * cm + j] = act(s + bias[j]), s the sum over runs r and steps q < k of
///   a[a_line[l] + i * am + run[r].a + q * ak] panel[run[r].b + q * width + j].
template <class T>
struct RunGemm {
  std::int64_t lines = 1, m = 0, n = 0, runs = 1, k = 0;
  const T* a = nullptr;
  std::int64_t am = 0, ak = 0;
  const std::int64_t* a_line = &one_line;
  const Run* run = &one_run;
  const std::int64_t* only = nullptr;  ///< of each line: its first run and the one after its last; null: all
  const T* packed = nullptr;           ///< b in panels
  std::int64_t panel = 0;              ///< elements from one panel to the next
  T* c = nullptr;
  const std::int64_t* c_line = &one_line;
  std::int64_t cm = 0;
  const T* bias = nullptr;
  Unary act = Unary::identity;
  double alpha = 0;
  bool accumulate = false;
};
/// Computes it on this thread; all sizes are at least 1.
void gemm_runs(const RunGemm<float>& g);
void gemm_runs(const RunGemm<double>& g);

/// Elements of the packed form of b [k, n].
template <class T>
std::size_t gemm_packed_size(std::int64_t k, std::int64_t n);

/// Columns of a panel.
template <class T>
std::int64_t gemm_width() {
  return static_cast<std::int64_t>(gemm_packed_size<T>(1, 1));
}
/// Rows of c that the micro-kernel computes at once, of f32.
std::int64_t gemm_rows();

/// Would a product of these sizes, with a contiguous along k, read b (at distances bk along k) as it is,
/// packed or not?
bool gemm_reads_plain(DType t, std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t bk);

/// Packs b into panels of as many columns as the micro-kernel is wide.
void gemm_pack(const float* b, std::int64_t bk, std::int64_t bn, std::int64_t k, std::int64_t n, float* out);
void gemm_pack(const double* b, std::int64_t bk, std::int64_t bn, std::int64_t k, std::int64_t n,
               double* out);

/// y = act(y) on a block of rows, in place.
template <class T>
void apply_activation(Unary act, double alpha, T* y, std::int64_t rows, std::int64_t cols,
                      std::int64_t stride);

/// Multiply-adds from which a second thread pays.
inline constexpr std::int64_t gemm_thread_work = 50'000;

}  // namespace knet::cpu_impl
