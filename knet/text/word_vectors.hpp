// Published word vectors: GloVe (Pennington et al. 2014), word2vec (Mikolov et al. 2013) and fastText
// (Bojanowski et al. 2017, arXiv:1607.04606), for the embedding of a model or to be asked for words of
// similar meaning.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "knet/layers/dense.hpp"
#include "knet/text/indexed_dict.hpp"
#include "knet/text/vocabulary.hpp"

namespace knet {

/// A row of `vectors` for each word.
struct WordVectors {
  IndexedDict<std::string> words;
  Tensor vectors;  ///< [V, D] f32
  Tensor known;    ///< [V] boolean: the row is from the file
};

enum class VectorFormat : std::uint8_t {
  automatic,  ///< told by the contents
  text,  ///< a word and its numbers a line: GloVe; with a line "count size" before: word2vec, fastText .vec
  word2vec_binary,  ///< that line, then words and floats
  fasttext_binary,  ///< fastText .bin: words and their parts, so that unknown words have vectors too
};
/// Rows for words (and special tokens) that the file does not have.
enum class MissingVector : std::uint8_t {
  zeros,
  normal,  ///< random, with the standard deviation of the numbers read
  mean     ///< of the vectors read
};

struct WordVectorOptions {
  std::int64_t max_words = 0;  ///< only the first words of the file (the most frequent ones); 0: all
  std::vector<std::string> specials = {};  ///< get the first rows, as missing words where the file has none
  std::string pad = "";                    ///< the word whose row is zeros whatever `missing` says
  MissingVector missing = MissingVector::normal;
  bool lower = false;      ///< a word that is not there gets the vector of its lower case (with a vocabulary)
  std::uint64_t seed = 0;  ///< of random rows; 0: from the process-wide generator
  VectorFormat format = VectorFormat::automatic;
};

/// The words of a file, plain or gzip, in its order. It is read as a stream: memory holds what is kept. Of a
/// word that comes twice the first counts. IoError, with file and line or word, for anything malformed:
/// numbers missing or not finite, fewer or more words than the header says, sizes above 4096; fastText .bin
/// only as it is written without quantisation.
WordVectors load_word_vectors(const std::string& path, WordVectorOptions o = {});
/// The rows of a vocabulary, in its order; other words of the file are skipped. `specials` must be empty.
WordVectors load_word_vectors(const std::string& path, const IndexedDict<std::string>& vocabulary,
                              WordVectorOptions o = {});
/// The same; the row of its pad token is zeros.
WordVectors load_word_vectors(const std::string& path, const Vocabulary& vocabulary,
                              WordVectorOptions o = {});
/// From memory; `name` stands for the path in messages. `vocabulary` may be null.
WordVectors parse_word_vectors(std::span<const std::byte> bytes, const std::string& name,
                               const IndexedDict<std::string>* vocabulary = nullptr,
                               WordVectorOptions o = {});

/// GloVe's text format; words must have neither blanks nor ends of lines (ValueError). IoError.
void save_word_vectors(const std::string& path, const WordVectors&);

/// The table as a layer: ids [..] -> vectors [.., D]. Frozen, it is not trained.
Embed embed(const WordVectors&, bool frozen = true);

struct Neighbour {
  std::string word;
  double similarity;  ///< cosine
};
/// The words whose vectors point most nearly in the same direction; not the word itself, nor rows that are
/// not from the file. ValueError for a word that is not there.
std::vector<Neighbour> nearest(const WordVectors&, const std::string& word, std::int64_t count = 10);
/// The same for a vector [D].
std::vector<Neighbour> nearest(const WordVectors&, const Tensor& vector, std::int64_t count = 10,
                               const std::vector<std::string>& except = {});
/// a - b + c of vectors of length one: analogy(v, "king", "man", "woman") begins with "queen". The three are
/// left out.
std::vector<Neighbour> analogy(const WordVectors&, const std::string& a, const std::string& b,
                               const std::string& c, std::int64_t count = 10);

}  // namespace knet
