#include "knet/models/gpt2.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/linear.hpp"
#include "knet/ops/matmul.hpp"
#include "knet/ops/softmax.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

Int width(const GPT2Config& c) { return c.hidden > 0 ? c.hidden : 4 * c.size; }
double last_deviation(const GPT2Config& c) {
  return c.init / std::sqrt(2.0 * static_cast<double>(std::max<Int>(c.layers, 1)));
}

void check(const GPT2Config& c) {
  const auto positive = [](const char* name, Int v) {
    if (v < 1) fail<ValueError>("GPT2Config: .", name, " = ", v, ": expected at least 1");
  };
  positive("vocabulary", c.vocabulary), positive("positions", c.positions), positive("size", c.size);
  positive("layers", c.layers), positive("heads", c.heads);
  if (c.hidden < 0) fail<ValueError>("GPT2Config: .hidden = ", c.hidden, ": expected at least 1, or 0");
  if (c.size % c.heads != 0)
    fail<ValueError>("GPT2Config: .size = ", c.size, " is not divisible by .heads = ", c.heads);
  if (!(c.dropout >= 0 && c.dropout < 1))
    fail<ValueError>("GPT2Config: .dropout = ", c.dropout, ": expected [0, 1)");
  if (!(c.eps > 0)) fail<ValueError>("GPT2Config: .eps = ", c.eps, ": expected more than 0");
  if (!(c.init >= 0)) fail<ValueError>("GPT2Config: .init = ", c.init, ": expected at least 0");
}

}  // namespace

GPT2Config gpt2_config(std::string_view name) {
  if (name == "gpt2") return {};
  if (name == "gpt2-medium") return {.size = 1024, .layers = 24, .heads = 16};
  if (name == "gpt2-large") return {.size = 1280, .layers = 36, .heads = 20};
  if (name == "gpt2-xl") return {.size = 1600, .layers = 48, .heads = 25};
  if (name == "distilgpt2") return {.layers = 6};
  fail<ValueError>("gpt2_config: there is no '", name,
                   "'; expected gpt2, gpt2-medium, gpt2-large, gpt2-xl or distilgpt2");
}

Tensor Conv1D::initial(const Shape& s, double deviation, DType t) {
  return deviation > 0 ? gaussian(0, deviation)(s, t) : zeros(s, t);
}
Tensor Conv1D::operator()(const Tensor& x) const {
  if (!x || x.ndim() < 1 || x.size(-1) != weight.size(0))
    fail<ShapeError>("Conv1D: input is ", x ? text(x.shape()) : "empty", ", expected [.., ", weight.size(0),
                     "]");
  if (activation.fusible())
    return linear("Conv1D", x, weight.T(), bias, activation.kind(), activation.alpha());
  return activation(linear("Conv1D", x, weight.T(), bias));
}
std::string Conv1D::describe() const {
  return text("Conv1D(input=", Int{input}, ", output=", Int{output}, ", activation=", activation.name(), ")");
}

Conv1D GPT2Attention::joint() const {
  check(config);
  return {.input = config.size, .output = 3 * config.size, .deviation = config.init, .dtype = dtype};
}
Conv1D GPT2Attention::projection() const {
  return {.input = config.size, .output = config.size, .deviation = last_deviation(config), .dtype = dtype};
}
Tensor GPT2Attention::operator()(const Tensor& x, KeyValueCache* cache) const {
  if (!x || x.ndim() != 3)
    fail<ShapeError>("GPT2Attention: input is ", x ? text(x.shape()) : "empty", ", expected [batch, time, ",
                     config.size, "]");
  const Tensor joined = c_attn(x);
  const auto part = [&](Int i) {
    return joined.narrow(2, i * config.size, config.size)
        .reshape({x.size(0), x.size(1), config.heads, config.size / config.heads})
        .transpose(1, 2);
  };
  const Tensor q = part(0);
  Tensor k = part(1), v = part(2);
  if (cache) std::tie(k, v) = cache->append("GPT2", k, v, config.positions);
  const Tensor y = attention(q, k, v, {.causal = true, .dropout = config.dropout});
  return c_proj(y.transpose(1, 2).flatten(2, 3));
}

