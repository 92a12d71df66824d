#include "knet/ops/loss.hpp"

#include "knet/autograd/record.hpp"
#include "knet/base/dispatch.hpp"
#include "knet/ops/activations.hpp"
#include "knet/ops/arithmetic.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/math.hpp"
#include "knet/ops/reduce.hpp"
#include "knet/ops/softmax.hpp"
#include "knet/tensor/factories.hpp"

namespace knet {
namespace {

void check_scores(const char* who, const Tensor& s) {
  check_defined(who, s);
  if (s.dtype() != f32 && s.dtype() != f64)
    fail<DTypeError>(who, ": scores are ", s.dtype(), ", expected f32 or f64");
}
// Contiguous labels, every one a class or `ignore`.
Tensor check_labels(const char* who, const Tensor& labels, std::int64_t classes, std::int64_t ignored) {
  Tensor r = raw::contiguous(labels);
  dispatch_index(who, r.dtype(), [&]<class T>(type<T>) {
    const T* p = std::as_const(r).data<T>();
    for (std::int64_t i = 0, n = r.numel(); i < n; ++i) {
      const auto c = static_cast<std::int64_t>(p[i]);
      if ((c < 0 || c >= classes) && c != ignored)
        fail<ValueError>(who, ": label ", c, " at position ", i, ", but the classes are 0 to ", classes - 1);
    }
  });
  return r;
}
Shape without(const Shape& s, int dim) {
  Shape r;
  for (int i = 0; i < s.ndim(); ++i) {
    if (i != dim) r.push(s[i]);
  }
  return r;
}
// Scores as rows [n, c] with the classes last.
Tensor rows(const Tensor& scores, int dim) {
  if (scores.ndim() == 2 && dim == 1) return scores;
  Tensor t = scores;
  if (dim != scores.ndim() - 1) {
    int order[max_dims], k = 0;
    for (int i = 0; i < scores.ndim(); ++i) {
      if (i != dim) order[k++] = i;
    }
    order[k++] = dim;
    t = scores.permute(std::span<const int>(order, static_cast<std::size_t>(k)));
  }
  return t.reshape({-1, scores.size(dim)});
}
Tensor averaged(const Tensor& x, bool average) { return average ? x.mean() : x.sum(); }
void check_shapes(const char* who, const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape())
    fail<ShapeError>(who, ": ", a.shape(), " against ", b.shape(), ": shapes differ");
}

// One kernel for loss and gradient. Not for tapes inside tapes.
Tensor fused(const Tensor& scores, const Tensor& labels, const CrossEntropyOptions& o) {
  const bool grad = tracked(scores);
  const Tensor s = scores.strides()[1] == 1 ? scores : raw::contiguous(scores);
  Tensor ds = grad ? Tensor::make(s.shape(), s.dtype(), s.device()) : Tensor();
  Array d;
  if (grad) d = array(ds);
  double loss = 0;
  std::int64_t count = 0;
  kernels(s.device()).nll(array(s), array(labels), o.ignore, o.average, &loss, &count, grad ? &d : nullptr);
  Tensor y =
      scalar(o.average ? loss / static_cast<double>(std::max<std::int64_t>(count, 1)) : loss, s.dtype());
  if (Node* n = track(y, "nll", {&scores})) {
    // It runs once, and nobody else has ds: as large as the scores, it is worth not copying.
    n->backward([ds](const Tensor& dy, Gradients& g) mutable {
      if (dy.item() != 1)
        kernels(ds.device()).binary(Binary::mul, array(ds), array(dy.expand(ds.shape())), array(ds));
      g.add(0, std::move(ds));
    });
  }
  return y;
}
Tensor composed(const Tensor& scores, const Tensor& labels, const CrossEntropyOptions& o) {
  const std::int64_t classes = scores.size(1);
  const DType t = scores.dtype();
  const Tensor ids = labels.to(i64), counted = (ids != static_cast<double>(o.ignore)).to(t);
  const Tensor safe = where(ids == static_cast<double>(o.ignore), full_like(ids, 0), ids);
  const Tensor lp = logp(scores, 1);
  Tensor each = -gather(lp, 1, safe.reshape({-1, 1})).reshape({-1}), weight = counted;
  if (o.weight) weight = weight * take_rows(o.weight.detach(), safe);
  each = each * weight;
  if (o.smoothing > 0) {
    // PyTorch's: the smooth part takes every class's own weight.
    Tensor spread = o.weight ? -(lp * o.weight.detach()).sum(1) : -lp.sum(1);
    each = each * (1 - o.smoothing) + spread * counted * (o.smoothing / static_cast<double>(classes));
  }
  if (!o.average) return each.sum();
  const double total = weight.sum().item();
  return each.sum() * (total > 0 ? 1 / total : 0.0);
}

}  // namespace

