// Checkpoint: everything a training run must know to go on as if it had never stopped, in one file.
//
//   Checkpoint run;
//   run.model(net).optimizer(opt).value("data", data);
//   run.save("run.safetensors");
//   run.load("run.safetensors");  // in a new process, after the same three lines
//
// The file is safetensors: the tensors of the model are called "model.layers.0.weight", the optimiser's
// memory "optimizer.layers.0.weight.0"; everything else is JSON under "knet.checkpoint" in its metadata.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "knet/optim/optimizer.hpp"
#include "knet/train/fields.hpp"

namespace knet {

/// Results by name: {"accuracy", 0.98}.
using Metrics = std::map<std::string, double>;

struct CheckpointLoad {
  /// Only what was added to this Checkpoint is read, as far as the file has it; the random state stays. For
  /// inference, or after a program has learnt to keep more.
  bool partial = false;
};

/// What a file says about itself.
struct CheckpointInfo {
  std::string file;
  int version = 0;
  std::int64_t epoch = 0, step = 0;
  Metrics metrics;
  /// Names of the things in it and what they are: {"model", "model"}, {"data", "value"}.
  std::map<std::string, std::string> things;
};
/// Reads the header alone. IoError when the file is not a whole checkpoint.
CheckpointInfo checkpoint_info(const std::string& file);

/// Refers to what it saves: models, optimizers and values must live as long as it does, where they are.
class Checkpoint {
 public:
  /// Saved and loaded too, as is the state of the process-wide random generator.
  std::int64_t epoch = 0, step = 0;
  Metrics metrics;

  /// Parameters and state tensors of a model.
  template <class M>
  Checkpoint& model(M& m, std::string name = "model") {
    return add_model(detail::any_model(m), std::move(name));
  }
  Checkpoint& add_model(detail::AnyModel, std::string name);
  /// Steps, rules with their settings, and each parameter's memory. The settings in the file replace those of
  /// the program; set_lr() after load() has the last word. A rule that is not a plain struct has no settings.
  Checkpoint& optimizer(Optimizer&, std::string name = "optimizer");
  /// A number, string, tensor, vector of these, plain struct of these (LossScale, ReduceOnPlateau, metrics),
  /// or anything with state() and set_state() of such a type (data, Generator, Ema, EarlyStopping). A tensor
  /// must have its shape when it is loaded. Schedules are functions of the step and need not be saved.
  template <class T>
  Checkpoint& value(std::string name, T& x);

  /// The whole file is on the disk, or the old one is as it was. IoError; ValueError while an optimizer has
  /// accumulated gradients that wait for a step.
  void save(const std::string& file) const;
  /// Puts everything back. When the file is damaged, from a newer library, or of another model, optimizer or
  /// set of values, an IoError lists all that does not fit, and nothing is touched.
  void load(const std::string& file, CheckpointLoad = {});

 private:
  struct Change {  // prepared, to be made when everything fits
    std::function<void()> make, undo;
  };
  struct Value {
    std::function<void(detail::FieldVisitor&)> write;   // visits a copy
    std::function<Change(detail::FieldVisitor&)> read;  // visits a copy, and gives what assigns it
  };
  struct Thing {
    std::string name;
    Optimizer* optimizer = nullptr;
    detail::AnyModel model{nullptr, nullptr};
    Value value = {};
    const char* kind() const { return model.p ? "model" : optimizer ? "optimizer" : "value"; }
  };
  struct Reader;
  Checkpoint& add_value(std::string name, Value);
  void add(Thing);
  std::vector<Thing> things_;
};

template <class T>
Checkpoint& Checkpoint::value(std::string name, T& x) {
  const auto get = [&x] {
    if constexpr (requires { x.set_state(x.state()); })
      return x.state();
    else
      return x;
  };
  using State = std::remove_const_t<decltype(get())>;
  const auto set = [&x](const State& s) {
    if constexpr (requires { x.set_state(s); })
      x.set_state(s);
    else
      x = s;
  };
  return add_value(std::move(name), {[get](detail::FieldVisitor& v) {
                                       State s = get();
                                       detail::visit_fields(s, v);
                                     },
                                     [get, set](detail::FieldVisitor& v) -> Change {
                                       const auto old = std::make_shared<State>(get());
                                       const auto s = std::make_shared<State>(*old);
                                       detail::visit_fields(*s, v);
                                       return {[set, s] { set(*s); }, [set, old] { set(*old); }};
                                     }});
}

}  // namespace knet
