#include <algorithm>
#include <numeric>

#include "knet/autograd/tape.hpp"
#include "knet/base/text.hpp"
#include "knet/models/bert.hpp"
#include "knet/models/published.hpp"
#include "knet/models/registry.hpp"
#include "knet/ops/indexing.hpp"
#include "knet/ops/shape.hpp"
#include "knet/text/json_file.hpp"
#include "knet/text/unicode.hpp"

namespace knet::models {
namespace {

using knet::detail::JsonFile;

Pooling pooling_of(const std::string& path) {
  const JsonFile f("load_sentence_encoder", path);
  if (!f.root.is_object()) f.bad("not an object");
  std::string on;
  for (const auto& [name, value] : f.root.items()) {
    if (name.starts_with("pooling_mode_") && value.is_boolean() && value.get<bool>())
      on += (on.empty() ? "" : " and ") + name;
  }
  if (on == "pooling_mode_mean_tokens") return Pooling::mean;
  if (on == "pooling_mode_cls_token") return Pooling::first_token;
  f.bad("pools by ", on.empty() ? "nothing" : on,
        "; expected pooling_mode_mean_tokens or pooling_mode_cls_token");
}

/// Does the list of modules end in one that normalises?
bool normalizes(const std::string& path) {
  const JsonFile f("load_sentence_encoder", path);
  if (!f.root.is_array()) f.bad("not a list");
  bool found = false;
  for (const auto& module : f.root) {
    if (!module.is_object()) f.bad("a module is not an object");
    const std::string type = f.string(module, "type");
    if (type.ends_with(".Normalize"))
      found = true;
    else if (!type.ends_with(".Transformer") && !type.ends_with(".Pooling"))
      f.bad("the module ", knet::detail::shown(type), " is not supported");
  }
  return found;
}

}  // namespace

BertConfig load_bert_config(const std::string& path) {
  const JsonFile f("load_bert_config", path);
  if (!f.root.is_object()) f.bad("not an object");
  f.expect(f.root, "model_type", "bert");
  const std::string activation = f.string(f.root, "hidden_act", "gelu"),
                    places = f.string(f.root, "position_embedding_type", "absolute");
  if (places != "absolute")
    f.bad("\"position_embedding_type\" is ", knet::detail::shown(places), ", expected \"absolute\"");
  const BertConfig defaults;
  const auto size = [&](const char* field, std::int64_t otherwise) {
    const std::int64_t v = f.integer(f.root, field, otherwise);
    if (v < 1 || v > 1'000'000) f.bad("\"", field, "\" is ", v, ", expected 1 to 1000000");
    return v;
  };
  BertConfig c{.vocabulary = size("vocab_size", defaults.vocabulary),
               .positions = size("max_position_embeddings", defaults.positions),
               .types = size("type_vocab_size", defaults.types),
               .size = size("hidden_size", defaults.size),
               .layers = size("num_hidden_layers", defaults.layers),
               .heads = size("num_attention_heads", defaults.heads),
               .hidden = size("intermediate_size", defaults.hidden),
               .dropout = f.number(f.root, "hidden_dropout_prob", defaults.dropout),
               .eps = f.number(f.root, "layer_norm_eps", defaults.eps)};
  if (activation == "gelu_new" || activation == "gelu_pytorch_tanh")
    c.activation = gelu;
  else if (activation == "relu")
    c.activation = relu;
  else if (activation != "gelu")
    f.bad("\"hidden_act\" is ", knet::detail::shown(activation), ", expected gelu, gelu_new or relu");
  if (c.size % c.heads != 0)
    f.bad("\"hidden_size\" ", c.size, " is not divisible by \"num_attention_heads\" ", c.heads);
  if (!(c.dropout >= 0 && c.dropout < 1))
    f.bad("\"hidden_dropout_prob\" is ", c.dropout, ", expected [0, 1)");
  if (!(c.eps > 0)) f.bad("\"layer_norm_eps\" is ", c.eps, ", expected more than 0");
  return c;
}

Bert load_bert_weights(const std::string& path, const BertConfig& config) {
  const char* who = "load_bert";
  BertConfig c = config;
  std::string prefix;
  {
    // The sizes first: a small file makes no large model.
    const io::TensorFile file(path);
    prefix = detail::any_name(file, "bert.") ? "bert." : "";
    const auto expect = [&](const std::string& name, const Shape& shape) {
      const io::TensorInfo* t = file.find(prefix + name);
      if (!t) fail<IoError>(who, ": ", path, ": there is no ", prefix, name, " in it");
      if (t->shape != shape)
        fail<IoError>(who, ": ", path, ": ", prefix, name, " is ", t->shape, ", the model's is ", shape);
    };
    expect("embeddings.word_embeddings.weight", {c.vocabulary, c.size});
    expect("embeddings.position_embeddings.weight", {c.positions, c.size});
    expect("embeddings.token_type_embeddings.weight", {c.types, c.size});
    for (std::int64_t i = 0; i < c.layers; ++i)
      expect(text("encoder.layer.", i, ".intermediate.dense.weight"), {c.hidden, c.size});
    c.pooler = c.pooler && detail::any_name(file, prefix + "pooler.");
  }
  Bert model{.config = c};
  LoadOptions o{.strict = false};
  // Each name is changed once: the prefix goes with the old names of the normalisations.
  for (const auto& [old, name] : {std::pair("gamma", "weight"), std::pair("beta", "bias")}) {
    for (const char* norm : {"embeddings.LayerNorm.", "encoder.layer.*.attention.output.LayerNorm.",
                             "encoder.layer.*.output.LayerNorm."})
      o.rename.emplace_back(prefix + norm + old, std::string(norm) + name);
  }
  if (!prefix.empty()) o.rename.emplace_back("bert", "");
  detail::check_report(who, path, load(path, model, o), [&](std::string_view name) {
    return name.starts_with("cls.") || name == "embeddings.position_ids" ||
           name == "embeddings.token_type_ids" || (!config.pooler && name.starts_with("pooler."));
  });
  return model;
}

Tensor SentenceEncoder::operator()(const std::vector<std::string>& sentences) const {
  if (sentences.empty()) fail<ValueError>("SentenceEncoder: there is no sentence");
  if (batch < 1) fail<ValueError>("SentenceEncoder: .batch = ", batch, ": expected at least 1");
  if (max_length < 1 || max_length > bert.config.positions)
    fail<ValueError>("SentenceEncoder: .max_length = ", max_length, ": expected 1 to ", bert.config.positions,
                     ", the model's positions");
  std::vector<EncodedText> encoded;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    if (!unicode::is_utf8(sentences[i])) fail<ValueError>("SentenceEncoder: sentence ", i, " is not UTF-8");
    encoded.push_back(tokenizer.encode(sentences[i], {.max_length = max_length}));
    if (encoded.back().ids.empty()) fail<ValueError>("SentenceEncoder: sentence ", i, " has no token");
  }
  std::vector<std::int64_t> order(encoded.size());
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&](std::int64_t i) { return encoded[static_cast<std::size_t>(i)].ids.size(); };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return length(a) < length(b); });

  const NoGrad constant;
  const Mode inference(false);
  std::vector<Tensor> parts;
  const auto step = static_cast<std::size_t>(batch);
  for (std::size_t from = 0; from < order.size(); from += step) {
    const std::size_t to = std::min(from + step, order.size());
    const auto rows = static_cast<std::int64_t>(to - from),
               width = static_cast<std::int64_t>(length(order[to - 1]));
    Tensor ids = zeros({rows, width}, i64), types = zeros({rows, width}, i64),
           mask = zeros({rows, width}, boolean);
    for (std::size_t r = from; r < to; ++r) {
      const EncodedText& e = encoded[static_cast<std::size_t>(order[r])];
      const auto at = static_cast<std::ptrdiff_t>(r - from) * width;
      std::copy(e.ids.begin(), e.ids.end(), ids.data<std::int64_t>() + at);
      std::copy(e.type_ids.begin(), e.type_ids.end(), types.data<std::int64_t>() + at);
      std::fill_n(mask.data<bool>() + at, e.ids.size(), true);
    }
    const Tensor v = pool_tokens(bert(ids, mask, types), mask, pooling);
    parts.push_back(normalize ? normalize_rows(v) : v);
  }
  std::vector<std::int64_t> place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    place[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
  return index_select(cat(parts), 0, Tensor(place));
}

