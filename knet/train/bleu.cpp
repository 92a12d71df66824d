#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "knet/base/text.hpp"
#include "knet/ops/loss.hpp"
#include "knet/train/metrics.hpp"

namespace knet {
namespace {

// How often each run of n tokens is there, for n = 1 ... order. A run is the position of its first token; two
// runs are equal when their tokens are.
using Runs = std::map<std::vector<std::string>, std::int64_t>;
Runs runs(const Bleu::Tokens& t) {
  Runs r;
  for (std::size_t n = 1; n <= Bleu::order; ++n) {
    for (std::size_t i = 0; i + n <= t.size(); ++i) {
      const auto from = t.begin() + static_cast<std::ptrdiff_t>(i);
      ++r[std::vector<std::string>(from, from + static_cast<std::ptrdiff_t>(n))];
    }
  }
  return r;
}

}  // namespace

void Bleu::update(const Tokens& sentence, const std::vector<Tokens>& references) {
  if (references.empty()) fail<ValueError>("Bleu: no reference");
  // The most that any one reference has of a run may be matched.
  Runs most;
  const auto size = static_cast<std::int64_t>(sentence.size());
  std::int64_t closest = -1;
  for (const Tokens& r : references) {
    for (const auto& [run, n] : runs(r)) {
      std::int64_t& m = most[run];
      m = std::max(m, n);
    }
    const auto length_of = static_cast<std::int64_t>(r.size());
    const std::int64_t far = std::abs(length_of - size), old = std::abs(closest - size);
    if (closest < 0 || far < old || (far == old && length_of < closest)) closest = length_of;
  }
  length += size;
  reference_length += closest;
  for (const auto& [run, n] : runs(sentence)) {
    const std::size_t k = run.size() - 1;
    totals[k] += n;
    const auto it = most.find(run);
    if (it != most.end()) matches[k] += std::min(n, it->second);
  }
}

void Bleu::update(const Tensor& sentences, const Tensor& references) {
  const auto check = [](const Tensor& t) {
    if (!t || (t.dtype() != i64 && t.dtype() != i32) || t.ndim() < 1 || t.ndim() > 2)
      fail<ShapeError>("Bleu: ", t ? text(t.dtype(), ' ', t.shape()) : "an empty tensor",
                       ", expected integer ids [sentences, time] or [time]");
  };
  check(sentences);
  check(references);
  const Tensor a = sentences.ndim() == 1 ? sentences.unsqueeze(0) : sentences,
               b = references.ndim() == 1 ? references.unsqueeze(0) : references;
  if (a.size(0) != b.size(0))
    fail<ShapeError>("Bleu: ", sentences.shape(), " sentences and ", references.shape(), " references");
  const auto row = [](const Tensor& t, std::int64_t i) {
    Tokens r;
    for (const std::int64_t id : t.select(0, i).to_vector<std::int64_t>()) {
      if (id != ignore) r.push_back(std::to_string(id));
    }
    return r;
  };
  for (std::int64_t i = 0; i < a.size(0); ++i) update(row(a, i), {row(b, i)});
}

double Bleu::value() const {
  if (length == 0 && reference_length == 0) return std::nan("");
  if (std::all_of(matches.begin(), matches.end(), [](std::int64_t m) { return m == 0; })) return 0;
  double logs = 0, smooth = 1;
  for (std::size_t n = 0; n < order; ++n) {
    if (totals[n] == 0) return 0;  // too short for a run of n
    // Nothing matched counts as a half, a quarter, ... of a match.
    double m = static_cast<double>(matches[n]);
    if (matches[n] == 0) m = 1 / (smooth *= 2);
    logs += std::log(100 * m / static_cast<double>(totals[n]));
  }
  const double brevity =
      length < reference_length
          ? std::exp(1 - static_cast<double>(reference_length) / static_cast<double>(length))
          : 1;
  return brevity * std::exp(logs / order);
}

void Bleu::merge(const Bleu& o) {
  for (std::size_t n = 0; n < order; ++n) {
    matches[n] += o.matches[n];
    totals[n] += o.totals[n];
  }
  length += o.length;
  reference_length += o.reference_length;
}

}  // namespace knet
