#include "knet/layers/compile.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "knet/autograd/tape.hpp"
#include "knet/base/all_threads.hpp"
#include "knet/base/dispatch.hpp"
#include "knet/base/text.hpp"
#include "knet/device/pool.hpp"
#include "knet/layers/plan_program.hpp"
#include "knet/tensor/access.hpp"

namespace knet {
namespace {

using plan::Buffer;
using plan::Call;
using plan::Operand;
using plan::Program;

/// What all copies of a plan share.
struct Shared {
  Program program;
  std::vector<PlanPort> inputs, outputs;
  /// A pointer among the arguments of all calls.
  struct Pointer {
    std::size_t at;
    std::ptrdiff_t offset;
  };
  std::vector<std::vector<Pointer>> of_inputs, of_outputs;
  /// Ids that are known only when the plan runs: those of a call, and where their pointer lies.
  struct Ids {
    std::size_t call, at;
    Array form;
    std::int64_t limit;
  };
  std::vector<Ids> ids;
  std::vector<std::size_t> start;  ///< of the arguments of a call
  std::size_t argument_bytes = 0;
};

template <class T>
void check_ids(const char* who, const Array& ids, std::int64_t limit) {
  std::int64_t at[max_dims]{};
  const T* p = ids.as<const T>();
  for (std::int64_t i = ids.numel(); i-- > 0;) {
    if (const auto v = static_cast<std::int64_t>(*p); v < 0 || v >= limit)
      fail<ValueError>("compile: the plan's ", who, ": id ", v, " is outside 0 to ", limit - 1);
    for (int d = ids.ndim - 1; d >= 0; --d) {
      p += ids.stride[d];
      if (++at[d] < ids.size[d]) break;
      p -= ids.stride[d] * std::exchange(at[d], 0);
    }
  }
}

}  // namespace

struct Plan::State {
  std::shared_ptr<const Shared> shared;
  std::vector<std::max_align_t> arguments;
  Tensor memory;
  std::byte* base;
  mutable memory::Reserve reserve;
  int first_runs = 2;                       ///< still to come
  std::vector<std::byte*> inputs, outputs;  // where they are now

