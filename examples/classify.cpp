// Says what is on photographs, with a network that was trained on ImageNet (or on anything else).
//
//   build/release/examples/classify --model resnet50 --weights resnet50-0676ba61.pth
//     --labels imagenet_labels.txt cat.jpg dog.png
//
// Without --weights the published ones are looked for in ~/.cache/knetlayers/models, and the message says
// where to get them. --list prints the models. An image that can not be read is reported, the others are
// still classified, and the exit status is 1.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>

#include "knet/knet.hpp"
using namespace knet;

int main(int argc, char** argv) {
  std::string model = "resnet50", weights, labels_file;
  std::vector<std::string> images;
  std::int64_t k = 5, resize = 0, crop = 0;
  int thread_count = 0;
  bool list = false, random = false;

  CLI::App app{"Classifies images."};
  app.add_option("images", images, "PNG or JPEG files");
  app.add_option("--model", model, "which network, see --list");
  app.add_option("--weights", weights,
                 "its weights: safetensors or .pth (default: the published ones, if present)");
  app.add_option("--labels", labels_file, "a text file whose line i names class i (default: numbers)");
  app.add_option("--top", k, "how many classes to print")->check(CLI::PositiveNumber);
  app.add_option("--resize", resize, "the shorter side before the crop (default: the weights')");
  app.add_option("--crop", crop, "the middle square (default: the model's)");
  app.add_option("--threads", thread_count, "threads of the kernels (default: all cores)");
  app.add_flag("--random", random, "random weights: how fast is it?");
  app.add_flag("--list", list, "print the models and where their weights are");
  CLI11_PARSE(app, argc, argv);

  try {
    if (list) {
      for (const models::ModelInfo& m : models::list()) {
        std::cout << m.name << ": " << m.title << ", " << m.parameters << " parameters, " << m.input
                  << " pixels\n";
        for (const models::Weights& w : m.weights)
          std::cout << "  " << w.name << ": top-1 " << w.top1 << " %, " << w.url << "\n";
      }
      return 0;
    }
    if (images.empty()) throw ValueError("no images were given; see --help");
    if (thread_count > 0) set_threads(thread_count);
    const auto labels = labels_file.empty() ? std::vector<std::string>() : models::read_labels(labels_file);
    models::Classifier net = random ? models::make(model) : models::load(model, weights);
    if (crop > 0) net.input.crop = crop;
    if (resize > 0) net.input.resize = resize;
    int failed = 0;
    for (const std::string& file : images) {
      Tensor x;
      try {
        x = net.prepare(file);
      } catch (const IoError& e) {
        std::cerr << e.what() << "\n";
        failed = 1;
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      const Tensor logits = net(x);
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      std::printf("%s (%.1f ms)\n", file.c_str(), time.count());
      for (const auto& p : models::top_k(logits, std::min(k, logits.size(1)), labels))
        std::printf("  %6.2f %%  %4lld  %s\n", 100 * p.probability, static_cast<long long>(p.index),
                    p.label.c_str());
      std::fflush(stdout);
    }
    return failed;
  } catch (const Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
