#include "knet/models/morse.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/loss.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/shape.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using Ids = std::vector<std::int64_t>;

constexpr const char* names[] = {"MorseModel", "S2SContext", "S2S",
                                 "Classifier", "MorseDis",   "S2SContextDis"};

bool reads_context(MorseType t) { return t != MorseType::s2s; }
bool reads_tags(MorseType t) { return t == MorseType::morse || t == MorseType::morse_dis; }
bool writes(MorseType t) { return t != MorseType::classifier; }

Tensor rows_of(const Tensor& x, const Ids& ids) { return index_select(x, 0, Tensor(ids)); }
/// One row per sequence as a layer's state, and back.
Tensor as_state(const Tensor& x) { return x ? x.unsqueeze(0) : x; }

/// Sequences of unequal lengths, none empty, step after step: `at(i, t)` is what sequence i has there.
struct Steps {
  Ids order;  // the longest sequence first
  Ids sizes;  // sequences at every step
  explicit Steps(const Ids& lengths) : order(lengths.size()) {
    std::iota(order.begin(), order.end(), Int{0});
    std::stable_sort(order.begin(), order.end(), [&](Int a, Int b) {
      return lengths[static_cast<std::size_t>(a)] > lengths[static_cast<std::size_t>(b)];
    });
    Int alive = static_cast<Int>(order.size());
    for (Int t = 0;; ++t) {
      while (alive > 0 && lengths[static_cast<std::size_t>(order[static_cast<std::size_t>(alive - 1)])] <= t)
        --alive;
      if (alive == 0) break;
      sizes.push_back(alive);
    }
  }
  template <class F>
  Ids pack(F&& at) const {
    Ids r;
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      for (Int i = 0; i < sizes[t]; ++i)
        r.push_back(at(static_cast<std::size_t>(order[static_cast<std::size_t>(i)]), t));
    }
    return r;
  }
  /// Where each sequence stands in the order.
  Ids places() const {
    Ids r(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      r[static_cast<std::size_t>(order[i])] = static_cast<Int>(i);
    return r;
  }
};

/// What the encoders know about every word, [words, hidden] each.
struct States {
  Tensor hidden, memory;  // of its characters
  Tensor context;         // empty where the model has none
};
/// What the decoders start from, a row per word.
struct Start {
  Tensor context, hidden, memory;
  Int rows() const { return hidden.size(0); }
  Start select(const Ids& ids) const {
    return {context ? rows_of(context, ids) : context, rows_of(hidden, ids), rows_of(memory, ids)};
  }
};

States encode(const Morse& m, const MorseBatch& batch) {
  if (batch.words.empty()) fail<ValueError>("Morse: the batch has no words");
  Ids lengths;
  for (const MorseItem& w : batch.words) {
    if (w.characters.empty()) fail<ValueError>("Morse: a word is empty");
    lengths.push_back(static_cast<Int>(w.characters.size()));
  }
  const double p = m.config.dropout;
  const Steps steps(lengths);
  const Tensor ids(steps.pack([&](std::size_t i, std::size_t t) { return batch.words[i].characters[t]; }));
  const RNNOutput r = m.character_lstm(
      PackedSequence{.data = dropout(m.character_embed(ids), p), .batch_sizes = steps.sizes});
  const Ids places = steps.places();
  States s{rows_of(r.hidden.squeeze(0), places), rows_of(r.memory.squeeze(0), places), {}};
  if (m.context_lstm) {
    const RNNOutput c =
        (*m.context_lstm)(PackedSequence{.data = dropout(s.hidden, p), .batch_sizes = batch.sizes});
    s.context = (*m.context_output)(c.y);
  }
  return s;
}

