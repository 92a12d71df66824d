#include "knet/models/mac.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/layers/norm.hpp"
#include "knet/models/mac_read.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/linear.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/shape.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

void check(const MACConfig& c) {
  const auto positive = [](const char* name, Int v) {
    if (v < 1) fail<ValueError>("MACConfig: .", name, " = ", v, ": expected at least 1");
  };
  positive("words", c.words), positive("answers", c.answers), positive("channels", c.channels);
  positive("size", c.size), positive("steps", c.steps), positive("embedding", c.embedding);
  const MACDropout& d = c.dropout;
  for (const double p : {d.stem, d.embedding, d.question, d.knowledge, d.state, d.read})
    if (!(p >= 0 && p < 1)) fail<ValueError>("MACConfig: a dropout of ", p, ": expected [0, 1)");
}

void check(const MACConfig& c, const Tensor& images, const Sequences& questions, const Tensor& image_of) {
  if (!images || images.ndim() != 4 || images.size(1) != c.channels || !images.floating())
    fail<ShapeError>("MAC: images are ", images ? text(images.shape(), " of ", images.dtype()) : "empty",
                     ", expected floats [n, ", c.channels, ", height, width]");
  if (questions.size() == 0) fail<ValueError>("MAC: there is no question");
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto& q = questions.items[i];
    if (q.empty()) fail<ValueError>("MAC: question ", i, " is empty");
    for (const Int w : q)
      if (w < 0 || w >= c.words)
        fail<ValueError>("MAC: question ", i, " has the word ", w, "; there are 0 to ", c.words - 1);
  }
  const auto n = static_cast<Int>(questions.size());
  if (!image_of) {
    if (images.size(0) != n) fail<ShapeError>("MAC: ", n, " questions about ", images.size(0), " images");
  } else if (!is_integer(image_of.dtype()) || image_of.shape() != Shape{n}) {
    fail<ShapeError>("MAC: image_of is ", image_of.shape(), " of ", image_of.dtype(), ", expected integers [",
                     n, ']');
  } else if (image_of.min().item() < 0 || image_of.max().item() >= static_cast<double>(images.size(0))) {
    fail<ValueError>(
        "MAC: image_of names image ",
        static_cast<Int>(image_of.min().item() < 0 ? image_of.min().item() : image_of.max().item()), " of ",
        images.size(0));
  }
}

// 0 where there is a word, -1e30 after the end: [batch, 1, time].
Tensor padding(const std::vector<Int>& lengths, DType t) {
  const Int n = static_cast<Int>(lengths.size()), longest = *std::ranges::max_element(lengths);
  if (*std::ranges::min_element(lengths) == longest) return {};
  std::vector<double> v(static_cast<std::size_t>(n * longest), 0);
  for (std::size_t i = 0; i < lengths.size(); ++i)
    std::fill(v.begin() + static_cast<Int>(i) * longest + lengths[i],
              v.begin() + (static_cast<Int>(i) + 1) * longest, -1e30);
  return Tensor(v, Shape{n, 1, longest}).to(t);
}

// sum_j s_j values_j with s = softmax over j of query . keys_j (+ mask): [b, d] x [b, n, d] -> [b, d].
Tensor attend(const Tensor& query, const Tensor& keys, const Tensor& values, const Tensor& mask,
              Tensor* weights = nullptr) {
  Tensor s = bmm(query.unsqueeze(1), keys, false, true);
  if (mask) s = s + mask;
  const Tensor a = softmax(s);
  if (weights) *weights = a;
  return bmm(a, values).squeeze(1);
}

Tensor row(const Multiply& score) { return Tensor(score.weight).reshape({score.weight.size(1)}); }