  explicit State(std::shared_ptr<const Shared> s)
      : shared(std::move(s)),
        arguments(shared->argument_bytes / sizeof(std::max_align_t)),
        memory(Tensor::make({static_cast<std::int64_t>(shared->program.memory)}, u8)),
        base(TensorAccess::data(memory)),
        inputs(shared->inputs.size()),
        outputs(shared->outputs.size()) {
    const Program& p = shared->program;
    std::memset(base, 0xff, p.memory);  // touched before it counts; not a number, should anybody read it
    for (std::size_t i = 0; i < p.calls.size(); ++i) {
      const Call& c = p.calls[i];
      std::memcpy(bytes() + shared->start[i], c.arguments.data(),
                  c.arguments.size() * sizeof(std::max_align_t));
      for (const Operand& o : c.operands) {
        const Buffer& b = p.buffers[static_cast<std::size_t>(o.buffer)];
        if (b.varies()) set({shared->start[i] + o.at, o.offset}, base + b.place);
      }
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs[i] = own(true, i);
      std::memset(inputs[i], 0, p.buffers[static_cast<std::size_t>(p.inputs[i].buffer)].bytes());
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = own(false, i);
  }

  std::byte* bytes() { return reinterpret_cast<std::byte*>(arguments.data()); }
  void set(const Shared::Pointer& p, std::byte* begin) {
    const void* value = begin + p.offset;
    std::memcpy(bytes() + p.at, &value, sizeof value);
  }
  std::byte* own(bool input, std::size_t i) const {
    const auto& port = (input ? shared->program.inputs : shared->program.outputs)[i];
    return base + shared->program.buffers[static_cast<std::size_t>(port.buffer)].place;
  }
  void bind(bool input, std::size_t i, std::byte* to) {
    std::byte*& now = (input ? inputs : outputs)[i];
    if (now == to) return;
    now = to;
    for (const auto& p : (input ? shared->of_inputs : shared->of_outputs)[i]) set(p, to);
  }
  void bind_own() {
    for (std::size_t i = 0; i < inputs.size(); ++i) bind(true, i, own(true, i));
    for (std::size_t i = 0; i < outputs.size(); ++i) bind(false, i, own(false, i));
  }
  void check(const Shared::Ids& c) {
    Array ids = c.form;
    std::memcpy(&ids.data, bytes() + c.at, sizeof ids.data);
    const char* who = shared->program.calls[c.call].name;
    dispatch_index(who, ids.dtype, [&]<class T>(type<T>) { check_ids<T>(who, ids, c.limit); });
  }
  void run() {
    const memory::Reserve::Use use(reserve);
    // Every thread has its room before the calls that must not ask for any.
    std::optional<AllThreads> all;
    if (first_runs > 0) all.emplace(), --first_runs;
    // Packed weights are the cpu table's own; who watches sees its calls all the same.
    const Kernels& k = tape::watched() ? kernels(cpu) : cpu_kernels();
    const std::vector<Call>& calls = shared->program.calls;
    auto ids = shared->ids.begin();
    for (std::size_t i = 0; i < calls.size(); ++i) {
      for (; ids != shared->ids.end() && ids->call == i; ++ids) check(*ids);
      calls[i].run(k, bytes() + shared->start[i]);
    }
  }
};

Plan::Plan() noexcept = default;
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan::Plan(const Plan& o) {
  if (!o.state_) return;
  state_ = std::make_unique<State>(o.state_->shared);
  const auto& program = o.state_->shared->program;
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const Buffer& b = program.buffers[static_cast<std::size_t>(program.inputs[i].buffer)];
    std::memcpy(state_->own(true, i), o.state_->own(true, i), b.bytes());
  }
}
Plan& Plan::operator=(Plan o) noexcept {
  std::swap(state_, o.state_);
  return *this;
}
const Plan::State& Plan::state() const {
  if (!state_) fail<ValueError>("Plan: it is empty; make one with compile()");
  return *state_;
}
const std::vector<PlanPort>& Plan::inputs() const { return state().shared->inputs; }
const std::vector<PlanPort>& Plan::outputs() const { return state().shared->outputs; }
std::size_t Plan::memory() const { return state().shared->program.memory; }
std::size_t Plan::intermediates() const { return state().shared->program.intermediates; }
std::vector<std::string> Plan::calls() const {
  std::vector<std::string> r;
  for (const Call& c : state().shared->program.calls) r.emplace_back(c.name);
  return r;
}

std::size_t Plan::count(bool input, std::size_t i) const {
  return static_cast<std::size_t>((input ? inputs() : outputs())[i].shape.numel());
}
void* Plan::memory_of(bool input, std::size_t i, DType t) const {
  const auto& ports = input ? inputs() : outputs();
  const char* what = input ? "input " : "output ";
  if (i >= ports.size())
    fail<ValueError>("compile: the plan has ", ports.size(), " ", what, "ports, no ", what, i);
  if (ports[i].dtype != t)
    fail<DTypeError>("compile: the plan's ", what, i, " holds ", ports[i].dtype, ", not ", t);
  return state_->own(input, i);
}
void Plan::run() const {
  static_cast<void>(state());
  state_->bind_own();
  state_->run();
}
void Plan::run(const void* in, std::size_t n, void* out, std::size_t m, DType t) const {
  void *x = memory_of(true, 0, t), *y = memory_of(false, 0, t);
  if (inputs().size() != 1)
    fail<ShapeError>("compile: the plan has ", inputs().size(), " inputs; write them to input(i)");
  if (n != count(true, 0) || m != count(false, 0))
    fail<ShapeError>("compile: the plan turns ", inputs()[0].shape, " into ", outputs()[0].shape, ", not ", n,
                     " values into ", m);
  std::memcpy(x, in, n * size_of(t));
  run();
  std::memcpy(out, y, m * size_of(t));
}

void Plan::call(std::span<const Tensor* const> x, std::span<Tensor> y) const {
  const auto &in = inputs(), &out = outputs();
  if (x.size() != in.size())
    fail<ShapeError>("compile: the plan takes ", in.size(), " inputs, not ", x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    check_defined("compile", *x[i]);
    if (x[i]->shape() != in[i].shape)
      fail<ShapeError>("compile: the plan's input ", i, " is ", x[i]->shape(), ", expected ", in[i].shape,
                       " as in the example");
    if (x[i]->dtype() != in[i].dtype)
      fail<DTypeError>("compile: the plan's input ", i, " is ", x[i]->dtype(), ", expected ", in[i].dtype);
    require("compile", x[i]->device());
  }
  state_->bind_own();
  Tensor dense[4];  // of the first inputs; more than these are copied
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Tensor d = raw::contiguous(x[i]->detach());
    if (i < std::size(dense)) {
      dense[i] = d;
      state_->bind(true, i, TensorAccess::data(d));
    } else {
      std::memcpy(state_->own(true, i), TensorAccess::data(d), count(true, i) * size_of(in[i].dtype));
    }
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = Tensor::make(out[i].shape, out[i].dtype, cpu);
    state_->bind(false, i, TensorAccess::data(y[i]));
  }
  state_->run();
}

