// The CPU's attention against the plain loops.
#include "tests/kernels/kernels_test.hpp"

namespace {
using namespace knet;
using namespace knet::test;

using Int = std::int64_t;

TEST(AttentionKernels, MatchThePlainLoops) {
  const Kernels &cpu = cpu_kernels(), &plain = reference_kernels();
  struct Case {
    Int batch, heads, queries, keys, size, values;
  };
  for (const Case& c : {Case{1, 1, 1, 1, 1, 1}, Case{2, 3, 5, 7, 4, 6}, Case{1, 2, 130, 90, 16, 16},
                        Case{1, 1, 70, 600, 24, 9}, Case{1, 1, 9, 4, 8, 8}}) {
    for (const DType t : {f32, f64}) {
      for (int variant = 0; variant < 6; ++variant) {
        AttentionShape s{.dtype = t,
                         .batch = c.batch,
                         .heads = c.heads,
                         .queries = c.queries,
                         .keys = c.keys,
                         .size = c.size,
                         .value_size = c.values,
                         .causal = variant % 2 == 1,
                         .scale = 0.7,
                         .dropout = variant >= 4 ? 0.25 : 0,
                         .key = {5, 9}};
        // Heads side by side, as layers split them.
        const auto make = [&](Int length, Int size, std::uint64_t stream) {
          Block b = block(t, {c.batch, c.heads, length, size});
          b.a.stride[0] = length * c.heads * size, b.a.stride[1] = size, b.a.stride[2] = c.heads * size,
          b.a.stride[3] = 1;
          randomize(b, -1, 1, stream);
          return b;
        };
        Block q = make(c.queries, c.size, 1), k = make(c.keys, c.size, 2), v = make(c.keys, c.values, 3),
              dy = make(c.queries, c.values, 4);
        Block mask = variant / 2 == 1 ? random_block(DType::boolean, {c.queries, c.keys}, -1, 1)
                                      : random_block(t, {c.queries, c.keys}, -1, 1);
        if (mask.a.dtype == DType::boolean) {
          for (Int i = 0; i < mask.a.numel(); ++i) mask.a.as<bool>()[i] = i % 3 != 0;
        }
        AttentionInputs in{q.a, k.a, v.a, {}};
        if (variant >= 2) {
          in.mask = mask.a;
          in.mask.ndim = 4;
          const Int sizes[] = {c.batch, c.heads, c.queries, c.keys}, strides[] = {0, 0, c.keys, 1};
          for (int i = 0; i < 4; ++i) in.mask.size[i] = sizes[i], in.mask.stride[i] = strides[i];
        }
        struct Out {
          Block y, lse, dq, dk, dv;
        } out[2];
        for (int i = 0; i < 2; ++i) {
          out[i] = {make(c.queries, c.values, 6), block(t, {c.batch, c.heads, c.queries}),
                    make(c.queries, c.size, 7), make(c.keys, c.size, 8), make(c.keys, c.values, 9)};
          const Kernels& table = i == 0 ? cpu : plain;
          table.attention(s, in, out[i].y.a, out[i].lse.a.data);
          table.attention_grad(s, in, out[i].y.a, out[i].lse.a.data, dy.a, out[i].dq.a, out[i].dk.a,
                               out[i].dv.a);
        }
        const double tolerance = t == f32 ? 3e-5 : 1e-12;
        for (Block Out::*m : {&Out::y, &Out::lse, &Out::dq, &Out::dk, &Out::dv})
          expect_near((out[0].*m).a, (out[1].*m).a, tolerance, tolerance);
        if (HasFailure())
          FAIL() << "queries " << c.queries << " variant " << variant << " " << (t == f32 ? "f32" : "f64");
      }
    }
  }
}

}  // namespace
