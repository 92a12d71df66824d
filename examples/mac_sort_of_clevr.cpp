// The MAC network learns Sort-of-CLEVR: coloured squares and circles, questions about one of them and about
// how they relate. It sees raw pixels through four convolutions that learn together with the rest.
//
//   build/release/examples/mac_sort_of_clevr --save sort.safetensors
//   build/release/examples/mac_sort_of_clevr --load sort.safetensors --passes 0 --draw maps-%d.png
//
// Scenes are drawn anew for every pass. A question is the data set's code as three words, one for each group
// of its bits: "red relational closest"; --text asks in sentences. All twenty questions of an image are
// answered together, so that its convolutions are computed once.
//
// Reached with the defaults and one thread: 99.95 % of the non-relational and 95.15 % of the relational
// questions about 200 unseen images after 23 passes (46,000 images, about three minutes of processor time);
// 99.95 and 96.23 % of those about 2,000 unseen images after 31 passes. Sentences were not trained that far.
#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "knet/knet.hpp"
using namespace knet;

namespace {

constexpr std::int64_t asked = 20;  // questions of an image

/// Of a question's eleven bits; the code's words are the names of the bits that are 1.
constexpr std::array<const char*, 11> code = {"red",   "green",  "blue",         "orange",
                                              "grey",  "yellow", "about-itself", "relational",
                                              "first", "second", "third"};
constexpr std::array<const char*, 6> kinds = {"shape", "left", "upper", "closest", "furthest", "count"};

/// Every question of a data set as ids of `words`, which grows with what is new.
struct Scenes {
  datasets::SortOfClevr data;
  std::vector<std::vector<std::int64_t>> questions;
  std::vector<std::size_t> kind;  ///< of every question
};
Scenes scenes(std::int64_t images, std::uint64_t seed, bool text, IndexedDict<std::string>& words) {
  Scenes s{datasets::sort_of_clevr(images, seed), {}, {}};
  for (std::int64_t i = 0; i < images * asked; ++i) {
    const Tensor question = s.data.questions(i / asked, i % asked);
    const std::vector<float> bits = question.to_vector<float>();
    std::vector<std::int64_t> ids;
    if (text) {
      for (const std::string& w : WordTokenizer{}(datasets::sort_of_clevr_text(question)))
        ids.push_back(words.push_back(w));
    } else {
      for (std::size_t b = 0; b < code.size(); ++b)
        if (bits[b] > 0) ids.push_back(words.push_back(code[b]));
    }
    s.questions.push_back(std::move(ids));
    s.kind.push_back((bits[7] > 0 ? 3u : 0u) + (bits[8] > 0 ? 0u : bits[9] > 0 ? 1u : 2u));
  }
  return s;
}

/// All questions of some images.
struct Questions {
  Tensor images, image_of, answers;
  Sequences words;
};
Questions questions(const Scenes& s, std::int64_t first, std::int64_t n) {
  const auto from = s.questions.begin() + first * asked;
  return {s.data.images.narrow(0, first, n).to(f32) / 255.0 - 0.5,
          arange(n).reshape({n, 1}).expand({n, asked}).reshape({n * asked}),
          s.data.answers.narrow(0, first, n).reshape({n * asked}),
          std::vector<std::vector<std::int64_t>>(from, from + n * asked)};
}

/// Right answers by kind of question.
std::array<Accuracy, 6> measure(const models::MAC& net, const Scenes& s) {
  std::array<Accuracy, 6> right{};
  const std::int64_t images = s.data.images.size(0), batch = 16;
  for (std::int64_t i = 0; i < images; i += batch) {
    const Questions q = questions(s, i, std::min(batch, images - i));
    const Tensor given = net(q.images, q.words, q.image_of).argmax(-1);
    for (std::int64_t k = 0; k < given.size(0); ++k)
      right[s.kind[static_cast<std::size_t>(i * asked + k)]].update(given.narrow(0, k, 1),
                                                                    q.answers.narrow(0, k, 1));
  }
  return right;
}
double share(const std::array<Accuracy, 6>& a, std::size_t first) {
  Accuracy all;
  for (std::size_t i = first; i < first + 3; ++i) all.merge(a[i]);
  return 100 * all.value();
}

/// The steps' attention for one question of each kind; %d in the name is the image's number.
void draw(const models::MAC& net, const Scenes& s, const IndexedDict<std::string>& words,
          const std::string& name, std::int64_t images) {
  for (std::int64_t i = 0; i < images; ++i) {
    const Questions q = questions(s, i, 1);
    models::MACAttention seen;
    const Tensor given = net(q.images, q.words, q.image_of, &seen).argmax(-1);
    std::vector<Tensor> rows;
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      for (std::int64_t k = 0; k < asked; ++k) {
        const auto at = static_cast<std::size_t>(i * asked + k);
        if (s.kind[at] != kind) continue;
        const auto answer = [](const Tensor& t) {
          return datasets::sort_of_clevr_answers.at(t.item<std::size_t>());
        };
        std::cout << datasets::sort_of_clevr_text(s.data.questions(i, k)) << " " << answer(given(k))
                  << " (right: " << answer(q.answers(k)) << ")\n"
                  << models::show_steps(words.elements(s.questions[at]), seen.words(k));
        rows.push_back(models::draw_steps(
            transforms::resize(s.data.images(i), 150, 150, transforms::Filter::nearest), seen.cells(k)));
        break;
      }
    }
    std::string file = name;
    if (const auto at = file.find("%d"); at != std::string::npos) file.replace(at, 2, std::to_string(i));
    io::save_png(file, io::image_grid(stack(rows), 1, 4));
    std::cout << "attention maps: " << file << "\n";
  }
}

