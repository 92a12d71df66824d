// GPT-2: writes text with published weights, measures them on a text, or learns a text with its own
// vocabulary of byte pairs, from the beginning or from published weights.
//
//   build/release/examples/gpt2 --folder gpt2 --prompt "Once upon a time" --top-k 40      (vocab.json,
//   merges.txt, build/release/examples/gpt2 --folder gpt2 --evaluate book.txt                    config.json,
//   model.safetensors) build/release/examples/gpt2 --train book.txt --vocabulary 2000 --size 192 --layers 4
//   --epochs 5 --save mine build/release/examples/gpt2 --folder mine --prompt "The"
//   build/release/examples/gpt2 --random gpt2 --tokens 100                                 (how fast? needs
//   no file)
//
// The last tenth of a text to learn is kept aside; the perplexity on it, per token, is printed after every
// epoch. --save writes a folder in Hugging Face's layout. (Letters instead of byte pairs: char_lm.)
//
// 319 kB of Turkish sentences, 1,000 byte pairs, --size 128: perplexity 117 a token after 5 epochs (README.md
// of this folder). With random weights of "gpt2" (124 million parameters) on 2 cores of a cloud machine whose
// memory gives 25.3 GB/s to two threads: 25.1 ms a token, 39.8 tokens a second, weights at 19.7 GB/s (78 %);
// one thread of 18.9 GB/s: 28.3 ms, 17.5 GB/s (92 %). Of the best 20.8 ms with two threads the blocks
// take 15.4, the output table 5.1, the choice 0.3; slowest was the MLP's second product (3072 to 768), whose
// 768 columns one thread computed alone then. benchmarks/RESULTS.md has newer figures.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "program.hpp"
using namespace knet;

namespace {

/// Ids line by line, ends of lines included: a text of any size in small pieces.
std::vector<std::int64_t> encode(const Tokenizer& t, const std::string& text) {
  std::vector<std::int64_t> ids;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t to = std::min(text.find('\n', from), text.size() - 1) + 1;
    const auto line = t.ids(std::string_view(text).substr(from, to - from));
    ids.insert(ids.end(), line.begin(), line.end());
    from = to;
  }
  return ids;
}
Tokenizer learn_tokenizer(const std::string& text, std::int64_t vocabulary) {
  BytePairTrainer trainer({.vocabulary = vocabulary, .specials = {"<|endoftext|>"}});
  trainer.add(text);
  return trainer.train();
}

void print_perplexity(const char* what, const models::TextScore& p) {
  std::printf("%s: perplexity %.3f over %lld tokens\n", what, p.value(), static_cast<long long>(p.tokens));
  std::fflush(stdout);
}

struct Training {
  int epochs = 5;
  std::int64_t length = 128, batch = 16;
  double lr = 1e-3;
};
void learn(models::GPT2& model, const std::vector<std::int64_t>& ids, const Training& o, program::Run& run) {
  const auto n = static_cast<std::int64_t>(ids.size()), known = n - n / 10, rows = (known - 1) / o.length;
  if (rows < 1 || n - known < 2)
    throw ValueError("gpt2: the text has " + std::to_string(n) + " tokens: too few for --length " +
                     std::to_string(o.length));
  const Tensor all(ids);
  const auto windows = [&](std::int64_t from) {
    return all.narrow(0, from, rows * o.length).reshape({rows, o.length});
  };
  auto data = minibatch(windows(0), windows(1), std::min(o.batch, rows), {.shuffle = true});
  const std::vector<std::int64_t> unseen(ids.begin() + known, ids.end());
  auto steps = minimize(model, nll, data, AdamW{.lr = o.lr, .gclip = 1});
  const Schedule rate = schedule::cosine(o.lr, std::max(o.epochs, 1));
  run.state.model(model).optimizer(steps.optimizer()).value("data", data);
  for (run.resume(); run.epoch() < o.epochs;) {
    steps.optimizer().set_lr(rate(run.epoch()));
    const double training = std::exp(run.train(steps).mean);
    const auto fresh = models::perplexity(model, unseen, std::min(o.length, model.config.positions));
    std::printf("epoch %lld: perplexity %.3f while learning\n", static_cast<long long>(run.epoch() + 1),
                training);
    print_perplexity("unseen text", fresh);
    run.finish({{"perplexity", training}, {"unseen", fresh.value()}});
  }
}

