#include "knet/models/morse_evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/ops/loss.hpp"
#include "knet/text/words.hpp"

namespace knet::models {
namespace {

using Int = std::int64_t;
using Sentences = std::vector<MorseSentence>;
using Analyses = std::vector<std::vector<MorseAnalysis>>;

bool same_lemma(const std::string& right, const std::string& given) {
  if (right == given) return true;
  const auto a = CharTokenizer{}(right), b = CharTokenizer{}(given);
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool digit = a[i].size() == 1 && a[i][0] >= '0' && a[i][0] <= '9';
    if (a[i] != b[i] && !digit) return false;
  }
  return true;
}

struct Feature {
  Int right = 0, given = 0, expected = 0;
  double f1() const {
    return given + expected > 0 ? 2.0 * static_cast<double>(right) / static_cast<double>(given + expected)
                                : 0;
  }
};
/// "Case=Nom" is a value of the feature "Case"; "Noun" is a feature of its own.
struct Features {
  std::map<std::string, Feature> all;
  void add(const std::vector<std::string>& right, const std::vector<std::string>& given) {
    const std::set<std::string> a(right.begin(), right.end()), b(given.begin(), given.end());
    const auto of = [&](const std::string& tag) -> Feature& { return all[tag.substr(0, tag.find('='))]; };
    for (const std::string& t : a) {
      ++of(t).expected;
      if (b.contains(t)) ++of(t).right;
    }
    for (const std::string& t : b) ++of(t).given;
  }
  double micro() const {
    Feature sum;
    for (const auto& [name, f] : all) {
      sum.right += f.right;
      sum.given += f.given;
      sum.expected += f.expected;
    }
    return 100 * sum.f1();
  }
  double macro() const {
    double sum = 0;
    Int weight = 0;
    for (const auto& [name, f] : all) {
      sum += static_cast<double>(f.expected) * f.f1();
      weight += f.expected;
    }
    return weight > 0 ? 100 * sum / static_cast<double>(weight) : 0;
  }
};

std::string joined(const std::vector<std::string>& tags) {
  std::string r;
  for (const std::string& t : tags) r += (r.empty() ? "" : "\t") + t;
  return r;
}

/// f(batch, sentences of it) for all sentences, those of similar lengths together.
template <class F>
void in_batches(const MorseVocabulary& v, const Sentences& sentences, const MorseEvaluateOptions& o, F&& f) {
  if (o.batch < 1) fail<ValueError>("morse: .batch = ", o.batch, ": expected at least 1");
  std::vector<std::size_t> order(sentences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return sentences[i].words.empty(); });
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return sentences[a].words.size() > sentences[b].words.size();
  });
  const auto size = static_cast<std::size_t>(o.batch);
  for (std::size_t at = 0; at < order.size(); at += size) {
    const std::vector<std::size_t> part(
        order.begin() + static_cast<std::ptrdiff_t>(at),
        order.begin() + static_cast<std::ptrdiff_t>(std::min(at + size, order.size())));
    std::vector<std::vector<MorseItem>> items;
    for (const std::size_t i : part) items.push_back(v.encode(sentences[i]));
    f(morse_batch(items), part);
  }
}

}  // namespace

double MorseCounts::percent(Int part) const {
  return words > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(words) : std::nan("");
}

MorseScore morse_score(const MorseVocabulary& v, const Sentences& sentences, const Analyses& predictions) {
  if (sentences.size() != predictions.size())
    fail<ValueError>("morse_score: ", predictions.size(), " predicted sentences for ", sentences.size());
  MorseScore r;
  Features features;
  for (std::size_t s = 0; s < sentences.size(); ++s) {
    const auto& words = sentences[s].words;
    if (words.size() != predictions[s].size())
      fail<ValueError>("morse_score: sentence ", s, " has ", words.size(), " words, its prediction ",
                       predictions[s].size());
    for (std::size_t i = 0; i < words.size(); ++i) {
      const MorseWord& w = words[i];
      if (!w.known()) continue;
      const MorseAnalysis &right = w.analyses[0], &given = predictions[s][i];
      const bool lemma = !v.lemma || same_lemma(right.lemma, given.lemma),
                 tags = !given.unknown && right.tags == given.tags;
      const Int composite = v.composites.get(joined(right.tags), -1),
                count = composite < 0 ? 0 : v.composite_counts[static_cast<std::size_t>(composite)];
      const auto add = [&](MorseCounts& c) {
        ++c.words;
        c.lemmas += lemma;
        c.tags += tags;
        c.complete += lemma && tags;
      };
      add(r.all);
      if (w.ambiguous()) add(r.ambiguous);
      if (!v.words.contains(w.word)) add(r.unseen);
      add(r.by_count[count == 0 ? 0 : count < 5 ? 1 : 2]);
      features.add(right.tags, given.tags);
    }
  }
  r.f1_micro = features.micro();
  r.f1_macro = features.macro();
  return r;
}

Analyses morse_predict(const Morse& model, const MorseVocabulary& v, const Sentences& sentences,
                       const MorseEvaluateOptions& o) {
  Analyses r(sentences.size());
  for (std::size_t i = 0; i < r.size(); ++i) r[i].resize(sentences[i].words.size());
  in_batches(v, sentences, o, [&](const MorseBatch& batch, const std::vector<std::size_t>& part) {
    const std::vector<MorseOutput> out = model.predict(batch, o.predict);
    for (std::size_t k = 0; k < out.size(); ++k) {
      const auto [s, i] = batch.places[k];
      r[part[s]][i] = v.decode(out[k], sentences[part[s]].words[i]);
    }
  });
  return r;
}

double morse_loss(const Morse& model, const MorseVocabulary& v, const Sentences& sentences,
                  const MorseEvaluateOptions& o) {
  const NoGrad constant;
  const Mode inference(false);
  double sum = 0, count = 0;
  in_batches(v, sentences, o, [&](const MorseBatch& batch, const std::vector<std::size_t>&) {
    if (std::none_of(batch.words.begin(), batch.words.end(), [](const MorseItem& w) { return w.known; }))
      return;
    const Morse::Scores s = model(batch);
    sum += cross_entropy(s.scores, s.labels, {.average = false}).item();
    for (const Int label : s.labels.to_vector<Int>()) count += label != ignore;
  });
  return count > 0 ? sum / count : std::nan("");
}

MorseScore morse_evaluate(const Morse& model, const MorseVocabulary& v, const Sentences& sentences,
                          const MorseEvaluateOptions& o) {
  MorseScore r = morse_score(v, sentences, morse_predict(model, v, sentences, o));
  r.loss = morse_loss(model, v, sentences, o);
  return r;
}

}  // namespace knet::models