Tensor cross_entropy(const Tensor& scores, const Tensor& labels, const CrossEntropyOptions& o) {
  check_scores("nll", scores);
  check_defined("nll", labels);
  const int dim = check_dim("nll", o.dim, scores.ndim());
  const std::int64_t classes = scores.size(dim);
  if (classes == 0) fail<ShapeError>("nll: scores ", scores.shape(), " have no classes");
  if (!(o.smoothing >= 0 && o.smoothing < 1))
    fail<ValueError>("nll: smoothing ", o.smoothing, " is outside [0, 1)");
  if (o.weight) {
    check_same("nll", scores, o.weight);
    if (o.weight.shape() != Shape{classes})
      fail<ShapeError>("nll: weight is ", o.weight.shape(), ", expected [", classes, "]");
  }
  if (labels.floating()) {
    check_same("nll", scores, labels);
    check_shapes("nll: scores and soft labels", scores, labels);
    Tensor target = labels;
    if (o.smoothing > 0) target = target * (1 - o.smoothing) + o.smoothing / static_cast<double>(classes);
    Tensor each = -(rows(target, dim) * logp(rows(scores, dim), 1));
    if (o.weight) each = each * o.weight.detach();
    const Tensor total = each.sum();
    return o.average ? total * (1 / static_cast<double>(std::max<std::int64_t>(scores.numel() / classes, 1)))
                     : total;
  }
  if (without(scores.shape(), dim) != labels.shape())
    fail<ShapeError>("nll: scores ", scores.shape(), " with the classes in dimension ", dim, " need labels ",
                     without(scores.shape(), dim), ", not ", labels.shape());
  if (!is_integer(labels.dtype()))
    fail<DTypeError>("nll: labels are ", labels.dtype(), ", expected integers");
  const Tensor y = raw::reshape("nll", check_labels("nll", labels, classes, o.ignore), {-1});
  const Tensor s = rows(scores, dim);
  const bool plain = !o.weight && o.smoothing == 0 && !(tape::state.on && tape::state.depth > 1);
  return plain ? fused(s, y, o) : composed(s, y, o);
}

Tensor binary_cross_entropy(const Tensor& scores, const Tensor& labels, bool average) {
  check_scores("bce", scores);
  check_defined("bce", labels);
  check_shapes("bce: scores and labels", scores, labels);
  const Tensor y = labels.to(scores.dtype());
  // -(y log sigm(s) + (1 - y) log sigm(-s)) = softplus(s) - s y
  return averaged(Softplus{}(scores)-scores * y, average);
}
Tensor logistic_loss(const Tensor& scores, const Tensor& labels, bool average) {
  check_scores("logistic", scores);
  check_defined("logistic", labels);
  check_shapes("logistic: scores and labels", scores, labels);
  return averaged(Softplus{}(-(scores * labels.to(scores.dtype()))), average);
}
Tensor mse_loss(const Tensor& y, const Tensor& target, bool average) {
  check_same("mse", y, target);
  check_shapes("mse", y, target);
  return averaged(square(y - target), average);
}
Tensor l1_loss(const Tensor& y, const Tensor& target, bool average) {
  check_same("l1", y, target);
  check_shapes("l1", y, target);
  return averaged(abs(y - target), average);
}
Tensor huber_loss(const Tensor& y, const Tensor& target, double delta, bool average) {
  check_same("huber", y, target);
  check_shapes("huber", y, target);
  if (!(delta > 0)) fail<ValueError>("huber: delta ", delta, " is not positive");
  const Tensor d = abs(y - target);
  return averaged(where(d < delta, square(d) * 0.5, (d - delta / 2) * delta), average);
}
Tensor kl_div(const Tensor& logq, const Tensor& p, bool average) {
  check_same("kl_div", logq, p);
  check_shapes("kl_div", logq, p);
  if (p.ndim() == 0) fail<ShapeError>("kl_div: expects at least one dimension");
  const Tensor none = p.detach() == 0;  // 0 log 0 is 0
  const Tensor each = where(none, 0.0, p * (log(where(none, 1.0, p)) - logq)).sum(-1);
  return averaged(each, average);
}

double accuracy(const Tensor& scores, const Tensor& labels, int dim) {
  check_scores("accuracy", scores);
  check_defined("accuracy", labels);
  dim = check_dim("accuracy", dim, scores.ndim());
  if (without(scores.shape(), dim) != labels.shape())
    fail<ShapeError>("accuracy: scores ", scores.shape(), " need labels ", without(scores.shape(), dim),
                     ", not ", labels.shape());
  const auto guess = scores.detach().argmax(dim).to_vector<std::int64_t>();
  const auto right = check_labels("accuracy", labels, scores.size(dim), ignore).to_vector<std::int64_t>();
  std::int64_t hits = 0, count = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    count += right[i] != ignore;
    hits += guess[i] == right[i];
  }
  if (count == 0) fail<ValueError>("accuracy: no labels to count in ", labels.shape());
  return static_cast<double>(hits) / static_cast<double>(count);
}
double zeroone(const Tensor& scores, const Tensor& labels, int dim) {
  return 1 - accuracy(scores, labels, dim);
}

}  // namespace knet