Conv1D GPT2Mlp::expansion() const {
  return {.input = config.size,
          .output = width(config),
          .activation = gelu,
          .deviation = config.init,
          .dtype = dtype};
}
Conv1D GPT2Mlp::projection() const {
  return {.input = width(config), .output = config.size, .deviation = last_deviation(config), .dtype = dtype};
}
Tensor GPT2Mlp::operator()(const Tensor& x) const { return c_proj(c_fc(x)); }

Tensor GPT2Block::operator()(const Tensor& x, KeyValueCache* cache) const {
  if (!config.norm_first) {
    const Tensor a = ln_1(x + dropout(attn(x, cache), config.dropout));
    return ln_2(a + dropout(mlp(a), config.dropout));
  }
  const Tensor a = x + dropout(attn(ln_1(x), cache), config.dropout);
  return a + dropout(mlp(ln_2(a)), config.dropout);
}

Embed GPT2::tokens() const {
  check(config);
  return {.input = config.vocabulary,
          .output = config.size,
          .dtype = dtype,
          .weight = Conv1D::initial({config.vocabulary, config.size}, config.init, dtype)};
}
PositionEmbedding GPT2::places() const {
  return {.size = config.size,
          .max_length = config.positions,
          .dtype = dtype,
          .weight = Conv1D::initial({config.positions, config.size}, config.init, dtype)};
}
std::vector<GPT2Block> GPT2::blocks() const {
  std::vector<GPT2Block> v;
  for (Int i = 0; i < config.layers; ++i) v.push_back({.config = config, .dtype = dtype});
  return v;
}

std::optional<LayerNorm> GPT2::last() const {
  if (!config.norm_first) return std::nullopt;
  return LayerNorm{.size = config.size, .eps = config.eps, .dtype = dtype};
}

Tensor GPT2::hidden(const Tensor& ids, GPT2Cache* cache) const {
  if (!ids || !is_integer(ids.dtype()) || ids.ndim() < 1 || ids.ndim() > 2)
    fail<ShapeError>("GPT2: ids are ", ids ? text(ids.shape(), " of ", ids.dtype()) : "empty",
                     ", expected integers [time] or [batch, time]");
  if (ids.ndim() == 1) return hidden(ids.unsqueeze(0), cache).squeeze(0);
  if (ids.numel() < 1) fail<ValueError>("GPT2: ids are ", ids.shape(), ": there is no token");
  const Int past = cache ? cache->length() : 0;
  if (past + ids.size(1) > config.positions)
    fail<ValueError>("GPT2: ", past + ids.size(1), " tokens are more than the ", config.positions,
                     " positions of this model");
  const double least = ids.min().item(), most = ids.max().item();
  if (least < 0 || most >= static_cast<double>(config.vocabulary))
    fail<ValueError>("GPT2: the id ", static_cast<Int>(least < 0 ? least : most),
                     " is no token; there are 0 to ", config.vocabulary - 1);
  if (cache) {
    if (cache->blocks.empty()) cache->blocks.resize(h.size());
    if (cache->blocks.size() != h.size())
      fail<ValueError>("GPT2: the cache is of ", cache->blocks.size(), " blocks, the model has ", h.size());
  }
  Tensor x = dropout(wpe(wte(ids), past), config.dropout);
  for (std::size_t i = 0; i < h.size(); ++i) x = h[i](x, cache ? &cache->blocks[i] : nullptr);
  return ln_f ? (*ln_f)(x) : x;
}
Tensor GPT2::scores(const Tensor& hidden) const { return linear("GPT2", hidden, wte.weight, {}); }
Tensor GPT2::operator()(const Tensor& ids, GPT2Cache* cache) const { return scores(hidden(ids, cache)); }
std::string GPT2::describe() const {
  return text("GPT2(vocabulary=", config.vocabulary, ", positions=", config.positions, ", size=", config.size,
              ", layers=", config.layers, ", heads=", config.heads, ")");
}

}  // namespace knet::models
