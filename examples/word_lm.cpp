// A language model of words: the LSTM or GRU that every newer model is compared with (Zaremba et al. 2014,
// arXiv:1409.2329), with the embedding as its output table on request (Press & Wolf 2017, arXiv:1608.05859).
//
//   build/release/examples/word_lm --text train.txt --valid valid.txt --test test.txt --model lstm --tied
//   build/release/examples/word_lm --text book.txt --sample 50
//
// A text is a word between blanks after the other, each line ends with the word <eos>. The state is carried
// from one window of --bptt words to the next, gradients are not. Plain SGD with clipped gradients; the rate
// is divided by 4 whenever the perplexity on the validation text does not fall (without --valid: the last
// tenth of the text).
//
// The words of UD Turkish-IMST without punctuation (--valid --test --tied --min-count 2 --dropout 0.4 --batch
// 4 --bptt 20 --epochs 12): perplexity 70.2 on the test part in 80 s of one thread; their frequencies alone
// make 77.2, since 35,000 words are few and 4 of 10 are <unk>. With the default --batch and --bptt an epoch
// has 50 updates there, too few to get below that.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <variant>

#include "program.hpp"
using namespace knet;

namespace {

struct WordLM {
  Embed words;
  std::variant<LSTM, GRU> rnn;
  std::vector<Multiply> output;  // one, or none: the embedding's table
  Bias bias;
  double dropout;

  /// ids [batch, time] -> scores [batch, time, words]; the state goes on, as a constant.
  Tensor operator()(const Tensor& ids, RNNState& state) const {
    const RNNOutput r =
        std::visit([&](const auto& layer) { return layer(knet::dropout(words(ids), dropout), state); }, rnn);
    state = {r.hidden.detach(), r.memory ? r.memory.detach() : Tensor()};
    const Tensor h = knet::dropout(r.y, dropout);
    return bias(output.empty() ? matmul(h, words.weight.T()) : output[0](h));
  }
};

using Words = std::vector<std::vector<std::string>>;
Words read_words(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw IoError("word_lm: " + path + " can not be read");
  Words lines;
  for (std::string line; std::getline(in, line);) {
    if (!unicode::is_utf8(line))
      throw ValueError("word_lm: " + path + ": line " + std::to_string(lines.size() + 1) + " is not UTF-8");
    lines.push_back(WhitespaceTokenizer{}(line));
    lines.back().push_back("<eos>");
  }
  return lines;
}

/// A text cut into `batch` columns that are read side by side: [batch, words of a column].
Tensor columns(const std::string& name, const Vocabulary& v, const Words& lines, std::int64_t batch) {
  std::vector<std::int64_t> ids;
  for (const auto& line : lines) {
    for (const auto& word : line) ids.push_back(v.id(word));
  }
  const auto length = static_cast<std::int64_t>(ids.size()) / batch;
  if (length < 2)
    throw ValueError("word_lm: " + name + " has " + std::to_string(ids.size()) + " words: too few for " +
                     std::to_string(batch) + " columns");
  ids.resize(static_cast<std::size_t>(length * batch));
  return Tensor(ids).reshape({batch, length});
}

/// f(words, next words) for every window.
template <class F>
void windows(const Tensor& text, std::int64_t bptt, F&& f) {
  for (std::int64_t at = 0; at + 1 < text.size(1); at += bptt) {
    const std::int64_t n = std::min(bptt, text.size(1) - 1 - at);
    f(text.narrow(1, at, n), text.narrow(1, at + 1, n));
  }
}
double perplexity(const WordLM& m, const Tensor& text, std::int64_t bptt) {
  RNNState state;
  double sum = 0;
  windows(text, bptt, [&](const Tensor& x, const Tensor& y) {
    sum += cross_entropy(m(x, state), y, {.average = false}).item();
  });
  return std::exp(sum / static_cast<double>(text.size(0) * (text.size(1) - 1)));
}

}  // namespace

