// BERT, an encoder of text (Devlin et al. 2018, arXiv:1810.04805), and what is mostly made of it today:
// vectors of sentences (Reimers & Gurevych 2019, arXiv:1908.10084). Parameters have the names of Hugging
// Face's files
// ("encoder.layer.0.attention.self.query.weight"), which load as they are.
//
//   const auto encoder = models::load_sentence_encoder("all-MiniLM-L6-v2/");
//   const Tensor v = encoder({"A cat sat.", "A dog lay."});   // [2, 384], of length 1
//   std::cout << dot(v(0), v(1)) << "\n";
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knet/layers/attention.hpp"
#include "knet/text/tokenizer.hpp"

namespace knet::models {

/// The sizes; the defaults are those of "bert-base-uncased".
struct BertConfig {
  std::int64_t vocabulary = 30522;
  std::int64_t positions = 512;  ///< the longest sequence
  std::int64_t types = 2;        ///< kinds of segments: a text and its partner
  std::int64_t size = 768;
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t hidden = 3072;  ///< of the MLPs
  double dropout = 0.1;
  double eps = 1e-12;  ///< of the normalisations
  Activation activation = gelu_exact;
  bool pooler = true;  ///< a layer for the first token's state, see Bert::pooled()
};
/// Hugging Face's config.json. IoError when it is not BERT's, or asks for what is not here (relative
/// positions, another activation than gelu, gelu_new and relu).
BertConfig load_bert_config(const std::string& config_json);

struct Bert {
  BertConfig config = {};
  DType dtype = default_dtype();
  Embed words = table(config.vocabulary);
  PositionEmbedding places{.size = config.size, .max_length = config.positions, .dtype = dtype};
  Embed types = table(config.types);
  LayerNorm norm{.size = config.size, .eps = config.eps, .dtype = dtype};
  std::vector<Transformer> layers = make_layers();
  std::vector<Dense> pooler = make_pooler();  ///< one or none

  /// The last states: ids [batch, time] (or [time]) -> [batch, time, size]. `mask`, boolean in the shape of
  /// the ids, is false for padding, which nobody sees; `type_ids` are 0 where left out. ValueError for no
  /// ids, an id or type out of range, and more tokens than positions; ShapeError for a mask or types of
  /// another shape.
  Tensor operator()(const Tensor& ids, const Tensor& mask = {}, const Tensor& type_ids = {}) const;
  /// The pooler's tanh layer over the first token of those states: [batch, size]. ValueError without one.
  Tensor pooled(const Tensor& states) const;
  std::string describe() const;
  Embed table(std::int64_t rows) const;
  std::vector<Transformer> make_layers() const;
  std::vector<Dense> make_pooler() const;

  /// Names of the published files.
  static void visit(auto& self, auto&& f) {
    f("embeddings.word_embeddings", self.words);
    f("embeddings.position_embeddings", self.places);
    f("embeddings.token_type_embeddings", self.types);
    f("embeddings.LayerNorm", self.norm);
    for (std::size_t i = 0; i < self.layers.size(); ++i) {
      auto& l = self.layers[i];
      const std::string at = "encoder.layer." + std::to_string(i);
      f(at + ".attention.self.query", l.attention.query);
      f(at + ".attention.self.key", l.attention.key);
      f(at + ".attention.self.value", l.attention.value);
      f(at + ".attention.output.dense", l.attention.output);
      f(at + ".attention.output.LayerNorm", l.norm1);
      f(at + ".intermediate.dense", l.feedforward.layers[0]);
      f(at + ".output.dense", l.feedforward.layers[1]);
      f(at + ".output.LayerNorm", l.norm2);
    }
    for (auto& p : self.pooler) f("pooler.dense", p);
  }
};

/// The weights of any file that io::TensorFile reads. Names may have "bert." in front and the old "gamma" and
/// "beta" for the normalisations; heads for pre-training ("cls.") are passed over, and a file without a
/// pooler makes a model without. IoError when anything else is missing, left or of another size.
Bert load_bert_weights(const std::string& file, const BertConfig&);

/// How the states of a sentence's tokens become one vector.
enum class Pooling : std::uint8_t { mean, first_token };

/// states [batch, time, size] -> [batch, size]; the mean is over the tokens that the boolean mask [batch,
/// time] has, zeros where it has none. With a tape gradients flow back.
Tensor pool_tokens(const Tensor& states, const Tensor& mask, Pooling = Pooling::mean);
/// Rows of the last dimension to length 1 (those shorter than eps are divided by it).
Tensor normalize_rows(const Tensor& x, double eps = 1e-12);

/// Sentences to vectors.
struct SentenceEncoder {
  Bert bert;
  Tokenizer tokenizer;
  Pooling pooling = Pooling::mean;
  bool normalize = true;          ///< vectors of length 1, so that dot products are cosines
  std::int64_t max_length = 256;  ///< tokens, special ones included; what is more is cut off
  std::int64_t batch = 32;        ///< sentences at once, of similar length

  /// [sentences, size], in their order, as constants. ValueError when a sentence is not UTF-8 (with its
  /// number) or there is none; an empty sentence has the special tokens alone.
  Tensor operator()(const std::vector<std::string>& sentences) const;
};
/// A folder of the sentence-transformers library, or the name of one (see text_models()): config.json;
/// model.safetensors (or shards, or pytorch_model.bin); vocab.txt or tokenizer.json; and, as far as they are
/// there, tokenizer_config.json (case), sentence_bert_config.json (max_length), modules.json (normalisation)
/// and 1_Pooling/config.json. IoError.
SentenceEncoder load_sentence_encoder(const std::string& folder_or_name);

}  // namespace knet::models

template <>
inline constexpr bool knet::opaque<knet::models::BertConfig> = true;
