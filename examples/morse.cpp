// Morse, a morphological analyser: learns to write the lemma and the morphological features of every word of
// a sentence (Akyürek, Dayanık & Yuret 2019, arXiv:1805.07946; knet/models/morse.hpp has the network).
//
//   morse --data ud-treebanks-v2.1 --langcode fi --lemma --epochs 100
//   morse --dataSet TRDataSet --version 2018 --data TrMor2018 --lemma --epochs 100
//   morse --train a.conllu --dev b.conllu --test c.conllu --langcode tr --lemma
//   morse --mode 2 --lemma --modelFile checkpoints/bestModel(...).safetensors --text "annem geldi ."
//
// --mode 1 trains: after each epoch dev and test are measured, and the model that is best on dev is kept.
// Where one is kept already under the same options, training goes on from it (--fresh: not).
// --mode 2 measures a model and writes its analyses of dev and test (--genFile), or analyses --text.
// --mode 3 trains, starting from another language's model (--sourceModel).
// Options and their defaults are those of the original, lists without brackets:
// --hiddenSizes 512 512 512 512.
//
// UD Turkish-IMST with 128 hidden units, 16 epochs of a minute on one thread of a busy machine: 75.6 % of dev
// and 77.8 % of test words have lemma and all tags right (docs/models.md has more).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "knet/knet.hpp"
#include "knet/models/morse_evaluation.hpp"
#include "knet/models/morse_files.hpp"
using namespace knet;
using namespace knet::models;

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string data_set = "UDDataSet", langcode = "fi", version = "2018", data = ".", train, dev, test;
  std::string best_model = "checkpoints/bestModel", model_file, source_model, log_file = "logs/morse",
              gen_file = "generations/morse", type = "MorseModel", optimizer = "SGD(;lr=1.6,gclip=60.0)",
              element_type = "f32", text;
  std::array<std::int64_t, 4> hidden = {512, 512, 512, 512};
  std::array<std::int64_t, 2> embed = {64, 256};
  std::int64_t train_size = 0, batch_size = 1, previous = 2, word_limit = 100, threshold = 0;
  double dropouts = 0.3, decay_rate = 0.8;
  int patience = 10, mode = 1, epochs = 1;
  std::uint64_t seed = 31;
  bool lemma = false, all_splits = false, drop_state = false, fresh = false, quiet = false;

  bool trmor() const { return data_set == "TRDataSet"; }
  unicode::Language language() const {
    return trmor() || langcode.starts_with("tr") || langcode.starts_with("az") ? unicode::Language::turkish
                                                                               : unicode::Language::any;
  }
  std::string suffix() const {
    return "." + type + "_lemma_" + (lemma ? "true" : "false") + "_lang_" +
           (trmor() ? "TR-tr" + version : "UD-" + langcode) + "_size_" +
           (train_size > 0 ? std::to_string(train_size) + "sent" : "full");
  }
  std::string best() const { return best_model + suffix() + ".safetensors"; }
};

/// The files to read: as named, or found by the names that treebanks and TrMor have.
std::vector<std::string> files_of(const Options& o) {
  std::vector<std::string> files;
  for (const std::string& f : {o.train, o.dev, o.test}) {
    if (!f.empty()) files.push_back(f);
  }
  if (!files.empty()) return files;
  if (o.trmor()) {
    // 2016 has no training set of its own.
    const std::string train = o.data + "/trmor" + (o.version == "2018" ? "2018" : "2006") + ".train",
                      test = o.data + "/trmor" + o.version + ".test";
    for (const std::string& f : {train, test}) {
      if (fs::exists(f)) files.push_back(f);
    }
    if (files.empty()) throw IoError("morse: there is neither " + train + " nor " + test);
    return files;
  }
  std::vector<fs::path> folders{o.data};
  if (fs::is_directory(o.data)) {
    for (const auto& f : fs::directory_iterator(o.data)) {
      if (f.is_directory()) folders.push_back(f.path());
    }
  }
  for (const fs::path& folder : folders) {
    const auto part = [&](const char* name) {
      return (folder / (o.langcode + "-ud-" + name + ".conllu")).string();
    };
    if (fs::exists(part("train"))) return {part("train"), part("dev"), part("test")};
  }
  throw IoError("morse: there is no " + o.langcode + "-ud-train.conllu in " + o.data + " or a folder of it");
}

