// GPT-2: a decoder of pre-normalised blocks with learned positions, whose output table is its embedding
// (Radford et al. 2019); and GPT, which normalises behind (Radford et al. 2018). Parameters have the names
// and layouts of the published files ("h.0.attn.c_attn.weight", [in, out], queries, keys and values side by
// side), which load as they are.
//
//   auto [model, tokenizer] = models::load_gpt2("gpt2/");
//   std::cout << models::generate(model, tokenizer, "Once upon a time", {.sampling = {.top_k = 40}});
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knet/layers/attention.hpp"
#include "knet/models/sampling.hpp"
#include "knet/text/tokenizer.hpp"

namespace knet::models {

/// The sizes; the defaults are those of "gpt2" with 124 million parameters.
struct GPT2Config {
  std::int64_t vocabulary = 50257;
  std::int64_t positions = 1024;  ///< the longest sequence
  std::int64_t size = 768;
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t hidden = 0;  ///< of the MLPs; 0: 4 size
  double dropout = 0.1;     ///< of the embeddings, the attention's probabilities and what blocks add
  double eps = 1e-5;        ///< of the normalisations
  /// Standard deviation of the first weights; those that end a block's part have it over sqrt(2 layers).
  /// 0: zeros, for what is loaded anyway.
  double init = 0.02;
  /// Normalise what goes into a block's parts, and what leaves the last block; false, as GPT does, what they
  /// have been added to.
  bool norm_first = true;
  friend bool operator==(const GPT2Config&, const GPT2Config&) = default;
};
/// "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl" or "distilgpt2". ValueError with these names for another.
GPT2Config gpt2_config(std::string_view name);
/// Hugging Face's config.json. IoError when it is not GPT-2's, or asks for what is not here (another
/// activation, scaling by layer, untied output).
GPT2Config load_gpt2_config(const std::string& config_json);

/// x W + b with W [input, output], as GPT-2's files have it.
struct Conv1D {
  Size<argument::input> input;
  Size<argument::output> output;
  Activation activation = nullptr;
  double deviation = 0.02;  ///< of the first weights
  DType dtype = default_dtype();
  Param weight = initial({input, output}, deviation, dtype), bias = zeros({output}, dtype);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const;
  /// Normal values; zeros when the deviation is 0.
  static Tensor initial(const Shape&, double deviation, DType);
};

/// Causal attention of x with itself.
struct GPT2Attention {
  GPT2Config config;
  DType dtype = default_dtype();
  Conv1D c_attn = joint(), c_proj = projection();
  /// [batch, time, size] -> the same.
  Tensor operator()(const Tensor& x, KeyValueCache* cache = nullptr) const;
  Conv1D joint() const;
  Conv1D projection() const;
};
struct GPT2Mlp {
  GPT2Config config;
  DType dtype = default_dtype();
  Conv1D c_fc = expansion(), c_proj = projection();
  Tensor operator()(const Tensor& x) const;
  Conv1D expansion() const;
  Conv1D projection() const;
};
struct GPT2Block {
  GPT2Config config;
  DType dtype = default_dtype();
  LayerNorm ln_1{.size = config.size, .eps = config.eps, .dtype = dtype};
  GPT2Attention attn{.config = config, .dtype = dtype};
  LayerNorm ln_2{.size = config.size, .eps = config.eps, .dtype = dtype};
  GPT2Mlp mlp{.config = config, .dtype = dtype};
  Tensor operator()(const Tensor& x, KeyValueCache* cache = nullptr) const;
};

/// Keys and values of the tokens so far, of every block.
struct GPT2Cache {
  std::vector<KeyValueCache> blocks = {};
  /// Tokens in it.
  std::int64_t length() const { return blocks.empty() ? 0 : blocks[0].length; }
};

struct GPT2 {
  GPT2Config config = {};
  DType dtype = default_dtype();
  Embed wte = tokens();
  PositionEmbedding wpe = places();
  std::vector<GPT2Block> h = blocks();
  std::optional<LayerNorm> ln_f = last();  ///< with norm_first

