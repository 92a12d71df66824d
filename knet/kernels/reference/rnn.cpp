#include <cmath>
#include <vector>

#include "knet/base/dispatch.hpp"
#include "knet/kernels/reference/reference.hpp"

namespace knet::reference {
namespace {

using Int = std::int64_t;

double sigm(double x) { return 1 / (1 + std::exp(-x)); }

/// The steps in the order of the recurrence: f(first row, rows).
template <class F>
void forwards(const RNNShape& s, const F& f) {
  Int row = s.reverse ? s.rows : 0;
  for (Int i = 0; i < s.steps; ++i) {
    const Int t = s.reverse ? s.steps - 1 - i : i;
    if (s.reverse) row -= s.batch[t];
    f(row, s.batch[t]);
    if (!s.reverse) row += s.batch[t];
  }
}
template <class F>
void backwards(RNNShape s, const F& f) {
  s.reverse = !s.reverse;
  forwards(s, f);
}
template <class T>
std::vector<double> load(const void* p, Int n) {
  std::vector<double> v(static_cast<std::size_t>(n));
  for (Int i = 0; p && i < n; ++i) v[static_cast<std::size_t>(i)] = static_cast<const T*>(p)[i];
  return v;
}
template <class T>
void store(const std::vector<double>& v, void* p) {
  for (std::size_t i = 0; i < v.size(); ++i) static_cast<T*>(p)[i] = static_cast<T>(v[i]);
}

}  // namespace

void rnn(const RNNShape& s, const RNNForward& a) {
  dispatch_float("rnn", s.dtype, [&]<class T>(type<T>) {
    const Int h = s.hidden, g = gate_count(s.kind), b0 = s.steps ? s.batch[0] : 0;
    auto state = load<T>(a.h0, b0 * h), cell = load<T>(a.c0, b0 * h);
    const T* wh = static_cast<const T*>(a.wh);
    forwards(s, [&](Int row, Int n) {
      const auto before = state;
      for (Int b = 0; b < n; ++b) {
        for (Int j = 0; j < h; ++j) {
          const auto at = static_cast<std::size_t>(b * h + j);
          double z[4]{};
          for (Int k = 0; k < g; ++k) {
            for (Int i = 0; i < h; ++i)
              z[k] += wh[(k * h + j) * h + i] * before[static_cast<std::size_t>(b * h + i)];
          }
          T* gates = static_cast<T*>(a.gates) + (row + b) * g * h + j;
          T* extra = static_cast<T*>(a.extra) + (row + b) * h + j;
          if (s.kind == RNNKind::lstm) {
            const double in = sigm(gates[0] + z[0]), forget = sigm(gates[h] + z[1]),
                         fresh = std::tanh(gates[2 * h] + z[2]), out = sigm(gates[3 * h] + z[3]);
            cell[at] = forget * cell[at] + in * fresh;
            state[at] = out * std::tanh(cell[at]);
            gates[0] = static_cast<T>(in), gates[h] = static_cast<T>(forget);
            gates[2 * h] = static_cast<T>(fresh), gates[3 * h] = static_cast<T>(out);
            *extra = static_cast<T>(cell[at]);
          } else if (s.kind == RNNKind::gru) {
            const double reset = sigm(gates[0] + z[0]), update = sigm(gates[h] + z[1]);
            if (a.bias_n) z[2] += static_cast<const T*>(a.bias_n)[j];
            const double fresh = std::tanh(gates[2 * h] + reset * z[2]);
            state[at] = (1 - update) * fresh + update * before[at];
            gates[0] = static_cast<T>(reset), gates[h] = static_cast<T>(update);
            gates[2 * h] = static_cast<T>(fresh);
            *extra = static_cast<T>(z[2]);
          } else {
            const double v = gates[0] + z[0];
            state[at] = s.kind == RNNKind::tanh ? std::tanh(v) : v > 0 ? v : 0;
            gates[0] = static_cast<T>(state[at]);
          }
          static_cast<T*>(a.y)[(row + b) * h + j] = static_cast<T>(state[at]);
        }
      }
    });
    store<T>(state, a.hy);
    if (a.cy) store<T>(cell, a.cy);
  });
}

void rnn_grad(const RNNShape& s, const RNNBackward& a) {
  dispatch_float("rnn", s.dtype, [&]<class T>(type<T>) {
    const Int h = s.hidden, g = gate_count(s.kind), b0 = s.steps ? s.batch[0] : 0;
    // What every row started from: the states of the rows before it.
    auto state = load<T>(a.h0, b0 * h), cell = load<T>(a.c0, b0 * h);
    std::vector<double> cell_before(static_cast<std::size_t>(s.rows * h));
    forwards(s, [&](Int row, Int n) {
      for (Int i = 0; i < n * h; ++i) {
        const auto at = static_cast<std::size_t>(i);
        static_cast<T*>(a.h_before)[row * h + i] = static_cast<T>(state[at]);
        cell_before[static_cast<std::size_t>(row * h + i)] = cell[at];
        state[at] = static_cast<const T*>(a.y)[row * h + i];
        if (s.kind == RNNKind::lstm) cell[at] = static_cast<const T*>(a.extra)[row * h + i];
      }
    });
    auto dh = load<T>(a.dhy, b0 * h), dc = load<T>(a.dcy, b0 * h);
    const T* wh = static_cast<const T*>(a.wh);
    backwards(s, [&](Int row, Int n) {
      for (Int b = 0; b < n; ++b) {
        std::vector<double> dz(static_cast<std::size_t>(g * h)), direct(static_cast<std::size_t>(h));
        for (Int j = 0; j < h; ++j) {
          const Int r = (row + b) * h + j;
          const auto at = static_cast<std::size_t>(b * h + j);
          const T* gates = static_cast<const T*>(a.gates) + (row + b) * g * h + j;
          T* out = static_cast<T*>(a.dgates) + (row + b) * g * h + j;
          const double d = dh[at] + (a.dy ? static_cast<const T*>(a.dy)[r] : 0);
          double v[4]{}, fresh_h = 0;
          if (s.kind == RNNKind::lstm) {
            const double in = gates[0], forget = gates[h], fresh = gates[2 * h], o = gates[3 * h];
            const double tc = std::tanh(double{static_cast<const T*>(a.extra)[r]});
            const double all = dc[at] + d * o * (1 - tc * tc);
            v[0] = all * fresh * in * (1 - in);
            v[1] = all * cell_before[static_cast<std::size_t>(r)] * forget * (1 - forget);
            v[2] = all * in * (1 - fresh * fresh);
            v[3] = d * tc * o * (1 - o);
            dc[at] = all * forget;
          } else if (s.kind == RNNKind::gru) {
            const double reset = gates[0], update = gates[h], fresh = gates[2 * h];
            v[2] = d * (1 - update) * (1 - fresh * fresh);
            v[0] = v[2] * static_cast<const T*>(a.extra)[r] * reset * (1 - reset);
            v[1] = d * (static_cast<const T*>(a.h_before)[r] - fresh) * update * (1 - update);
            fresh_h = v[2] * reset;
            direct[static_cast<std::size_t>(j)] = d * update;
          } else {
            const double y = gates[0];
            v[0] = s.kind == RNNKind::tanh ? d * (1 - y * y) : y > 0 ? d : 0;
          }
          for (Int k = 0; k < g; ++k) {
            out[k * h] = static_cast<T>(v[k]);
            const double recurrent = s.kind == RNNKind::gru && k == 2 ? fresh_h : v[k];
            if (s.kind == RNNKind::gru)
              static_cast<T*>(a.dgates_h)[(row + b) * g * h + k * h + j] = static_cast<T>(recurrent);
            dz[static_cast<std::size_t>(k * h + j)] = recurrent;
          }
        }
        for (Int i = 0; i < h; ++i) {
          double sum = direct[static_cast<std::size_t>(i)];
          for (Int k = 0; k < g * h; ++k) sum += dz[static_cast<std::size_t>(k)] * wh[k * h + i];
          dh[static_cast<std::size_t>(b * h + i)] = sum;
        }
      }
    });
    store<T>(dh, a.dh0);
    if (a.dc0) store<T>(dc, a.dc0);
  });
}

}  // namespace knet::reference