// ---- making plans ----

struct PlanBuilder {
  static Plan make(Program program) {
    auto s = std::make_shared<Shared>();
    s->program = std::move(program);
    const Program& p = s->program;
    s->of_inputs.resize(p.inputs.size());
    s->of_outputs.resize(p.outputs.size());
    for (const auto& port : p.inputs) s->inputs.push_back({port.shape, port.dtype});
    for (const auto& port : p.outputs) s->outputs.push_back({port.shape, port.dtype});
    for (std::size_t i = 0; i < p.calls.size(); ++i) {
      s->start.push_back(s->argument_bytes);
      for (const Operand& o : p.calls[i].operands) {
        const std::size_t at = s->argument_bytes + o.at;
        for (std::size_t k = 0; k < p.inputs.size(); ++k) {
          if (p.inputs[k].buffer == o.buffer) s->of_inputs[k].push_back({at, o.offset});
        }
        for (std::size_t k = 0; k < p.outputs.size(); ++k) {
          if (p.outputs[k].buffer == o.buffer) s->of_outputs[k].push_back({at, o.offset});
        }
        if (o.ids > 0 && p.buffers[static_cast<std::size_t>(o.buffer)].varies())
          s->ids.push_back({i, at, o.form, o.ids});
      }
      s->argument_bytes += p.calls[i].arguments.size() * sizeof(std::max_align_t);
    }
    Plan plan;
    plan.state_ = std::make_unique<Plan::State>(std::move(s));
    return plan;
  }
  static std::vector<Tensor> call(const Plan& plan, const std::vector<Tensor>& x) {
    std::vector<const Tensor*> in;
    for (const Tensor& t : x) in.push_back(&t);
    std::vector<Tensor> y(plan.outputs().size());
    plan.call(in, y);
    return y;
  }
};

