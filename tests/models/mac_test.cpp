// MAC networks beside PyTorch's values, and what they must learn and refuse.
#include "knet/models/mac.hpp"

#include "knet/base/one_thread.hpp"
#include "tests/models/language.hpp"

namespace {
using namespace knet;
using namespace knet::models;
using namespace knet::test;

const Sequences questions{{1, 5, 2, 6}, {3, 0}, {4, 4, 1}};

MACConfig tiny(int number) {
  MACConfig c = mac_config(number);
  c.words = 7, c.answers = 5, c.channels = 6, c.size = 8, c.steps = 3, c.embedding = 4;
  c.dropout = {0, 0, 0, 0, 0, 0};
  return c;
}

TEST(MAC, IsPyTorchs) {
  const Reference want = load_reference("mac");
  for (const int number : {1, 2}) {
    for (const MACControl control : {MACControl::current, MACControl::previous}) {
      const std::string name =
          std::to_string(number) + (control == MACControl::current ? ".current." : ".previous.");
      MACConfig c = tiny(number);
      c.control = control;
      MAC m{.config = c, .dtype = f64};
      for (auto& [path, p] : named_params(m)) {
        *p = Tensor(bench::parameter(path, {p->shape().begin(), p->shape().end()}), p->shape()).to(f64);
      }
      const Tensor images = want.at("images"), image_of{0, 1, 0}, labels{2, 0, 4};
      MACAttention seen;
      expect_close(m(images, questions, image_of, &seen), want.at(name + "logits"), name + "logits");
      expect_close(seen.words, want.at(name + "words"), name + "words");
      expect_close(seen.cells, want.at(name + "cells"), name + "cells");
      expect_close(m.all_steps(images, questions, image_of), want.at(name + "steps"), name + "steps");
      const Tape tape = diff([&] { return nll(m(images, questions, image_of), labels); });
      expect_close(tape.value(), want.at(name + "loss"), name + "loss");
      std::map<std::string, double> norms_by_name;
      for (const auto& p : named_params(m)) norms_by_name[p.name] = norm(tape.grad(*p.param)).item();
      std::vector<double> norms;
      for (const auto& [path, n] : norms_by_name) norms.push_back(n);
      expect_close(Tensor(norms, {static_cast<std::int64_t>(norms.size())}), want.at(name + "gradients"),
                   name + "gradients");
    }
  }
}

TEST(MAC, GradientsAreDifferences) {
  seed(5);
  for (const int number : {1, 2}) {
    MACConfig c = tiny(number);
    c.size = 4, c.steps = 2;
    MAC m{.config = c, .dtype = f64};
    const Tensor images = randn({2, 6, 2, 3}, f64), labels{2, 0, 4};
    const auto loss = [&] { return nll(m(images, questions, Tensor{1, 0, 1}), labels); };
    EXPECT_TRUE(gradcheck(m, loss, {.samples = 25})) << number;
  }
}

TEST(MAC, AFusedStepIsTheComposedOne) {
  // A tape inside another takes plain operators; the values of the two, and of one and two threads, agree.
  seed(6);
  MAC m{.config = tiny(2), .dtype = f64};
  const Tensor images = randn({2, 6, 4, 4}, f64), labels{2, 0, 4}, image_of{1, 1, 0};
  const auto loss = [&] { return nll(m(images, questions, image_of), labels); };
  const Tape fused = diff(loss);
  const int before = threads();
  set_threads(2);
  const Tape two = diff(loss);
  set_threads(before);
  std::vector<Tensor> plain;
  diff([&] {
    const Tape inner = diff(loss);
    for (const auto& p : named_params(m)) plain.push_back(inner.grad(*p.param).detach());
    return inner.value();
  });
  std::size_t i = 0;
  for (const auto& p : named_params(m)) {
    expect_close(fused.grad(*p.param), plain.at(i++), p.name, 1e-10);
    EXPECT_TRUE(all(fused.grad(*p.param) == two.grad(*p.param)).item<bool>()) << p.name;
  }
}

TEST(MAC, DropoutOfCells) {
  // Gradients flow through the same zeros: differences along a direction, with the generator put back each
  // time.
  seed(7);
  MACConfig c = tiny(2);
  c.dropout = {.stem = 0.2, .embedding = 0.2, .question = 0.2, .knowledge = 0.2, .state = 0.2, .read = 0.5};
  MAC m{.config = c, .dtype = f64};
  const Tensor images = randn({2, 6, 4, 4}, f64), labels{2, 0, 4};
  const RandomKey state = random_state();
  const auto at = [&] {
    set_random_state(state);
    return diff([&] { return nll(m(images, questions, Tensor{1, 0, 1}), labels); });
  };
  const Tape tape = at();
  for (Param* p : {&m.read_score.weight, &m.interaction.weight, &m.memory.weight, &m.keys.weight}) {
    const Tensor first = *p, g = tape.grad(*p);
    constexpr double step = 1e-6;
    *p = first + g * step;
    const double up = at().item();
    *p = first - g * step;
    const double down = at().item();
    *p = first;
    const double slope = square(g).sum().item();
    EXPECT_GT(slope, 0);
    EXPECT_NEAR((up - down) / (2 * step), slope, 1e-5 * std::max(1.0, slope));
  }
  EXPECT_NE(at().item(), nll(m(images, questions, Tensor{1, 0, 1}), labels).item()) << "nothing was dropped";
}

TEST(MAC, AttentionSumsToOne) {
  MAC m{.config = tiny(2)};
  MACAttention seen;
  const Tensor scores = m(randn({3, 6, 5, 4}), questions, {}, &seen);
  EXPECT_EQ(scores.shape(), (Shape{3, 5}));
  EXPECT_EQ(seen.words.shape(), (Shape{3, 3, 4}));
  EXPECT_EQ(seen.cells.shape(), (Shape{3, 3, 5, 4}));
  expect_close(seen.words.sum(2), ones({3, 3}), "words", 1e-6);
  expect_close(seen.cells.sum({2, 3}), ones({3, 3}), "cells", 1e-6);
  EXPECT_EQ(seen.words(1, 0, 2).item(), 0) << "after the end of a question";
  MAC plain{.config = tiny(1)};
  EXPECT_EQ(named_params(m).size(), named_params(plain).size() + 6);
}

TEST(MAC, Refuses) {
  const MAC m{.config = tiny(1)};
  const Tensor x = randn({1, 6, 4, 4});
  expect_error<ShapeError>([&] { m(randn({1, 5, 4, 4}), Sequences{{1}}); }, {"MAC", "[1, 5, 4, 4]", "[n, 6"});
  expect_error<ShapeError>([&] { m(randn({6, 4, 4}), Sequences{{1}}); }, {"MAC", "[6, 4, 4]"});
  expect_error<ShapeError>([&] { m(zeros({1, 6, 4, 4}, u8), Sequences{{1}}); }, {"u8", "floats"});
  expect_error<ShapeError>([&] { m(x, Sequences{{1}, {2}}); }, {"2 questions about 1 images"});
  expect_error<ShapeError>([&] { m(x, Sequences{{1}, {2}}, Tensor{0}); }, {"image_of", "[1]", "[2]"});
  expect_error<ValueError>([&] { m(x, Sequences{{1}, {2}}, Tensor{0, 1}); }, {"image 1 of 1"});
  expect_error<ValueError>([&] { m(x, Sequences(std::vector<std::vector<std::int64_t>>{{}})); },
                           {"question 0 is empty"});
  expect_error<ValueError>([&] { m(x, Sequences{}); }, {"no question"});
  expect_error<ValueError>([&] { m(x, Sequences{{1, 7}}); }, {"the word 7", "0 to 6"});
  expect_error<ValueError>([&] { mac_config(3); }, {"3"});
  expect_error<ValueError>([&] { MAC m2{.config = {.steps = 0}}; }, {".steps = 0"});
  expect_error<ValueError>([&] { MAC m2{.config = {.dropout = {.read = 1}}}; }, {"dropout of 1"});
  EXPECT_EQ(Coordinates{}(zeros({1, 1, 2, 3}))(0, 1).to_vector<double>(),
            (std::vector<double>{-1, 0, 1, -1, 0, 1}));
}

TEST(MAC, PicturesOfAttention) {
  const Tensor white = full({3, 40, 60}, 200.0).to(u8), map = Tensor{{0.0, 1.0}, {0.0, 0.0}};
  const Tensor drawn = draw_attention(white, map);
  EXPECT_EQ(drawn.shape(), (Shape{3, 40, 60}));
  EXPECT_GT(drawn(0, 5, 50).item(), 190);
  EXPECT_LT(drawn(0, 35, 5).item(), 60);
  EXPECT_EQ(draw_steps(white, stack({map, map})).shape(), (Shape{3, 40, 3 * 60 + 2 * 4}));
  EXPECT_EQ(show_steps({"red", "left"}, Tensor{{0.25, 0.75, 0.0}}), "1: red 25 [left] 75\n");
  expect_error<ShapeError>([&] { draw_attention(white.to(f32), map); }, {"u8"});
  expect_error<ShapeError>([&] { draw_attention(white, ones({2})); }, {"[2]"});
  expect_error<ValueError>([&] { draw_attention(white, map * -1.0); }, {"-1"});
  expect_error<ShapeError>([&] { show_steps({"a", "b"}, ones({1, 1})); }, {"[1, 1]"});
}

// Which half of a small picture a coloured square is in, and which of two colours is left of the other: needs
// the question, the place and the colour. Right answers by chance are one half.
TEST(MAC, LearnsToLook) {
  const OneThread alone;  // two on a busy machine wait for each other in every small step
  seed(8);
  const auto scene = [](std::int64_t n, Generator& g) {
    Tensor images = zeros({n, 2, 3, 6});
    std::vector<std::int64_t> answers, image_of;
    std::vector<std::vector<std::int64_t>> asked;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = randperm(6, g).to_vector<std::int64_t>();
      const auto row = randint(0, 3, {2}, g).to_vector<std::int64_t>();
      for (std::size_t c = 0; c < 2; ++c) images.ref(i, static_cast<std::int64_t>(c), row[c], at[c]) = 1;
      for (std::int64_t c = 0; c < 2; ++c) {
        asked.push_back({c, 2}), answers.push_back(at[static_cast<std::size_t>(c)] < 3),
            image_of.push_back(i);
        asked.push_back({c, 3, 1 - c});
        answers.push_back(at[static_cast<std::size_t>(c)] < at[static_cast<std::size_t>(1 - c)]),
            image_of.push_back(i);
      }
    }
    return std::tuple(images, Sequences(asked), Tensor(image_of), Tensor(answers));
  };
  MACConfig c = mac_config(2);
  c.words = 4, c.answers = 2, c.channels = 2, c.size = 24, c.steps = 3, c.embedding = 8,
  c.dropout = {0, 0, 0, 0, 0, 0};
  MAC m{.config = c,
        .stem = Sequence(Coordinates{}, Conv{.height = 1, .width = 1, .inout = {4, 24}, .activation = elu})};
  Optimizer opt(m, Adam{.lr = 4e-3, .gclip = 1});
  Generator g(9);
  for (int i = 0; i < 900; ++i) {
    const auto [x, q, of, y] = scene(16, g);
    opt.step(diff([&] { return nll(m(x, q, of), y); }));
  }
  Generator other(10);
  const auto [x, q, of, y] = scene(200, other);
  EXPECT_GT(accuracy(m(x, q, of), y), 0.9);
}

}  // namespace