/// Scenes and questions as files in CLEVR's own layout, for mac_clevr to try without a download.
void write_clevr(const std::string& folder, const std::string& part, const datasets::SortOfClevr& d) {
  namespace fs = std::filesystem;
  constexpr std::array<const char*, 6> functions = {"query_shape", "exist",       "exist",
                                                    "query_shape", "query_shape", "count"};
  fs::create_directories(folder + "/images/" + part);
  fs::create_directories(folder + "/questions");
  std::ofstream json(folder + "/questions/CLEVR_" + part + "_questions.json");
  json << "{\"info\": {\"split\": \"" << part << "\"}, \"questions\": [";
  for (std::int64_t i = 0; i < d.images.size(0); ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "CLEVR_%s_%06lld.png", part.c_str(), static_cast<long long>(i));
    io::save_png(folder + "/images/" + part + "/" + name, d.images(i));
    for (std::int64_t k = 0; k < asked; ++k) {
      const Tensor q = d.questions(i, k);
      const auto kind = (q(7).item() > 0 ? 3 : 0) + q.narrow(0, 8, 3).argmax().item<std::size_t>();
      json << (i + k > 0 ? ",\n" : "\n") << R"({"image_index": )" << i << R"(, "image_filename": ")" << name
           << R"(", "question": ")" << datasets::sort_of_clevr_text(q) << R"(", "answer": ")"
           << datasets::sort_of_clevr_answers.at(d.answers(i, k).item<std::size_t>())
           << R"(", "question_family_index": )" << kind
           << R"(, "program": [{"function": "scene", "inputs": []}, {"function": ")" << functions[kind]
           << R"(", "inputs": [0]}]})";
    }
  }
  json << "]}\n";
  if (!json.flush()) throw IoError("mac_sort_of_clevr: cannot write into " + folder);
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t size = 64, steps = 4, images = 2000, batch = 8, tests = 200, drawn = 1;
  int passes = 60, configuration = 1, thread_count = 0;
  double lr = 1e-3, dropout_p = 0;
  std::uint64_t seed_value = 1;
  bool text = false, previous = false;
  std::string save_to, load_from, draw_to, write_to;
  CLI::App app{"Learns to answer questions about generated pictures."};
  app.add_option("--passes", passes, "passes, each over new images")->check(CLI::NonNegativeNumber);
  app.add_option("--images", images, "images of a pass, 20 questions each")->check(CLI::PositiveNumber);
  app.add_option("--batch", batch, "images per update")->check(CLI::PositiveNumber);
  app.add_option("--size", size, "of control, memory and cells")->check(CLI::PositiveNumber);
  app.add_option("--steps", steps, "of reasoning")->check(CLI::PositiveNumber);
  app.add_option("--configuration", configuration, "1: plain, 2: with self-attention and gate")
      ->check(CLI::Range(1, 2));
  app.add_flag("--previous-control", previous, "read and write with the control of the step before");
  app.add_option("--dropout", dropout_p, "of everything but the convolutions")->check(CLI::Range(0.0, 0.9));
  app.add_option("--lr", lr, "learning rate");
  app.add_flag("--text", text, "questions as sentences");
  app.add_option("--test", tests, "unseen images to measure with")->check(CLI::PositiveNumber);
  app.add_option("--seed", seed_value, "of everything random");
  app.add_option("--threads", thread_count, "threads of the kernels (default: all cores)");
  app.add_option("--save", save_to, "write the averaged weights to this safetensors file after every pass");
  app.add_option("--load", load_from, "start from this safetensors file");
  app.add_option("--draw", draw_to, "PNG file of attention maps, with %d for the number of the test image");
  app.add_option("--drawn", drawn, "so many test images are drawn")->check(CLI::PositiveNumber);
  app.add_option("--write-clevr", write_to,
                 "write --images and --test images with their questions in CLEVR's layout to this folder");
  CLI11_PARSE(app, argc, argv);

  try {
    if (thread_count > 0) set_threads(thread_count);
    if (batch > images) throw ValueError("mac_sort_of_clevr: --batch is larger than --images");
    seed(seed_value);
    if (!write_to.empty()) {
      write_clevr(write_to, "train", datasets::sort_of_clevr(images, seed_value));
      write_clevr(write_to, "val", datasets::sort_of_clevr(tests, seed_value + 1'000'000));
      return 0;
    }
    IndexedDict<std::string> words;
    if (!text) words.append(std::vector<std::string>(code.begin(), code.end()));
    const Scenes unseen = scenes(std::max<std::int64_t>(tests, 20), seed_value + 1'000'000, text, words);
    models::MACConfig c = models::mac_config(configuration);
    c.words = static_cast<std::int64_t>(words.size());
    c.answers = static_cast<std::int64_t>(datasets::sort_of_clevr_answers.size());
    c.channels = 3, c.size = size, c.steps = steps, c.embedding = 32;
    c.control = previous ? models::MACControl::previous : models::MACControl::current;
    c.dropout = {.stem = 0,
                 .embedding = dropout_p,
                 .question = dropout_p,
                 .knowledge = dropout_p,
                 .state = dropout_p,
                 .read = dropout_p};
    models::MAC net{.config = c, .stem = models::mac_pixel_stem(c)};
    // Few words: normal values tell them apart from the start.
    net.embed.weight = randn({c.words, c.embedding});
    if (!load_from.empty()) load(load_from, net);
    std::cout << net.describe() << "\n";

    Optimizer optimizer(net, Adam{.lr = lr, .gclip = 8});
    Ema average(net);
    const auto start = std::chrono::steady_clock::now();
    const auto report = [&] {
      const auto right = measure(net, unseen);
      std::printf("non-relational %.2f %%, relational %.2f %%:", share(right, 0), share(right, 3));
      for (std::size_t i = 0; i < kinds.size(); ++i)
        std::printf(" %s %.1f", kinds[i], 100 * right[i].value());
      std::printf("\n"), std::fflush(stdout);
    };
    for (int pass = 1; pass <= passes; ++pass) {
      const Scenes seen = scenes(images, seed_value * 10'000 + static_cast<std::uint64_t>(pass), text, words);
      double loss = 0;
      std::int64_t updates = 0;
      for (std::int64_t i = 0; i + batch <= images; i += batch, ++updates) {
        const Questions q = questions(seen, i, batch);
        const Tape tape = diff([&] { return nll(net(q.images, q.words, q.image_of), q.answers); });
        optimizer.step(tape);
        average.update();
        loss += tape.item();
      }
      std::printf("pass %d, %.0f s: loss %.4f, ", pass,
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
                  loss / static_cast<double>(updates));
      const auto averaged = average.swap_in();
      {
        // Batch normalisation's moments belong to the weights that moved: measured again for their averages.
        const Mode training(true);
        for (std::int64_t i = 0; i < 20; ++i)
          net.stem(questions(seen, i * batch % (images - batch + 1), batch).images);
      }
      report();
      if (!save_to.empty()) save(save_to, net);
      if (pass == passes && !draw_to.empty()) draw(net, unseen, words, draw_to, drawn);
    }
    if (passes == 0) {
      report();
      if (!draw_to.empty()) draw(net, unseen, words, draw_to, drawn);
    }
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
