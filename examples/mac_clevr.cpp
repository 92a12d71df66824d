// The MAC network on CLEVR, from its own files to answers (Hudson & Manning 2018, arXiv:1803.03067).
// CLEVR_v1.0.zip is at https://cs.stanford.edu/people/jcjohns/clevr.
//
//   mac_clevr preprocess --clevr CLEVR_v1.0 --data mac     train.json, val.json and dic.json
//   mac_clevr extract --clevr CLEVR_v1.0 --data mac --weights resnet101-63fe2227.pth     train.bin, val.bin
//   (70 GB) mac_clevr train --data mac --model mac.safetensors mac_clevr evaluate --data mac --model
//   mac.safetensors mac_clevr draw --clevr CLEVR_v1.0 --data mac --model mac.safetensors --picture 7
//   --question "What color is it?"
//
// Defaults are the published ones: 12 steps, size 512, self-attention and gate, Adam 1e-4, batches of 64,
// averaged weights. mac_sort_of_clevr --write-clevr makes a small set in the same layout to try it with; this
// program has been run on that, never on CLEVR itself.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

#include "knet/knet.hpp"
using namespace knet;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string clevr, data = ".", model = "mac.safetensors", weights, picture_file = "attention.png", question;
  int depth = 101, configuration = 2, epochs = 30, threads = 0;
  std::int64_t size = 512, steps = 12, embedding = 300, batch = 64, picture = 0, limit = -1;
  double lr = 1e-4, decay = 0.999;
  std::uint64_t seed = 11131994;
  bool previous = false, quiet = false, no_dropout = false;
};

const std::array<const char*, 2> part_names = {"train", "val"};
datasets::Part part_of(const std::string& name) {
  return name == "train" ? datasets::Part::train : datasets::Part::dev;
}

void preprocess(const Options& o) {
  fs::create_directories(o.data);
  datasets::ClevrDictionary dictionary;
  for (const std::string name : part_names) {
    const auto questions = datasets::clevr_questions(o.clevr, part_of(name), o.limit);
    datasets::save_clevr_ids(o.data + "/" + name + ".json", datasets::clevr_ids(questions, dictionary, true));
    std::printf("%s: %zu questions\n", name.c_str(), questions.size());
  }
  datasets::save_clevr_dictionary(o.data + "/dic.json", dictionary);
  std::printf("%zu words, %zu answers, %zu families of questions\n", dictionary.words.size(),
              dictionary.answers.size(), dictionary.families.size());
}

/// The pictures of a part; the i-th is number i.
std::vector<std::string> pictures(const std::string& folder) {
  std::vector<std::string> files;
  if (!fs::is_directory(folder)) throw IoError("mac_clevr: there is no folder " + folder);
  for (const auto& f : fs::directory_iterator(folder))
    if (f.path().extension() == ".png") files.push_back(f.path().string());
  std::sort(files.begin(), files.end());
  for (std::size_t i = 0; i < files.size(); ++i)
    if (datasets::clevr_image_index(files[i]) != static_cast<std::int64_t>(i))
      throw IoError("mac_clevr: " + files[i] + " stands at place " + std::to_string(i) +
                    ": a picture is missing");
  if (files.empty()) throw IoError("mac_clevr: there are no PNG files in " + folder);
  return files;
}

constexpr models::Preprocessing view = {.resize = 224, .crop = 224};

void extract(const Options& o) {
  if (o.weights.empty()) throw ValueError("mac_clevr extract: --weights is missing");
  seed(o.seed);
  models::ResNet net = models::resnet(o.depth);
  if (o.weights != "random") load(o.weights, net);
  fs::create_directories(o.data);
  for (const std::string part : part_names) {
    const auto files = pictures(o.clevr + "/images/" + part);
    datasets::ClevrFeatureWriter out(o.data + "/" + part + ".bin");
    for (std::size_t i = 0; i < files.size(); i += 16) {
      const std::vector<std::string> some(
          files.begin() + static_cast<std::ptrdiff_t>(i),
          files.begin() + static_cast<std::ptrdiff_t>(std::min(files.size(), i + 16)));
      out.write(net.features(models::preprocess(some, view), 3));
      if (!o.quiet)
        std::printf("\r%s: %zu of %zu", part.c_str(), i + some.size(), files.size()), std::fflush(stdout);
    }
    out.commit();
    std::printf("%s%s: %zu images\n", o.quiet ? "" : "\r", part.c_str(), files.size());
  }
}

