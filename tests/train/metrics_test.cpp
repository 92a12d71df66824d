// Metrics against scikit-learn and sacreBLEU (tests/reference/metrics_reference.py): in one update, in many,
// and merged from parts.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "../reference/reference.hpp"
#include "knet/knet.hpp"

namespace {
using namespace knet;

const test::Reference& reference() {
  static const test::Reference r = test::load_reference("metrics");
  return r;
}
double value(const std::string& name) { return reference().at(name).item(); }

// The whole at once, in parts, and two halves merged.
void expect_metric(const Metric& made, const Tensor& x, const Tensor& y, double expected,
                   const std::string& what) {
  Metric whole = made, parts = made, left = made, right = made;
  EXPECT_TRUE(std::isnan(whole.value())) << what;
  whole.update(x, y);
  EXPECT_NEAR(whole.value(), expected, 1e-9 * std::max(1.0, expected)) << what;
  const std::int64_t n = y.size(0);
  for (std::int64_t i = 0; i < n; i += 37) {
    const std::int64_t size = std::min<std::int64_t>(37, n - i);
    const Tensor u = x.narrow(0, i, size), v = y.narrow(0, i, size);
    parts.update(u, v);
    (i < n / 2 ? left : right).update(u, v);
  }
  EXPECT_NEAR(parts.value(), expected, 1e-9 * std::max(1.0, expected)) << what;
  left.merge(right);
  EXPECT_NEAR(left.value(), expected, 1e-9 * std::max(1.0, expected)) << what;
  whole.reset();
  EXPECT_TRUE(std::isnan(whole.value())) << what;
  whole.update(x, y);
  EXPECT_NEAR(whole.value(), expected, 1e-9 * std::max(1.0, expected)) << what;
}

TEST(Metrics, ClassesEqualScikitLearn) {
  const auto& r = reference();
  const Tensor &scores = r.at("scores"), &labels = r.at("labels");
  for (const char* name :
       {"accuracy", "top5", "perplexity", "precision_micro", "precision_macro", "precision_weighted",
        "recall_micro", "recall_macro", "recall_weighted", "f1_micro", "f1_macro", "f1_weighted"}) {
    expect_metric(metric(name), scores, labels, value(name), name);
    // The classes in another place: images and sequences.
    Metric m = metric(name);
    EXPECT_THROW(m.update(scores.T(), labels), ShapeError) << name;
    EXPECT_THROW(m.update(scores, labels.to(f32)), DTypeError) << name;
    EXPECT_THROW(m.update(scores, full({300}, 7, i64)), ValueError) << name;
    EXPECT_THROW(m.update(scores, full({300}, -2, i64)), ValueError) << name;
    m.update(scores, full({300}, ignore, i64));
    EXPECT_TRUE(std::isnan(m.value())) << name;
    m.update(scores.reshape({30, 10, 7}), labels.reshape({30, 10}));
    EXPECT_NEAR(m.value(), value(name), 1e-9) << name;
  }
  expect_metric(TopK{.k = 3}, scores, labels, value("top3"), "top3");
  expect_metric(metric("f1"), scores, labels, value("f1_macro"), "f1");
}
TEST(Metrics, ClassesInAnyDimensionAndPredictions) {
  const auto& r = reference();
  const Tensor &scores = r.at("scores"), &labels = r.at("labels");
  const Tensor image = scores.reshape({30, 10, 7}).permute({0, 2, 1}), y = labels.reshape({30, 10});
  Accuracy a{.dim = 1};
  TopK t{.k = 3, .dim = 1};
  F1 f{.confusion = {.dim = 1}};
  Perplexity p{.dim = 1};
  a.update(image, y);
  t.update(image, y);
  f.update(image, y);
  p.update(image, y);
  EXPECT_NEAR(a.value(), value("accuracy"), 1e-12);
  EXPECT_NEAR(t.value(), value("top3"), 1e-12);
  EXPECT_NEAR(f.value(), value("f1_macro"), 1e-12);
  EXPECT_NEAR(p.value(), value("perplexity"), 1e-9);
  Accuracy b;
  b.update(scores.argmax(1), labels.to(i32));
  EXPECT_EQ(b.value(), a.value());
  EXPECT_EQ(b.count, 250);
}
TEST(Metrics, ConfusionAndClassValues) {
  const auto& r = reference();
  Confusion c;
  c.update(r.at("scores"), r.at("labels"));
  EXPECT_TRUE(equal(c.matrix(), r.at("confusion")));
  EXPECT_NEAR(c.value(), value("accuracy"), 1e-12);
  Precision p{.confusion = c};
  Recall q{.confusion = c};
  F1 f{.confusion = c};
  const auto close = [&](const std::vector<double>& v, const char* name) {
    test::expect_close(Tensor(v), r.at(name), name, 1e-12);
  };
  close(p.per_class(), "precision_per_class");
  close(q.per_class(), "recall_per_class");
  close(f.per_class(), "f1_per_class");
  // Predictions alone: it grows, also by merging; one with given classes keeps them.
  Confusion small, fixed{.classes = 4};
  small.update(Tensor{0, 1}, Tensor{1, 1});
  EXPECT_EQ(small.classes, 2);
  EXPECT_FALSE(fixed.matrix());
  fixed.merge(small);
  EXPECT_EQ(fixed.matrix().shape(), Shape({4, 4}));
  EXPECT_EQ(fixed(1, 0), 1);
  small.update(Tensor{5}, Tensor{2});
  EXPECT_EQ(small.classes, 6);
  EXPECT_EQ(small(1, 0), 1);
  EXPECT_EQ(small(2, 5), 1);
  EXPECT_THROW(small.update(Tensor{std::int64_t{1} << 40}, Tensor{0}), ValueError);
  EXPECT_THROW(small.update(Tensor{-1}, Tensor{0}), ValueError);
  EXPECT_EQ(small.classes, 6);
}
TEST(Metrics, ErrorsAndCurves) {
  const auto& r = reference();
  for (const char* name : {"mse", "rmse", "mae"}) {
    expect_metric(metric(name), r.at("predictions"), r.at("targets"), value(name), name);
    Metric m = metric(name);
    EXPECT_THROW(m.update(zeros({2}), zeros({3})), ShapeError);
  }
  const Tensor &s = r.at("auc_scores"), &y = r.at("auc_labels");
  expect_metric(metric("roc_auc"), s, y, value("roc_auc"), "roc_auc");
  RocAuc two;
  two.update(stack({-s, zeros({200}, f64)}, 1) * 0.5, y);
  EXPECT_NEAR(two.value(), value("roc_auc"), 1e-12);
  two.merge(two);
  EXPECT_NEAR(two.value(), value("roc_auc"), 1e-12);
  EXPECT_THROW(two.update(s, y + 1), ValueError);
  EXPECT_THROW(two.update(s * std::nan(""), y), ValueError);
  EXPECT_EQ(two.positive.size() + two.negative.size(), 400u);
  RocAuc one;
  one.update(s, ones({200}, i64));
  EXPECT_TRUE(std::isnan(one.value()));
}
TEST(Metrics, BleuEqualsSacrebleu) {
  const auto& r = reference();
  for (const std::string name : {"bleu_near", "bleu_far", "bleu_short", "bleu_two", "bleu_smoothed",
                                 "bleu_too_short", "bleu_nothing", "bleu_same"}) {
    const Tensor &sentences = r.at(name + "_sentences"), &references = r.at(name + "_references");
    const auto tokens = [](const Tensor& row) {
      Bleu::Tokens t;
      for (const auto id : row.to_vector<std::int64_t>()) {
        if (id >= 0) t.push_back("word" + std::to_string(id));
      }
      return t;
    };
    Bleu all, first, second;
    EXPECT_TRUE(std::isnan(all.value()));
    for (std::int64_t i = 0; i < sentences.size(0); ++i) {
      std::vector<Bleu::Tokens> right;
      for (std::int64_t k = 0; k < references.size(0); ++k) right.push_back(tokens(references(k)(i)));
      all.update(tokens(sentences(i)), right);
      (i % 3 ? first : second).update(tokens(sentences(i)), right);
    }
    first.merge(second);
    EXPECT_NEAR(all.value(), value(name), 1e-9) << name;
    EXPECT_NEAR(first.value(), value(name), 1e-9) << name;
    if (references.size(0) == 1) {
      Metric ids = metric("bleu");
      ids.update(sentences, references(0));
      EXPECT_NEAR(ids.value(), value(name), 1e-9) << name;
    }
  }
  EXPECT_GT(value("bleu_near"), 50);
  Bleu b;
  EXPECT_THROW(b.update({"a"}, {}), ValueError);
  EXPECT_THROW(b.update(zeros({2, 3}), zeros({2, 3})), ShapeError);
  EXPECT_THROW(b.update(zeros({2, 3}, i64), zeros({3, 3}, i64)), ShapeError);
}
TEST(Metrics, ByName) {
  const auto names = metric_names();
  EXPECT_EQ(names.size(), 20u);
  for (const std::string& n : names) {
    Metric m = metric(n);
    EXPECT_TRUE(std::isnan(m.value())) << n;
  }
  try {
    metric("acuracy");
    ADD_FAILURE();
  } catch (const ValueError& e) {
    EXPECT_NE(std::string(e.what()).find("accuracy, bleu"), std::string::npos) << e.what();
  }
  Metric a = metric("accuracy"), f = metric("f1");
  EXPECT_THROW(a.merge(f), ValueError);
  a.update(Tensor{1, 1}, Tensor{1, 0});
  Metric copy = a;
  copy.update(Tensor{1, 1}, Tensor{1, 1});
  EXPECT_EQ(a.value(), 0.5);
  EXPECT_EQ(copy.value(), 0.75);
  a = copy;
  EXPECT_EQ(a.value(), 0.75);
}

}  // namespace
