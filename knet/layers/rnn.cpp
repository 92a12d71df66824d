#include "knet/layers/rnn.hpp"

#include "knet/base/text.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/shape.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

void check_state(const char* what, const Tensor& s, const Shape& expected) {
  if (s && s.shape() != expected)
    fail<ShapeError>("LSTM: ", what, " is ", s.shape(), ", expected ", expected);
}

}  // namespace

std::optional<Embed> EmbedOption::make(std::int64_t input, const Init& winit, DType t) const {
  if (layer_) {
    if (layer_->weight.size(0) != input)
      fail<ShapeError>("embed: it has ", layer_->weight.size(0), " rows, .input is ", input);
    return layer_;
  }
  if (size_ == 0) return std::nullopt;
  return Embed{.input = input, .output = size_, .winit = winit, .dtype = t};
}

std::vector<LSTM::Weights> LSTM::make_weights() const {
  if (layers < 1) fail<ValueError>("LSTM: .layers = ", layers, ": expected at least 1");
  if (!(dropout >= 0 && dropout < 1)) fail<ValueError>("LSTM: .dropout = ", dropout, ": expected [0, 1)");
  const std::int64_t h = hidden;
  std::vector<Weights> r;
  for (int i = 0; i < layers; ++i) {
    const std::int64_t in = i > 0 ? h : embedding ? embedding->weight.size(1) : std::int64_t{input};
    Tensor b = binit({4 * h}, dtype);
    b.ref(slice(h, 2 * h)) = 1.0;
    r.push_back({winit({4 * h, in}, dtype), winit({4 * h, h}, dtype), b});
  }
  return r;
}

RNNOutput LSTM::operator()(const Tensor& input_x, const RNNState& start) const {
  if (!input_x) fail<ShapeError>("LSTM: input is empty");
  Tensor x = embedding ? (*embedding)(input_x) : input_x;
  const bool ids = is_integer(x.dtype());
  const std::int64_t in = weights[0].wi.size(1), h = hidden;
  if (x.ndim() != (ids ? 2 : 3) || (!ids && x.size(-1) != in))
    fail<ShapeError>("LSTM: input is ", input_x.shape(), ", expected ids [batch, time] or [batch, time, ", in,
                     "]");
  const std::int64_t batch = x.size(0), time = x.size(1);
  if (time == 0) fail<ShapeError>("LSTM: input is ", input_x.shape(), ", expected at least one step");
  const Shape states{static_cast<std::int64_t>(weights.size()), batch, h};
  check_state("start.hidden", start.hidden, states);
  check_state("start.memory", start.memory, states);

  std::vector<Tensor> last_h, last_c;
  for (std::size_t l = 0; l < weights.size(); ++l) {
    const Weights& w = weights[l];
    if (l > 0 && dropout > 0) x = knet::dropout(x, dropout);
    // One product for the inputs of all steps.
    const Tensor zx = (ids && l == 0 ? lookup(Tensor(w.wi).T(), x) : matmul(x, w.wi.T())) + Tensor(w.b);
    const auto layer = static_cast<std::int64_t>(l);
    Tensor hs = start.hidden ? start.hidden(layer) : zeros({batch, h}, dtype);
    Tensor cs = start.memory ? start.memory(layer) : zeros({batch, h}, dtype);
    const Tensor recurrent = w.wh.T();
    std::vector<Tensor> ys;
    for (std::int64_t t = 0; t < time; ++t) {
      const auto gates = split(zx.select(1, t) + matmul(hs, recurrent), h, 1);
      cs = sigm(gates[1]) * cs + sigm(gates[0]) * tanh(gates[2]);
      hs = sigm(gates[3]) * tanh(cs);
      ys.push_back(hs);
    }
    x = stack(ys, 1);
    last_h.push_back(hs);
    last_c.push_back(cs);
  }
  return {x, stack(last_h), stack(last_c)};
}

std::string LSTM::describe() const {
  return text("LSTM(input=", std::int64_t{input}, ", hidden=", std::int64_t{hidden},
              layers > 1 ? text(", layers=", layers) : "", ")");
}

}  // namespace knet