/// "SGD(;lr=1.6,gclip=60.0)"
Rule rule_of(const std::string& text) {
  const std::map<std::string, Rule> rules{
      {"SGD", SGD{}},         {"Momentum", Momentum{}}, {"Nesterov", Nesterov{}}, {"Adagrad", Adagrad{}},
      {"Rmsprop", Rmsprop{}}, {"Adadelta", Adadelta{}}, {"Adam", Adam{}},         {"AdamW", AdamW{}}};
  const std::size_t open = text.find('(');
  const auto it = rules.find(text.substr(0, open));
  if (it == rules.end()) throw ValueError("morse: --optimizer: no rule \"" + text.substr(0, open) + "\"");
  auto settings = it->second.settings();
  std::string rest = open == std::string::npos ? "" : text.substr(open + 1);
  if (!rest.empty() && rest.back() == ')') rest.pop_back();
  for (const std::string& field : CLI::detail::split(rest, ',')) {
    std::string s = field;
    std::erase_if(s, [](char c) { return c == ';' || c == ' '; });
    if (s.empty()) continue;
    const std::size_t equals = s.find('=');
    const auto at = std::find_if(settings.begin(), settings.end(),
                                 [&](const auto& x) { return x.first == s.substr(0, equals); });
    if (equals == std::string::npos || at == settings.end() ||
        !CLI::detail::lexical_cast(s.substr(equals + 1), at->second))
      throw ValueError("morse: --optimizer: \"" + s + "\" is no setting of " + it->first);
  }
  return it->second.with_settings(settings);
}

bool same_network(MorseType a, MorseType b) {
  const auto plain = [](MorseType t) {
    return t == MorseType::morse_dis         ? MorseType::morse
           : t == MorseType::s2s_context_dis ? MorseType::s2s_context
                                             : t;
  };
  return plain(a) == plain(b);
}
/// A saved model, as the type that is asked for.
MorseWithVocabulary load_as(const std::string& file, const std::string& type) {
  MorseWithVocabulary m = load_morse(file);
  const MorseType wanted = morse_type(type);
  if (!same_network(m.model.config.type, wanted))
    throw ValueError("morse: " + file + " holds a " + morse_type_name(m.model.config.type) +
                     ", --modelType is " + type);
  m.model.config.type = wanted;
  return m;
}

void say(const char* name, const MorseScore& s) {
  const auto line = [&](const char* what, const MorseCounts& c) {
    if (c.words > 0)
      std::printf("%s: %-22s %6lld words, lemma %6.2f, tags %6.2f, complete %6.2f %%\n", name, what,
                  static_cast<long long>(c.words), c.percent(c.lemmas), c.percent(c.tags),
                  c.percent(c.complete));
  };
  line("all", s.all);
  line("ambiguous", s.ambiguous);
  line("not seen in training", s.unseen);
  line("tags never seen", s.by_count[0]);
  line("tags seen 1 to 4 times", s.by_count[1]);
  line("tags seen 5 times up", s.by_count[2]);
  std::printf("%s: loss %.4f, F1 micro %.2f, macro %.2f\n", name, s.loss, s.f1_micro, s.f1_macro);
}

void make_folder_of(const std::string& file) {
  const fs::path folder = fs::path(file).parent_path();
  if (!folder.empty()) fs::create_directories(folder);
}

/// Sentences as numbers; those that are too long, or without any known word, are left out.
std::vector<std::vector<MorseItem>> to_train_on(const Options& o, const MorseVocabulary& v,
                                                const std::vector<MorseSentence>& sentences) {
  std::vector<std::vector<MorseItem>> r;
  for (const MorseSentence& s : sentences) {
    if (static_cast<std::int64_t>(s.words.size()) <= o.word_limit) r.push_back(v.encode(s));
  }
  if (r.size() < sentences.size())
    std::printf("%zu sentences of more than %lld words are not trained on\n", sentences.size() - r.size(),
                static_cast<long long>(o.word_limit));
  if (r.empty()) throw ValueError("morse: no sentence has at most --wordLimit words");
  return r;
}

