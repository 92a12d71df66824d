// Metrics: results over many batches. Each is a plain struct that is fed with update(), read with value(),
// begun again with reset(), and put together from parts (of threads, of processes) with merge(). A checkpoint
// keeps one with value("f1", f1).
//
//   F1 f1{.average = Average::macro};
//   for (const auto& [x, y] : data) f1.update(model(x), y);
//   std::cout << f1.value();
//
// Labels are i64 or i32 classes from 0; `ignore` (-1) is not counted. Beside them stand either scores,
// floating, with one dimension more (the classes, last by default), or predicted classes of the labels'
// shape. Before anything was counted value() is NaN. Other shapes are a ShapeError, other labels a
// ValueError.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/tensor/tensor.hpp"

namespace knet {

/// Share of right answers.
struct Accuracy {
  int dim = -1;  ///< of the classes
  std::int64_t right = 0, count = 0;
  void update(const Tensor& scores, const Tensor& labels);
  double value() const;
  void reset() { right = count = 0; }
  void merge(const Accuracy&);
};

/// Share of labels among the k classes with the largest scores. Of equal scores the smaller class comes
/// first.
struct TopK {
  int k = 5;
  int dim = -1;
  std::int64_t right = 0, count = 0;
  void update(const Tensor& scores, const Tensor& labels);  ///< needs scores of at least k classes
  double value() const;
  void reset() { right = count = 0; }
  void merge(const TopK&);
};

/// How often each class was taken for each other. value() is the accuracy.
struct Confusion {
  std::int64_t classes = 0;  ///< grows as classes come
  int dim = -1;
  std::vector<std::int64_t> counts = {};  ///< [classes, classes]: counts[label * classes + prediction]
  void update(const Tensor& scores, const Tensor& labels);
  double value() const;
  void reset();
  void merge(const Confusion&);
  /// i64 [classes, classes], a row per label; empty when there are no classes.
  Tensor matrix() const;
  std::int64_t operator()(std::int64_t label, std::int64_t prediction) const {
    return counts[static_cast<std::size_t>(label * classes + prediction)];
  }
};

/// One number from that of each class: over all decisions together, the mean over classes, or their mean
/// weighted by how many labels they have. Means are over classes that were a label or a prediction, as in
/// scikit-learn.
enum class Average { micro, macro, weighted };

/// Right predictions of a class among its predictions; 0 for a class that was never predicted.
struct Precision {
  Average average = Average::macro;
  Confusion confusion = {};
  void update(const Tensor& scores, const Tensor& labels) { confusion.update(scores, labels); }
  double value() const;
  std::vector<double> per_class() const;
  void reset() { confusion.reset(); }
  void merge(const Precision& o) { confusion.merge(o.confusion); }
};
/// Right predictions of a class among its labels; 0 for a class without labels.
struct Recall {
  Average average = Average::macro;
  Confusion confusion = {};
  void update(const Tensor& scores, const Tensor& labels) { confusion.update(scores, labels); }
  double value() const;
  std::vector<double> per_class() const;
  void reset() { confusion.reset(); }
  void merge(const Recall& o) { confusion.merge(o.confusion); }
};
/// The harmonic mean of precision and recall, 0 where both are.
struct F1 {
  Average average = Average::macro;
  Confusion confusion = {};
  void update(const Tensor& scores, const Tensor& labels) { confusion.update(scores, labels); }
  double value() const;
  std::vector<double> per_class() const;
  void reset() { confusion.reset(); }
  void merge(const F1& o) { confusion.merge(o.confusion); }
};

/// exp of the mean negative log-likelihood: e to the loss per label. Scores are unnormalised.
struct Perplexity {
  int dim = -1;
  double sum = 0;  ///< of negative log-likelihoods
  std::int64_t count = 0;
  void update(const Tensor& scores, const Tensor& labels);
  double value() const;
  void reset() { sum = 0, count = 0; }
  void merge(const Perplexity&);
};

/// Mean squared error of predictions and targets of one shape; with `root` its square root.
struct MeanSquaredError {
  bool root = false;
  double sum = 0;
  std::int64_t count = 0;
  void update(const Tensor& predictions, const Tensor& targets);
  double value() const;
  void reset() { sum = 0, count = 0; }
  void merge(const MeanSquaredError&);
};
/// Mean absolute error of predictions and targets of one shape.
struct MeanAbsoluteError {
  double sum = 0;
  std::int64_t count = 0;
  void update(const Tensor& predictions, const Tensor& targets);
  double value() const;
  void reset() { sum = 0, count = 0; }
  void merge(const MeanAbsoluteError&);
};

/// Area under the ROC curve of two classes: how often a positive's score is above a negative's, equal ones
/// counting half. Keeps all scores. Labels 0 and 1; scores of their shape, or [..., 2] (class 1 minus class
/// 0). NaN while one class is missing.
struct RocAuc {
  std::vector<double> positive = {}, negative = {};
  void update(const Tensor& scores, const Tensor& labels);
  double value() const;
  void reset();
  void merge(const RocAuc&);
};

/// Corpus BLEU, 0 to 100, of tokens as they are given: equal to sacreBLEU's with tokenize="none", its
/// smoothing
/// ("exp") and up to four tokens in a row. Papineni et al. 2002; Post 2018, arXiv:1804.08771.
struct Bleu {
  static constexpr int order = 4;
  std::vector<std::int64_t> matches = std::vector<std::int64_t>(order),
                            totals = std::vector<std::int64_t>(order);
  std::int64_t length = 0, reference_length = 0;
  using Tokens = std::vector<std::string>;
  /// One sentence, and one or more right ones; ValueError without any.
  void update(const Tokens& sentence, const std::vector<Tokens>& references);
  /// Ids [sentences, time] or [time] with one reference each; `ignore` (-1) is left out, and may pad.
  void update(const Tensor& sentences, const Tensor& references);
  double value() const;
  void reset() { *this = {}; }
  void merge(const Bleu&);
};

/// Any metric, as a value.
class Metric {
 public:
  template <class M>
  requires(!std::is_same_v<std::remove_cvref_t<M>, Metric>) Metric(M m)
      : p_(std::make_unique<Model<M>>(std::move(m))) {}
  Metric(const Metric& o) : p_(o.p_->copy()) {}
  Metric(Metric&&) noexcept = default;
  Metric& operator=(Metric o) noexcept {
    p_.swap(o.p_);
    return *this;
  }
  void update(const Tensor& scores, const Tensor& labels) { p_->update(scores, labels); }
  double value() const { return p_->value(); }
  void reset() { p_->reset(); }
  /// ValueError when the other is of another kind.
  void merge(const Metric& o) {
    if (!p_->merge(*o.p_)) other_kind();
  }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual std::unique_ptr<Concept> copy() const = 0;
    virtual void update(const Tensor&, const Tensor&) = 0;
    virtual double value() const = 0;
    virtual void reset() = 0;
    virtual bool merge(const Concept&) = 0;
  };
  template <class M>
  struct Model final : Concept {
    M m;
    explicit Model(M x) : m(std::move(x)) {}
    std::unique_ptr<Concept> copy() const override { return std::make_unique<Model>(m); }
    void update(const Tensor& s, const Tensor& y) override { m.update(s, y); }
    double value() const override { return m.value(); }
    void reset() override { m.reset(); }
    bool merge(const Concept& o) override {
      const auto* other = dynamic_cast<const Model*>(&o);
      if (other) m.merge(other->m);
      return other != nullptr;
    }
  };
  [[noreturn]] static void other_kind();
  std::unique_ptr<Concept> p_;
};

/// A metric by its name, one of metric_names(); ValueError, with all names, for another.
Metric metric(const std::string& name);
/// accuracy, top5, precision, recall, f1 (each also _micro, _macro, _weighted; macro when nothing is said),
/// perplexity, mse, rmse, mae, roc_auc, bleu.
std::vector<std::string> metric_names();

}  // namespace knet
