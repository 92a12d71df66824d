#include "knet/models/bert.hpp"

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

void check(const BertConfig& c) {
  const auto positive = [](const char* name, Int v) {
    if (v < 1) fail<ValueError>("BertConfig: .", name, " = ", v, ": expected at least 1");
  };
  positive("vocabulary", c.vocabulary), positive("positions", c.positions), positive("types", c.types);
  positive("size", c.size), positive("layers", c.layers), positive("heads", c.heads);
  positive("hidden", c.hidden);
  if (c.size % c.heads != 0)
    fail<ValueError>("BertConfig: .size = ", c.size, " is not divisible by .heads = ", c.heads);
}

void check_ids(const char* what, const Tensor& ids, Int most) {
  const double low = ids.min().item(), high = ids.max().item();
  if (low < 0 || high >= static_cast<double>(most))
    fail<ValueError>("Bert: the ", what, " ", static_cast<Int>(low < 0 ? low : high),
                     " is not there; there are 0 to ", most - 1);
}

}  // namespace

Embed Bert::table(Int rows) const {
  check(config);
  return {.input = rows, .output = config.size, .winit = gaussian(0, 0.02), .dtype = dtype};
}
std::vector<Transformer> Bert::make_layers() const {
  std::vector<Transformer> v;
  for (Int i = 0; i < config.layers; ++i)
    v.push_back({.size = config.size,
                 .heads = config.heads,
                 .hidden = config.hidden,
                 .activation = config.activation,
                 .dropout = config.dropout,
                 .eps = config.eps,
                 .dtype = dtype});
  return v;
}
std::vector<Dense> Bert::make_pooler() const {
  std::vector<Dense> v;
  if (config.pooler)
    v.push_back({.input = config.size, .output = config.size, .activation = Tanh{}, .dtype = dtype});
  return v;
}

Tensor Bert::operator()(const Tensor& ids, const Tensor& mask, const Tensor& type_ids) const {
  if (!ids || !is_integer(ids.dtype()) || ids.ndim() < 1 || ids.ndim() > 2)
    fail<ShapeError>("Bert: ids are ", ids ? text(ids.shape(), " of ", ids.dtype()) : "empty",
                     ", expected integers [time] or [batch, time]");
  const auto same = [&](const char* what, const Tensor& t, bool right) {
    if (t && (!right || t.shape() != ids.shape()))
      fail<ShapeError>("Bert: ", what, " ", t.shape(), " of ", t.dtype(), ", the ids ", ids.shape());
  };
  same("the mask is boolean in the shape of the ids; it is", mask, mask && mask.dtype() == boolean);
  same("the types are integers in the shape of the ids; they are", type_ids,
       type_ids && is_integer(type_ids.dtype()));
  if (ids.ndim() == 1)
    return (*this)(ids.unsqueeze(0), mask ? mask.unsqueeze(0) : mask,
                   type_ids ? type_ids.unsqueeze(0) : type_ids)
        .squeeze(0);
  if (ids.numel() < 1) fail<ValueError>("Bert: ids are ", ids.shape(), ": there is no token");
  if (ids.size(1) > config.positions)
    fail<ValueError>("Bert: ", ids.size(1), " tokens are more than the ", config.positions,
                     " positions of this model");
  check_ids("id", ids, config.vocabulary);
  if (type_ids) check_ids("type", type_ids, config.types);
  const Tensor kind = type_ids ? types(type_ids) : Tensor(types.weight).narrow(0, 0, 1);
  Tensor x = dropout(norm(places(words(ids) + kind)), config.dropout);
  for (const Transformer& l : layers) x = l(x, {.padding = mask});
  return x;
}

Tensor Bert::pooled(const Tensor& states) const {
  if (pooler.empty()) fail<ValueError>("Bert: this model has no pooler");
  if (!states || states.ndim() != 3 || states.size(2) != config.size || states.size(1) < 1)
    fail<ShapeError>("Bert: states are ", states ? text(states.shape()) : "empty",
                     ", expected [batch, time, ", config.size, "]");
  return pooler[0](states.select(1, 0));
}
std::string Bert::describe() const {
  return text("Bert(vocabulary=", config.vocabulary, ", positions=", config.positions, ", size=", config.size,
              ", layers=", config.layers, ", heads=", config.heads, ", hidden=", config.hidden, ")");
}

Tensor pool_tokens(const Tensor& states, const Tensor& mask, Pooling pooling) {
  if (!states || states.ndim() != 3)
    fail<ShapeError>("pool_tokens: states are ", states ? text(states.shape()) : "empty",
                     ", expected [batch, time, size]");
  if (!mask || mask.dtype() != boolean || mask.shape() != Shape{states.size(0), states.size(1)})
    fail<ShapeError>("pool_tokens: the mask is ", mask ? text(mask.shape(), " of ", mask.dtype()) : "empty",
                     ", expected boolean [", states.size(0), ", ", states.size(1), "]");
  if (pooling == Pooling::first_token) return states.select(1, 0);
  const Tensor m = mask.to(states.dtype()).unsqueeze(-1);
  return sum(states * m, 1) / maximum(sum(m, 1), 1.0);
}

Tensor normalize_rows(const Tensor& x, double eps) {
  if (!x || x.ndim() < 1 || !x.floating())
    fail<ShapeError>("normalize_rows: expected floating rows [.., size]");
  return x / maximum(norm(x, 2, -1, true), eps);
}

}  // namespace knet::models
