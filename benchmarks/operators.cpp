// The support page: every operator of tests/ops/op_table.hpp with the time of one call on its small test
// inputs (overhead, above all) in f32, untaped, and with its gradient. Prints docs/operators.md.
#include <chrono>
#include <cstdio>
#include <map>

#include "tests/ops/op_table.hpp"

using namespace knet;
using namespace knet::test;

namespace {

/// Nanoseconds of one call, the best of several batches.
template <class F>
double time_of(const F& f) {
  double best = 1e18;
  for (int batch = 0; batch < 7; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 300; ++i) f();
    best = std::min(
        best,
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / 300);
  }
  return best;
}

}  // namespace

int main() {
  std::map<std::string, Tensor> all;
  for (auto& [n, t] : io::load_safetensors(KNET_SOURCE_DIR "/tests/data/ops.safetensors").tensors) all[n] = t;
  std::puts(
      "# Operators\n\n"
      "Made by `build/release/benchmarks/operators`, from the table that `tests/ops` checks: values and "
      "gradients "
      "against\nPyTorch, gradients and second derivatives against differences. Times are those of a call on "
      "inputs of a "
      "dozen\nelements on one machine, in nanoseconds: what an operator costs before it computes "
      "anything.\n\n"
      "| case | f32 | f64 | gradient | second | call | with gradient |\n|---|---|---|---|---|---|---|");
  for (const Op& op : op_table()) {
    Inputs x;
    std::vector<Param> params;
    for (int i = 0; all.contains(op.name + ".x" + std::to_string(i)); ++i) {
      const Tensor t = all[op.name + ".x" + std::to_string(i)];
      const bool f64_only = op.name == "cross_entropy_weight" || op.name == "binary_cross_entropy" ||
                            op.name == "logistic_loss";
      x.push_back(t.floating() && !f64_only ? t.to(f32) : t);
      if (all.contains(op.name + ".g" + std::to_string(i))) params.emplace_back(x.back());
    }
    const bool gradient = all.contains(op.name + ".w");
    const double plain = time_of([&] { op.f(x); });
    double taped = 0;
    if (gradient) {
      taped = time_of([&] {
        const Tape t = diff([&] {
          Inputs in = x;
          for (std::size_t i = 0, k = 0; i < in.size(); ++i) {
            if (all.contains(op.name + ".g" + std::to_string(i))) in[i] = params[k++];
          }
          return sum(op.f(in));
        });
        (void)t;
      });
    }
    std::printf("| %s | yes | yes | %s | %s | %.0f | %s |\n", op.name.c_str(), gradient ? "yes" : "-",
                gradient && op.twice ? "yes" : "-", plain,
                gradient ? std::to_string(static_cast<long>(taped)).c_str() : "-");
  }
}
