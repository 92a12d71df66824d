// Networks by name, and where their published weights are. Those of text are folders:
// models::load_gpt2("gpt2-medium"), models::load_gpt("openai-gpt"),
// models::load_sentence_encoder("all-MiniLM-L6-v2").
//
//   models::Classifier net = models::load("resnet50", "resnet50-0676ba61.pth");
//   for (const auto& p : models::top_k(net(net.prepare("cat.jpg")), 5, models::read_labels("labels.txt")))
//   ...
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knet/layers/layer.hpp"
#include "knet/models/image.hpp"

namespace knet::models {

/// Published weights of a network.
struct Weights {
  std::string_view name;  ///< torchvision's: IMAGENET1K_V1
  std::string_view url;
  double top1, top5;              ///< per cent of ImageNet's validation images, as published
  std::int64_t resize;            ///< of the shorter side before the crop, for these figures
  std::string_view file() const;  ///< the last part of the address
};
struct ModelInfo {
  std::string_view name;
  std::string_view title, paper;
  std::int64_t parameters;           ///< without auxiliary heads, for 1000 classes
  std::int64_t input;                ///< height and width of the images it is meant for
  std::span<const Weights> weights;  ///< none: train it
  std::string_view licence;          ///< of the weights
};
/// All there are: resnet18 ... resnet152, resnet18_v2 ... resnet152_v2, googlenet, inception_v3.
std::span<const ModelInfo> list();
/// ValueError with the known names for others.
const ModelInfo& info(std::string_view name);

/// A network with what belongs to it.
struct Classifier {
  ModelInfo info;
  Preprocessing input;
  Layer network;  ///< network.as<ResNet>(), <ResNetV2>, <GoogLeNet> or <InceptionV3>

  /// [N, 3, H, W] -> logits [N, classes].
  Tensor operator()(const Tensor& x) const { return network(x); }
  /// The image files as input [N, 3, H, W].
  Tensor prepare(const std::vector<std::string>& files) const { return preprocess(files, input); }
  Tensor prepare(const std::string& file) const { return prepare(std::vector{file}); }
  void walk(Visitor& v) { network.walk(v); }
};

/// The network of a name with new weights.
Classifier make(std::string_view name, std::int64_t classes = 1000);
/// The network of a name with the weights of a file, safetensors or .pth (whatever knet::load reads). Without
/// a file its published weights are looked for in `weights_folder()`. The number of classes is the file's.
/// Inceptions are made with .transform_input = true, as published weights need it, and auxiliary heads of the
/// file are left out. IoError, with the addresses to fetch weights from, when there is no file; and for
/// weights of another architecture, with what does not fit.
Classifier load(std::string_view name, const std::string& file = "");
/// ($XDG_CACHE_HOME or ~/.cache)/knetlayers/models; "" when neither variable is set.
std::string weights_folder();

/// A published model of text: a folder of files.
struct TextModelInfo {
  std::string_view name, title, paper;
  std::int64_t parameters, vocabulary, positions, size, layers;
  std::string_view url;
  std::string_view files;     ///< of those that are there, the ones that are read
  std::string_view accuracy;  ///< as published
  std::string_view licence;   ///< of the weights
};
/// gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilgpt2, openai-gpt, bert-base-uncased, bert-large-uncased,
/// all-MiniLM-L6-v2, all-MiniLM-L12-v2.
std::span<const TextModelInfo> text_models();
/// What the loaders of text models take: a folder, or one of these names, whose folder is looked for in
/// weights_folder(). IoError, with the address to fetch the files from, when there is none; and with the
/// known names for others.
std::string text_model_folder(const std::string& folder_or_name);

}  // namespace knet::models
