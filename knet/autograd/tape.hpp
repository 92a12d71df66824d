// Reverse mode: diff() runs a function, records what it does to parameters, and gives the gradients back.
// Nothing is recorded outside of it.
//
//   auto tape = diff([&] { return nll(model(x), y); });
//   for (auto& w : params(model)) w -= 0.1 * tape.grad(w);
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "knet/autograd/param.hpp"

namespace knet {

/// The gradient of a table that was only read by rows: rows[i] belongs to table row ids[i]; ids may repeat.
struct RowGradient {
  Tensor ids;   ///< [n], i64
  Tensor rows;  ///< [n, ...]
};

/// What diff() returns: the loss, and its gradients with respect to every Param that was read.
class Tape {
 public:
  /// The loss. Inside another diff() it can be differentiated again, and so can the gradients.
  const Tensor& value() const { return value_; }
  double item() const { return value_.item(); }
  explicit operator double() const { return item(); }
  /// The gradient, in the parameter's shape; zeros when the loss does not depend on it.
  Tensor grad(const Param&) const;
  /// Does the loss depend on the parameter?
  bool uses(const Param&) const;
  /// Set when the parameter was only read by rows (embeddings): its gradient without the zeros.
  std::optional<RowGradient> row_grad(const Param&) const;
  /// Parameters reached.
  std::size_t size() const;

  struct State;

 private:
  friend struct TapeScope;
  Tensor value_;
  std::shared_ptr<State> state_;
};

/// The compiled half of diff().
struct TapeScope {
  TapeScope();
  ~TapeScope();
  TapeScope(const TapeScope&) = delete;
  TapeScope& operator=(const TapeScope&) = delete;
  Tape finish(const Tensor& loss);

 private:
  void close();
  bool open_ = true, outer_on_;
  std::int32_t start_;
};

/// Calls f(a...), which returns a loss of one element, and differentiates it. ShapeError for another shape.
template <class F, class... A>
requires std::is_invocable_r_v<Tensor, F, A...> Tape diff(F&& f, A&&... a) {
  TapeScope scope;
  return scope.finish(std::forward<F>(f)(std::forward<A>(a)...));
}

/// Is a diff() running on this thread (and no NoGrad)?
bool recording();
/// recording(), unless a Mode says otherwise: decides on dropout and batch statistics.
bool training();

/// Mode m(false): behave as in inference, even inside diff(); Mode m(true) the reverse.
class Mode {
 public:
  explicit Mode(bool training);
  ~Mode();
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

 private:
  int old_;
};
/// While it lives nothing is recorded: results are constants.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool old_;
};

/// One gradient per input; an empty Tensor means none.
using Backward = std::function<std::vector<Tensor>(const Tensor& dy, const Tensor& y)>;
/// A user's own operator: y was computed from the inputs' values, back(dy, y) gives the gradients. Written
/// with Tensor functions it can be differentiated again. Each gradient must have its input's shape and dtype.
Tensor primitive(Tensor y, std::initializer_list<Tensor> inputs, Backward back);

}  // namespace knet
