// How long a training loop waits for its data: the share of its time that goes into getting the next batch,
// with and without prefetch(), and beside that the time of the same steps on batches made beforehand.
// Models that hide little of it: an MLP and the seed's small CNN on MNIST, and an LSTM that tags the words of
// a treebank with their parts of speech.
//
//   bench_loader [DATA [THREADS]]     DATA holds mnist/ and ud-turkish-imst/; ../shared/data when left out.
//                                     THREADS compute; all when left out
#include <chrono>
#include <cstdio>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "examples/program.hpp"
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
  std::printf("%-44s %6d batches %7.2f s  waiting %6.2f ms = %5.2f %%  (loss %.3f)\n", name, batches, all,
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
  if (argc > 2) set_threads(std::stoi(argv[2]));
  std::printf("%d threads\n", threads());
  // One model, trained on three kinds of the same data.
  const auto compare = [](const char* name, const auto& make_model, const auto& data, int epochs) {
    const auto trained_on = [&](const char* how, auto&& batches) {
      seed(1);
      auto model = make_model();
      measure((std::string(name) + how).c_str(), model, batches, epochs);
    };
    {
      std::vector<typename std::remove_cvref_t<decltype(data)>::iterator::value_type> made;
      for (auto&& b : data) made.push_back(b);
      trained_on(", made beforehand", made);
    }
    trained_on("", data);
    trained_on(", prefetch", prefetch(data));
  };
  {
    const auto mlp = [] { return MLP{{784, 100, 50, 10}}; };
    const auto floats = datasets::mnist(folder + "/mnist");
    compare("MNIST, MLP", mlp, minibatch(mat(floats.xtrn), floats.ytrn, 100, {.shuffle = true, .seed = 1}),
            5);
    const auto bytes = datasets::mnist(folder + "/mnist", -1, u8);
    const MinibatchOptions o{.shuffle = true, .seed = 1, .xtype = f32, .divisor = 255};
    compare("MNIST as bytes, MLP", mlp, minibatch(mat(bytes.xtrn), bytes.ytrn, 100, o), 5);
    compare("MNIST, CNN", program::small_cnn,
            minibatch(floats.xtrn, floats.ytrn, 100, {.shuffle = true, .seed = 1}), 2);
    compare("MNIST as bytes, CNN", program::small_cnn, minibatch(bytes.xtrn, bytes.ytrn, 100, o), 2);
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
  compare(
      "UD sentences, LSTM tagger",
      [&] { return Tagger(static_cast<std::int64_t>(words.size()), static_cast<std::int64_t>(tags.size())); },
      batch_by_length(rows, 32, PackSequences{}, {.shuffle = true, .seed = 1}), 2);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