/// The starts of those words, `from` on, whose histories (tags of earlier words) are given, one after the
/// other.
Start start_of(const Morse& m, const States& s, Int from, const std::vector<Ids>& histories) {
  const auto n = static_cast<Int>(histories.size());
  const auto part = [&](const Tensor& x) { return x ? x.narrow(0, from, n) : x; };
  Start r{part(s.context), part(s.hidden), part(s.memory)};
  if (!m.tag_lstm) return r;
  Ids lengths, with;  // words with any history
  for (std::size_t i = 0; i < histories.size(); ++i) {
    if (histories[i].empty()) continue;
    with.push_back(static_cast<Int>(i));
    lengths.push_back(static_cast<Int>(histories[i].size()));
  }
  if (with.empty()) return r;
  const Steps steps(lengths);
  const Tensor ids(steps.pack(
      [&](std::size_t i, std::size_t t) { return histories[static_cast<std::size_t>(with[i])][t]; }));
  const RNNOutput tags = (*m.tag_lstm)(
      PackedSequence{.data = dropout((*m.symbol_embed)(ids), m.config.dropout), .batch_sizes = steps.sizes});
  // A word without history reads the row of zeros behind the others.
  const Ids places = steps.places();
  Ids row(histories.size(), static_cast<Int>(with.size()));
  for (std::size_t i = 0; i < with.size(); ++i) row[static_cast<std::size_t>(with[i])] = places[i];
  const auto spread = [&](const Tensor& x) { return rows_of(pad(x.squeeze(0), 0, 0, 1), row); };
  r.hidden = r.hidden + spread(tags.hidden);
  r.memory = r.memory + spread(tags.memory);
  return r;
}

/// Adds the tags of a word to those of the last words of its sentence that had any.
struct History {
  std::vector<Ids> words = {};
  void add(const Ids& symbols, const Morse& m) {
    Ids tags;
    std::copy_if(symbols.begin(), symbols.end(), std::back_inserter(tags),
                 [&](Int s) { return s >= m.sizes.first_tag(); });
    if (tags.empty() || m.config.previous == 0) return;
    if (static_cast<Int>(words.size()) == m.config.previous) words.erase(words.begin());
    words.push_back(std::move(tags));
  }
  Ids joined() const {
    Ids r;
    for (const Ids& w : words) r.insert(r.end(), w.begin(), w.end());
    return r;
  }
};

/// Of all words, from the right analyses of the words before them.
std::vector<Ids> given_histories(const Morse& m, const MorseBatch& batch) {
  std::vector<Ids> r(batch.words.size());
  if (!m.tag_lstm) return r;
  std::vector<History> sentences(static_cast<std::size_t>(batch.sizes[0]));
  std::size_t i = 0;
  for (const Int n : batch.sizes) {
    for (std::size_t s = 0; s < static_cast<std::size_t>(n); ++s, ++i) {
      r[i] = sentences[s].joined();
      if (batch.words[i].known) sentences[s].add(batch.words[i].candidates[0].symbols, m);
    }
  }
  return r;
}

/// The second decoder with a state that is dropped out at every step.
Tensor drop_states(const Morse& m, const Tensor& x, const Ids& sizes, Tensor h, Tensor c) {
  std::vector<Tensor> ys;
  Int row = 0;
  for (const Int n : sizes) {
    const RNNOutput r = (*m.decoder2)(
        x.narrow(0, row, n), {.hidden = as_state(h.narrow(0, 0, n)), .memory = as_state(c.narrow(0, 0, n))});
    h = dropout(r.y, m.config.dropout);
    c = r.memory.squeeze(0);
    ys.push_back(h);
    row += n;
  }
  return cat(ys);
}