// The question's vector, and the memories after every step.
struct Thoughts {
  Tensor question;
  std::vector<Tensor> memories;
};
Thoughts think(const MAC& m, const Tensor& images, const Sequences& questions, const Tensor& image_of,
               MACAttention* attention) {
  const MACConfig& c = m.config;
  check(c, images, questions, image_of);
  const auto batch = static_cast<Int>(questions.size());

  const Tensor seen = m.stem(images);
  if (seen.ndim() != 4 || seen.size(0) != images.size(0) || seen.size(1) != c.size)
    fail<ShapeError>("MAC: the stem gives ", seen.shape(), ", expected [", images.size(0), ", ", c.size,
                     ", height, width]");
  const Int height = seen.size(2), width = seen.size(3);
  Knowledge know;
  know.keys = m.keys(dropout(seen.permute({0, 2, 3, 1}).flatten(1, 2), c.dropout.knowledge));
  know.keys2 = m.keys2(know.keys);
  know.image_of = image_of;

  const std::vector<Int> lengths = questions.lengths();
  const RNNOutput read = m.lstm(dropout(m.embed(pad_sequence(questions)), c.dropout.embedding), lengths);
  const Tensor q = dropout(cat({read.hidden.select(0, 0), read.hidden.select(0, 1)}, 1), c.dropout.question);
  const Tensor words = m.words(read.y), mask = padding(lengths, m.dtype);
  // control's Linear of [c; q_i] is a part for c and one for q_i, which all steps' q_i pass together.
  const Tensor weight = m.control.weight;
  const Tensor of_control = weight.narrow(1, 0, c.size),
               of_query = linear("MAC", m.queries(q).reshape({batch, c.steps, c.size}),
                                 weight.narrow(1, c.size, c.size), m.control.bias);
  const Tensor control_score = row(m.control_score), read_score = row(m.read_score);

  Tensor control = Tensor(m.first_control).unsqueeze(0).expand({batch, c.size}),
         memory = Tensor(m.first_memory).unsqueeze(0).expand({batch, c.size});
  std::vector<Tensor> controls{control}, memories{memory}, word_maps, cell_maps;
  for (Int i = 0; i < c.steps; ++i) {
    const Tensor before = dropout(control, c.dropout.state), m0 = dropout(memory, c.dropout.state);
    Tensor words_seen, cells_seen;
    const Tensor u = linear("MAC", before, of_control, {}) + of_query.select(1, i);
    control = attend(u * control_score, words, words, mask, attention ? &words_seen : nullptr);
    const Tensor now = c.control == MACControl::current ? control : before;

    const Tensor r = read_cells({.memory = m.memory(m0),
                                 .control = now,
                                 .interaction = m.interaction.weight,
                                 .score = read_score,
                                 .dropout = c.dropout.read},
                                know, attention ? &cells_seen : nullptr);
    Tensor next = m.write(cat({r, m0}, 1));
    if (c.self_attention) {
      const Tensor past =
          attend((*m.history)(now)*row(*m.history_score), stack(controls, 1), stack(memories, 1), {});
      next = next + (*m.history_memory)(past);
    }
    if (c.gating) {
      const Tensor g = sigm((*m.gate)(now));
      next = next + g * (m0 - next);
    }
    memory = next;
    controls.push_back(control), memories.push_back(memory);
    if (attention) word_maps.push_back(words_seen), cell_maps.push_back(cells_seen);
  }
  if (attention) {
    attention->words = cat(word_maps, 1);
    attention->cells = stack(cell_maps, 1).reshape({batch, c.steps, height, width});
  }
  memories.erase(memories.begin());
  return {q, memories};
}

}  // namespace

MACConfig mac_config(int number) {
  if (number != 1 && number != 2) fail<ValueError>("mac_config: there is no ", number, "; expected 1 or 2");
  return {.self_attention = number == 2, .gating = number == 2};
}

Tensor Coordinates::operator()(const Tensor& x) const {
  if (!x || x.ndim() != 4)
    fail<ShapeError>("Coordinates: input is ", x ? text(x.shape()) : "empty",
                     ", expected [batch, channels, height, width]");
  const Int n = x.size(0), h = x.size(2), w = x.size(3);
  const auto places = [&](Int count) {
    return linspace(count > 1 ? -1 : 0, count > 1 ? 1 : 0, count, x.dtype());
  };
  const Tensor column = places(w).reshape({1, 1, 1, w}).expand({n, 1, h, w}),
               line = places(h).reshape({1, 1, h, 1}).expand({n, 1, h, w});
  return cat({x, column, line}, 1);
}

