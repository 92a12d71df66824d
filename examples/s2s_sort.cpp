// Sequence to sequence: sorts lists of digits. An encoder LSTM reads the list, a decoder LSTM starts from its
// final state and writes the digits one after the other (Sutskever et al. 2014, arXiv:1409.3215).
//
//   build/release/examples/s2s_sort --steps 10000 --beam 3
//
// While training the decoder sees the right answer so far; the test lets it see only what it wrote itself.
// The last lines count the unseen lists that come out exactly sorted.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "knet/knet.hpp"
using namespace knet;

namespace {

constexpr std::int64_t start_token = 0, stop_token = 10, tokens = 11;  // digits are 1 to 9

struct Sorter {
  LSTM encoder, decoder;
  Linear output;
  Sorter(std::int64_t hidden, std::int64_t embed)
      : encoder{.input = tokens, .hidden = hidden, .embed = embed},
        decoder{.input = tokens, .hidden = hidden, .embed = embed},
        output{.input = hidden, .output = tokens} {}
  static void visit(auto& self, auto&& f) {
    f("encoder", self.encoder);
    f("decoder", self.decoder);
    f("output", self.output);
  }

  RNNState encode(const Tensor& x) const {
    const RNNOutput r = encoder(x);
    return {r.hidden, r.memory};
  }
  /// Scores of every next token, given the ones before.
  Tensor operator()(const Tensor& x, const Tensor& before) const {
    return output(decoder(before, encode(x)).y);
  }
};

/// x [batch, time] and its answer: sorted, then the stop token; `before` starts with the start token.
struct Lists {
  Tensor x, before, answer;
};
Lists random_lists(std::int64_t batch, std::int64_t time, Generator& g) {
  const Tensor x = randint(1, 10, {batch, time}, g), y = sort(x);
  return {x, cat({full({batch, 1}, start_token, i64), y}, 1), cat({y, full({batch, 1}, stop_token, i64)}, 1)};
}

using Tokens = std::vector<std::int64_t>;

/// The most probable token at every step, until the stop token.
Tokens greedy(const Sorter& m, const Tensor& x, std::size_t most) {
  RNNState s = m.encode(x);
  Tokens out;
  std::int64_t token = start_token;
  while (out.size() < most) {
    const RNNOutput r = m.decoder(Tensor{{token}}, s);
    s = {r.hidden, r.memory};
    token = m.output(r.y).argmax(-1).item<std::int64_t>();
    if (token == stop_token) break;
    out.push_back(token);
  }
  return out;
}

/// The most probable list among those that grow from the `width` best at every step.
Tokens beam(const Sorter& m, const Tensor& x, std::size_t most, std::size_t width) {
  struct Path {
    Tokens tokens;
    double score = 0;
    RNNState state;
    bool done = false;
  };
  std::vector<Path> paths{{.tokens = {}, .score = 0, .state = m.encode(x), .done = false}};
  for (std::size_t step = 0; step <= most; ++step) {
    std::vector<Path> next;
    for (const Path& p : paths) {
      if (p.done) {
        next.push_back(p);
        continue;
      }
      const RNNOutput r = m.decoder(Tensor{{p.tokens.empty() ? start_token : p.tokens.back()}}, p.state);
      const std::vector<double> scores = logp(m.output(r.y)).to_vector<double>();
      for (std::int64_t t = 1; t < tokens; ++t) {
        Path q{.tokens = p.tokens,
               .score = p.score + scores[static_cast<std::size_t>(t)],
               .state = {r.hidden, r.memory},
               .done = t == stop_token};
        if (!q.done) q.tokens.push_back(t);
        next.push_back(std::move(q));
      }
    }
    const auto better = [](const Path& a, const Path& b) { return a.score > b.score; };
    std::sort(next.begin(), next.end(), better);
    next.resize(std::min(next.size(), width));
    paths = std::move(next);
    if (paths[0].done) break;  // no other can get better
  }
  return paths[0].tokens;
}

}  // namespace

int main(int argc, char** argv) {
  int steps = 10000, test = 1000, longest = 15;
  std::int64_t hidden = 128, embed = 9, batch = 64;
  std::size_t width = 3;
  double lr = 2e-3;
  std::uint64_t seed_value = 1;
  std::string save_to, load_from;
  bool quiet = false;
  CLI::App app{"Learns to sort lists of digits."};
  app.add_option("--steps", steps, "updates")->check(CLI::NonNegativeNumber);
  app.add_option("--longest", longest, "lists have 1 to so many digits")->check(CLI::Range(1, 1000));
  app.add_option("--hidden", hidden, "size of the LSTMs' states")->check(CLI::PositiveNumber);
  app.add_option("--embed", embed, "size of the tokens' embeddings")->check(CLI::PositiveNumber);
  app.add_option("--batch", batch, "lists per update")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate at the start; it falls to 0 along a cosine");
  app.add_option("--test", test, "lists to sort afterwards")->check(CLI::PositiveNumber);
  app.add_option("--beam", width, "paths of the beam search")->check(CLI::PositiveNumber);
  app.add_option("--seed", seed_value, "of everything random");
  app.add_option("--save", save_to, "write the trained model to this safetensors file");
  app.add_option("--load", load_from, "start from this safetensors file");
  app.add_flag("--quiet", quiet, "no progress bar");
  CLI11_PARSE(app, argc, argv);

  try {
    seed(seed_value);
    Sorter model(hidden, embed);
    if (!load_from.empty()) load(load_from, model);
    std::cout << show(model) << "\n";
    Optimizer optimizer(model, Adam{.lr = lr, .gclip = 1});
    const Schedule rate = schedule::cosine(lr, std::max(steps, 1));
    Generator lists(seed_value);
    double loss = 0;
    const auto update = [&](int i) {
      optimizer.set_lr(rate(i));
      const std::int64_t time = randint(1, longest + 1, {1}, lists).item<std::int64_t>();
      const Lists l = random_lists(batch, time, lists);
      const Tape t = diff([&] { return nll(model(l.x, l.before), l.answer); });
      optimizer.step(t);
      loss = 0.99 * loss + 0.01 * t.item();
      if ((i + 1) % 1000 == 0) std::printf("step %d: loss %.5f\n", i + 1, loss), std::fflush(stdout);
    };
    std::vector<int> numbers(static_cast<std::size_t>(steps));
    for (int i = 0; i < steps; ++i) numbers[static_cast<std::size_t>(i)] = i;
    if (quiet) {
      for (int i : numbers) update(i);
    } else {
      for (int i : progress(numbers)) update(i);
    }
    if (!save_to.empty()) save(save_to, model);

    int exact_greedy = 0, exact_beam = 0;
    Generator unseen(seed_value + 1'000'000);
    for (int i = 0; i < test; ++i) {
      const Lists l = random_lists(1, 1 + i % longest, unseen);
      const Tokens right = sort(l.x).to_vector<std::int64_t>();
      const auto most = static_cast<std::size_t>(2 * longest);
      const Tokens g = greedy(model, l.x, most);
      exact_greedy += g == right;
      exact_beam += beam(model, l.x, most, width) == right;
      if (i == longest - 1) {
        std::cout << l.x << "\n sorted:";
        for (const auto t : g) std::cout << " " << t;
        std::cout << "\n";
      }
    }
    std::printf("greedy: %.1f %% of %d lists exactly sorted\n", 100.0 * exact_greedy / test, test);
    std::printf("beam of %zu: %.1f %%\n", width, 100.0 * exact_beam / test);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
