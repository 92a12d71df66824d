#include "knet/models/s2s.hpp"

#include <algorithm>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/attention.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/shape.hpp"
#include "knet/ops/softmax.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

void check(const char* who, const Tensor& states, const Tensor& memory, const Tensor& mask, Int size) {
  const auto fits = [&](const Tensor& t) { return t && t.ndim() == 3 && t.size(2) == size; };
  if (!fits(states) || !fits(memory) || states.size(0) != memory.size(0))
    fail<ShapeError>(who, ": states are ", states ? text(states.shape()) : "empty", ", the memory is ",
                     memory ? text(memory.shape()) : "empty", "; expected [batch, steps, ", size,
                     "] and [batch, time, ", size, "]");
  if (mask && (mask.dtype() != boolean || mask.shape() != Shape{memory.size(0), memory.size(1)}))
    fail<ShapeError>(who, ": the mask is ", mask.shape(), " of ", mask.dtype(), ", expected boolean [",
                     memory.size(0), ", ", memory.size(1), "]");
}

void check(const Seq2Seq& m, const Tensor& x, const DecodeOptions& o) {
  if (!x || x.ndim() != 2)
    fail<ShapeError>("Seq2Seq: input is ", x ? text(x.shape()) : "empty", ", expected ids [batch, time]");
  for (const auto& [name, id] : {std::pair("start", o.start), std::pair("stop", o.stop)}) {
    if (id < 0 || id >= m.tokens)
      fail<ValueError>("DecodeOptions: .", name, " = ", id, ": expected 0 to ", m.tokens - 1);
  }
  if (o.longest < 0) fail<ValueError>("DecodeOptions: .longest = ", o.longest, ": expected at least 0");
  if (o.beam < 1) fail<ValueError>("DecodeOptions: .beam = ", o.beam, ": expected at least 1");
}
Int longest(const Tensor& x, const DecodeOptions& o) { return o.longest > 0 ? o.longest : 2 * x.size(1); }

}  // namespace

Tensor LuongAttention::operator()(const Tensor& states, const Tensor& memory, const Tensor& mask) const {
  check("LuongAttention", states, memory, mask, size);
  AttentionOptions o{.scale = 1};
  if (mask) o.mask = mask.unsqueeze(1).unsqueeze(1);
  const Tensor seen =
      knet::attention(states.unsqueeze(1), key(memory).unsqueeze(1), memory.unsqueeze(1), o).squeeze(1);
  return combine(cat({seen, states}, -1));
}
Tensor LuongAttention::probabilities(const Tensor& states, const Tensor& memory, const Tensor& mask) const {
  check("LuongAttention", states, memory, mask, size);
  Tensor scores = matmul(states, key(memory).transpose(1, 2));
  if (mask) scores = where(mask.unsqueeze(1), scores, full_like(scores, -1e30));
  return softmax(scores, -1);
}
std::string LuongAttention::describe() const { return text("LuongAttention(size=", Int{size}, ")"); }

LSTM Seq2Seq::lstm() const {
  if (tokens < 1) fail<ValueError>("Seq2Seq: .tokens = ", tokens, ": expected at least 1");
  return {.input = tokens,
          .hidden = hidden,
          .embed = embed,
          .layers = layers,
          .dropout = dropout,
          .dtype = dtype};
}
std::optional<LuongAttention> Seq2Seq::make_attention() const {
  if (!attention) return std::nullopt;
  return LuongAttention{.size = hidden, .dtype = dtype};
}
Seq2SeqState Seq2Seq::encode(const Tensor& x, const std::vector<Int>& lengths) const {
  const RNNOutput r = lengths.empty() ? encoder(x) : encoder(x, lengths);
  Seq2SeqState s{.rnn = {r.hidden, r.memory}};
  if (look) {
    s.memory = r.y;
    if (!lengths.empty()) s.mask = r.mask();
  }
  return s;
}
Tensor Seq2Seq::step(const Tensor& before, Seq2SeqState& s) const {
  const RNNOutput r = decoder(before, s.rnn);
  s.rnn = {r.hidden, r.memory};
  return output(look ? (*look)(r.y, s.memory, s.mask) : r.y);
}
Tensor Seq2Seq::operator()(const Tensor& x, const Tensor& before, const std::vector<Int>& lengths) const {
  Seq2SeqState s = encode(x, lengths);
  return step(before, s);
}
std::string Seq2Seq::describe() const {
  return text("Seq2Seq(tokens=", tokens, ", hidden=", hidden, ", embed=", embed,
              ", attention=", attention ? "true" : "false", ", layers=", layers, ")");
}

std::vector<std::vector<Int>> decode_greedy(const Seq2Seq& m, const Tensor& x, const DecodeOptions& o) {
  check(m, x, o);
  const NoGrad constant;
  const Mode inference(false);
  Seq2SeqState s = m.encode(x);
  const auto n = static_cast<std::size_t>(x.size(0));
  std::vector<std::vector<Int>> answers(n);
  std::vector<bool> done(n, false);
  Tensor last = full({x.size(0), 1}, static_cast<double>(o.start), i64);
  for (Int i = 0, left = x.size(0); i < longest(x, o) && left > 0; ++i) {
    last = m.step(last, s).argmax(-1);
    const auto ids = last.to_vector<Int>();
    for (std::size_t r = 0; r < n; ++r) {
      if (done[r]) continue;
      if (ids[r] == o.stop)
        done[r] = true, --left;
      else
        answers[r].push_back(ids[r]);
    }
  }
  return answers;
}

std::vector<Int> decode_beam(const Seq2Seq& m, const Tensor& x, const DecodeOptions& o) {
  check(m, x, o);
  if (x.size(0) != 1) fail<ShapeError>("decode_beam: input is ", x.shape(), ", expected [1, time]");
  const NoGrad constant;
  const Mode inference(false);
  struct Path {
    std::vector<Int> tokens = {};
    double score = 0;
    Seq2SeqState state = {};
    bool done = false;
  };
  std::vector<Path> paths{{.state = m.encode(x)}};
  for (Int step = 0; step < longest(x, o) && !paths[0].done; ++step) {
    std::vector<Path> next;
    for (Path& p : paths) {
      if (p.done) {
        next.push_back(p);
        continue;
      }
      const Tensor before{{p.tokens.empty() ? o.start : p.tokens.back()}};
      const std::vector<double> scores = logp(m.step(before, p.state)).to_vector<double>();
      for (Int t = 0; t < m.tokens; ++t) {
        Path q = p;
        q.score += scores[static_cast<std::size_t>(t)];
        q.done = t == o.stop;
        if (!q.done) q.tokens.push_back(t);
        next.push_back(std::move(q));
      }
    }
    const auto kept = std::min(next.size(), static_cast<std::size_t>(o.beam));
    std::partial_sort(next.begin(), next.begin() + static_cast<std::ptrdiff_t>(kept), next.end(),
                      [](const Path& a, const Path& b) { return a.score > b.score; });
    next.resize(kept);
    paths = std::move(next);  // once the first is done no other can get better
  }
  return paths[0].tokens;
}

}  // namespace knet::models
