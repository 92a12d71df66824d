#include "knet/train/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/layers/losses.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/loss.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"

namespace knet {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

double share(std::int64_t part, std::int64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : none;
}

bool is_integer(const Tensor& t) { return t.dtype() == i32 || t.dtype() == i64; }
void check_labels(const char* who, const Tensor& labels) {
  if (!labels || !is_integer(labels)) {
    fail<DTypeError>(who, ": labels are ", labels ? text(labels.dtype()) : "empty", ", expected i64 or i32");
  }
}
// The shape of scores without their classes must be that of the labels; gives the number of classes.
std::int64_t check_scores(const char* who, const Tensor& scores, const Tensor& labels, int dim) {
  check_labels(who, labels);
  const int n = scores ? scores.ndim() : 0, at = dim < 0 ? dim + n : dim;
  bool fits = scores && scores.floating() && n == labels.ndim() + 1 && at >= 0 && at < n;
  for (int i = 0, k = 0; fits && i < n; ++i) {
    if (i != at) fits = scores.size(i) == labels.size(k++);
  }
  if (!fits) {
    fail<ShapeError>(who, ": ", scores ? text(scores.dtype(), ' ', scores.shape()) : "an empty tensor",
                     " beside labels ", labels.shape(),
                     "; expected floating scores with the classes as dimension ", dim,
                     " besides, or integer predictions of the labels' shape");
  }
  return scores.size(at);
}
// Predicted classes and labels, one by one.
struct Pairs {
  std::vector<std::int64_t> predictions, labels;
  std::int64_t classes = 0;  // -1: not known
};
Pairs pairs(const char* who, const Tensor& scores, const Tensor& labels, int dim) {
  const NoGrad constant;
  Pairs r;
  check_labels(who, labels);
  if (scores && is_integer(scores) && scores.shape() == labels.shape()) {
    r.predictions = scores.to_vector<std::int64_t>();
    r.classes = -1;
  } else {
    r.classes = check_scores(who, scores, labels, dim);
    if (labels.numel() > 0) r.predictions = scores.argmax(dim).to_vector<std::int64_t>();
  }
  r.labels = labels.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < r.labels.size(); ++i) {
    const std::int64_t y = r.labels[i];
    if (y == ignore) continue;
    if (y < 0 || (r.classes >= 0 && y >= r.classes))
      fail<ValueError>(who, ": label ", y, ", expected a class from 0",
                       r.classes >= 0 ? text(" to ", r.classes - 1) : "", " or ", ignore);
    if (r.predictions[i] < 0)
      fail<ValueError>(who, ": prediction ", r.predictions[i], ", expected a class from 0");
  }
  return r;
}

template <class M>
void add_counts(M& a, const M& b) {
  a.right += b.right;
  a.count += b.count;
}

// What a class has: right predictions, predictions, labels.
struct ClassCounts {
  std::int64_t right = 0, predicted = 0, labelled = 0;
};
std::vector<ClassCounts> class_counts(const Confusion& c) {
  std::vector<ClassCounts> r(static_cast<std::size_t>(c.classes));
  for (std::int64_t y = 0; y < c.classes; ++y) {
    for (std::int64_t p = 0; p < c.classes; ++p) {
      const std::int64_t n = c(y, p);
      r[static_cast<std::size_t>(y)].labelled += n;
      r[static_cast<std::size_t>(p)].predicted += n;
      if (y == p) r[static_cast<std::size_t>(y)].right = n;
    }
  }
  return r;
}
double ratio(std::int64_t part, std::int64_t all) { return all > 0 ? share(part, all) : 0; }
double precision(const ClassCounts& c) { return ratio(c.right, c.predicted); }
double recall(const ClassCounts& c) { return ratio(c.right, c.labelled); }
double f1(const ClassCounts& c) { return ratio(2 * c.right, c.predicted + c.labelled); }