/// Scores of given outputs, one per row of the start, when each symbol is read before the next is written.
struct Forced {
  Steps steps;
  Tensor scores;  // [rows, symbols]
  Ids labels;
};
Forced force(const Morse& m, const Start& start, const std::vector<const Ids*>& outputs) {
  const double p = m.config.dropout;
  Ids lengths;
  for (const Ids* o : outputs) lengths.push_back(static_cast<Int>(o->size()) + 1);  // the end
  Steps steps(lengths);
  const Tensor before(steps.pack(
      [&](std::size_t i, std::size_t t) { return t == 0 ? morse_symbol::start : (*outputs[i])[t - 1]; }));
  Ids labels = steps.pack([&](std::size_t i, std::size_t t) {
    return t < outputs[i]->size() ? (*outputs[i])[t] : morse_symbol::end;
  });
  const Start s = start.select(steps.order);
  const Tensor read = dropout((*m.symbol_embed)(before), p);
  const RNNOutput first = (*m.decoder1)(PackedSequence{.data = read, .batch_sizes = steps.sizes},
                                        {.hidden = as_state(s.context)});
  const Tensor x = dropout(first.y, p);
  Tensor y;
  if (m.config.drop_state && training() && p > 0) {
    y = drop_states(m, x, steps.sizes, s.hidden, s.memory);
  } else {
    const RNNOutput second = (*m.decoder2)(PackedSequence{.data = x, .batch_sizes = steps.sizes},
                                           {.hidden = as_state(s.hidden), .memory = as_state(s.memory)});
    y = dropout(second.y, p);
  }
  Tensor scores = m.output(y);
  return {std::move(steps), std::move(scores), std::move(labels)};
}

/// Writes symbol by symbol; words that have come to their end leave the batch.
std::vector<MorseOutput> write(const Morse& m, const Start& start, Int limit) {
  const Int n = start.rows();
  std::vector<MorseOutput> r(static_cast<std::size_t>(n));
  Ids alive(static_cast<std::size_t>(n)), last(static_cast<std::size_t>(n), morse_symbol::start);
  std::iota(alive.begin(), alive.end(), Int{0});
  RNNState first{.hidden = as_state(start.context)},
      second{.hidden = as_state(start.hidden), .memory = as_state(start.memory)};
  for (Int step = 0; step <= limit && !alive.empty(); ++step) {
    const RNNOutput a = (*m.decoder1)((*m.symbol_embed)(Tensor(last)), first);
    const RNNOutput b = (*m.decoder2)(a.y, second);
    const Ids best = m.output(b.y).argmax(-1).to_vector<Int>();
    Ids go_on;  // rows of this step
    last.clear();
    for (std::size_t i = 0; i < best.size(); ++i) {
      MorseOutput& o = r[static_cast<std::size_t>(alive[i])];
      if (best[i] == morse_symbol::end) {
        o.ended = true;
      } else if (step < limit) {
        o.symbols.push_back(best[i]);
        go_on.push_back(static_cast<Int>(i));
        last.push_back(best[i]);
      }
    }
    first = {a.hidden, a.memory}, second = {b.hidden, b.memory};
    if (go_on.size() == alive.size()) continue;
    Ids left;
    for (const Int i : go_on) left.push_back(alive[static_cast<std::size_t>(i)]);
    alive = std::move(left);
    if (alive.empty()) break;
    const Tensor ids(go_on);
    for (RNNState* s : {&first, &second}) {
      s->hidden = index_select(s->hidden, 1, ids);
      s->memory = index_select(s->memory, 1, ids);
    }
  }
  return r;
}

