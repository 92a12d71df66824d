// Which kernel computes a convolution, and the gradient of its input: the same with the roles of input and
// output exchanged; a stride splits it into phases, each of which has its own part of the kernel.
#include <algorithm>

#include "knet/base/dispatch.hpp"
#include "knet/base/threads.hpp"
#include "knet/kernels/cpu/conv_product.hpp"
#include "knet/kernels/cpu/conv_taps.hpp"
#include "knet/kernels/cpu/cpu_conv.hpp"
#include "knet/kernels/cpu/cpu_elementwise.hpp"
#include "knet/kernels/cpu/gemm.hpp"
#include "knet/kernels/cpu/image.hpp"

namespace knet::cpu_impl {
namespace {

// Input channels up to which conv_few gains (measured): with 16 registers, and with 32 and outputs for one
// vector; and in groups, which share vectors there, the outputs of each.
constexpr Int few_inputs = 24, very_few_inputs = 4, few_inputs_of_group = 15;
constexpr Int few_outputs_of_group = 4, very_few_outputs_of_group = 2;

/// Does conv_few take it?
bool reads_few(const ConvShape& s) {
  const bool many_registers = gemm_rows() > 8;
  if (s.groups > 1) {
    const Int most = many_registers ? very_few_outputs_of_group : few_outputs_of_group;
    return !is_depthwise(s) && s.out_channels / s.groups <= most && has_few_channels(s, few_inputs_of_group);
  }
  const Int vector = gemm_width<float>() / 2;
  return has_few_channels(s, !many_registers ? few_inputs : s.out_channels <= vector ? very_few_inputs : 0);
}

/// Without strides the gradient of the input is itself a convolution, of dy with the kernel turned around.
ConvShape reversed(const ConvShape& s) {
  ConvShape r = s;
  std::swap(r.in_channels, r.out_channels);
  for (int d = 0; d < 3; ++d) {
    r.in[d] = s.out[d], r.out[d] = s.in[d];
    r.pad[d] = (s.kernel[d] - 1) * s.dilation[d] - s.pad[d];
  }
  return r;
}
template <class T>
Array turned(const Array& w) {
  Array r = w;
  std::swap(r.size[0], r.size[1]), std::swap(r.stride[0], r.stride[1]);
  T* last = w.as<T>();
  for (int d = 2; d < 5; ++d) {
    last += (w.size[d] - 1) * w.stride[d];
    r.stride[d] = -w.stride[d];
  }
  r.data = last;
  return r;
}

// ---- the gradient of few inputs ----

/// Does it pay? Few channels fill no vector of the plain product; and outputs without padding are fewer than
/// the inputs.
bool pays_spread(const ConvShape& s) {
  constexpr Int lanes = 16, adding = 24;  // an addition costs as much as so many multiply-adds of a product
  const Int in = s.in_channels, filled = in <= lanes / 2 ? lanes / 2 : (in + lanes - 1) / lanes * lanes;
  const bool flat = s.groups == 1 && s.in[0] == 1 && s.kernel[0] == 1 && s.stride[0] == 1 && s.pad[0] == 0 &&
                    s.dilation[1] == 1 && s.dilation[2] == 1;
  return flat && s.n > 0 &&
         s.in[1] * s.in[2] / (s.stride[1] * s.stride[2]) * filled * s.out_channels >
             s.out[1] * s.out[2] * in * (s.out_channels + adding);
}

/// Every output's gradient times all weights, spread over the inputs under the kernel. A thread makes whole
/// lines of dx, from all outputs that reach them in order.
template <class T>
void spread(const ConvShape& s, const Image<const T>& dy, const Array& w, const Image<T>& dx) {
  const Int in = s.in_channels, out = s.out_channels, width = s.kernel[2] * in, n = s.kernel[1] * width;
  const PoolBuffer<T> by_taps(out * n), packed(static_cast<Int>(gemm_packed_size<T>(out, n)));
  for (Int o = 0; o < out; ++o) {
    T* to = by_taps.get() + o * n;
    for_taps(forward_taps(s), w, [&](Int tap, Int offset) {
      for (Int c = 0; c < in; ++c)
        to[tap * in + c] = w.as<const T>()[o * w.stride[0] + c * w.stride[1] + offset];
    });
  }
  gemm_pack(by_taps.get(), n, 1, out, n, packed.get());
  // Bands of lines: what reaches beyond a band is computed twice.
  constexpr Int at_once = 65536;  // elements of products
  const Int high = s.in[1], bands = std::clamp<Int>(4 * threads() / s.n, 1, (high + 15) / 16),
            lines = std::clamp<Int>(at_once / (n * s.out[2]), 1, s.out[1]);
  parallel_for(s.n * bands, 1, [&](Int b, Int end) {
    const PoolBuffer<T> products(lines * s.out[2] * n);
    for (; b < end; ++b) {
      const Int image = b / bands, h0 = high * (b % bands) / bands, h1 = high * (b % bands + 1) / bands;
      T* const to = dx.data + image * dx.image;
      std::fill_n(to + h0 * dx.at[1], (h1 - h0) * dx.at[1], T(0));
      // Outputs that reach the band.
      const Int q0 = std::max((h0 + s.pad[1] - s.kernel[1]) / s.stride[1], Int{0}),
                q1 = std::min((h1 - 1 + s.pad[1]) / s.stride[1] + 1, s.out[1]);
      for (Int q = q0; q < q1; q += lines) {
        const Int some = std::min(lines, q1 - q);
        Gemm<T> g;
        g.m = some * s.out[2], g.n = n, g.k = out;
        g.a = dy.data + image * dy.image + q * dy.at[1], g.am = dy.at[2], g.ak = 1;
        g.packed = packed.get();
        g.c = products.get(), g.cm = n;
        gemm(g);
        for (Int i = 0; i < some; ++i) {
          const Int first = (q + i) * s.stride[1] - s.pad[1];
          for (Int k = std::max(h0 - first, Int{0}); k < std::min(s.kernel[1], h1 - first); ++k) {
            T* const line = to + (first + k) * dx.at[1];
            const T* from = products.get() + i * s.out[2] * n + k * width;
            for (Int p = 0; p < s.out[2]; ++p, from += n) {
              const Int v = p * s.stride[2] - s.pad[2], low = std::max(-v, Int{0}) * in,
                        last = std::min(s.kernel[2], s.in[2] - v) * in;
              for (Int c = low; c < last; ++c) line[v * in + c] += from[c];
            }
          }
        }
      }
    }
  });
}

template <class T>
void run_grad_input(const ConvShape& s, const Array& ady, const Array& w, const Array& dx) {
  const Image<const T> dy = image<const T>(ady);
  const Image<T> to = image<T>(dx);
  const bool whole = s.stride[0] * s.stride[1] * s.stride[2] == 1;
  if constexpr (std::is_same_v<T, float>) {
    if (const ConvShape r = reversed(s); has_winograd(s, w) && has_winograd(r, w))
      return winograd_conv(r, ady, w, true, dx, {});
  }
  if (pays_spread(s) && dy.channels_last(s.out_channels)) return spread(s, dy, w, to);
  if (const ConvShape r = reversed(s);
      whole && reads_few(r) && r.pad[0] >= 0 && r.pad[1] >= 0 && r.pad[2] >= 0)
    return conv_few(r, ady, turned<T>(w), dx, {});
  const bool depthwise_too = is_depthwise(s) && dy.channel == 1;
  const PoolBuffer<T> packed(depthwise_too || s.n == 0 ? 0 : packed_weights_size<T>(s, false));
  if (packed.get()) pack_weights(s, w, false, packed.get());
  bool every = true;  // phase has taps
  for (int d = 0; d < 3; ++d) every = every && (s.kernel[d] >= s.stride[d] && s.dilation[d] == 1);
  if (!every) fill(0, dx);
  for (Int d = 0; d < s.stride[0]; ++d) {
    for (Int h = 0; h < s.stride[1]; ++h) {
      for (Int v = 0; v < s.stride[2]; ++v) {
        const Int phase[3] = {d, h, v};
        if (d >= s.in[0] || h >= s.in[1] || v >= s.in[2]) continue;
        const Taps t = backward_taps(s, phase);
        if (t.count() == 0) continue;
        Target<T> target{to, {d, h, v}, {s.stride[0], s.stride[1], s.stride[2]}, whole};
        if (depthwise_too)
          depthwise(dy, t, w, s.n, s.groups, target, {});
        else
          product<T>({dy,
                      t,
                      packed.get(),
                      s.n,
                      s.groups,
                      s.out_channels / s.groups,
                      s.in_channels / s.groups,
                      target,
                      {}});
      }
    }
  }
}

}  // namespace

void conv(const ConvShape& s, const Array& ax, const Array& w, const Array& ay, const Epilogue& e) {
  if (reads_few(s)) return conv_few(s, ax, w, ay, e);
  if (has_winograd(s, w) && !(e.packed_b && conv_form(s, w).number == 1))
    return winograd_conv(s, ax, w, false, ay, e);
  dispatch_float("conv", ax.dtype, [&]<class T>(type<T>) {
    const Image<const T> x = image<const T>(ax);
    const Taps t = forward_taps(s);
    const Target<T> target{image<T>(ay), {0, 0, 0}, {1, 1, 1}, true};
    if (is_depthwise(s) && x.channel == 1) return depthwise(x, t, w, s.n, s.groups, target, e);
    const PoolBuffer<T> packed(e.packed_b || s.n == 0 ? 0 : packed_weights_size<T>(s, true));
    if (packed.get()) pack_weights(s, w, true, packed.get());
    product<T>({x, t, e.packed_b ? static_cast<const T*>(e.packed_b) : packed.get(), s.n, s.groups,
                s.in_channels / s.groups, s.out_channels / s.groups, target, e});
  });
}

PackedForm conv_form(const ConvShape& s, const Array& w) {
  if (s.groups > 1 || reads_few(s)) return {};
  const std::size_t size = size_of(w.dtype);
  // Over so few positions coefficients that are not kept take longer than four times the products.
  constexpr Int few_rows = 64;
  if (has_winograd(s, w)) {
    const Int kept = winograd_size(s);
    if (kept > 0) return {2, static_cast<std::size_t>(kept) * size};
    if (s.n * s.out[1] * s.out[2] > few_rows) return {};
  }
  return {1, static_cast<std::size_t>(w.dtype == f64 ? packed_weights_size<double>(s, true)
                                                     : packed_weights_size<float>(s, true)) *
                 size};
}
void conv_pack(const ConvShape& s, const Array& w, void* packed) {
  if (conv_form(s, w).number == 2) return winograd_pack(w, static_cast<float*>(packed));
  dispatch_float("conv", w.dtype,
                 [&]<class T>(type<T>) { pack_weights(s, w, true, static_cast<T*>(packed)); });
}

void conv_grad_input(const ConvShape& s, const Array& dy, const Array& w, const Array& dx) {
  if (!has_winograd(s, w) && pays_sparse(s, dy)) return sparse_grad_input(s, dy, w, dx);
  dispatch_float("conv", dy.dtype, [&]<class T>(type<T>) { run_grad_input<T>(s, dy, w, dx); });
}

}  // namespace knet::cpu_impl