struct Examples {
  std::vector<datasets::ClevrIds> questions;
  datasets::ClevrFeatures features;
};
/// Channels are found from the file's size and the number of pictures it must hold.
Examples examples(const Options& o, const std::string& part, const datasets::ClevrDictionary& d) {
  const std::string file = o.data + "/" + part + ".bin";
  Examples e{datasets::load_clevr_ids(o.data + "/" + part + ".json", d),
             datasets::ClevrFeatures(file, {o.depth < 50 ? 256 : 1024, 14, 14})};
  for (const auto& q : e.questions)
    if (datasets::clevr_image_index(q.image) >= static_cast<std::int64_t>(e.features.size()))
      throw IoError("mac_clevr: " + file + " has " + std::to_string(e.features.size()) +
                    " images; there is a question about " + q.image);
  return e;
}

/// Questions together with the features of their images, each read once.
struct Questions {
  Tensor images, image_of, answers;
  Sequences words;
  std::vector<std::int64_t> families;
};
Questions collect(const std::vector<datasets::ClevrIds>& items, const datasets::ClevrFeatures& features) {
  std::map<std::int64_t, std::int64_t> place;
  std::vector<Tensor> images;
  std::vector<std::int64_t> image_of, answers, families;
  std::vector<std::vector<std::int64_t>> words;
  for (const auto& q : items) {
    const std::int64_t image = datasets::clevr_image_index(q.image);
    const auto [at, fresh] = place.emplace(image, static_cast<std::int64_t>(images.size()));
    if (fresh) images.push_back(features[static_cast<std::size_t>(image)]);
    image_of.push_back(at->second), answers.push_back(q.answer), families.push_back(q.family);
    words.push_back(q.words);
  }
  return {stack(images), Tensor(image_of), Tensor(answers), std::move(words), std::move(families)};
}

models::MAC network(const Options& o, const datasets::ClevrDictionary& d) {
  models::MACConfig c = models::mac_config(o.configuration);
  c.words = static_cast<std::int64_t>(d.words.size()),
  c.answers = static_cast<std::int64_t>(d.answers.size());
  c.channels = o.depth < 50 ? 256 : 1024;
  c.size = o.size, c.steps = o.steps, c.embedding = o.embedding;
  c.control = o.previous ? models::MACControl::previous : models::MACControl::current;
  if (o.no_dropout) c.dropout = {0, 0, 0, 0, 0, 0};
  return {.config = c};
}

/// Right answers of each type of question.
std::map<std::string, Accuracy> measure(const models::MAC& net, const Examples& e, const Options& o,
                                        const datasets::ClevrDictionary& d) {
  std::map<std::string, Accuracy> right;
  auto data =
      prefetch(minibatch(e.questions, o.batch, {.partial = true},
                         [&](const std::vector<datasets::ClevrIds>& q) { return collect(q, e.features); }));
  for (const Questions& q : data) {
    const Tensor given = net(q.images, q.words, q.image_of).argmax(-1);
    for (std::int64_t i = 0; i < given.size(0); ++i) {
      const auto family = d.families.find(q.families[static_cast<std::size_t>(i)]);
      const std::string type = family != d.families.end() ? family->second : "other";
      for (const std::string& name : {std::string("all"), type})
        right[name].update(given.narrow(0, i, 1), q.answers.narrow(0, i, 1));
    }
  }
  return right;
}

void train(const Options& o) {
  seed(o.seed);
  const auto d = datasets::load_clevr_dictionary(o.data + "/dic.json");
  const Examples trn = examples(o, "train", d), val = examples(o, "val", d);
  models::MAC net = network(o, d);
  std::cout << net.describe() << "\n";
  Optimizer optimizer(net, Adam{.lr = o.lr});
  Ema average(net, {.decay = o.decay});
  auto data = prefetch(minibatch(
      trn.questions, std::min<std::int64_t>(o.batch, static_cast<std::int64_t>(trn.questions.size())),
      {.shuffle = true}, [&](const std::vector<datasets::ClevrIds>& q) { return collect(q, trn.features); }));
  Checkpoint run;
  run.model(net).optimizer(optimizer).value("ema", average).value("data", data);
  const Checkpoints kept(o.model + ".checkpoints", {.keep_last = 2});
  if (kept.resume(run)) std::printf("going on after epoch %lld\n", static_cast<long long>(run.epoch));
  while (run.epoch < o.epochs) {
    double loss = 0;
    std::size_t updates = 0;
    const auto step = [&](const Questions& q) {
      const Tape tape = diff([&] { return nll(net(q.images, q.words, q.image_of), q.answers); });
      optimizer.step(tape);
      average.update();
      loss += tape.item(), ++updates;
    };
    if (o.quiet) {
      for (const Questions& q : data) step(q);
    } else {
      for (const Questions& q : progress(data)) step(q);
    }
    ++run.epoch;
    kept.save(run);
    const auto averaged = average.swap_in();
    save(o.model, net);
    std::printf("epoch %lld: loss %.4f, validation %.2f %%\n", static_cast<long long>(run.epoch),
                loss / static_cast<double>(updates), 100 * measure(net, val, o, d)["all"].value());
    std::fflush(stdout);
  }
}

