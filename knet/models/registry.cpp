#include "knet/models/registry.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "knet/base/text.hpp"
#include "knet/io/download.hpp"
#include "knet/io/model_file.hpp"
#include "knet/io/tensor_file.hpp"
#include "knet/models/inception.hpp"
#include "knet/models/resnet.hpp"

namespace knet::models {

namespace {

// The figures are torchvision's.
constexpr Weights resnet18_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/resnet18-f37072fd.pth", 69.758, 89.078, 256}};
constexpr Weights resnet34_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/resnet34-b627a593.pth", 73.314, 91.420, 256}};
constexpr Weights resnet50_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/resnet50-0676ba61.pth", 76.130, 92.862, 256},
    {"IMAGENET1K_V2", "https://download.pytorch.org/models/resnet50-11ad3fa6.pth", 80.858, 95.434, 232}};
constexpr Weights resnet101_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/resnet101-63fe2227.pth", 77.374, 93.546, 256},
    {"IMAGENET1K_V2", "https://download.pytorch.org/models/resnet101-cd907fc2.pth", 81.886, 95.780, 232}};
constexpr Weights resnet152_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/resnet152-394f9c45.pth", 78.312, 94.046, 256},
    {"IMAGENET1K_V2", "https://download.pytorch.org/models/resnet152-f82ba261.pth", 82.284, 96.002, 232}};
constexpr Weights googlenet_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/googlenet-1378be20.pth", 69.778, 89.530, 256}};
constexpr Weights inception_v3_weights[] = {
    {"IMAGENET1K_V1", "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth", 77.294, 93.450,
     342}};

constexpr const char* v1 = "arXiv:1512.03385";
constexpr const char* v2 = "arXiv:1603.05027";
constexpr const char* bsd = "BSD-3-Clause (torchvision); ImageNet's terms for its images";
constexpr ModelInfo all_models[] = {
    {"resnet18", "ResNet-18 v1.5", v1, 11689512, 224, resnet18_weights, bsd},
    {"resnet34", "ResNet-34 v1.5", v1, 21797672, 224, resnet34_weights, bsd},
    {"resnet50", "ResNet-50 v1.5", v1, 25557032, 224, resnet50_weights, bsd},
    {"resnet101", "ResNet-101 v1.5", v1, 44549160, 224, resnet101_weights, bsd},
    {"resnet152", "ResNet-152 v1.5", v1, 60192808, 224, resnet152_weights, bsd},
    {"resnet18_v2", "ResNet-18 v2", v2, 11687854, 224, {}, ""},
    {"resnet34_v2", "ResNet-34 v2", v2, 21796014, 224, {}, ""},
    {"resnet50_v2", "ResNet-50 v2", v2, 25549486, 224, {}, ""},
    {"resnet101_v2", "ResNet-101 v2", v2, 44541614, 224, {}, ""},
    {"resnet152_v2", "ResNet-152 v2", v2, 60185262, 224, {}, ""},
    {"googlenet", "Inception v1 (GoogLeNet)", "arXiv:1409.4842", 6624904, 224, googlenet_weights, bsd},
    {"inception_v3", "Inception v3", "arXiv:1512.00567", 23834568, 299, inception_v3_weights, bsd}};

constexpr const char* gpt2_paper = "Radford et al. 2019";
constexpr const char* gpt2_files = "config.json, model.safetensors, vocab.json, merges.txt";
constexpr const char* bert_paper = "arXiv:1810.04805";
constexpr const char* bert_files = "config.json, model.safetensors, vocab.txt, tokenizer_config.json";
constexpr const char* sentence_paper = "arXiv:1908.10084";
constexpr const char* sentence_files =
    "config.json, model.safetensors, vocab.txt, modules.json, 1_Pooling/config.json, "
    "sentence_bert_config.json, tokenizer_config.json";
