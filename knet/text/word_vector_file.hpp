// What the readers of word vectors share. For the sources of knet/text only.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "knet/io/gzip.hpp"
#include "knet/text/unicode.hpp"
#include "knet/text/word_vectors.hpp"

namespace knet::detail {

inline constexpr std::int64_t max_vector_size = 4096;

/// Lines and bytes of a stream, with a look ahead.
class VectorStream {
 public:
  explicit VectorStream(io::ByteStream& in) : in_(in) {}
  /// The next bytes without taking them: at most `n`, fewer only at the end.
  std::string_view peek(std::size_t n);
  /// The next line without its end; false at the end of the stream. IoError when it is longer than `limit`.
  bool line(std::string& to, std::size_t limit);
  /// Up to a byte, which is taken too; IoError when there is none within `limit`.
  std::string until(char stop, std::size_t limit, const char* what);
  /// Exactly so many bytes. IoError at the end of the stream.
  void read(void* to, std::size_t bytes, const char* what);
  void skip(std::size_t n) { begin_ += n; }
  const std::string& name() const { return in_.name(); }
  /// No more bytes than this can come: the file's size, or what a gzip file of its size can unfold to.
  std::uint64_t most() const { return in_.stored() * (in_.compressed() ? 1040 : 1); }

 private:
  bool more();
  io::ByteStream& in_;
  std::string buffer_;
  std::size_t begin_ = 0;
};

/// Gathers the rows that are wanted.
class VectorCollector {
 public:
  VectorCollector(const IndexedDict<std::string>* vocabulary, const WordVectorOptions& o);
  /// false: nothing more is wanted.
  bool add(const std::string& word, std::span<const float> values);
  bool wanted(const std::string& word) const;
  WordVectors finish(std::int64_t size);

 private:
  void set(std::int64_t row, std::span<const float> values, std::uint8_t how);

  const WordVectorOptions& o_;
  bool restricted_;
  IndexedDict<std::string> words_;
  std::unordered_map<std::string, std::vector<std::int64_t>>
      lowered_;  // rows by the lower case of their word
  std::vector<float> values_;
  std::vector<std::uint8_t> known_;  // 0: missing, 1: by lower case, 2: exactly
  std::size_t size_ = 0, exact_ = 0;
  std::int64_t seen_ = 0;
};

/// fastText .bin, behind nothing. Its words (and unknown ones of the vocabulary) from their parts.
WordVectors read_fasttext(VectorStream& in, const IndexedDict<std::string>* vocabulary,
                          const WordVectorOptions& o);

}  // namespace knet::detail
