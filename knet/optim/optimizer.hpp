// Optimizer: rules for the parameters of a model, and what they remember.
//
//   Optimizer opt(model, Adam{.lr = 1e-3});
//   opt.step(diff([&] { return nll(model(x), y); }));
#pragma once
#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/autograd/model.hpp"
#include "knet/base/reflect.hpp"
#include "knet/optim/rules.hpp"
#include "knet/optim/schedule.hpp"

namespace knet {

/// Any rule: a callable (Tensor& w, const Tensor& gradient, Slots& memory). One that has check() is checked
/// at once; one that has rows(w, RowGradient, memory) gets row-sparse gradients as they are.
class Rule {
 public:
  template <class R>
  requires(!std::same_as<std::remove_cvref_t<R>, Rule> &&
           std::invocable<const std::decay_t<R>&, Tensor&, const Tensor&, Slots&>) Rule(R&& r)
      : p_(std::make_shared<Model<std::decay_t<R>>>(std::forward<R>(r))) {
    if constexpr (requires { r.check(); }) r.check();
  }
  void operator()(Tensor& w, const Tensor& g, Slots& s) const { p_->update(w, g, s); }
  bool rows(Tensor& w, const RowGradient& g, Slots& s) const { return p_->rows(w, g, s); }
  /// The same rule with another learning rate; ValueError when it has none.
  Rule with_lr(double lr) const { return Rule(p_->with_lr(lr)); }
  double lr() const { return p_->lr(); }

  /// A setting of the rule by the name of its field: {"lr", 0.001}.
  using Setting = std::pair<std::string, double>;
  /// The type's name ("Adam") and, when it is a plain struct, its numbers: what a checkpoint remembers.
  std::string name() const { return p_->name(); }
  std::vector<Setting> settings() const { return p_->settings(); }
  /// The same rule with these numbers, which must be those of settings() in their order; ValueError.
  Rule with_settings(const std::vector<Setting>& s) const { return Rule(p_->with_settings(s)); }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual void update(Tensor& w, const Tensor& g, Slots& s) const = 0;
    virtual bool rows(Tensor& w, const RowGradient& g, Slots& s) const = 0;
    virtual std::shared_ptr<const Concept> with_lr(double) const = 0;
    virtual double lr() const = 0;
    virtual std::string name() const = 0;
    virtual std::vector<Setting> settings() const = 0;
    virtual std::shared_ptr<const Concept> with_settings(const std::vector<Setting>&) const = 0;
  };
  [[noreturn]] static void no_rate();
  static double setting(const std::vector<Setting>&, std::size_t i, std::string_view name);
  template <class R>
  struct Model final : Concept {
    R r;
    explicit Model(R x) : r(std::move(x)) {}
    void update(Tensor& w, const Tensor& g, Slots& s) const override { r(w, g, s); }
    bool rows([[maybe_unused]] Tensor& w, [[maybe_unused]] const RowGradient& g,
              [[maybe_unused]] Slots& s) const override {
      if constexpr (requires { r.rows(w, g, s); })
        return r.rows(w, g, s), true;
      else
        return false;
    }
    std::shared_ptr<const Concept> with_lr([[maybe_unused]] double lr) const override {
      if constexpr (requires(R t) { t.lr = lr; }) {
        R t = r;
        t.lr = lr;
        if constexpr (requires { t.check(); }) t.check();
        return std::make_shared<Model>(t);
      } else {
        no_rate();
      }
    }
    double lr() const override {
      if constexpr (requires { static_cast<double>(r.lr); })
        return static_cast<double>(r.lr);
      else
        no_rate();
    }
    static constexpr bool plain = std::is_aggregate_v<R> && !std::is_empty_v<R>;
    template <class T, class F>
    static void numbers(T& t, const F& f) {
      if constexpr (plain) {
        reflect::for_each_field(t, [&](std::string_view field, auto& x) {
          if constexpr (std::is_arithmetic_v<std::remove_cvref_t<decltype(x)>>) f(field, x);
        });
      }
    }
    std::string name() const override { return std::string(reflect::type_name<R>()); }
    std::vector<Setting> settings() const override {
      std::vector<Setting> s;
      numbers(r,
              [&](std::string_view field, const auto& x) { s.emplace_back(field, static_cast<double>(x)); });
      return s;
    }
    std::shared_ptr<const Concept> with_settings(const std::vector<Setting>& s) const override {
      R t = r;
      std::size_t i = 0;
      numbers(t, [&](std::string_view field, auto& x) {
        x = static_cast<std::remove_cvref_t<decltype(x)>>(setting(s, i++, field));
      });
      if (i != s.size()) setting(s, s.size(), "");
      if constexpr (requires { t.check(); }) t.check();
      return std::make_shared<Model>(std::move(t));
    }
  };
  explicit Rule(std::shared_ptr<const Concept> p) : p_(std::move(p)) {}
  std::shared_ptr<const Concept> p_;
};