/// Tokens a second, and what share of the weights' bytes that moves.
void measure(const models::GPT2& model, std::int64_t tokens, const models::GenerateOptions& o) {
  models::GenerateOptions warm = o;
  warm.max_tokens = 2;
  models::generate(model, {0}, warm);
  double first = 0, last = 0;
  const auto now = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  models::GenerateOptions timed = o;
  timed.max_tokens = tokens + 1;
  timed.stop = {};
  timed.on_token = [&](std::int64_t) {
    last = now();
    if (first == 0) first = last;
    return true;
  };
  models::generate(model, {0}, timed);
  const double each = (last - first) / static_cast<double>(tokens);
  // The position table is read a row at a time.
  const auto bytes = 4.0 * static_cast<double>(count_params(model) - model.wpe.weight.numel());
  std::printf("%lld tokens: %.2f ms each, %.1f a second; the weights are read at %.2f GB/s\n",
              static_cast<long long>(tokens), 1e3 * each, 1 / each, bytes / each / 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder, prompt, evaluate, train_on, save_to, random;
  std::int64_t vocabulary = 2000, size = 192, layers = 4, heads = 0, positions = 256;
  double dropout_p = 0.1;
  Training training;
  program::Run run;
  models::GenerateOptions write{.sampling = {.temperature = 0.8}};
  CLI::App app{"Writes, measures and learns text with GPT-2."};
  app.add_option("--folder", folder,
                 "published or saved weights with their tokenizer, or the name of published ones (gpt2)");
  app.add_option("--random", random, "random weights of this size, to measure speed: gpt2, gpt2-medium ...");
  app.add_option("--prompt", prompt, "what the text begins with");
  app.add_option("--tokens", write.max_tokens, "to write")->check(CLI::NonNegativeNumber);
  app.add_option("--temperature", write.sampling.temperature, "below 1: safer, 0: always the best token");
  app.add_option("--top-k", write.sampling.top_k, "choose among so many tokens");
  app.add_option("--top-p", write.sampling.top_p,
                 "choose among the tokens that have this probability together");
  app.add_option("--repetition", write.sampling.repetition_penalty, "above 1: fewer repetitions");
  app.add_option("--evaluate", evaluate, "print the perplexity on this text")->check(CLI::ExistingFile);
  app.add_option("--train", train_on, "learn this text")->check(CLI::ExistingFile);
  app.add_option("--epochs", training.epochs, "passes over the text")->check(CLI::NonNegativeNumber);
  app.add_option("--batch", training.batch, "sequences per update")->check(CLI::PositiveNumber);
  app.add_option("--length", training.length, "tokens in a training sequence")->check(CLI::Range(2, 100000));
  app.add_option("--lr", training.lr, "learning rate at the start; it falls along a cosine");
  app.add_option("--vocabulary", vocabulary, "tokens of a new model");
  app.add_option("--size", size, "of a new model's states");
  app.add_option("--layers", layers, "of a new model");
  app.add_option("--heads", heads, "of a new model (default: size / 32)");
  app.add_option("--positions", positions, "the longest sequence of a new model");
  app.add_option("--dropout", dropout_p, "of a new model");
  app.add_option("--save", save_to, "write model and tokenizer to this folder");
  run.add(app);
  CLI11_PARSE(app, argc, argv);

  try {
    run.begin();
    write.seed = run.seed;
    if (!random.empty()) {
      measure(models::GPT2{.config = models::gpt2_config(random)}, write.max_tokens, write);
      return 0;
    }
    if (folder.empty() && train_on.empty()) throw ValueError("gpt2: give --folder, --train or --random");
    const std::string text = train_on.empty() ? "" : program::read_text(train_on);
    auto [model, tokenizer] = [&]() -> models::GPT2WithTokenizer {
      if (!folder.empty()) return models::load_gpt2(folder);
      Tokenizer t = learn_tokenizer(text, vocabulary);
      const models::GPT2Config c{.vocabulary = t.vocabulary_size(),
                                 .positions = positions,
                                 .size = size,
                                 .layers = layers,
                                 .heads = heads > 0 ? heads : std::max<std::int64_t>(1, size / 32),
                                 .dropout = dropout_p};
      return {models::GPT2{.config = c}, std::move(t)};
    }();
    std::printf("%lld parameters, %lld tokens\n", static_cast<long long>(count_params(model)),
                static_cast<long long>(model.config.vocabulary));
    if (!train_on.empty()) {
      training.length = std::min(training.length, model.config.positions);
      learn(model, encode(tokenizer, text), training, run);
    }
    if (!save_to.empty()) {
      std::filesystem::create_directories(save_to);
      models::save_gpt2(save_to, model, tokenizer);
    }
    if (!evaluate.empty())
      print_perplexity("text", models::perplexity(model, encode(tokenizer, program::read_text(evaluate))));
    if (write.max_tokens > 0 && (evaluate.empty() || !prompt.empty()))
      std::cout << prompt << models::generate(model, tokenizer, prompt, write) << "\n";
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