int main(int argc, char** argv) {
  std::string text_file, valid_file, test_file, kind = "lstm", save_to;
  int epochs = 10, sample = 0;
  std::int64_t size = 200, layers = 2, batch = 20, bptt = 35, most = 50000, min_count = 1;
  double lr = 20, clip = 0.25, dropout_p = 0.2;
  models::SamplingOptions sampling;
  bool tied = false;
  program::Run run;
  CLI::App app{"Learns which word comes next."};
  app.add_option("--text", text_file, "the text to learn")->required()->check(CLI::ExistingFile);
  app.add_option("--valid", valid_file, "to lower the learning rate by")->check(CLI::ExistingFile);
  app.add_option("--test", test_file, "measured at the end")->check(CLI::ExistingFile);
  app.add_option("--model", kind, "lstm or gru")->check(CLI::IsMember({"lstm", "gru"}));
  app.add_flag("--tied", tied, "the output table is the embedding");
  app.add_option("--size", size, "of embedding and states")->check(CLI::PositiveNumber);
  app.add_option("--layers", layers, "one above the other")->check(CLI::PositiveNumber);
  app.add_option("--dropout", dropout_p, "between the layers")->check(CLI::Range(0.0, 0.95));
  app.add_option("--epochs", epochs, "passes over the text")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", batch, "columns that the text is cut into")->check(CLI::PositiveNumber);
  app.add_option("--bptt", bptt, "words that gradients flow back")->check(CLI::PositiveNumber);
  app.add_option("--lr", lr, "learning rate at the start")->check(CLI::PositiveNumber);
  app.add_option("--clip", clip, "norm that all gradients together are cut to")->check(CLI::PositiveNumber);
  app.add_option("--vocabulary", most, "the most words; rarer ones are <unk>")->check(CLI::PositiveNumber);
  app.add_option("--min-count", min_count, "of a word that is not <unk>")->check(CLI::PositiveNumber);
  app.add_option("--sample", sample, "words to write at the end")->check(CLI::NonNegativeNumber);
  app.add_option("--temperature", sampling.temperature, "of what is written")->check(CLI::NonNegativeNumber);
  app.add_option("--top-k", sampling.top_k, "choose among so many words")->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", sampling.top_p, "choose among the words that have this probability together")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--save", save_to, "write the best model to this safetensors file");
  run.add(app);
  CLI11_PARSE(app, argc, argv);

  try {
    run.begin();
    Words text = read_words(text_file), valid;
    if (valid_file.empty()) {
      const auto at = text.end() - static_cast<std::ptrdiff_t>(text.size() / 10);
      valid.assign(at, text.end());
      text.erase(at, text.end());
    } else {
      valid = read_words(valid_file);
    }
    VocabularyBuilder builder;
    for (const auto& line : text) builder.add(line);
    const Vocabulary v = builder.build({.min_count = min_count, .max_size = most});
    const Tensor learned = columns(text_file, v, text, batch),
                 unseen = columns("the validation text", v, valid, 10);
    const auto count = static_cast<std::int64_t>(v.size());

    const auto rnn = [&]() -> std::variant<LSTM, GRU> {
      if (kind == "lstm") return LSTM{.input = size, .hidden = size, .layers = layers, .dropout = dropout_p};
      return GRU{.input = size, .hidden = size, .layers = layers, .dropout = dropout_p};
    };
    WordLM model{.words = {.input = count, .output = size, .winit = gaussian(0, 0.05)},
                 .rnn = rnn(),
                 .output = {},
                 .bias = {.shape = {count}},
                 .dropout = dropout_p};
    if (!tied) model.output.push_back({.input = size, .output = count, .winit = gaussian(0, 0.05)});
    std::printf("%lld words in columns, %lld different ones, %lld parameters\n",
                static_cast<long long>(learned.numel()), static_cast<long long>(count),
                static_cast<long long>(count_params(model)));

    Optimizer opt(model, SGD{.lr = lr});
    opt.clip_norm(clip);
    double best = INFINITY;
    WordLM kept = model;
    run.state.model(model).model(kept, "best").optimizer(opt).value("best perplexity", best);
    for (run.resume(); run.epoch() < epochs;) {
      double sum = 0, words = 0;
      RNNState state;
      std::vector<Batch> all;
      windows(learned, bptt, [&](const Tensor& x, const Tensor& y) { all.push_back({x, y}); });
      run.each(all, [&](const Batch& b) {
        const Tape tape = diff([&] { return nll(model(b.x, state), b.y); });
        opt.step(tape);
        sum += tape.item() * static_cast<double>(b.y.numel());
        words += static_cast<double>(b.y.numel());
      });
      const double now = perplexity(model, unseen, bptt), rate = opt.lr();
      std::printf("epoch %lld: perplexity %.2f, on unseen text %.2f, rate %g\n",
                  static_cast<long long>(run.epoch() + 1), std::exp(sum / words), now, rate);
      if (!std::isfinite(sum)) throw ValueError("word_lm: the loss is no longer finite; lower --lr");
      if (now < best) {
        best = now;
        kept = model;
      } else {
        opt.set_lr(rate / 4);
      }
      run.finish({{"perplexity", std::exp(sum / words)}, {"unseen", now}, {"lr", rate}});
    }
    if (!save_to.empty()) save(save_to, kept);
    if (!test_file.empty())
      std::printf("test text: perplexity %.2f\n",
                  perplexity(kept, columns(test_file, v, read_words(test_file), 10), bptt));
    if (sample > 0) {
      RNNState state;
      Generator g(run.seed);
      std::int64_t word = v.id("<eos>");
      for (int i = 0; i < sample; ++i) {
        word = models::sample_token(kept(Tensor{{word}}, state), sampling, g);
        std::cout << (v.token(word) == "<eos>" ? "\n" : v.token(word) + " ");
      }
      std::cout << "\n";
    }
    std::printf("unseen text: perplexity %.2f\n", perplexity(kept, unseen, bptt));
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
