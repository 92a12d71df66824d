#include "knet/models/gpt_double_heads.hpp"

#include <algorithm>

#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/shape.hpp"
#include "knet/text/unicode.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;

/// Tokens of each sequence, from a mask [sequences, time].
std::vector<Int> lengths(const Tensor& mask) {
  const Tensor counts = mask.to(i64).sum(1);
  std::vector<Int> v = counts.to_vector<Int>();
  const bool* m = mask.data<bool>();
  const Int time = mask.size(1);
  for (std::size_t i = 0; i < v.size(); ++i, m += time) {
    if (v[i] < 1) fail<ValueError>("GPTDoubleHeads: sequence ", i, " has no token");
    if (!std::all_of(m, m + v[i], [](bool b) { return b; }))
      fail<ValueError>("GPTDoubleHeads: the mask of sequence ", i, " has a gap: padding comes behind");
  }
  return v;
}

}  // namespace

StoryTokens add_story_tokens(Tokenizer& t) {
  const auto one = [&](const char* content) {
    const Int known = t.id(content);
    return known >= 0 ? known : t.add({.content = content});
  };
  const Int start = one("_start_"), delimiter = one("_deli_"), classify = one("_clf_");
  return {start, delimiter, classify};
}

StoryBatch story_batch(const Tokenizer& tokenizer, const StoryTokens& tokens,
                       std::span<const datasets::ClozeStory> stories, Int max_length) {
  if (stories.empty()) fail<ValueError>("story_batch: there is no story");
  const auto encode = [&](const std::string& s, std::size_t story) {
    if (!unicode::is_utf8(s)) fail<ValueError>("story_batch: story ", story, " is not UTF-8");
    return tokenizer.ids(s);
  };
  std::vector<std::vector<Int>> rows;
  std::vector<Int> labels;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < stories.size(); ++i) {
    std::string text;
    for (const std::string& s : stories[i].sentences) text += (text.empty() ? "" : " ") + s;
    const std::vector<Int> context = encode(text, i);
    for (const std::string& ending : stories[i].endings) {
      const std::vector<Int> end = encode(ending, i);
      const Int room = max_length - 3 - static_cast<Int>(end.size());
      if (room < 0)
        fail<ValueError>("story_batch: an ending of story ", i, " has ", end.size(),
                         " tokens, max_length is ", max_length);
      const auto kept = std::min<std::ptrdiff_t>(room, static_cast<std::ptrdiff_t>(context.size()));
      std::vector<Int> row{tokens.start};
      row.insert(row.end(), context.end() - kept, context.end());
      row.push_back(tokens.delimiter);
      row.insert(row.end(), end.begin(), end.end());
      row.push_back(tokens.classify);
      longest = std::max(longest, row.size());
      rows.push_back(std::move(row));
    }
    labels.push_back(stories[i].right);
  }
  const auto n = static_cast<Int>(stories.size()), time = static_cast<Int>(longest);
  Tensor ids = full({n, 2, time}, tokens.classify, i64), mask = zeros({n, 2, time}, boolean);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::copy(rows[r].begin(), rows[r].end(), ids.data<Int>() + r * longest);
    std::fill_n(mask.data<bool>() + r * longest, rows[r].size(), true);
  }
  return {ids, mask, Tensor(labels)};
}

GPT2 with_vocabulary(const GPT2& model, Int vocabulary) {
  const Int old = model.config.vocabulary, fresh = vocabulary - old;
  if (fresh < 0)
    fail<ValueError>("with_vocabulary: ", vocabulary, " tokens are fewer than the model's ", old);
  GPT2 m = model;
  if (fresh == 0) return m;
  const double deviation = m.config.init > 0 ? m.config.init : 0.02;
  const Tensor more = Conv1D::initial({fresh, m.config.size}, deviation, m.dtype);
  m.config.vocabulary = vocabulary;
  m.wte = Embed{.input = vocabulary,
                .output = m.config.size,
                .dtype = m.dtype,
                .weight = cat({model.wte.weight.value(), more})};
  return m;
}

Tensor GPTDoubleHeads::states(const Tensor& ids, const Tensor& mask) const {
  if (!ids || ids.ndim() != 3 || ids.numel() < 1)
    fail<ShapeError>("GPTDoubleHeads: ids are ", ids ? text(ids.shape()) : "empty",
                     ", expected [batch, endings, time]");
  if (!mask || mask.dtype() != boolean || mask.shape() != ids.shape())
    fail<ShapeError>("GPTDoubleHeads: the mask is ",
                     mask ? text(mask.shape(), " of ", mask.dtype()) : "empty", ", expected boolean ",
                     ids.shape());
  lengths(mask.flatten(0, 1).contiguous());
  return transformer.hidden(ids.flatten(0, 1));
}
Tensor GPTDoubleHeads::choices(const Tensor& states, const Tensor& mask) const {
  const Int time = mask.size(2);
  std::vector<Int> last = lengths(mask.flatten(0, 1).contiguous());
  for (std::size_t i = 0; i < last.size(); ++i) last[i] += static_cast<Int>(i) * time - 1;
  const Tensor at = index_select(states.flatten(0, 1), 0, Tensor(last));
  return classifier(knet::dropout(at, dropout)).reshape({mask.size(0), mask.size(1)});
}
Tensor GPTDoubleHeads::operator()(const Tensor& ids, const Tensor& mask) const {
  return choices(states(ids, mask), mask);
}

Tensor double_heads_loss(const GPTDoubleHeads& model, const StoryBatch& b, const DoubleHeadsOptions& o) {
  if (!(o.language >= 0))
    fail<ValueError>("double_heads_loss: .language = ", o.language, ": expected at least 0");
  const Tensor states = model.states(b.ids, b.mask);
  Tensor loss = cross_entropy(model.choices(states, b.mask), b.labels);
  const Int endings = b.ids.size(1), time = b.ids.size(2);
  if (o.language == 0 || time < 2) return loss;
  const Tensor by_ending = states.reshape({b.ids.size(0), endings, time, states.size(-1)});
  const Tensor next = where(b.mask, b.ids, full_like(b.ids, static_cast<double>(ignore)));
  for (Int e = 0; e < endings; ++e) {
    const Tensor scores = model.transformer.scores(by_ending.select(1, e).narrow(1, 0, time - 1));
    loss = loss + cross_entropy(scores, next.select(1, e).narrow(1, 1, time - 1)) * o.language;
  }
  return loss;
}

}  // namespace knet::models
