#include <algorithm>
#include <cmath>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/models/gpt2.hpp"
#include "knet/ops/loss.hpp"
#include "knet/text/unicode.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using Ids = std::vector<std::int64_t>;

constexpr const char* end_of_text = "<|endoftext|>";

}  // namespace

Ids generate(const GPT2& model, const Ids& prompt, const GenerateOptions& o) {
  check(o.sampling);
  if (prompt.empty()) fail<ValueError>("generate: the prompt is empty");
  if (o.max_tokens < 0) fail<ValueError>("generate: .max_tokens = ", o.max_tokens, ": expected at least 0");
  const Int window = model.config.positions;
  if (static_cast<Int>(prompt.size()) > window)
    fail<ValueError>("generate: the prompt has ", prompt.size(), " tokens, the model ", window, " positions");
  const NoGrad constant;
  const Mode inference(false);
  Generator generator(o.seed);
  if (o.seed == 0) {
    const RandomKey key = next_random_key();
    generator.set_state({key.seed ^ 0x9E3779B97F4A7C15u * (key.stream + 1), 0});
  }
  GPT2Cache cache;
  Ids all = prompt;
  std::size_t from = 0, fed = 0;  // where the window begins; tokens in the cache end before `fed`
  for (Int i = 0; i < o.max_tokens; ++i) {
    if (static_cast<Int>(all.size() - from) > window) {
      from = all.size() - static_cast<std::size_t>(std::max<Int>(window / 2, 1));
      fed = from;
      cache = {};
    }
    const auto first = static_cast<std::ptrdiff_t>(o.cache ? fed : from);
    const Tensor ids = Tensor(Ids(all.begin() + first, all.end()));
    const Tensor h = model.hidden(ids, o.cache ? &cache : nullptr);
    fed = all.size();
    const Int id = sample_token(model.scores(h.narrow(0, h.size(0) - 1, 1)), o.sampling, generator, all);
    if (std::find(o.stop.begin(), o.stop.end(), id) != o.stop.end()) break;
    all.push_back(id);
    if (o.on_token && !o.on_token(id)) break;
  }
  return {all.begin() + static_cast<std::ptrdiff_t>(prompt.size()), all.end()};
}

std::string generate(const GPT2& model, const Tokenizer& tokenizer, std::string_view prompt,
                     const GenerateOptions& options) {
  if (!unicode::is_utf8(prompt)) fail<ValueError>("generate: the prompt is not UTF-8");
  GenerateOptions o = options;
  const Int end = tokenizer.id(end_of_text);
  if (o.stop.empty() && end >= 0) o.stop = {end};
  Ids ids = tokenizer.ids(prompt);
  if (ids.empty() && end >= 0) ids = {end};
  return tokenizer.decode(generate(model, ids, o));
}

double TextScore::value() const { return std::exp(nats); }

TextScore perplexity(const GPT2& model, const Ids& ids, Int length, Int stride) {
  const auto n = static_cast<Int>(ids.size());
  if (length == 0) length = model.config.positions;
  if (stride == 0) stride = std::max<Int>(length / 2, 1);
  if (length < 2 || length > model.config.positions)
    fail<ValueError>("perplexity: length = ", length, ": expected 2 to ", model.config.positions,
                     ", the model's positions");
  if (stride < 1 || stride >= length)
    fail<ValueError>("perplexity: stride = ", stride, ": expected 1 to ", length - 1);
  if (n < 2) fail<ValueError>("perplexity: ", n, " tokens: expected 2 at least");
  const NoGrad constant;
  const Mode inference(false);
  const Tensor all(ids);
  double sum = 0;
  Int done = 1;  // tokens before it are counted
  for (Int from = 0; done < n; from += stride) {
    const Int to = std::min(from + length, n);
    const Tensor h = model.hidden(all.narrow(0, from, to - from));
    const Int fresh = to - done;
    const Tensor scores = model.scores(h.narrow(0, done - 1 - from, fresh));
    sum += cross_entropy(scores, all.narrow(0, done, fresh), {.average = false}).item();
    done = to;
  }
  return {.nats = sum / static_cast<double>(n - 1), .tokens = n - 1};
}

}  // namespace knet::models