/// Follows its parameters through moves of the model; copies share them.
class Optimizer {
 public:
  Optimizer(const NamedParams&, Rule);
  template <class M>
  requires(!std::same_as<std::remove_cvref_t<M>, Optimizer> &&
           !std::same_as<std::remove_cvref_t<M>, NamedParams>) Optimizer(M& model, Rule rule)
      : Optimizer(named_params(model), std::move(rule)) {}

  /// One update. Parameters that the tape did not reach, and frozen ones, are left alone.
  void step(const Tape&);

  /// Adds the gradients of a part of a batch, times `weight`, to those of the next step(). With the parts'
  /// sizes as weights and losses that are means, several small parts equal one large batch up to rounding:
  ///   for (auto [x, y] : parts) opt.accumulate(diff([&] { return nll(model(x), y); }), double(x.size(0)));
  ///   opt.step();
  /// A weight that is not positive and finite is a ValueError.
  void accumulate(const Tape&, double weight = 1);
  /// One update with the weighted mean of what was accumulated; ValueError when nothing was.
  void step();
  /// Tapes accumulated since the last step().
  int accumulated() const { return parts_; }

  /// The same updates for gradients of a loss that was multiplied by `loss_scale`: they are divided by it
  /// first. When one of them is not finite nothing changes (accumulated ones are dropped) and the result is
  /// false. See LossScale.
  bool step_scaled(const Tape&, double loss_scale);
  bool step_scaled(double loss_scale);

  /// Another rule for all parameters, or for those whose name begins so ("encoder", "layers.0.weight"); what
  /// is remembered stays. ValueError when no name does.
  void set(Rule);
  void set(std::string_view name_prefix, Rule);
  /// Another learning rate, every rule keeping its kind and other settings.
  void set_lr(double lr);
  /// The learning rate of the first parameter's rule.
  double lr() const;
  /// From now on each step begins with set_lr(rate(steps())); an empty one ends that. Not saved in
  /// checkpoints, whose count of steps is all it needs.
  void schedule(Schedule rate) { schedule_ = std::move(rate); }
  /// Before each step all gradients together are scaled down to this 2-norm; 0: not. Pascanu et al. 2013,
  /// arXiv:1211.5063.
  void clip_norm(double);
  double clip_norm() const { return clip_; }
  /// Steps made so far.
  std::int64_t steps() const { return steps_; }
  /// Goes on counting from there, as after loading; ValueError when it is negative.
  void set_steps(std::int64_t);

  /// One parameter's part, to be saved and put back.
  struct Entry {
    ParamHandle param;
    std::string name;
    Rule rule;
    Slots slots;
  };
  std::vector<Entry>& entries() { return entries_; }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  bool apply(const Tape*, double divisor, bool check);
  void forget_sums();
  std::vector<Entry> entries_;
  std::vector<Tensor> sums_;  // of accumulated gradients; empty where none came
  double weight_ = 0, clip_ = 0;
  int parts_ = 0;
  std::int64_t steps_ = 0;
  Schedule schedule_;
};

}  // namespace knet
