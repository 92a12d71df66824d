#include "knet/models/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "knet/base/text.hpp"

namespace knet::models {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

void penalise(std::vector<double>& s, double penalty, std::span<const std::int64_t> before) {
  std::vector<std::int64_t> once(before.begin(), before.end());
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (const std::int64_t id : once) {
    if (id < 0 || id >= static_cast<std::int64_t>(s.size()))
      fail<ValueError>("sample_token: the token ", id, " came before; there are scores for 0 to ",
                       s.size() - 1);
    double& v = s[static_cast<std::size_t>(id)];
    v = v > 0 ? v / penalty : v * penalty;
  }
}

/// The k-th largest, from a heap of the k best so far: of tens of thousands of scores few get into it.
double kth_largest(const std::vector<double>& s, std::int64_t k) {
  const auto first = s.begin() + static_cast<std::ptrdiff_t>(k);
  std::vector<double> heap(s.begin(), first);
  std::make_heap(heap.begin(), heap.end(), std::greater<>{});
  for (auto v = first; v != s.end(); ++v) {
    if (*v <= heap.front()) continue;
    std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
    heap.back() = *v;
    std::push_heap(heap.begin(), heap.end(), std::greater<>{});
  }
  return heap.front();
}

}  // namespace

void check(const SamplingOptions& o) {
  const auto bad = [](const char* name, auto value, const char* expected) {
    fail<ValueError>("sampling: .", name, " = ", value, ": expected ", expected);
  };
  if (!(o.temperature >= 0) || !std::isfinite(o.temperature)) bad("temperature", o.temperature, "at least 0");
  if (o.top_k < 0) bad("top_k", o.top_k, "at least 1, or 0 for all tokens");
  if (!(o.top_p > 0 && o.top_p <= 1)) bad("top_p", o.top_p, "more than 0 and at most 1");
  if (!(o.repetition_penalty > 0) || !std::isfinite(o.repetition_penalty))
    bad("repetition_penalty", o.repetition_penalty, "more than 0");
}

std::int64_t sample_token(const Tensor& scores, const SamplingOptions& o, Generator& generator,
                          std::span<const std::int64_t> before) {
  check(o);
  if (!scores || scores.ndim() < 1 || scores.numel() < 1 || scores.numel() != scores.size(-1))
    fail<ShapeError>("sample_token: scores are ", scores ? text(scores.shape()) : "empty",
                     ", expected one row [tokens]");
  std::vector<double> s = scores.to_vector<double>();
  const auto n = static_cast<std::int64_t>(s.size());
  if (o.repetition_penalty != 1) penalise(s, o.repetition_penalty, before);
  const auto best = std::max_element(s.begin(), s.end());
  if (std::any_of(s.begin(), s.end(), [](double v) { return std::isnan(v); }))
    fail<ValueError>("sample_token: a score is NaN");
  if (!std::isfinite(*best)) fail<ValueError>("sample_token: the best score is ", *best);
  if (o.temperature == 0 || o.top_k == 1) return best - s.begin();

  if (o.top_k > 0 && o.top_k < n) {
    const double least = kth_largest(s, o.top_k);
    for (double& v : s) v = v < least ? never : v;
  }
  // Probabilities, without overflow; *best survives top_k.
  const double top = *best;
  double sum = 0;
  for (double& v : s) sum += v = v == never ? 0 : std::exp((v - top) / o.temperature);
  if (o.top_p < 1) {
    std::vector<std::size_t> order(s.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::erase_if(order, [&](std::size_t i) { return s[i] == 0; });
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return s[a] > s[b]; });
    double mass = 0;
    std::size_t kept = 0;
    while (kept < order.size() && mass < o.top_p * sum) mass += s[order[kept++]];
    for (std::size_t i = kept; i < order.size(); ++i) s[order[i]] = 0;
    sum = mass;
  }
  double u = sum * philox::to_unit_double(philox::number(generator.next(), 0));
  std::int64_t last = best - s.begin();
  for (std::int64_t i = 0; i < n; ++i) {
    const double p = s[static_cast<std::size_t>(i)];
    if (p == 0) continue;
    if ((u -= p) < 0) return i;
    last = i;
  }
  return last;
}

}  // namespace knet::models