SentenceEncoder load_sentence_encoder(const std::string& folder_or_name) {
  const char* who = "load_sentence_encoder";
  const std::string folder = text_model_folder(folder_or_name);
  const BertConfig config = load_bert_config(detail::need_file(who, folder, {"config.json"}));
  const std::string vocabulary = detail::find_file(folder, {"vocab.txt"});
  BertOptions cases;
  if (const auto path = detail::find_file(folder, {"tokenizer_config.json"}); !path.empty()) {
    const JsonFile f(who, path);
    if (!f.root.is_object()) f.bad("not an object");
    cases.lowercase = f.boolean(f.root, "do_lower_case", true);
    cases.chinese_characters = f.boolean(f.root, "tokenize_chinese_chars", true);
    if (JsonFile::find(f.root, "strip_accents"))
      cases.strip_accents = f.boolean(f.root, "strip_accents", true);
  }
  Tokenizer tokenizer = vocabulary.empty()
                            ? load_tokenizer(detail::need_file(who, folder, {"vocab.txt", "tokenizer.json"}))
                            : load_bert_tokenizer(vocabulary, cases);
  if (tokenizer.vocabulary_size() > config.vocabulary)
    fail<IoError>(who, ": ", folder, ": the tokenizer has ", tokenizer.vocabulary_size(),
                  " tokens, the model ", config.vocabulary);
  std::int64_t max_length = config.positions;
  if (const auto path = detail::find_file(folder, {"sentence_bert_config.json"}); !path.empty()) {
    const JsonFile f(who, path);
    if (!f.root.is_object()) f.bad("not an object");
    max_length = f.integer(f.root, "max_seq_length", max_length);
    if (max_length < 1 || max_length > config.positions)
      f.bad("\"max_seq_length\" is ", max_length, ", expected 1 to ", config.positions);
  }
  const auto pools = detail::find_file(folder, {"1_Pooling/config.json"}),
             modules = detail::find_file(folder, {"modules.json"});
  const Pooling pooling = pools.empty() ? Pooling::mean : pooling_of(pools);
  const bool normalize = modules.empty() || normalizes(modules);
  return {.bert = load_bert_weights(detail::weights_file(who, folder), config),
          .tokenizer = std::move(tokenizer),
          .pooling = pooling,
          .normalize = normalize,
          .max_length = max_length};
}

}  // namespace knet::models