// Accuracies: GPT-2's paper, table 3; distilgpt2's model card; GPT's paper, table 3; BERT's, table 1;
// sbert.net.
constexpr TextModelInfo all_text_models[] = {
    {"gpt2", "GPT-2 small", gpt2_paper, 124439808, 50257, 1024, 768, 12,
     "https://huggingface.co/openai-community/gpt2", gpt2_files, "WikiText-2 perplexity 29.41", "MIT"},
    {"gpt2-medium", "GPT-2 medium", gpt2_paper, 354823168, 50257, 1024, 1024, 24,
     "https://huggingface.co/openai-community/gpt2-medium", gpt2_files, "WikiText-2 perplexity 22.76", "MIT"},
    {"gpt2-large", "GPT-2 large", gpt2_paper, 774030080, 50257, 1024, 1280, 36,
     "https://huggingface.co/openai-community/gpt2-large", gpt2_files, "WikiText-2 perplexity 19.93", "MIT"},
    {"gpt2-xl", "GPT-2 XL", gpt2_paper, 1557611200, 50257, 1024, 1600, 48,
     "https://huggingface.co/openai-community/gpt2-xl", gpt2_files, "WikiText-2 perplexity 18.34", "MIT"},
    {"distilgpt2", "DistilGPT2", "arXiv:1910.01108", 81912576, 50257, 1024, 768, 6,
     "https://huggingface.co/distilbert/distilgpt2", gpt2_files, "WikiText-103 perplexity 21.1 (fine-tuned)",
     "Apache-2.0"},
    {"openai-gpt", "GPT", "Radford et al. 2018", 116534784, 40478, 512, 768, 12,
     "https://github.com/openai/finetune-transformer-lm/tree/master/model",
     "params_shapes.json, params_0.npy to params_9.npy, encoder_bpe_40000.json, vocab_40000.bpe",
     "StoryCloze 86.5 % (fine-tuned)", "MIT"},
    {"bert-base-uncased", "BERT base", bert_paper, 109482240, 30522, 512, 768, 12,
     "https://huggingface.co/google-bert/bert-base-uncased", bert_files, "GLUE 79.6 (fine-tuned)",
     "Apache-2.0"},
    {"bert-large-uncased", "BERT large", bert_paper, 335141888, 30522, 512, 1024, 24,
     "https://huggingface.co/google-bert/bert-large-uncased", bert_files, "GLUE 82.1 (fine-tuned)",
     "Apache-2.0"},
    {"all-MiniLM-L6-v2", "MiniLM of sentences, 6 layers", sentence_paper, 22713216, 30522, 512, 384, 6,
     "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2", sentence_files,
     "mean of 14 tasks 68.06", "Apache-2.0"},
    {"all-MiniLM-L12-v2", "MiniLM of sentences, 12 layers", sentence_paper, 33360000, 30522, 512, 384, 12,
     "https://huggingface.co/sentence-transformers/all-MiniLM-L12-v2", sentence_files,
     "mean of 14 tasks 68.70", "Apache-2.0"}};

// `loaded`: the weights come from a file, and initial ones need not be drawn.
Classifier make_with(const ModelInfo& m, std::int64_t classes, bool loaded) {
  Classifier c{.info = m, .input = {.crop = m.input}, .network = {}};
  if (!m.weights.empty()) c.input.resize = m.weights[0].resize;
  const auto completed = [&](auto options) {
    options.classes = classes;
    if (loaded) options.winit = zeros;
    return options;
  };
  if (m.name == "googlenet") {
    c.network = GoogLeNet(completed(InceptionOptions{.transform_input = loaded}));
  } else if (m.name == "inception_v3") {
    c.network = InceptionV3(completed(InceptionOptions{.transform_input = loaded}));
  } else {
    const int depth = std::stoi(std::string(m.name.substr(6)));
    const auto o = completed(ResNetOptions{});
    if (m.name.ends_with("_v2"))
      c.network = resnet_v2(depth, o);
    else
      c.network = resnet(depth, o);
  }
  return c;
}

