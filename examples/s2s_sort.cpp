// Sequence to sequence: sorts lists of digits. An encoder LSTM reads the list, a decoder LSTM starts from its
// final state and writes the digits one after the other (Sutskever et al. 2014, arXiv:1409.3215); with
// --attention it looks back at the list at every step (Luong et al. 2015, arXiv:1508.04025).
//
//   build/release/examples/s2s_sort --steps 10000 --beam 3
//   build/release/examples/s2s_sort --steps 10000 --attention
//
// While training the decoder sees the right answer so far; the test lets it see only what it wrote itself.
// The last lines count the unseen lists that come out exactly sorted: all of 1,000, with attention and
// without (README.md of this folder).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "program.hpp"
using namespace knet;

namespace {

constexpr std::int64_t start_token = 0, stop_token = 10, tokens = 11;  // digits are 1 to 9

/// x [batch, time] and its answer: sorted, then the stop token; `before` starts with the start token.
struct Lists {
  Tensor x, before, answer;
};
Lists random_lists(std::int64_t batch, std::int64_t time, Generator& g) {
  const Tensor x = randint(1, 10, {batch, time}, g), y = sort(x);
  return {x, cat({full({batch, 1}, start_token, i64), y}, 1), cat({y, full({batch, 1}, stop_token, i64)}, 1)};
}

}  // namespace

int main(int argc, char** argv) {
  int steps = 10000, test = 1000, longest = 15, every = 1000;
  std::int64_t hidden = 128, embed = 9, batch = 64, width = 3;
  double lr = 2e-3;
  bool attention = false;
  std::string save_to, load_from;
  program::Run run;
  CLI::App app{"Learns to sort lists of digits."};
  app.add_option("--steps", steps, "updates")->check(CLI::NonNegativeNumber);
  app.add_option("--longest", longest, "lists have 1 to so many digits")->check(CLI::Range(1, 1000));
  app.add_option("--hidden", hidden, "size of the LSTMs' states")->check(CLI::PositiveNumber);
  app.add_option("--embed", embed, "size of the tokens' embeddings")->check(CLI::PositiveNumber);
  app.add_flag("--attention", attention, "the decoder looks back at the list");
  app.add_option("--batch", batch, "lists per update")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate at the start; it falls to 0 along a cosine")
      ->check(CLI::PositiveNumber);
  app.add_option("--every", every, "updates of an epoch, after which losses are printed")
      ->check(CLI::PositiveNumber);
  app.add_option("--test", test, "lists to sort afterwards")->check(CLI::PositiveNumber);
  app.add_option("--beam", width, "paths of the beam search")->check(CLI::PositiveNumber);
  app.add_option("--save", save_to, "write the trained model to this safetensors file");
  app.add_option("--load", load_from, "start from this safetensors file");
  run.add(app);
  CLI11_PARSE(app, argc, argv);

  try {
    run.begin();
    models::Seq2Seq model{.tokens = tokens, .hidden = hidden, .embed = embed, .attention = attention};
    if (!load_from.empty()) load(load_from, model);
    std::cout << show(model) << "\n";
    Optimizer optimizer(model, Adam{.lr = lr, .gclip = 1});
    const Schedule rate = schedule::cosine(lr, std::max(steps, 1));
    Generator lists(run.seed);
    run.state.model(model).optimizer(optimizer).value("lists", lists);
    for (run.resume(); run.state.step < steps;) {
      std::vector<std::int64_t> numbers;
      for (std::int64_t i = run.state.step; i < std::min<std::int64_t>(steps, run.state.step + every); ++i)
        numbers.push_back(i);
      double loss = 0;
      run.each(numbers, [&](std::int64_t i) {
        optimizer.set_lr(rate(i));
        const std::int64_t time = randint(1, longest + 1, {1}, lists).item<std::int64_t>();
        const Lists l = random_lists(batch, time, lists);
        const Tape t = diff([&] { return nll(model(l.x, l.before), l.answer); });
        optimizer.step(t);
        loss += t.item() / static_cast<double>(numbers.size());
      });
      run.state.step += static_cast<std::int64_t>(numbers.size());
      std::printf("step %lld: loss %.5f\n", static_cast<long long>(run.state.step), loss);
      run.finish({{"step", run.state.step}, {"loss", loss}});
    }
    if (!save_to.empty()) save(save_to, model);

    int exact_greedy = 0, exact_beam = 0;
    Generator unseen(run.seed + 1'000'000);
    const models::DecodeOptions o{
        .start = start_token, .stop = stop_token, .longest = 2 * longest, .beam = width};
    for (int i = 0; i < test; ++i) {
      const Lists l = random_lists(1, 1 + i % longest, unseen);
      const auto right = sort(l.x).to_vector<std::int64_t>();
      const auto g = models::decode_greedy(model, l.x, o)[0];
      exact_greedy += g == right;
      exact_beam += models::decode_beam(model, l.x, o) == right;
      if (i == longest - 1) {
        std::cout << l.x << "\n sorted:";
        for (const auto t : g) std::cout << " " << t;
        std::cout << "\n";
      }
    }
    std::printf("greedy: %.1f %% of %d lists exactly sorted\n", 100.0 * exact_greedy / test, test);
    std::printf("beam of %lld: %.1f %%\n", static_cast<long long>(width), 100.0 * exact_beam / test);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