using Score = double (*)(const ClassCounts&);
std::vector<double> per_class(const Confusion& c, Score f) {
  std::vector<double> r;
  for (const ClassCounts& k : class_counts(c)) r.push_back(f(k));
  return r;
}
double averaged(const Confusion& c, Average a, Score f) {
  ClassCounts all;
  double sum = 0, weights = 0;
  for (const ClassCounts& k : class_counts(c)) {
    all.right += k.right;
    all.predicted += k.predicted;
    all.labelled += k.labelled;
    if (k.predicted + k.labelled == 0) continue;
    const double w = a == Average::weighted ? static_cast<double>(k.labelled) : 1;
    sum += w * f(k);
    weights += w;
  }
  if (all.labelled == 0) return none;
  return a == Average::micro ? f(all) : sum / weights;
}

// Sum of f over the differences.
template <class F>
double errors(const char* who, const Tensor& predictions, const Tensor& targets, const F& f) {
  if (!predictions || !targets || predictions.shape() != targets.shape()) {
    fail<ShapeError>(who, ": predictions ", predictions ? text(predictions.shape()) : "empty",
                     " and targets ", targets ? text(targets.shape()) : "empty", ", expected the same shape");
  }
  const NoGrad constant;
  return predictions.numel() == 0 ? 0 : f(predictions.to(f64) - targets.to(f64)).sum().item();
}

}  // namespace

void Accuracy::update(const Tensor& scores, const Tensor& labels) {
  const Pairs p = pairs("Accuracy", scores, labels, dim);
  for (std::size_t i = 0; i < p.labels.size(); ++i) {
    if (p.labels[i] == ignore) continue;
    ++count;
    right += p.predictions[i] == p.labels[i];
  }
}
double Accuracy::value() const { return share(right, count); }
void Accuracy::merge(const Accuracy& o) { add_counts(*this, o); }

void TopK::update(const Tensor& scores, const Tensor& labels) {
  const NoGrad constant;
  const std::int64_t classes = check_scores("TopK", scores, labels, dim);
  if (k < 1 || k > classes) fail<ValueError>("TopK: k is ", k, " and there are ", classes, " classes");
  const int n = scores.ndim();
  std::vector<int> order;
  for (int i = 0; i < n; ++i) {
    if (i != (dim < 0 ? dim + n : dim)) order.push_back(i);
  }
  order.push_back(dim < 0 ? dim + n : dim);
  const std::vector<double> s = scores.permute(order).to_vector<double>();
  const auto y = labels.to_vector<std::int64_t>();
  for (const std::int64_t v : y) {
    if (v != ignore && (v < 0 || v >= classes))
      fail<ValueError>("TopK: label ", v, ", expected a class from 0 to ", classes - 1, " or ", ignore);
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] == ignore) continue;
    const double* row = s.data() + i * static_cast<std::size_t>(classes);
    int before = 0;
    for (std::int64_t c = 0; c < classes; ++c)
      before += row[c] > row[y[i]] || (row[c] == row[y[i]] && c < y[i]);
    ++count;
    right += before < k && !std::isnan(row[y[i]]);
  }
}
double TopK::value() const { return share(right, count); }
void TopK::merge(const TopK& o) { add_counts(*this, o); }