bool exists(const std::string& path) {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0;
}
// Published weights that are there, or an error that says where to get them.
std::string find_weights(const ModelInfo& m) {
  const std::string folder = weights_folder();
  for (const Weights& w : m.weights) {
    const std::string path = folder + "/" + std::string(w.file());
    if (!folder.empty() && exists(path)) return path;
  }
  if (m.weights.empty())
    fail<IoError>("models::load: no weights are published for ", m.name,
                  " in a form that is read here; give a file");
  std::string where;
  for (const Weights& w : m.weights) where += "\n  " + std::string(w.url);
  fail<IoError>("models::load: no weights for ", m.name, ". Fetch them from", where,
                "\nand give the file, or put it into ",
                folder.empty() ? "~/.cache/knetlayers/models" : folder);
}
// How many classes the file's classifier has; 1000 where it has none that would fit.
std::int64_t classes_in(const std::string& path, const ModelInfo& m) {
  const io::TensorFile file(path);
  const io::TensorInfo* fc = file.find("fc.weight");
  const bool basic = m.name.starts_with("resnet18") || m.name.starts_with("resnet34");
  const std::int64_t features = basic ? 512 : m.name == "googlenet" ? 1024 : 2048;
  const bool fits = fc && fc->shape.ndim() == 2 && fc->shape[0] > 0 && fc->shape[1] == features;
  return fits ? fc->shape[0] : 1000;
}
// "; 3 missing (the first: fc.bias)"
std::string some(const std::vector<std::string>& names, const char* what) {
  return names.empty() ? std::string() : text("; ", names.size(), what, " (the first: ", names[0], ")");
}
bool auxiliary(const std::string& name) {
  return name.starts_with("aux1.") || name.starts_with("aux2.") || name.starts_with("AuxLogits.");
}

}  // namespace

std::string_view Weights::file() const { return url.substr(url.rfind('/') + 1); }
std::span<const ModelInfo> list() { return all_models; }
const ModelInfo& info(std::string_view name) {
  std::string known;
  for (const ModelInfo& m : all_models) {
    if (m.name == name) return m;
    known += (known.empty() ? "" : ", ") + std::string(m.name);
  }
  fail<ValueError>("models: there is no ", name, "; known are ", known);
}
std::string weights_folder() { return io::cache_folder("models"); }

std::span<const TextModelInfo> text_models() { return all_text_models; }
std::string text_model_folder(const std::string& folder) {
  struct stat s {};
  const auto is_folder = [&](const std::string& path) {
    return ::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
  };
  if (is_folder(folder)) return folder;
  std::string known;
  for (const TextModelInfo& m : all_text_models) {
    known += (known.empty() ? "" : ", ") + std::string(m.name);
    if (m.name != folder) continue;
    const std::string cache = weights_folder(), here = cache + "/" + folder;
    if (!cache.empty() && is_folder(here)) return here;
    fail<IoError>("models: no files for ", folder, ". Fetch ", m.files, " from ", m.url,
                  "\nand give their folder, or put them into ",
                  cache.empty() ? "~/.cache/knetlayers/models/" + folder : here);
  }
  fail<IoError>("models: there is no folder ", folder, ", and no model of that name; known are ", known);
}

Classifier make(std::string_view name, std::int64_t classes) { return make_with(info(name), classes, false); }

Classifier load(std::string_view name, const std::string& file) {
  const ModelInfo& m = info(name);
  const std::string path = file.empty() ? find_weights(m) : file;
  Classifier c = make_with(m, classes_in(path, m), true);
  for (const Weights& w : m.weights) {
    if (path.ends_with(w.file())) c.input.resize = w.resize;
  }
  const LoadReport r = knet::load(path, c, {.strict = false});
  std::vector<std::string> unexpected;
  for (const std::string& n : r.unexpected) {
    if (!auxiliary(n)) unexpected.push_back(n);
  }
  if (!r.missing.empty() || !r.misfits.empty() || !unexpected.empty())
    fail<IoError>("models::load: ", path, " does not hold the weights of ", name, some(r.missing, " missing"),
                  some(unexpected, " unexpected"), some(r.misfits, " of another shape or type"));
  return c;
}

}  // namespace knet::models
