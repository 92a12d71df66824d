// The CPU's convolutions, pooling and batch normalisation against the plain loops, in every memory order of
// the input.
#include "knet/base/threads.hpp"
#include "tests/kernels/kernels_test.hpp"

namespace {
using namespace knet;
using namespace knet::test;

using Int = std::int64_t;

Block channels_last(DType t, const std::vector<Int>& size) {
  Block b = block(t, size);
  b.a.stride[1] = 1;
  Int step = size[1];
  for (const int d : {4, 3, 2, 0}) b.a.stride[d] = step, step *= size[static_cast<std::size_t>(d)];
  return b;
}
void fill_random(Block& b, std::uint64_t stream) { randomize(b, -1, 1, stream); }

struct Case {
  Int n, in, out, groups, size[3], kernel[3], stride[3], pad[3], dilation[3];
};
const Case cases[] = {
    {2, 3, 4, 1, {1, 7, 9}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {5, 1, 12, 1, {1, 12, 12}, {1, 5, 5}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {9, 12, 12, 1, {1, 12, 12}, {1, 5, 5}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},  // lines of whole vectors
    {2, 3, 6, 1, {1, 21, 19}, {1, 3, 2}, {1, 2, 1}, {0, 1, 0}, {1, 1, 3}},
    {8, 5, 7, 1, {1, 6, 17}, {1, 4, 3}, {1, 1, 1}, {0, 2, 1}, {1, 2, 1}},
    {3, 1, 4, 1, {1, 9, 12}, {1, 2, 5}, {1, 1, 1}, {0, 1, 4}, {1, 1, 1}},
    {2, 16, 24, 1, {1, 9, 8}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
    {3, 40, 33, 1, {1, 14, 14}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {2, 10, 20, 1, {1, 8, 8}, {1, 1, 1}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}},
    {1, 3, 8, 1, {1, 30, 31}, {1, 7, 7}, {1, 2, 2}, {0, 3, 3}, {1, 1, 1}},
    {2, 6, 9, 3, {1, 7, 7}, {1, 3, 2}, {1, 1, 2}, {0, 2, 0}, {1, 2, 1}},
    {2, 37, 37, 37, {1, 10, 11}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 16, 16, 16, {1, 9, 9}, {1, 5, 5}, {1, 2, 3}, {0, 2, 2}, {1, 1, 1}},
    {3, 40, 40, 40, {1, 30, 33}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},  // its sums in parts
    {2, 3, 3, 3, {2, 8, 9}, {2, 3, 3}, {1, 1, 2}, {1, 1, 1}, {1, 2, 1}},
    {1, 4, 8, 4, {1, 6, 6}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {2, 20, 50, 1, {1, 6, 7}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {1, 3, 40, 1, {1, 40, 33}, {1, 7, 7}, {1, 2, 3}, {0, 3, 2}, {1, 1, 1}},  // dx by bands
    {3, 20, 50, 1, {1, 12, 11}, {1, 5, 4}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {2, 3, 5, 1, {4, 5, 6}, {2, 3, 2}, {1, 2, 1}, {1, 1, 0}, {2, 1, 1}},
    {1, 2, 3, 1, {1, 9, 9}, {1, 2, 2}, {1, 3, 4}, {0, 0, 0}, {1, 1, 1}},  // inputs that nothing reads
    {4, 64, 70, 1, {1, 6, 6}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {3, 37, 64, 1, {1, 13, 14}, {1, 3, 3}, {1, 1, 1}, {0, 0, 1}, {1, 1, 1}},  // by Winograd from here
    {7, 64, 35, 1, {1, 5, 8}, {1, 3, 3}, {1, 1, 1}, {0, 2, 1}, {1, 1, 1}},
    {1, 32, 36, 1, {1, 22, 19}, {1, 3, 3}, {1, 1, 1}, {0, 1, 2}, {1, 1, 1}},
    {6, 40, 35, 1, {1, 7, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 100, 70, 1, {1, 9, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},   // weights a part at a time
    {2, 32, 48, 16, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},  // groups that share a vector
    {2, 64, 64, 8, {1, 7, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
    {1, 60, 60, 3, {1, 9, 17}, {1, 5, 3}, {1, 2, 1}, {0, 2, 1}, {1, 1, 1}},
    {3, 24, 48, 6, {2, 5, 6}, {2, 3, 2}, {1, 1, 1}, {1, 1, 0}, {1, 1, 2}},
    {2, 80, 40, 2, {1, 8, 8}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},     // groups of many inputs
    {2, 48, 48, 48, {1, 10, 11}, {1, 3, 3}, {1, 2, 1}, {0, 1, 1}, {1, 1, 1}},  // depthwise, whole vectors
    {1, 32, 32, 32, {1, 12, 13}, {1, 5, 5}, {1, 1, 1}, {0, 2, 2}, {1, 1, 1}},
    {2, 16, 16, 16, {3, 6, 5}, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
    {1, 40, 36, 1, {3, 5, 6}, {2, 3, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},    // depth
    {1, 32, 40, 1, {1, 11, 10}, {1, 2, 2}, {1, 3, 3}, {0, 0, 0}, {1, 1, 1}},  // inputs that nothing reads
    {2, 30, 33, 1, {1, 12, 11}, {1, 3, 3}, {1, 1, 1}, {0, 2, 2}, {1, 2, 2}},
    {1, 350, 20, 1, {1, 5, 6}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},   // more steps than stay in a
                                                                              // cache
    {2, 28, 20, 1, {1, 4, 5}, {1, 2, 2}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}},    // outputs of padding alone
    {1, 64, 40, 1, {1, 9, 3}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},    // short lines
    {2, 12, 6, 3, {1, 9, 10}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},    // groups of few outputs
    {1, 150, 210, 1, {1, 6, 5}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},  // packed otherwise than not
    {2, 20, 40, 1, {1, 10, 30}, {1, 3, 5}, {1, 1, 2}, {0, 1, 2}, {1, 1, 1}},
};
ConvShape shape_of(const Case& c) {
  ConvShape s{};
  s.n = c.n, s.in_channels = c.in, s.out_channels = c.out, s.groups = c.groups;
  for (int d = 0; d < 3; ++d) {
    s.in[d] = c.size[d], s.kernel[d] = c.kernel[d], s.stride[d] = c.stride[d];
    s.pad[d] = c.pad[d], s.dilation[d] = c.dilation[d];
    s.out[d] = (c.size[d] + 2 * c.pad[d] - (c.kernel[d] - 1) * c.dilation[d] - 1) / c.stride[d] + 1;
  }
  return s;
}

class Convolution : public testing::TestWithParam<std::tuple<std::size_t, bool>> {};

TEST_P(Convolution, MatchesThePlainLoops) {
  const auto [number, sparse] = GetParam();
  const ConvShape s = shape_of(cases[number]);
  const Kernels &cpu = cpu_kernels(), &plain = reference_kernels();
  const std::vector<Int> xs{s.n, s.in_channels, s.in[0], s.in[1], s.in[2]},
      ys{s.n, s.out_channels, s.out[0], s.out[1], s.out[2]},
      ws{s.out_channels, s.in_channels / s.groups, s.kernel[0], s.kernel[1], s.kernel[2]};
  for (const DType t : {f32, f64}) {
    const double tolerance = t == f32 ? 2e-4 : 1e-11;
    Block bias = random_block(t, {s.out_channels}, -1, 1);
    for (int layout = 0; layout < 4; ++layout) {
      SCOPED_TRACE(layout);
      const auto make = [&](const std::vector<Int>& size) {
        return layout == 0   ? block(t, size)
               : layout == 1 ? channels_last(t, size)
               : layout == 2 ? block(t, size, Layout::stepped)
                             : block(t, size, Layout::reversed_dims);
      };
      Block x = make(xs), w = layout < 2 ? block(t, ws) : make(ws), dy = make(ys);
      fill_random(x, 1), fill_random(w, 2), fill_random(dy, 3);
      if (sparse) {  // as behind a max pool
        for (Int i = 0; i < dy.a.size[1]; ++i) {
          Array some = dy.a;
          some.size[1] = 1;
          some.data = dy.a.as<std::byte>() + i * dy.a.stride[1] * static_cast<Int>(size_of(t));
          if (i % 4 != 1) plain.fill(0, some);
        }
      }
      for (const Unary act : {Unary::identity, Unary::relu, Unary::tanh}) {
        Block y = channels_last(t, ys), expected = channels_last(t, ys);
        Epilogue e;
        e.bias = act == Unary::identity ? nullptr : bias.a.data;
        e.activation = act;
        cpu.conv(s, x.a, w.a, y.a, e);
        plain.conv(s, x.a, w.a, expected.a, e);
        {
          SCOPED_TRACE("forward");
          expect_near(y.a, expected.a, tolerance, tolerance);
        }
        if (const PackedForm form = cpu.conv_form(s, w.a); form.number != 0) {
          SCOPED_TRACE("packed");
          std::vector<double> packed(form.bytes / sizeof(double) + 1);
          cpu.conv_pack(s, w.a, packed.data());
          Array none = w.a;
          none.data = nullptr;
          e.packed_b = packed.data();
          Block z = channels_last(t, ys);
          cpu.conv(s, x.a, none, z.a, e);
          expect_near(z.a, expected.a, tolerance, tolerance);
        }
      }
      Block dx = channels_last(t, xs), dx0 = channels_last(t, xs);
      fill_random(dx, 4);  // what was there must not matter
      cpu.conv_grad_input(s, dy.a, w.a, dx.a);
      plain.conv_grad_input(s, dy.a, w.a, dx0.a);
      {
        SCOPED_TRACE("input");
        expect_near(dx.a, dx0.a, tolerance, tolerance);
      }
      Block dw = block(t, ws), dw0 = block(t, ws);
      fill_random(dw, 5);
      cpu.conv_grad_weight(s, x.a, dy.a, dw.a);
      plain.conv_grad_weight(s, x.a, dy.a, dw0.a);
      expect_near(dw.a, dw0.a, tolerance, 10 * tolerance);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, Convolution,
                         testing::Combine(testing::Range(std::size_t{0}, std::size(cases)), testing::Bool()));

// The same bits on one thread and on many.
TEST(Convolutions, DoNotDependOnThreads) {
  const int before = threads();
  const Case some[] = {
      {1, 64, 64, 1, {1, 30, 31}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},   // Winograd, few outputs
      {3, 160, 96, 1, {1, 14, 14}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},  // and weights by parts
      {4, 24, 30, 1, {1, 70, 64}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},   // 1 x 1, many positions
      {4, 30, 24, 1, {1, 70, 64}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
      {2, 32, 32, 4, {1, 20, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
      {2, 40, 48, 1, {1, 20, 20}, {1, 5, 5}, {1, 2, 2}, {0, 2, 2}, {1, 1, 1}},
      {2, 100, 30, 1, {1, 20, 20}, {1, 5, 5}, {1, 1, 1}, {0, 2, 2}, {1, 1, 1}},
      {3, 48, 48, 48, {1, 30, 31}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
  };
  for (const Case& c : some) {
    SCOPED_TRACE(c.in);
    const ConvShape s = shape_of(c);
    const std::vector<Int> xs{s.n, s.in_channels, s.in[0], s.in[1], s.in[2]},
        ys{s.n, s.out_channels, s.out[0], s.out[1], s.out[2]},
        ws{s.out_channels, s.in_channels / s.groups, s.kernel[0], s.kernel[1], s.kernel[2]};
    Block x = channels_last(f32, xs), w = block(f32, ws), dy = channels_last(f32, ys);
    fill_random(x, 1), fill_random(w, 2), fill_random(dy, 3);
    const auto run = [&](int t, Block& y, Block& dx, Block& dw) {
      set_threads(t);
      cpu_kernels().conv(s, x.a, w.a, y.a, {});
      cpu_kernels().conv_grad_input(s, dy.a, w.a, dx.a);
      cpu_kernels().conv_grad_weight(s, x.a, dy.a, dw.a);
    };
    Block y1 = channels_last(f32, ys), dx1 = channels_last(f32, xs), dw1 = block(f32, ws);
    run(1, y1, dx1, dw1);
    for (const int t : {2, 3, 16}) {
      SCOPED_TRACE(t);
      Block y = channels_last(f32, ys), dx = channels_last(f32, xs), dw = block(f32, ws);
      run(t, y, dx, dw);
      expect_near(y.a, y1.a, 0, 0);
      expect_near(dx.a, dx1.a, 0, 0);
      expect_near(dw.a, dw1.a, 0, 0);
    }
  }
  set_threads(before);
}

// More tiles than Winograd's convolution takes at a time.
TEST(Winograd, ImagesTogetherGiveWhatTheyGiveAlone) {
  const Kernels& cpu = cpu_kernels();
  const Case taken[] = {
      {4, 200, 190, 1, {1, 34, 34}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
      {4, 33, 40, 1, {1, 59, 61}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}},
  };
  for (const Case& c : taken) {
    SCOPED_TRACE(c.in);
    const ConvShape all = shape_of(c);
    ConvShape one = all;
    one.n = 1;
    const std::vector<Int> xs{all.n, all.in_channels, 1, all.in[1], all.in[2]},
        ys{all.n, all.out_channels, 1, all.out[1], all.out[2]},
        ws{all.out_channels, all.in_channels, 1, 3, 3};
    Block x = channels_last(f32, xs), dy = channels_last(f32, ys), w = block(f32, ws);
    fill_random(x, 1), fill_random(dy, 2), fill_random(w, 3);
    Block y = channels_last(f32, ys), y1 = channels_last(f32, ys), dx = channels_last(f32, xs),
          dx1 = channels_last(f32, xs), dw = block(f32, ws), dw1 = block(f32, ws), sum = block(f32, ws);
    const auto image = [](const Block& b, Int i) {
      Array a = b.a;
      a.size[0] = 1;
      a.data = b.a.as<float>() + i * b.a.stride[0];
      return a;
    };
    cpu.fill(0, sum.a);
    for (Int i = 0; i < all.n; ++i) {
      cpu.conv(one, image(x, i), w.a, image(y1, i), {});
      cpu.conv_grad_input(one, image(dy, i), w.a, image(dx1, i));
      cpu.conv_grad_weight(one, image(x, i), image(dy, i), dw1.a);
      cpu.binary(Binary::add, sum.a, dw1.a, sum.a);
    }
    cpu.conv(all, x.a, w.a, y.a, {});
    expect_near(y.a, y1.a, 0, 0);
    cpu.conv_grad_input(all, dy.a, w.a, dx.a);
    expect_near(dx.a, dx1.a, 0, 0);
    cpu.conv_grad_weight(all, x.a, dy.a, dw.a);
    expect_near(dw.a, sum.a, 2e-4, 2e-3);
  }
}

// Gradients that a max pool of 2 x 2 hands on without their zeros.
TEST(Picks, GiveTheGradientsOfWhatIsWrittenOut) {
  const Kernels &cpu = cpu_kernels(), &plain = reference_kernels();
  const Case taken[] = {
      {5, 1, 12, 1, {1, 12, 12}, {1, 5, 5}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},   // short lines
      {3, 12, 12, 1, {1, 12, 12}, {1, 5, 5}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},  // long ones
      {9, 10, 7, 1, {1, 8, 10}, {1, 4, 3}, {1, 1, 1}, {0, 2, 1}, {1, 1, 1}},    // over the edges
      {2, 9, 5, 1, {1, 17, 17}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}},
      {2, 1, 6, 1, {1, 14, 14}, {1, 7, 7}, {1, 1, 1}, {0, 3, 3}, {1, 1, 1}},
  };
  for (const Case& c : taken) {
    const ConvShape s = shape_of(c);
    const std::vector<Int> xs{s.n, s.in_channels, 1, s.in[1], s.in[2]},
        ys{s.n, s.out_channels, 1, s.out[1], s.out[2]},
        ps{s.n, s.out_channels, 1, s.out[1] / 2, s.out[2] / 2},
        ws{s.out_channels, s.in_channels, 1, s.kernel[1], s.kernel[2]};
    const Int rows = ps[3] * ps[4];
    for (const DType t : {f32, f64}) {
      SCOPED_TRACE(&c - taken);
      Block x = channels_last(t, xs), w = block(t, ws), dp = channels_last(t, ps), dy = channels_last(t, ys);
      fill_random(x, 1), fill_random(w, 2), fill_random(dp, 3);
      std::vector<std::int32_t> index;
      dispatch_float("test", t, [&]<class T>(type<T>) {
        plain.fill(0, dy.a);
        for (Int i = 0; i < dp.a.numel(); ++i) {
          T& v = dp.a.as<T>()[i];
          if (i % 3 == 1) v = 0;  // as behind a relu
          const Int o = i % s.out_channels, row = i / s.out_channels % rows, n = i / s.out_channels / rows;
          const Int place = (row / ps[4] * 2 + i % 2) * s.out[2] + row % ps[4] * 2 + i / 2 % 2;
          index.push_back(static_cast<std::int32_t>(place));
          dy.a.as<T>()[(n * s.out[1] * s.out[2] + place) * s.out_channels + o] = v;
        }
      });
      const Picks picks{t, dp.a.data, index.data(), rows};
      const double tolerance = t == f32 ? 2e-4 : 1e-11;
      int done = 0;
      if (cpu.takes_picks(s, picks, false)) {
        Block dx = channels_last(t, xs), dx0 = channels_last(t, xs);
        cpu.picks_grad_input(s, picks, w.a, dx.a);
        plain.conv_grad_input(s, dy.a, w.a, dx0.a);
        expect_near(dx.a, dx0.a, tolerance, tolerance);
        ++done;
      }
      if (cpu.takes_picks(s, picks, true)) {
        Block dw = block(t, ws), dw0 = block(t, ws);
        cpu.picks_grad_weight(s, x.a, picks, dw.a);
        plain.conv_grad_weight(s, x.a, dy.a, dw0.a);
        expect_near(dw.a, dw0.a, tolerance, 10 * tolerance);
        ++done;
      }
      EXPECT_TRUE(done == 2 || s.in_channels == 1);  // short lines: the processor's vectors decide
    }
  }
}

TEST(Pooling, MatchesThePlainLoops) {
  const Kernels &cpu = cpu_kernels(), &plain = reference_kernels();
  for (const Int channels : {1, 3, 16, 70}) {
    PoolShape s{.n = 3, .channels = channels, .in = {1, 9, 8}, .out = {1, 4, 3}, .begin = {}, .end = {}};
    const Int zero[] = {0}, one[] = {1}, hb[] = {0, 2, 4, 6}, he[] = {3, 5, 7, 9}, wb[] = {0, 2, 5},
              we[] = {2, 5, 8};
    s.begin[0] = zero, s.begin[1] = hb, s.begin[2] = wb;
    s.end[0] = one, s.end[1] = he, s.end[2] = we;
    const std::vector<Int> xs{3, channels, 1, 9, 8}, ys{3, channels, 1, 4, 3};
    for (const DType t : {f32, f64}) {
      for (const bool last : {false, true}) {
        Block x = last ? channels_last(t, xs) : block(t, xs), dy = last ? channels_last(t, ys) : block(t, ys);
        fill_random(x, 1), fill_random(dy, 2);
        dispatch_float("test", t, [&]<class T>(type<T>) {
          for (Int i = 0; i < x.a.numel(); i += 7) x.a.as<T>()[i] = static_cast<T>(NAN);
          for (Int i = 0; i < x.a.numel(); i += 5) x.a.as<T>()[i] = 2;  // equal ones
        });
        const auto fresh = [&](const std::vector<Int>& size) { return channels_last(t, size); };
        std::vector<std::int32_t> index(static_cast<std::size_t>(3 * channels * 12)), index0(index);
        for (const bool propagate : {false, true}) {
          Block y = fresh(ys), y0 = fresh(ys), dx = fresh(xs), dx0 = fresh(xs);
          cpu.max_pool(s, propagate, x.a, y.a, index.data());
          plain.max_pool(s, propagate, x.a, y0.a, index0.data());
          expect_near(y.a, y0.a, 0, 0);
          EXPECT_EQ(index, index0);
          cpu.max_pool_grad(s, dy.a, index.data(), dx.a);
          plain.max_pool_grad(s, dy.a, index.data(), dx0.a);
          expect_near(dx.a, dx0.a, 0, 1e-6);
          cpu.pool_gather(s, x.a, index.data(), y.a);
          plain.pool_gather(s, x.a, index.data(), y0.a);
          expect_near(y.a, y0.a, 0, 0);
        }
        fill_random(x, 1);
        for (const double divisor : {0., 9.}) {
          s.divisor = divisor;
          Block y = fresh(ys), y0 = fresh(ys), dx = fresh(xs), dx0 = fresh(xs);
          cpu.avg_pool(s, x.a, y.a);
          plain.avg_pool(s, x.a, y0.a);
          expect_near(y.a, y0.a, 1e-5, 1e-6);
          cpu.avg_pool_grad(s, dy.a, dx.a);
          plain.avg_pool_grad(s, dy.a, dx0.a);
          expect_near(dx.a, dx0.a, 1e-5, 1e-6);
        }
      }
    }
  }
}

TEST(BatchNorm, MatchesThePlainLoops) {
  const Kernels &cpu = cpu_kernels(), &plain = reference_kernels();
  for (const auto& size : std::vector<std::vector<Int>>{
           {3, 5, 7}, {40, 33, 1}, {2, 64, 50}, {5, 1, 300}, {300, 7, 31}, {2, 3, 9000}}) {
    for (const DType t : {f32, f64}) {
      for (const bool last : {false, true}) {
        const auto make = [&](double low, double high, std::uint64_t stream) {
          Block b = block(t, size);
          if (last) b.a.stride[0] = size[1] * size[2], b.a.stride[1] = 1, b.a.stride[2] = size[1];
          if (size[2] == 1) b.a.stride[1] = 1, b.a.stride[0] = size[1];
          randomize(b, low, high, stream);
          return b;
        };
        const double tolerance = t == f32 ? 2e-5 : 1e-11;
        const Int c = size[1];
        Block x = make(99, 101, 1), dy = make(-1, 1, 2);
        Block mean = block(t, {c}), var = block(t, {c}), mean0 = block(t, {c}), var0 = block(t, {c});
        cpu.channel_moments(x.a, mean.a.data, var.a.data);
        plain.channel_moments(x.a, mean0.a.data, var0.a.data);
        expect_near(mean.a, mean0.a, tolerance, 0);
        expect_near(var.a, var0.a, tolerance, 0);
        Block scale = random_block(t, {c}, -1, 1), shift = random_block(t, {c}, -1, 1),
              rstd = random_block(t, {c}, 0.5, 2);
        for (const bool relu : {false, true}) {
          Block y = make(0, 1, 3), y0 = make(0, 1, 4), z = make(-1, 1, 5);
          const Block other = make(-1, 1, 8);
          for (const Array& more : {other.a, Array{}}) {
            cpu.channel_affine(relu, z.a, scale.a.data, shift.a.data, more, y.a);
            plain.channel_affine(relu, z.a, scale.a.data, shift.a.data, more, y0.a);
            expect_near(y.a, y0.a, tolerance, tolerance);
          }
          for (const bool constant : {false, true}) {
            Block dx = make(0, 1, 6), dx0 = make(0, 1, 7), dw = block(t, {c}), db = block(t, {c}),
                  dw0 = block(t, {c}), db0 = block(t, {c}), centre = random_block(t, {c}, -1, 1);
            cpu.batch_norm_grad(relu, constant, z.a, y.a, dy.a, centre.a.data, rstd.a.data,
                                constant ? nullptr : scale.a.data, dx.a, dw.a.data, db.a.data);
            plain.batch_norm_grad(relu, constant, z.a, y.a, dy.a, centre.a.data, rstd.a.data,
                                  constant ? nullptr : scale.a.data, dx0.a, dw0.a.data, db0.a.data);
            {
              SCOPED_TRACE("input");
              expect_near(dx.a, dx0.a, tolerance, tolerance);
            }
            expect_near(dw.a, dw0.a, 20 * tolerance, 200 * tolerance);
            expect_near(db.a, db0.a, 20 * tolerance, 200 * tolerance);
            for (const Kernels* k : {&cpu, &plain}) {  // over dy
              Block d = make(-1, 1, 2);
              k->batch_norm_grad(relu, constant, z.a, y.a, d.a, centre.a.data, rstd.a.data,
                                 constant ? nullptr : scale.a.data, d.a, dw.a.data, db.a.data);
              expect_near(d.a, dx0.a, tolerance, tolerance);
            }
          }
        }
      }
    }
  }
}

}  // namespace