void evaluate(const Options& o) {
  const auto d = datasets::load_clevr_dictionary(o.data + "/dic.json");
  models::MAC net = network(o, d);
  load(o.model, net);
  for (const std::string part : part_names) {
    for (const auto& [type, right] : measure(net, examples(o, part, d), o, d))
      std::printf("%s, %s: %.2f %% of %lld\n", part.c_str(), type.c_str(), 100 * right.value(),
                  static_cast<long long>(right.count));
  }
}

void draw(const Options& o) {
  const auto d = datasets::load_clevr_dictionary(o.data + "/dic.json");
  models::MAC net = network(o, d);
  load(o.model, net);
  const auto words = datasets::clevr_words(o.question, d);
  const auto files = pictures(o.clevr + "/images/val");
  const Examples val = examples(o, "val", d);
  if (o.picture < 0 || o.picture >= static_cast<std::int64_t>(std::min(files.size(), val.features.size())))
    throw ValueError("mac_clevr draw: there is no picture " + std::to_string(o.picture));
  const auto at = static_cast<std::size_t>(o.picture);
  models::MACAttention seen;
  const Tensor scores =
      net(val.features[at].unsqueeze(0), Sequences(std::vector<std::vector<std::int64_t>>{words}), {}, &seen);
  std::cout << o.question << " " << d.answers.element(scores(0).argmax().item<std::int64_t>()) << "\n"
            << models::show_steps(d.words.elements(words), seen.words(0));
  const Tensor picture = transforms::center_crop(
      transforms::resize_shorter(io::read_image(files[at]), view.resize), view.crop, view.crop);
  io::save_png(o.picture_file, models::draw_steps(picture, seen.cells(0)));
  std::cout << "attention maps: " << o.picture_file << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"The MAC network on CLEVR."};
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--clevr", o.clevr, "CLEVR's folder, with images/ and questions/");
  app.add_option("--data", o.data, "folder of what preprocess and extract write");
  app.add_option("--model", o.model, "safetensors file of the (averaged) weights");
  app.add_option("--depth", o.depth, "of the ResNet whose features are used: 18, 34, 50, 101 or 152");
  app.add_option("--size", o.size, "of control, memory and cells")->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "of reasoning")->check(CLI::PositiveNumber);
  app.add_option("--embedding", o.embedding, "size of the words' vectors")->check(CLI::PositiveNumber);
  app.add_option("--configuration", o.configuration, "1: plain, 2: with self-attention and gate")
      ->check(CLI::Range(1, 2));
  app.add_flag("--previous-control", o.previous, "read and write with the control of the step before");
  app.add_option("--batch", o.batch, "questions at a time")->check(CLI::PositiveNumber);
  app.add_option("--seed", o.seed, "of everything random");
  app.add_option("--threads", o.threads, "threads of the kernels (default: all cores)");
  app.add_flag("--quiet", o.quiet, "no progress");
  const auto* pre = app.add_subcommand("preprocess", "questions into ids");
  app.add_option("--limit", o.limit, "preprocess: so many questions of each part");
  const auto* ext = app.add_subcommand("extract", "features of all pictures");
  app.add_option("--weights", o.weights, "extract: the ResNet's; 'random' to try the rest without");
  const auto* trn = app.add_subcommand("train", "trains, or goes on from MODEL.checkpoints");
  app.add_option("--epochs", o.epochs, "train: passes over the questions")->check(CLI::NonNegativeNumber);
  app.add_option("--lr", o.lr, "train: learning rate");
  app.add_option("--decay", o.decay, "train: of the averaged weights");
  app.add_flag("--no-dropout", o.no_dropout, "train: without dropout");
  const auto* eva = app.add_subcommand("evaluate", "accuracy by type of question");
  const auto* drw =
      app.add_subcommand("draw", "answers a question about a validation picture and draws the attention");
  app.add_option("--picture", o.picture, "draw: its number");
  app.add_option("--question", o.question, "draw: what is asked");
  app.add_option("--png", o.picture_file, "draw: file of the maps");
  CLI11_PARSE(app, argc, argv);
  try {
    if (o.threads > 0) set_threads(o.threads);
    if (*pre) preprocess(o);
    if (*ext) extract(o);
    if (*trn) train(o);
    if (*eva) evaluate(o);
    if (*drw) draw(o);
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