namespace {

using Tensors = std::vector<Tensor>;

Tensors call(const detail::PlannedModel& model, const Tensors& x) {
  const Mode inference(false);
  const NoGrad constant;
  Tensors y;
  model(x, y);
  return y;
}

Program record(const detail::PlannedModel& model, const Tensors& x, Tensors& expected) {
  const memory::Hoard hoard;  // every address is one tensor's
  plan::Recorder recorder;
  Tensors y;
  {
    const Watch watch(recorder);
    y = call(model, x);
  }
  if (!recorder.unknown.empty())
    fail<ValueError>("compile: the model calls the kernel ", recorder.unknown,
                     ", which a plan cannot repeat: random numbers and dropout change from call to call, "
                     "losses and factorisations go through the caller's hands");
  if (y.empty()) fail<ValueError>("compile: the model returned no tensor");
  Program p;
  p.calls = std::move(recorder.calls);
  for (const Tensor& t : x) p.inputs.push_back({t.shape(), t.dtype(), t});
  for (const Tensor& t : y) {
    if (t.numel() == 0) fail<ShapeError>("compile: the model's result is empty, ", t.shape());
    p.outputs.push_back({t.shape(), t.dtype(), t.detach()});
    expected.push_back(raw::copy(t.detach(), t.dtype()));
  }
  plan::analyse(p);
  plan::fold(p);
  plan::pack(p);
  plan::place(p);
  return p;
}

/// Other values of the same kind, between the least and the largest: from all of that range, its lower or its
/// upper part.
enum class Part : std::uint8_t { all, lower, upper };
Tensor other_values(const Tensor& x, Part part) {
  std::vector<double> v = x.to_vector<double>();
  const auto [least, largest] = std::ranges::minmax(v);
  const bool one = least == largest;
  std::uint64_t state = 1;
  for (double& e : v) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double u = static_cast<double>(state >> 40) / 16777216.0;
    if (part != Part::all) u = part == Part::lower ? u / 4 : 1 - u / 4;
    if (!x.floating())
      e = std::min(largest, least + std::floor(u * (largest - least + 1)));
    else if (one)
      e = least + (u - 0.5) * (least == 0 ? 1 : 0.5 * std::abs(least));
    else
      e = least + u * (largest - least);
  }
  return Tensor(v, x.shape()).to(x.dtype());
}

void compare(const Tensors& expected, const Tensors& got) {
  if (expected.size() != got.size())
    fail<ValueError>("compile: the model returned ", got.size(), " tensors, and then ", expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (expected[i].shape() != got[i].shape())
      fail<ValueError>("compile: output ", i, " of the model is ", got[i].shape(), ", and then ",
                       expected[i].shape());
    const std::vector<double> a = expected[i].detach().to_vector<double>(), b = got[i].to_vector<double>();
    double largest = 0, difference = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
      if (a[k] == b[k] || (std::isnan(a[k]) && std::isnan(b[k]))) continue;
      const double d = std::abs(a[k] - b[k]);
      difference = std::isfinite(d) ? std::max(difference, d) : INFINITY;
    }
    for (const double e : a) largest = std::isfinite(e) ? std::max(largest, std::abs(e)) : largest;
    const double allowed = is_floating(got[i].dtype()) ? (size_of(got[i].dtype()) == 2 ? 1e-2 : 1e-5) : 0;
    if (difference > allowed * largest)
      fail<ValueError>("compile: output ", i, " of the plan differs from the model's by ", difference,
                       " (largest ", largest,
                       "): the model's results depend on values through code that is not made of operators "
                       "(item(), an if on data), or on a state that it changes");
  }
}

}  // namespace

Plan detail::compile(const PlannedModel& model, std::span<const Tensor* const> examples) {
  Tensors x, expected;
  for (const Tensor* t : examples) {
    check_defined("compile", *t);
    require("compile", t->device());
    if (t->numel() == 0) fail<ShapeError>("compile: an example is empty, ", t->shape());
    x.push_back(raw::copy(t->detach(), t->dtype()));
  }
  Plan plan = PlanBuilder::make(record(model, x, expected));
  compare(expected, PlanBuilder::call(plan, x));
  for (const Part part : {Part::all, Part::lower, Part::upper}) {  // so that a condition has changed
    Tensors others;
    for (const Tensor& t : x) others.push_back(other_values(t, part));
    compare(call(model, others), PlanBuilder::call(Plan(plan), others));
  }
  // What recording and comparing took goes back to the system; one more call leaves the blocks the plan asks
  // for.
  release_memory();
  PlanBuilder::call(plan, x);
  return plan;
}

}  // namespace knet