namespace {
void grow(Confusion& c, std::int64_t classes) {
  if (classes <= c.classes) return;
  // A stray label must not ask for all the memory there is.
  if (classes > 20'000)
    fail<ValueError>("Confusion: class ", classes - 1, ", expected at most 20000 classes");
  std::vector<std::int64_t> wide(static_cast<std::size_t>(classes * classes));
  for (std::int64_t y = 0; y < c.classes; ++y) {
    for (std::int64_t p = 0; p < c.classes; ++p) wide[static_cast<std::size_t>(y * classes + p)] = c(y, p);
  }
  c.counts = std::move(wide);
  c.classes = classes;
}
// A matrix given by its number of classes alone has no counts yet.
void allocate(Confusion& c) {
  if (c.classes < 0) fail<ValueError>("Confusion: ", c.classes, " classes");
  if (static_cast<std::int64_t>(c.counts.size()) == c.classes * c.classes) return;
  const std::int64_t n = std::exchange(c.classes, 0);
  c.counts.clear();
  grow(c, n);
}
}  // namespace

void Confusion::update(const Tensor& scores, const Tensor& labels) {
  const Pairs p = pairs("Confusion", scores, labels, dim);
  std::int64_t most = p.classes;
  for (std::size_t i = 0; i < p.labels.size(); ++i) {
    if (p.labels[i] != ignore) most = std::max({most, p.labels[i] + 1, p.predictions[i] + 1});
  }
  allocate(*this);
  grow(*this, most);
  for (std::size_t i = 0; i < p.labels.size(); ++i) {
    if (p.labels[i] != ignore) ++counts[static_cast<std::size_t>(p.labels[i] * classes + p.predictions[i])];
  }
}
double Confusion::value() const {
  std::int64_t right = 0, all = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    all += counts[i];
    if (i % static_cast<std::size_t>(classes + 1) == 0) right += counts[i];
  }
  return share(right, all);
}
void Confusion::reset() { std::fill(counts.begin(), counts.end(), 0); }
void Confusion::merge(const Confusion& o) {
  if (o.counts.empty()) return;
  allocate(*this);
  grow(*this, o.classes);
  for (std::int64_t y = 0; y < o.classes; ++y) {
    for (std::int64_t p = 0; p < o.classes; ++p) counts[static_cast<std::size_t>(y * classes + p)] += o(y, p);
  }
}
Tensor Confusion::matrix() const {
  return counts.empty() ? Tensor() : Tensor(counts, Shape{classes, classes});
}

double Precision::value() const { return averaged(confusion, average, precision); }
std::vector<double> Precision::per_class() const { return knet::per_class(confusion, precision); }
double Recall::value() const { return averaged(confusion, average, recall); }
std::vector<double> Recall::per_class() const { return knet::per_class(confusion, recall); }
double F1::value() const { return averaged(confusion, average, f1); }
std::vector<double> F1::per_class() const { return knet::per_class(confusion, f1); }

void Perplexity::update(const Tensor& scores, const Tensor& labels) {
  const NoGrad constant;
  check_scores("Perplexity", scores, labels, dim);
  std::int64_t n = 0;
  for (const std::int64_t y : labels.to_vector<std::int64_t>()) n += y != ignore;
  if (n == 0) return;
  const int last = scores.ndim(), at = dim < 0 ? dim + last : dim;
  std::vector<int> order;
  for (int i = 0; i < last; ++i) {
    if (i != at) order.push_back(i);
  }
  order.push_back(at);
  const Tensor rows = scores.permute(order).reshape({-1, scores.size(at)}).to(f64);
  sum += nll(rows, labels.flatten()).item() * static_cast<double>(n);
  count += n;
}
double Perplexity::value() const { return count > 0 ? std::exp(sum / static_cast<double>(count)) : none; }
void Perplexity::merge(const Perplexity& o) {
  sum += o.sum;
  count += o.count;
}

void MeanSquaredError::update(const Tensor& predictions, const Tensor& targets) {
  sum += errors("MeanSquaredError", predictions, targets, [](const Tensor& d) { return d * d; });
  count += targets.numel();
}
double MeanSquaredError::value() const {
  const double m = count > 0 ? sum / static_cast<double>(count) : none;
  return root ? std::sqrt(m) : m;
}
void MeanSquaredError::merge(const MeanSquaredError& o) {
  sum += o.sum;
  count += o.count;
}
void MeanAbsoluteError::update(const Tensor& predictions, const Tensor& targets) {
  sum += errors("MeanAbsoluteError", predictions, targets, [](const Tensor& d) { return abs(d); });
  count += targets.numel();
}
double MeanAbsoluteError::value() const { return count > 0 ? sum / static_cast<double>(count) : none; }
void MeanAbsoluteError::merge(const MeanAbsoluteError& o) {
  sum += o.sum;
  count += o.count;
}

