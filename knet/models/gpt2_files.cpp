#include <nlohmann/json.hpp>

#include "knet/base/text.hpp"
#include "knet/models/gpt2.hpp"
#include "knet/models/published.hpp"
#include "knet/models/registry.hpp"
#include "knet/text/json_file.hpp"

namespace knet::models {
namespace {

using knet::detail::JsonFile;
using nlohmann::json;

/// Buffers of old files, and the output table, which is the embedding.
bool superfluous(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name == "lm_head.weight";
}

}  // namespace

GPT2Config load_gpt2_config(const std::string& path) {
  const JsonFile f("load_gpt2_config", path);
  if (!f.root.is_object()) f.bad("not an object");
  f.expect(f.root, "model_type", "gpt2");
  const std::string activation = f.string(f.root, "activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    f.bad("\"activation_function\" is ", knet::detail::shown(activation), ", expected \"gelu_new\"");
  const auto only = [&](const char* field, bool value) {
    if (f.boolean(f.root, field, value) != value)
      f.bad("\"", field, "\" is ", value ? "false" : "true", ", which is not supported");
  };
  only("scale_attn_weights", true);
  only("scale_attn_by_inverse_layer_idx", false);
  only("add_cross_attention", false);
  only("tie_word_embeddings", true);
  const GPT2Config defaults;
  const auto size = [&](const char* field, std::int64_t otherwise) {
    const std::int64_t v = f.integer(f.root, field, otherwise);
    // Products of sizes stay far from overflow, and a file of a line asks for no terabyte.
    if (v < 1 || v > 1'000'000) f.bad("\"", field, "\" is ", v, ", expected 1 to 1000000");
    return v;
  };
  GPT2Config c{
      .vocabulary = size("vocab_size", defaults.vocabulary),
      .positions = size(JsonFile::find(f.root, "n_positions") ? "n_positions" : "n_ctx", defaults.positions),
      .size = size("n_embd", defaults.size),
      .layers = size("n_layer", defaults.layers),
      .heads = size("n_head", defaults.heads),
      .hidden = 0,
      .dropout = f.number(f.root, "resid_pdrop", defaults.dropout),
      .eps = f.number(f.root, "layer_norm_epsilon", defaults.eps)};
  if (JsonFile::find(f.root, "n_inner")) c.hidden = size("n_inner", 0);
  if (c.size % c.heads != 0) f.bad("\"n_embd\" ", c.size, " is not divisible by \"n_head\" ", c.heads);
  if (!(c.dropout >= 0 && c.dropout < 1)) f.bad("\"resid_pdrop\" is ", c.dropout, ", expected [0, 1)");
  if (!(c.eps > 0)) f.bad("\"layer_norm_epsilon\" is ", c.eps, ", expected more than 0");
  return c;
}

GPT2 load_gpt2_weights(const std::string& path, const GPT2Config& config) {
  const char* who = "load_gpt2";
  // The sizes first: a small file makes no large model.
  std::string prefix;
  {
    const io::TensorFile file(path);
    prefix = detail::any_name(file, "transformer.") ? "transformer." : "";
    const std::int64_t inner = config.hidden > 0 ? config.hidden : 4 * config.size;
    const auto expect = [&](const std::string& name, const Shape& shape) {
      const io::TensorInfo* t = file.find(prefix + name);
      if (!t) fail<IoError>(who, ": ", path, ": there is no ", prefix, name, " in it");
      if (t->shape != shape)
        fail<IoError>(who, ": ", path, ": ", prefix, name, " is ", t->shape, ", the model's is ", shape);
    };
    expect("wte.weight", {config.vocabulary, config.size});
    expect("wpe.weight", {config.positions, config.size});
    for (std::int64_t i = 0; i < config.layers; ++i)
      expect(text("h.", i, ".mlp.c_fc.weight"), {config.size, inner});
  }
  GPT2Config zeros = config;
  zeros.init = 0;
  GPT2 model{.config = zeros};
  LoadOptions o{.strict = false};
  if (!prefix.empty()) o.rename = {{"transformer", ""}};
  detail::check_report(who, path, load(path, model, o), superfluous);
  model.config.init = config.init;
  return model;
}

GPT2WithTokenizer load_gpt2(const std::string& folder_or_name) {
  const char* who = "load_gpt2";
  const std::string folder = text_model_folder(folder_or_name);
  const GPT2Config config = load_gpt2_config(detail::need_file(who, folder, {"config.json"}));
  const std::string vocabulary = detail::find_file(folder, {"vocab.json"}),
                    merges = detail::find_file(folder, {"merges.txt"}),
                    whole = detail::find_file(folder, {"tokenizer.json"});
  if (whole.empty() && (vocabulary.empty() || merges.empty()))
    fail<IoError>(who, ": ", folder, " has neither vocab.json and merges.txt nor tokenizer.json");
  Tokenizer tokenizer =
      vocabulary.empty() || merges.empty() ? load_tokenizer(whole) : load_gpt2_tokenizer(vocabulary, merges);
  if (tokenizer.vocabulary_size() > config.vocabulary)
    fail<IoError>(who, ": ", folder, ": the tokenizer has ", tokenizer.vocabulary_size(),
                  " tokens, the model ", config.vocabulary);
  return {load_gpt2_weights(detail::weights_file(who, folder), config), std::move(tokenizer)};
}

void save_gpt2(const std::string& folder, const GPT2& model, const Tokenizer& tokenizer) {
  const GPT2Config& c = model.config;
  if (!c.norm_first) fail<ValueError>("save_gpt2: the model normalises behind its blocks: GPT-2 does not");
  json j{{"model_type", "gpt2"},
         {"architectures", {"GPT2LMHeadModel"}},
         {"activation_function", "gelu_new"},
         {"vocab_size", c.vocabulary},
         {"n_positions", c.positions},
         {"n_ctx", c.positions},
         {"n_embd", c.size},
         {"n_layer", c.layers},
         {"n_head", c.heads},
         {"attn_pdrop", c.dropout},
         {"embd_pdrop", c.dropout},
         {"resid_pdrop", c.dropout},
         {"layer_norm_epsilon", c.eps}};
  if (c.hidden > 0) j["n_inner"] = c.hidden;
  save_gpt2_tokenizer(folder + "/vocab.json", folder + "/merges.txt", tokenizer);
  knet::detail::write_text(folder + "/config.json", j.dump(2) + "\n");
  save(folder + "/model.safetensors", model);
}

}  // namespace knet::models