  /// Scores of the next token after every one: ids [batch, time] -> [batch, time, vocabulary]; [time] ->
  /// [time, vocabulary]. Shorter sequences of a batch are padded behind, with any ids: what comes later is
  /// not seen. With a cache (not inside diff()) ids are those that follow what is in it. ValueError for no
  /// ids, an id that is no token, and more tokens than positions; the cache is then as it was.
  Tensor operator()(const Tensor& ids, GPT2Cache* cache = nullptr) const;
  /// The same before the output table, normalised: [.., time, size].
  Tensor hidden(const Tensor& ids, GPT2Cache* cache = nullptr) const;
  /// hidden [.., size] -> [.., vocabulary].
  Tensor scores(const Tensor& hidden) const;
  std::string describe() const;
  Embed tokens() const;
  PositionEmbedding places() const;
  std::vector<GPT2Block> blocks() const;
  std::optional<LayerNorm> last() const;
};

struct GenerateOptions {
  std::int64_t max_tokens = 100;  ///< new ones
  SamplingOptions sampling = {};
  std::vector<std::int64_t> stop = {};  ///< a token of these ends the text, and is not part of it
  std::uint64_t seed = 0;               ///< of the choices; 0: from the process-wide generator
  bool cache = true;                    ///< keep keys and values: the same text, faster
  /// Gets every new token; false ends the text after it.
  std::function<bool(std::int64_t token)> on_token = {};
};
/// New tokens after a prompt, which must have one at least and fit into the positions. When the positions are
/// used up the last half of them is read again and the text goes on from there. ValueError.
std::vector<std::int64_t> generate(const GPT2&, const std::vector<std::int64_t>& prompt,
                                   const GenerateOptions& = {});
/// The same with text. An empty prompt stands for the tokenizer's token <|endoftext|>, which GPT-2 has
/// between its documents, and which ends the text unless `stop` names others. ValueError when the prompt is
/// not UTF-8.
std::string generate(const GPT2&, const Tokenizer&, std::string_view prompt, const GenerateOptions& = {});

/// How well a model foretells a text.
struct TextScore {
  double nats = 0;          ///< mean of -log p(token | tokens before it)
  std::int64_t tokens = 0;  ///< counted ones: all but the first
  double value() const;     ///< exp(nats)
};
/// Windows of `length` tokens (0: all positions), each `stride` (0: half of it) after the one before; every
/// token but the first counts once, in the first window that has it. ValueError for fewer than two ids.
TextScore perplexity(const GPT2&, const std::vector<std::int64_t>& ids, std::int64_t length = 0,
                     std::int64_t stride = 0);

/// A model and what belongs to it.
struct GPT2WithTokenizer {
  GPT2 model;
  Tokenizer tokenizer;
};
/// A folder as Hugging Face has it, or the name of a published model (see text_models()): config.json;
/// model.safetensors (or its index of shards, or pytorch_model.bin); vocab.json and merges.txt, or
/// tokenizer.json. IoError.
GPT2WithTokenizer load_gpt2(const std::string& folder_or_name);
/// The weights alone, of any file that io::TensorFile reads. Names may have "transformer." in front; buffers
/// of masks and a copy of the tied table are passed over. IoError when anything else is missing, left or of
/// another size.
GPT2 load_gpt2_weights(const std::string& file, const GPT2Config&);
/// Writes config.json, model.safetensors, vocab.json and merges.txt, laid out and named as Hugging Face does,
/// into a folder that exists; load_gpt2 reads them. ValueError for a model without norm_first, which is none.
void save_gpt2(const std::string& folder, const GPT2&, const Tokenizer&);

/// GPT, the first: a folder (or text_models() name) as OpenAI published it (params_shapes.json, params_0.npy
/// and so on, encoder_bpe_40000.json, vocab_40000.bpe), whose heads have 64 numbers. IoError, with the name
/// of the first array that does not fit, before anything is made.
GPT2WithTokenizer load_gpt(const std::string& folder_or_name = "openai-gpt");

}  // namespace knet::models

template <>
inline constexpr bool knet::opaque<knet::models::GPT2Config> = true;
template <>
inline constexpr bool knet::opaque<knet::models::GPT2Cache> = true;
