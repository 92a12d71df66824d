// Layer: any callable Tensor -> Tensor with what is inside it, as a value. Sequence: a list of them.
#pragma once
#include <concepts>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "knet/autograd/layer_call.hpp"
#include "knet/autograd/model.hpp"

namespace knet {

class Layer {
 public:
  Layer() noexcept;
  ~Layer();
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, Layer> &&
           std::is_invocable_r_v<Tensor, const std::remove_cvref_t<F>&, const Tensor&>) Layer(F&& f)
      : p_(std::make_unique<Model<std::decay_t<F>>>(std::forward<F>(f))) {}
  Layer(const Layer&);
  Layer(Layer&&) noexcept;
  Layer& operator=(Layer) noexcept;
  /// ValueError when it is empty.
  Tensor operator()(const Tensor& x) const;
  explicit operator bool() const { return p_ != nullptr; }
  /// The callable inside, or nullptr when it is of another type.
  template <class T>
  T* get_if() {
    return p_ && p_->type() == typeid(T) ? static_cast<T*>(p_->get()) : nullptr;
  }
  template <class T>
  T& as() {
    if (auto* t = get_if<T>()) return *t;
    throw ValueError("Layer: it does not hold the type asked for");
  }
  void walk(Visitor& v) {
    if (p_) p_->walk(v);
  }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual Tensor call(const Tensor&) const = 0;
    virtual void walk(Visitor&) = 0;
    virtual std::unique_ptr<Concept> copy() const = 0;
    virtual const std::type_info& type() const = 0;
    virtual void* get() = 0;
  };
  template <class F>
  struct Model final : Concept {
    F f;
    explicit Model(F x) : f(std::move(x)) {}
    Tensor call(const Tensor& x) const override {
      const LayerCall running(f);
      return f(x);
    }
    void walk(Visitor& v) override { knet::walk(f, v); }
    std::unique_ptr<Concept> copy() const override { return std::make_unique<Model>(f); }
    const std::type_info& type() const override { return typeid(F); }
    void* get() override { return &f; }
  };
  std::unique_ptr<Concept> p_;
};

/// Some layers of a Sequence, shared with it.
class SequenceSlice {
 public:
  SequenceSlice(const Layer* first, std::size_t n) : first_(first), n_(n) {}
  Tensor operator()(Tensor x) const;
  std::size_t size() const { return n_; }
  const Layer* begin() const { return first_; }
  const Layer* end() const { return first_ + n_; }
  const Layer& operator[](std::size_t i) const;
  void walk(Visitor& v);

 private:
  const Layer* first_;
  std::size_t n_;
};

/// Layers applied one after the other; how many is decided at run time. Empty: the identity.
class Sequence {
 public:
  Sequence() = default;
  template <class... L>
  requires(sizeof...(L) > 0 && (std::constructible_from<Layer, L> && ...) &&
           !(sizeof...(L) == 1 && (std::same_as<std::remove_cvref_t<L>, Sequence> && ...)))
      Sequence(L&&... l) {
    layers_.reserve(sizeof...(L));
    (layers_.emplace_back(std::forward<L>(l)), ...);
  }
  void push_back(Layer l) { layers_.push_back(std::move(l)); }
  std::size_t size() const { return layers_.size(); }
  /// The layer at a position; the last one; ValueError where there is none.
  Layer& operator[](std::size_t i) { return at(i); }
  const Layer& operator[](std::size_t i) const { return at(i); }
  Layer& last() { return at(size() - 1); }
  const Layer& last() const { return at(size() - 1); }
  /// Layers begin .. end - 1, which stay in this sequence: a view, callable, for as long as nothing is added.
  SequenceSlice slice(std::size_t begin, std::size_t end) const;
  auto begin() { return layers_.begin(); }
  auto end() { return layers_.end(); }
  auto begin() const { return layers_.begin(); }
  auto end() const { return layers_.end(); }
  Tensor operator()(Tensor x) const;
  void walk(Visitor& v);

 private:
  Layer& at(std::size_t i);
  const Layer& at(std::size_t i) const;
  std::vector<Layer> layers_;
};

}  // namespace knet