/// The most probable of the candidates of words `from` on, one per row of the start.
std::vector<MorseOutput> choose(const Morse& m, const Start& start, const MorseBatch& batch, Int from) {
  std::vector<MorseOutput> r(static_cast<std::size_t>(start.rows()));
  std::vector<const Ids*> outputs;
  Ids rows;
  std::vector<std::size_t> first;  // of each row's candidates
  for (std::size_t i = 0; i < r.size(); ++i) {
    first.push_back(outputs.size());
    for (const auto& c : batch.words[static_cast<std::size_t>(from) + i].candidates) {
      outputs.push_back(&c.symbols);
      rows.push_back(static_cast<Int>(i));
    }
  }
  if (outputs.empty()) return r;
  first.push_back(outputs.size());
  const Forced f = force(m, start.select(rows), outputs);
  const auto p = gather(logp(f.scores), 1, Tensor(f.labels).unsqueeze(1)).to_vector<double>();
  std::vector<double> sums(outputs.size());
  std::size_t row = 0;
  for (const Int n : f.steps.sizes) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
      sums[static_cast<std::size_t>(f.steps.order[i])] += p[row++];
  }
  for (std::size_t i = 0; i < r.size(); ++i) {
    if (first[i] == first[i + 1]) continue;
    const auto at = [&](std::size_t k) { return sums.begin() + static_cast<std::ptrdiff_t>(k); };
    const auto best = std::max_element(at(first[i]), at(first[i + 1])) - at(first[i]);
    const auto& c =
        batch.words[static_cast<std::size_t>(from) + i].candidates[static_cast<std::size_t>(best)];
    r[i] = {.symbols = c.symbols, .ended = true, .source = c.source};
  }
  return r;
}

std::vector<MorseOutput> classify(const Tensor& scores) {
  std::vector<MorseOutput> r;
  for (const Int c : scores.argmax(-1).to_vector<Int>()) r.push_back({.ended = true, .composite = c});
  return r;
}

Tensor class_scores(const Morse& m, const States& s) { return m.output(cat({s.context, s.hidden}, 1)); }

}  // namespace

MorseType morse_type(std::string_view name) {
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (name == names[i]) return static_cast<MorseType>(i);
  }
  fail<ValueError>("Morse: no model type \"", name,
                   "\": there are MorseModel, S2SContext, S2S, Classifier, MorseDis and S2SContextDis");
}
const char* morse_type_name(MorseType t) { return names[static_cast<std::size_t>(t)]; }
bool is_disambiguator(MorseType t) { return t == MorseType::morse_dis || t == MorseType::s2s_context_dis; }

Embed Morse::make_character_embed() const {
  const MorseConfig& c = config;
  for (const Int h : c.hidden) {
    if (h < 1) fail<ValueError>("Morse: .hidden has ", h, ": expected at least 1");
  }
  if (!(c.dropout >= 0 && c.dropout < 1))
    fail<ValueError>("Morse: .dropout = ", c.dropout, ": expected [0, 1)");
  if (c.previous < 0) fail<ValueError>("Morse: .previous = ", c.previous, ": expected at least 0");
  if (writes(c.type) && c.hidden[0] != c.hidden[2])
    fail<ValueError>("Morse: the decoder (", c.hidden[2], ") starts from the characters' state (",
                     c.hidden[0], "): .hidden[0] and .hidden[2] must be equal");
  if (reads_tags(c.type) && c.hidden[0] != c.hidden[3])
    fail<ValueError>("Morse: the states of characters (", c.hidden[0], ") and tags (", c.hidden[3],
                     ") are added: .hidden[0] and .hidden[3] must be equal");
  return {.input = sizes.inputs(), .output = c.embed[0], .dtype = dtype};
}
std::optional<LSTM> Morse::make_context_lstm() const {
  if (!reads_context(config.type)) return {};
  return LSTM{.input = config.hidden[0], .hidden = config.hidden[1], .bidirectional = true, .dtype = dtype};
}
std::optional<Dense> Morse::make_context_output() const {
  if (!reads_context(config.type)) return {};
  return Dense{.input = 2 * config.hidden[1], .output = config.hidden[2], .dtype = dtype};
}
std::optional<Embed> Morse::make_symbol_embed() const {
  if (!writes(config.type)) return {};
  return Embed{.input = sizes.symbols(), .output = config.embed[1], .dtype = dtype};
}
std::optional<LSTM> Morse::make_tag_lstm() const {
  if (!reads_tags(config.type)) return {};
  return LSTM{.input = config.embed[1], .hidden = config.hidden[3], .dtype = dtype};
}
std::optional<LSTM> Morse::make_decoder(Int input) const {
  if (!writes(config.type)) return {};
  return LSTM{.input = input, .hidden = config.hidden[2], .dtype = dtype};
}
Linear Morse::make_output() const {
  if (writes(config.type)) return {.input = config.hidden[2], .output = sizes.symbols(), .dtype = dtype};
  return {.input = config.hidden[2] + config.hidden[0], .output = sizes.classes(), .dtype = dtype};
}
std::string Morse::describe() const {
  return text(morse_type_name(config.type), ", ", sizes.characters, " characters, ", sizes.letters,
              " letters, ", sizes.tags, " tags");
}

