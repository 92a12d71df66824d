// The CPU's recurrent kernels against the plain loops.
#include "tests/kernels/kernels_test.hpp"

namespace {
using namespace knet;
using namespace knet::test;

using Int = std::int64_t;

TEST(RecurrentKernels, MatchThePlainLoops) {
  const Kernels &cpu = cpu_kernels(), &plain = reference_kernels();
  for (const RNNKind kind : {RNNKind::relu, RNNKind::tanh, RNNKind::lstm, RNNKind::gru}) {
    for (const auto& batch : std::vector<std::vector<Int>>{{1, 1, 1}, {3, 2, 2, 1}, {30, 30, 11, 5}}) {
      for (const Int h : {1, 5, 16, 40}) {
        for (const DType t : {f32, f64}) {
          for (int variant = 0; variant < 4; ++variant) {
            const bool reverse = variant & 1, states = variant & 2;
            const Int g = gate_count(kind), b = batch[0];
            Int rows = 0;
            for (const Int n : batch) rows += n;
            const RNNShape s{kind, t, reverse, static_cast<Int>(batch.size()), rows, h, batch.data()};
            const auto random = [&](Int n, Int m, std::uint64_t stream) {
              return random_block(t, {n, m}, -0.5, 0.5, Layout::dense, stream);
            };
            Block wh = random(g * h, h, 1), bias = random(1, h, 2), h0 = random(b, h, 3),
                  c0 = random(b, h, 4);
            struct Out {
              Block gates, extra, y, hy, cy, dgates, dgates_h, before, dh0, dc0;
            } out[2];
            Block dy = random(rows, h, 6), dhy = random(b, h, 7), dcy = random(b, h, 8);
            for (int i = 0; i < 2; ++i) {
              Out& o = out[i];
              o = {random(rows, g * h, 5),  block(t, {rows, h}), block(t, {rows, h}),
                   block(t, {b, h}),        block(t, {b, h}),    block(t, {rows, g * h}),
                   block(t, {rows, g * h}), block(t, {rows, h}), block(t, {b, h}),
                   block(t, {b, h})};
              const Kernels& k = i == 0 ? cpu : plain;
              const auto state = [&](Block& v) { return states ? v.a.data : nullptr; };
              k.rnn(s, {o.gates.a.data, o.extra.a.data, wh.a.data, states ? bias.a.data : nullptr, state(h0),
                        state(c0), o.y.a.data, o.hy.a.data, o.cy.a.data});
              k.rnn_grad(s, {o.gates.a.data, o.extra.a.data, wh.a.data, state(h0), state(c0), o.y.a.data,
                             variant == 3 ? nullptr : dy.a.data, state(dhy), state(dcy), o.dgates.a.data,
                             o.dgates_h.a.data, o.before.a.data, o.dh0.a.data, o.dc0.a.data});
            }
            const double tolerance = t == f32 ? 3e-5 : 1e-12;
            const auto same = [&](Block Out::*m) {
              expect_near((out[0].*m).a, (out[1].*m).a, tolerance, tolerance);
            };
            same(&Out::gates), same(&Out::y), same(&Out::hy), same(&Out::dgates), same(&Out::before),
                same(&Out::dh0);
            if (kind == RNNKind::lstm) same(&Out::cy), same(&Out::dc0);
            if (kind == RNNKind::lstm || kind == RNNKind::gru) same(&Out::extra);
            if (kind == RNNKind::gru) same(&Out::dgates_h);
            if (HasFailure()) FAIL() << "kind " << int(kind) << " hidden " << h << " variant " << variant;
          }
        }
      }
    }
  }
}

}  // namespace
