// compile(model, example): the model's inference as a fixed list of kernel calls, with memory of its own.
//
//   Plan plan = compile(model, zeros({1, 784}));
//   Tensor y = plan(x);                      // as model(x), to rounding
//   plan.run(samples, scores);               // the same without tensors, for a real-time thread
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/base/reflect.hpp"
#include "knet/tensor/tensor.hpp"

namespace knet {

/// An input or output of a plan: dense, row-major.
struct PlanPort {
  Shape shape;
  DType dtype;
};

/// What compile() makes. A snapshot: later changes of the model do not reach it, and it needs the model no
/// more. Shapes are fixed; batch normalisation is folded into the weights before it, weights are packed,
/// intermediate results share one block of memory.
///
/// run() asks the system for no memory and takes no lock, from the third call on; with set_threads(1), or
/// where the work is too little to be shared, it waits for nobody, else for others to end what they have
/// begun. For one thread at a time; a copy has memory of its own and shares the weights: one for each thread.
class Plan {
 public:
  Plan() noexcept;
  ~Plan();
  Plan(const Plan&);
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan) noexcept;
  explicit operator bool() const { return state_ != nullptr; }

  /// The first output for these inputs. ShapeError or DTypeError unless they are like the examples;
  /// ValueError for an id outside its table.
  template <std::convertible_to<const Tensor&>... X>
  Tensor operator()(const X&... x) const {
    const Tensor* inputs[] = {&static_cast<const Tensor&>(x)...};
    Tensor y;
    call(inputs, {&y, 1});
    return y;
  }
  /// All outputs.
  template <std::convertible_to<const Tensor&>... X>
  std::vector<Tensor> all(const X&... x) const {
    const Tensor* inputs[] = {&static_cast<const Tensor&>(x)...};
    std::vector<Tensor> y(outputs().size());
    call(inputs, y);
    return y;
  }

  /// The plan's own memory of an input, zeros at first, to be written before run(); it keeps its values.
  /// DTypeError unless the elements are T.
  template <class T>
  std::span<T> input(std::size_t i = 0) const {
    return {static_cast<T*>(memory_of(true, i, dtype_of<T>)), count(true, i)};
  }
  /// Its own memory of an output, valid until the next call.
  template <class T>
  std::span<const T> output(std::size_t i = 0) const {
    return {static_cast<const T*>(memory_of(false, i, dtype_of<T>)), count(false, i)};
  }
  /// From input() to output().
  void run() const;
  /// The only input and the first output as row-major values. ShapeError for a wrong count.
  template <class T>
  void run(std::span<const T> in, std::span<T> out) const {
    run(in.data(), in.size(), out.data(), out.size(), dtype_of<T>);
  }

  const std::vector<PlanPort>& inputs() const;
  const std::vector<PlanPort>& outputs() const;
  /// Bytes of its memory: inputs, outputs and intermediate results. Weights, which copies share, are not in
  /// it.
  std::size_t memory() const;
  /// Bytes that the intermediate results would take if none shared its place with another.
  std::size_t intermediates() const;
  /// The kernels it calls, in order.
  std::vector<std::string> calls() const;

 private:
  struct State;
  friend struct PlanBuilder;
  const State& state() const;
  void call(std::span<const Tensor* const> x, std::span<Tensor> y) const;
  void run(const void* in, std::size_t n, void* out, std::size_t m, DType) const;
  void* memory_of(bool input, std::size_t i, DType) const;
  std::size_t count(bool input, std::size_t i) const;
  std::unique_ptr<State> state_;
};

namespace detail {
/// All tensors in what a model returns: a tensor, a tuple or array of them, or a struct like RNNOutput.
template <class R>
void collect(const R& r, std::vector<Tensor>& out) {
  if constexpr (std::convertible_to<const R&, const Tensor&>) {
    if (static_cast<const Tensor&>(r)) out.push_back(r);
  } else if constexpr (requires { std::tuple_size<R>::value; }) {
    std::apply([&](const auto&... e) { (collect(e, out), ...); }, r);
  } else if constexpr (std::is_aggregate_v<R>) {
    reflect::with_fields(r, [&](const auto&... field) {
      const auto one = [&](const auto& f) {
        if constexpr (std::same_as<std::remove_cvref_t<decltype(f)>, Tensor>) collect(f, out);
      };
      (one(field), ...);
    });
  } else {
    static_assert(std::is_aggregate_v<R>, "compile: the model returns no tensor, tuple or struct of tensors");
  }
}
using PlannedModel = std::function<void(std::span<const Tensor>, std::vector<Tensor>&)>;
Plan compile(const PlannedModel&, std::span<const Tensor* const> examples);
}  // namespace detail

/// Runs model(x...) as in inference and makes a plan of what it does. Then compares the two on other values
/// of the same range, to 1e-5 of the largest output. All intermediate results are in memory at once
/// meanwhile. The model may return a tensor, a tuple of tensors or a struct with tensors; state (of recurrent
/// layers) goes in and out as tensors:
///   auto step = [&](const Tensor& x, const Tensor& h) { return gru(x, {.hidden = h}); };
///   Plan plan = compile(step, x, h);  // two outputs: y and hidden
/// ValueError naming the kernel for random numbers and whatever else cannot be repeated, and where the
/// comparison fails: results must not depend on values through other code than operators (item(), an `if`).
template <class M, std::convertible_to<const Tensor&>... X>
requires(sizeof...(X) > 0 && std::is_invocable_v<M&, const X&...>) Plan compile(M&& model, const X&... x) {
  const Tensor* examples[] = {&static_cast<const Tensor&>(x)...};
  return detail::compile(
      [&model](std::span<const Tensor> in, std::vector<Tensor>& out) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
          detail::collect(model(static_cast<const X&>(in[I])...), out);
        }
        (std::index_sequence_for<X...>{});
      },
      examples);
}

}  // namespace knet