Morse::Scores Morse::operator()(const MorseBatch& batch) const {
  const States states = encode(*this, batch);
  Ids rows;
  for (std::size_t i = 0; i < batch.words.size(); ++i) {
    if (batch.words[i].known) rows.push_back(static_cast<Int>(i));
  }
  if (rows.empty()) fail<ValueError>("Morse: no word of the batch has a known analysis");
  if (!writes(config.type)) {
    Ids labels;
    for (const MorseItem& w : batch.words) labels.push_back(w.known ? w.composite : ignore);
    return {class_scores(*this, states), Tensor(labels)};
  }
  Start start = start_of(*this, states, 0, given_histories(*this, batch));
  if (rows.size() < batch.words.size()) start = start.select(rows);
  std::vector<const Ids*> outputs;
  for (const Int i : rows) outputs.push_back(&batch.words[static_cast<std::size_t>(i)].candidates[0].symbols);
  const Forced f = force(*this, start, outputs);
  return {f.scores, Tensor(f.labels)};
}
Tensor Morse::loss(const MorseBatch& batch) const {
  const Scores s = (*this)(batch);
  return cross_entropy(s.scores, s.labels);
}

std::vector<MorseOutput> Morse::predict(const MorseBatch& batch, const MorsePredictOptions& o) const {
  if (o.limit < 1) fail<ValueError>("Morse: .limit = ", o.limit, ": expected at least 1");
  const NoGrad constant;
  const Mode inference(false);
  const States states = encode(*this, batch);
  if (!writes(config.type)) return classify(class_scores(*this, states));
  const auto answer = [&](Int from, const std::vector<Ids>& histories) {
    const Start start = start_of(*this, states, from, histories);
    return is_disambiguator(config.type) ? choose(*this, start, batch, from) : write(*this, start, o.limit);
  };
  if (!tag_lstm) return answer(0, std::vector<Ids>(batch.words.size()));
  std::vector<MorseOutput> all;
  std::vector<History> sentences(static_cast<std::size_t>(batch.sizes[0]));
  for (const Int n : batch.sizes) {
    std::vector<Ids> histories;
    for (Int s = 0; s < n; ++s) histories.push_back(sentences[static_cast<std::size_t>(s)].joined());
    auto now = answer(static_cast<Int>(all.size()), histories);
    for (std::size_t s = 0; s < now.size(); ++s) {
      sentences[s].add(now[s].symbols, *this);
      all.push_back(std::move(now[s]));
    }
  }
  return all;
}

std::vector<MorseAnalysis> MorseWithVocabulary::operator()(std::string_view text) const {
  if (is_disambiguator(model.config.type))
    fail<ValueError>("morse: ", morse_type_name(model.config.type),
                     " chooses among given analyses: it reads no raw text");
  const MorseSentence s = morse_sentence(text, vocabulary.language);
  std::vector<MorseAnalysis> r;
  if (s.words.empty()) return r;
  // A sentence alone keeps its order in the batch.
  const std::vector<MorseOutput> out = model.predict(morse_batch({vocabulary.encode(s)}));
  for (std::size_t i = 0; i < out.size(); ++i) r.push_back(vocabulary.decode(out[i], s.words[i]));
  return r;
}

}  // namespace knet::models