Sequence mac_feature_stem(const MACConfig& c, DType t) {
  check(c);
  const auto conv = [&](Int in) {
    return Conv{.height = 3, .width = 3, .inout = {in, c.size}, .activation = elu, .padding = 1, .dtype = t};
  };
  return {Dropout{c.dropout.stem}, conv(c.channels), Dropout{c.dropout.stem}, conv(c.size)};
}

Sequence mac_pixel_stem(const MACConfig& c, DType t) {
  check(c);
  const Int narrow = std::max<Int>(8, c.size / 4), middle = std::max<Int>(8, c.size / 2);
  Sequence s;
  const auto add = [&](Int in, Int out, int stride, int padding) {
    s.push_back(Conv{.height = 3,
                     .width = 3,
                     .inout = {in, out},
                     .padding = padding,
                     .stride = stride,
                     .winit = kaiming_normal,
                     .binit = nullptr,
                     .dtype = t});
    s.push_back(BatchNorm{.channels = out, .activation = relu, .dtype = t});
  };
  add(c.channels, narrow, 3, 0);
  add(narrow, middle, 2, 1);
  add(middle, c.size, 2, 1);
  s.push_back(Coordinates{});
  add(c.size + 2, c.size, 1, 1);
  return s;
}

Embed MAC::make_embed() const {
  check(config);
  return {.input = config.words,
          .output = config.embedding,
          .dtype = dtype,
          .weight = uniform({config.words, config.embedding}, 0, 1, dtype)};
}
LSTM MAC::make_lstm() const {
  return {.input = config.embedding, .hidden = config.size, .bidirectional = true, .dtype = dtype};
}
Linear MAC::make_linear(Int in, Int out) const {
  return {.input = in * config.size, .output = out * config.size, .dtype = dtype};
}
Tensor MAC::make_state(bool control_state) const {
  return control_state ? xavier_uniform({config.size}, dtype) : randn({config.size}, dtype);
}
Multiply MAC::make_square() const { return {.input = config.size, .output = config.size, .dtype = dtype}; }
Multiply MAC::make_score() const { return {.input = config.size, .output = 1, .dtype = dtype}; }
std::optional<Linear> MAC::make_history() const {
  if (!config.self_attention) return {};
  return make_linear(1, 1);
}
std::optional<Multiply> MAC::make_history_score() const {
  if (!config.self_attention) return {};
  return make_score();
}
std::optional<Multiply> MAC::make_history_memory() const {
  if (!config.self_attention) return {};
  return make_square();
}
std::optional<Linear> MAC::make_gate() const {
  if (!config.gating) return {};
  return Linear{.input = config.size, .output = 1, .dtype = dtype};
}
Dense MAC::make_dense() const {
  return {.input = 2 * config.size, .output = config.size, .activation = elu, .dtype = dtype};
}
Linear MAC::make_output() const { return {.input = config.size, .output = config.answers, .dtype = dtype}; }

Tensor MAC::operator()(const Tensor& images, const Sequences& questions, const Tensor& image_of,
                       MACAttention* attention) const {
  const Thoughts t = think(*this, images, questions, image_of, attention);
  return output(answer(cat({question(t.question), t.memories.back()}, 1)));
}
Tensor MAC::all_steps(const Tensor& images, const Sequences& questions, const Tensor& image_of) const {
  const Thoughts t = think(*this, images, questions, image_of, nullptr);
  const Tensor q = question(t.question);
  std::vector<Tensor> scores;
  for (const Tensor& m : t.memories) scores.push_back(output(answer(cat({q, m}, 1))));
  return stack(scores, 1);
}
std::string MAC::describe() const {
  return text("MAC(words=", config.words, ", answers=", config.answers, ", channels=", config.channels,
              ", size=", config.size, ", steps=", config.steps, ", self_attention=", config.self_attention,
              ", gating=", config.gating,
              ", control=", config.control == MACControl::current ? "current" : "previous", ")");
}

}  // namespace knet::models
