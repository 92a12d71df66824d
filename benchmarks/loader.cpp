// How long a training loop waits for its data: the share of its time that goes into getting the next batch,
// with and without prefetch(). Two models that hide little of it: an MLP on MNIST, and an LSTM that tags the
// words of a treebank with their parts of speech.
//
//   bench_loader [DATA]     DATA holds mnist/ and ud-turkish-imst/; ../shared/data when left out
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "knet/knet.hpp"

using namespace knet;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Trains for some epochs and prints the share of waiting. Waiting is all that is neither model nor optimiser:
// beginning a pass, ++ and *.
template <class M, class D>
void measure(const char* name, M& model, D&& data, int epochs) {
  Optimizer opt(model, Adam{.lr = 1e-3});
  double waiting = 0, loss = 0, begin = now();
  int batches = 0;
  for (int e = 0; e < epochs; ++e) {
    double last = now();
    const auto lap = [&] { waiting += now() - last; };
    auto i = data.begin();
    while (i != data.end()) {
      {
        auto&& [x, y] = *i;
        lap();
        const Tape tape = diff([&, &x = x, &y = y] { return nll(model(x), y); });
        opt.step(tape);
        loss = tape.item();
        ++batches;
      }
      last = now();
      ++i;
    }
    lap();
  }
  const double all = now() - begin;
  std::printf("%-34s %6d batches %7.2f s  waiting %6.2f ms = %5.2f %%  (loss %.3f)\n", name, batches, all,
              1e3 * waiting, 100 * waiting / all, loss);
}

struct Tagger {
  LSTM lstm;
  Linear output;
  explicit Tagger(std::int64_t words, std::int64_t tags)
      : lstm{.input = words, .hidden = 128, .embed = 64, .bidirectional = true},
        output{.input = 256, .output = tags} {}
  using fields = knet::fields<&Tagger::lstm, &Tagger::output>;
  Tensor operator()(const PackedSequence& x) const { return output(lstm(x).y); }
};

}  // namespace

int main(int argc, char** argv) try {
  const std::string folder = argc > 1 ? argv[1] : "../shared/data";
  {
    const auto [x, y, xtst, ytst] = datasets::mnist(folder + "/mnist");
    for (const bool ahead : {false, true}) {
      const auto data = minibatch(mat(x), y, 100, {.shuffle = true, .seed = 1});
      seed(1);
      MLP model{{784, 100, 50, 10}};
      if (ahead)
        measure("MNIST, MLP, prefetch", model, prefetch(data), 5);
      else
        measure("MNIST, MLP", model, data, 5);
    }
  }
  const auto sentences = datasets::read_conllu(folder + "/ud-turkish-imst/tr_imst-ud-train.conllu");
  IndexedDict<std::string> words, tags;
  using Ids = std::vector<std::int64_t>;
  std::vector<std::pair<Ids, Ids>> rows;
  for (const auto& s : sentences) {
    auto& [x, y] = rows.emplace_back();
    for (const auto* w : s.words()) {
      x.push_back(words.push_back(w->form));
      y.push_back(tags.push_back(w->upos));
    }
  }
  for (const bool ahead : {false, true}) {
    const auto data = batch_by_length(rows, 32, PackSequences{}, {.shuffle = true, .seed = 1});
    seed(1);
    Tagger model(static_cast<std::int64_t>(words.size()), static_cast<std::int64_t>(tags.size()));
    if (ahead)
      measure("UD sentences, LSTM tagger, prefetch", model, prefetch(data), 2);
    else
      measure("UD sentences, LSTM tagger", model, data, 2);
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