void RocAuc::update(const Tensor& scores, const Tensor& labels) {
  const NoGrad constant;
  check_labels("RocAuc", labels);
  Tensor s = scores;
  if (!s || !s.floating() || s.shape() != labels.shape()) {
    if (check_scores("RocAuc", scores, labels, -1) != 2)
      fail<ShapeError>("RocAuc: scores ", scores.shape(), ", expected two classes");
    s = scores.select(-1, 1).to(f64) - scores.select(-1, 0).to(f64);
  }
  const auto x = s.to_vector<double>();
  const auto y = labels.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] != 0 && y[i] != 1 && y[i] != ignore)
      fail<ValueError>("RocAuc: label ", y[i], ", expected 0, 1 or ", ignore);
    if (std::isnan(x[i])) fail<ValueError>("RocAuc: score ", i, " is NaN");
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y[i] != ignore) (y[i] ? positive : negative).push_back(x[i]);
  }
}
double RocAuc::value() const {
  if (positive.empty() || negative.empty()) return none;
  std::vector<double> sorted = negative;
  std::sort(sorted.begin(), sorted.end());
  double wins = 0;
  for (const double p : positive) {
    const auto [a, b] = std::equal_range(sorted.begin(), sorted.end(), p);
    wins += static_cast<double>(a - sorted.begin()) + 0.5 * static_cast<double>(b - a);
  }
  return wins / static_cast<double>(positive.size()) / static_cast<double>(negative.size());
}
void RocAuc::reset() {
  positive.clear();
  negative.clear();
}
void RocAuc::merge(const RocAuc& o) {
  const auto p = o.positive, n = o.negative;  // o may be this one
  positive.insert(positive.end(), p.begin(), p.end());
  negative.insert(negative.end(), n.begin(), n.end());
}

void Metric::other_kind() { fail<ValueError>("Metric: merge() of two different kinds of metrics"); }

namespace {
const std::map<std::string, std::function<Metric()>>& table() {
  static const std::map<std::string, std::function<Metric()>> t = [] {
    std::map<std::string, std::function<Metric()>> m = {
        {"accuracy", [] { return Accuracy{}; }},
        {"top5", [] { return TopK{}; }},
        {"perplexity", [] { return Perplexity{}; }},
        {"mse", [] { return MeanSquaredError{}; }},
        {"rmse", [] { return MeanSquaredError{.root = true}; }},
        {"mae", [] { return MeanAbsoluteError{}; }},
        {"roc_auc", [] { return RocAuc{}; }},
        {"bleu", [] { return Bleu{}; }},
    };
    const std::pair<const char*, Average> averages[] = {{"", Average::macro},
                                                        {"_macro", Average::macro},
                                                        {"_micro", Average::micro},
                                                        {"_weighted", Average::weighted}};
    for (const auto& [ending, a] : averages) {
      m.emplace(std::string("precision") + ending, [a = a] { return Precision{.average = a}; });
      m.emplace(std::string("recall") + ending, [a = a] { return Recall{.average = a}; });
      m.emplace(std::string("f1") + ending, [a = a] { return F1{.average = a}; });
    }
    return m;
  }();
  return t;
}
}  // namespace

Metric metric(const std::string& name) {
  const auto it = table().find(name);
  if (it != table().end()) return it->second();
  std::string names;
  for (const auto& [known, make] : table()) names += (names.empty() ? "" : ", ") + known;
  fail<ValueError>("metric: \"", name, "\" is not known; there are ", names);
}
std::vector<std::string> metric_names() {
  std::vector<std::string> r;
  for (const auto& [name, make] : table()) r.push_back(name);
  return r;
}

}  // namespace knet