/// `best` is what the model reaches on dev already, in per cent of complete analyses. False when nothing was
/// better.
bool train(const Options& o, MorseWithVocabulary& m, const MorseSplits& data, double best) {
  const auto sentences = to_train_on(o, m.vocabulary, data.train);
  Optimizer opt(m.model, rule_of(o.optimizer));
  make_folder_of(o.best());
  make_folder_of(o.log_file);
  CsvLog log(o.log_file + o.suffix() + ".csv");
  const auto n = static_cast<std::int64_t>(sentences.size());
  int countdown = o.patience;
  bool better = false;
  for (int epoch = 1; epoch <= o.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    double sum = 0;
    std::int64_t steps = 0, skipped = 0;
    const std::vector<std::int64_t> order = randperm(n).to_vector<std::int64_t>();
    Meter meter((n + o.batch_size - 1) / o.batch_size, {});
    for (std::int64_t at = 0; at < n; at += o.batch_size) {
      std::vector<std::vector<MorseItem>> part;
      for (std::int64_t i = at; i < std::min(at + o.batch_size, n); ++i)
        part.push_back(sentences[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
      const MorseBatch batch = morse_batch(part);
      const Tape tape = diff([&] { return m.model.loss(batch); });
      const double loss = tape.item();
      if (std::isfinite(loss)) {
        opt.step(tape);
        sum += loss, ++steps;
      } else {
        ++skipped;
      }
      if (!o.quiet) meter.tick(loss);
    }
    if (!o.quiet) meter.done();
    const auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const double trained = seconds();
    if (steps == 0) throw ValueError("morse: no loss of the epoch is finite; lower the optimiser's lr");
    const MorseScore dev = morse_evaluate(m.model, m.vocabulary, data.dev),
                     test = morse_evaluate(m.model, m.vocabulary, data.test);
    const auto share = [](const MorseScore& s, std::int64_t part) { return s.all.percent(part); };
    const double now = share(dev, dev.all.complete);
    std::printf(
        "epoch %d: loss %.4f; dev loss %.4f, lemma %.2f, tags %.2f, complete %.2f; test lemma %.2f, tags "
        "%.2f, complete %.2f; rate %g, %.0f s + %.0f s\n",
        epoch, sum / static_cast<double>(steps), dev.loss, share(dev, dev.all.lemmas),
        share(dev, dev.all.tags), now, share(test, test.all.lemmas), share(test, test.all.tags),
        share(test, test.all.complete), opt.lr(), trained, seconds() - trained);
    if (skipped > 0)
      std::printf("%lld updates left out: their loss was not finite\n", static_cast<long long>(skipped));
    std::fflush(stdout);
    log.row({{"epoch", epoch},
             {"loss", sum / static_cast<double>(steps)},
             {"skipped", skipped},
             {"lr", opt.lr()},
             {"seconds", trained},
             {"dev_loss", dev.loss},
             {"dev_lemma", share(dev, dev.all.lemmas)},
             {"dev_tags", share(dev, dev.all.tags)},
             {"dev_complete", now},
             {"dev_f1", dev.f1_micro},
             {"test_loss", test.loss},
             {"test_lemma", share(test, test.all.lemmas)},
             {"test_tags", share(test, test.all.tags)},
             {"test_complete", share(test, test.all.complete)},
             {"test_f1", test.f1_micro}});
    if (now > best) {
      best = now, better = true;
      countdown = o.patience;
      save_morse(o.best(), m.model, m.vocabulary);
    }
    if (epoch % 10 == 0)
      save_morse(o.best_model + o.suffix() + "_epoch" + std::to_string(epoch) + ".safetensors", m.model,
                 m.vocabulary);
    if (--countdown == o.patience / 2) {
      for (auto& e : opt.entries()) e.rule = e.rule.with_lr(e.rule.lr() * o.decay_rate);
    }
    if (countdown < 0) break;
  }
  return better;
}

void report(const Options& o, const MorseWithVocabulary& m, const MorseSplits& data, bool generate) {
  for (const auto& [name, sentences] : {std::pair("dev", &data.dev), std::pair("test", &data.test)}) {
    const auto predictions = morse_predict(m.model, m.vocabulary, *sentences);
    MorseScore s = morse_score(m.vocabulary, *sentences, predictions);
    s.loss = morse_loss(m.model, m.vocabulary, *sentences);
    say(name, s);
    if (!generate) continue;
    const std::string file = o.gen_file + o.suffix() + "." + name + (o.trmor() ? ".trmor" : ".conllu");
    make_folder_of(file);
    write_morse(file, m.vocabulary, *sentences, predictions);
    std::printf("%s: written to %s\n", name, file.c_str());
  }
}

void analyse(const MorseWithVocabulary& m, const std::string& text) {
  const auto words = WhitespaceTokenizer{}(text);
  const auto analyses = m(text);
  for (std::size_t i = 0; i < words.size(); ++i)
    std::printf("%s\t%s\n", words[i].c_str(), to_text(analyses[i]).c_str());
}

void run(const Options& o) {
  seed(o.seed);
  set_default(o.element_type == "f64" ? f64 : f32);
  const MorseType type = morse_type(o.type);
  const std::string saved = !o.model_file.empty()                 ? o.model_file
                            : o.mode == 2 || fs::exists(o.best()) ? o.best()
                                                                  : "";
  if (!o.text.empty()) return analyse(load_as(saved.empty() ? o.best() : saved, o.type), o.text);

  std::vector<std::vector<MorseSentence>> files;
  for (const std::string& f : files_of(o))
    files.push_back(read_morse(f, o.trmor() ? MorseFormat::trmor : MorseFormat::conllu, o.language()));
  if (o.trmor() && files.size() == 1) std::printf("one file: divided into train, dev and test\n");
  const MorseSplits data = morse_splits(std::move(files), {.train_size = o.train_size, .seed = o.seed});

  MorseWithVocabulary m;
  double best = -1;
  if (!saved.empty() && (o.mode == 2 || (o.mode == 1 && !(o.fresh && o.model_file.empty())))) {
    m = load_as(saved, o.type);
    if (o.mode == 1) {
      const MorseScore s =
          morse_score(m.vocabulary, data.dev, morse_predict(m.model, m.vocabulary, data.dev));
      best = s.all.percent(s.all.complete);
    }
    std::printf("goes on from %s\n", saved.c_str());
  } else {
    std::vector<MorseSentence> known = data.train;
    if (o.all_splits) {
      known.insert(known.end(), data.dev.begin(), data.dev.end());
      known.insert(known.end(), data.test.begin(), data.test.end());
    }
    m.vocabulary = MorseVocabulary(known, {.format = o.trmor() ? MorseFormat::trmor : MorseFormat::conllu,
                                           .language = o.language(),
                                           .lemma = o.lemma,
                                           .threshold = o.threshold});
    m.model = Morse{.config = {.type = type,
                               .hidden = o.hidden,
                               .embed = o.embed,
                               .dropout = o.dropouts,
                               .previous = o.previous,
                               .drop_state = o.drop_state},
                    .sizes = m.vocabulary.sizes()};
  }
  if (o.mode == 3) {
    const MorseTransfer t = morse_transfer(load_morse(o.source_model), m.model, m.vocabulary);
    std::printf("taken over: all layers, %lld characters, %lld letters, %lld tags\n",
                static_cast<long long>(t.characters), static_cast<long long>(t.letters),
                static_cast<long long>(t.tags));
  }
  const MorseSizes z = m.vocabulary.sizes();
  std::printf(
      "%zu, %zu and %zu sentences; %lld characters, %lld letters, %lld tags, %lld lists of tags; %lld "
      "parameters\n",
      data.train.size(), data.dev.size(), data.test.size(), static_cast<long long>(z.characters),
      static_cast<long long>(z.letters), static_cast<long long>(z.tags), static_cast<long long>(z.composites),
      static_cast<long long>(count_params(m.model)));
  if (o.mode != 2) {
    const bool better = train(o, m, data, best);
    if (!better) std::printf("no epoch was better than the start\n");
    m = load_as(better ? o.best() : saved, o.type);
  }
  report(o, m, data, o.mode == 2);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Learns lemmas and morphological features."};
  app.add_option("--dataSet", o.data_set, "UDDataSet (CoNLL-U) or TRDataSet (TrMor)")
      ->check(CLI::IsMember({"UDDataSet", "TRDataSet"}));
  app.add_option("--langcode,--lang", o.langcode, "of the treebank: fi for fi-ud-train.conllu");
  app.add_option("--version", o.version, "of TrMor")->check(CLI::IsMember({"2006", "2016", "2018"}));
  app.add_option("--data", o.data, "folder of the files, or of folders of them")
      ->check(CLI::ExistingDirectory);
  app.add_option("--train", o.train, "file to train on, instead of looking for one")
      ->check(CLI::ExistingFile);
  app.add_option("--dev", o.dev, "file to choose the best model by")
      ->check(CLI::ExistingFile)
      ->needs("--train");
  app.add_option("--test", o.test, "file to measure by")->check(CLI::ExistingFile)->needs("--train");
  app.add_option("--bestModel", o.best_model,
                 "where the best model is kept (with an ending for the options)");
  app.add_option("--modelFile", o.model_file, "start from this one")->check(CLI::ExistingFile);
  app.add_option("--sourceModel", o.source_model, "another language's, for --mode 3")
      ->check(CLI::ExistingFile);
  app.add_option("--trainSize", o.train_size, "sentences to train on; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--logFile", o.log_file, "a CSV row per epoch (with an ending for the options)");
  app.add_option("--genFile", o.gen_file, "analyses of --mode 2 (with an ending for the options)");
  app.add_option("--hiddenSizes", o.hidden, "of characters, context, decoder, tags");
  app.add_option("--embedSizes", o.embed, "of characters and symbols")->check(CLI::PositiveNumber);
  app.add_option("--batchSize", o.batch_size, "sentences per update")->check(CLI::PositiveNumber);
  app.add_option("--atype", o.element_type, "f32 or f64")->check(CLI::IsMember({"f32", "f64"}));
  app.add_option("--seed", o.seed, "of everything random");
  app.add_option("--previous", o.previous, "words whose tags are read")->check(CLI::NonNegativeNumber);
  app.add_option("--dropouts", o.dropouts, "of what every part reads")->check(CLI::Range(0.0, 0.95));
  app.add_option("--decayRate", o.decay_rate, "of the learning rate, halfway through the patience")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--optimizer", o.optimizer, "a rule and its settings: Rmsprop(;lr=0.001,gclip=60)");
  app.add_option("--patience", o.patience, "epochs without a better model")->check(CLI::NonNegativeNumber);
  app.add_option("--mode", o.mode, "1: train, 2: measure and write, 3: transfer")->check(CLI::Range(1, 3));
  app.add_option("--epochs", o.epochs, "passes over the training sentences")->check(CLI::PositiveNumber);
  app.add_option("--wordLimit", o.word_limit, "longer sentences are not trained on")
      ->check(CLI::PositiveNumber);
  app.add_option("--threshold", o.threshold, "characters, letters and tags that come less often are unknown")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--modelType", o.type, "MorseModel, S2SContext, S2S, Classifier, MorseDis, S2SContextDis");
  app.add_flag("--lemma", o.lemma, "write lemmas too");
  app.add_flag("--allSplits", o.all_splits, "vocabularies know the symbols of dev and test");
  app.add_flag("--dropState", o.drop_state, "dropout of the decoder's state, as in the original (slower)");
  app.add_flag("--fresh", o.fresh, "start anew where a best model exists");
  app.add_option("--text", o.text, "a sentence to analyse, words between blanks");
  app.add_flag("--quiet", o.quiet, "no progress bar");
  CLI11_PARSE(app, argc, argv);
  if (o.mode == 3 && o.source_model.empty()) {
    std::cerr << "morse: --mode 3 needs --sourceModel\n";
    return 1;
  }
  try {
    run(o);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  } catch (const fs::filesystem_error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
